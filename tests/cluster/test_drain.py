"""Three real nodes, each drained in turn under load: an HPA's request is always answered, and the leader moves on.

The pods that are measured run apart, and a node is drained when each of them has had a value for a while: were all of
them replaced at once, or one when the adapter that is left has just begun to know the other, nobody would have a value
for a moment, as docs/rates.md says, and the HPA would hold.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapter.kube.client import Client
from loadtest.pods import PodsLoad
from tests.cluster import image, network
from tests.cluster.adapter import CUSTOM, ROOT, hpa, pods_metric, try_raw, wait_for_replicas
from tests.cluster.background import in_background
from tests.cluster.bed import Bed, Options
from tests.cluster.bystander import Bystander
from tests.cluster.manifests import PORT, apart, sample_deployment
from tests.cluster.processes import wait_until

NODES = 3
WHILE_S = 15.0
"""Three scrapes: then a new replica of the adapter, too, has rates to go by."""
NAMESPACE, METRIC = "drained", "http_requests_per_second"
OURS = {"streamgate-adapter": "streamgate", "streamgate-rollout": "streamgate-rollout"}


@contextmanager
def three_nodes(folder: Path) -> Iterator[Bed]:
    bed = Bed.up(Options(nodes=NODES), folder)
    try:
        bed.claim("a test of three nodes")
        yield bed
    finally:
        bed.down()


def install(bed: Bed, folder: Path) -> None:
    """The adapter as its manifests have it, two controllers of rollouts, and the Deployment `web`."""
    image.install(bed, folder)
    bed.apply(ROOT / "manifests" / "crds" / "rolloutpolicy.yaml")
    for overlay in ("embedded", "rollout"):
        bed.kubectl("apply", "-k", str(ROOT / "manifests" / "overlays" / overlay))
    bed.kubectl("scale", "deployment", "streamgate-rollout", "-n", OURS["streamgate-rollout"], "--replicas=2")
    bed.create_namespace(NAMESPACE)
    bed.apply(apart(sample_deployment("web", NAMESPACE)))
    complete(bed)


def complete(bed: Bed) -> None:
    """Everybody has all pods."""
    for name, namespace in {**OURS, "web": NAMESPACE}.items():
        bed.rollout(name, namespace, seconds=120)


def nodes_of(bed: Bed, name: str) -> set[str]:
    pods = bed.get("pods", "-n", OURS[name], "-l", f"app.kubernetes.io/name={name}")["items"]
    return {str(pod["spec"].get("nodeName")) for pod in pods}


def count_measured_pods(bed: Bed, path: str) -> int:
    """The number of pods that have a value; 0 where the API does not answer."""
    answer = try_raw(bed, path)
    return len(answer["items"]) if isinstance(answer, dict) else 0


def leader(bed: Bed) -> str:
    leases = bed.get("leases", "-n", OURS["streamgate-rollout"])["items"]
    return str(leases[0]["spec"].get("holderIdentity", "")) if leases else ""


@pytest.mark.timeout(600, func_only=True)
def test_each_node_is_drained_under_load_and_no_request_of_an_hpa_fails(own_folder: Path, tmp_path: Path) -> None:
    """100 requests/s at a target of 60 are 2 pods (1.67, 20 % from the next), wherever they run."""
    path = f"{CUSTOM}/namespaces/{NAMESPACE}/pods/*/{METRIC}"
    with three_nodes(own_folder) as bed:
        install(bed, tmp_path)

        def make_load(client: Client) -> list[PodsLoad]:
            return [PodsLoad(client, namespace=NAMESPACE, selector="app=web", port=PORT, rate=100.0)]

        with in_background(bed.kubeconfig, make_load):
            assert wait_until(lambda: isinstance(try_raw(bed, path), dict), 60, every=0.5), try_raw(bed, path)
            bed.apply(hpa("web", NAMESPACE, pods_metric(METRIC, "60")))
            wait_for_replicas(bed, "web", NAMESPACE, 2, 90)
            assert wait_until(lambda: bool(leader(bed)), 30)
            leaders = [leader(bed)]
            assert len(nodes_of(bed, "streamgate-adapter")) == 2  # not both on one node
            with Bystander(bed, path) as bystander:
                for place in network.places(NODES):
                    assert wait_until(lambda: count_measured_pods(bed, path) == 2, 60), try_raw(bed, path)
                    time.sleep(WHILE_S)
                    flags = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
                    bed.kubectl("drain", place.name, *flags, seconds=150)
                    complete(bed)
                    assert all(place.name not in nodes_of(bed, name) for name in OURS)
                    assert wait_until(lambda: bool(leader(bed)), 30)
                    leaders.append(leader(bed))
                    bed.kubectl("uncordon", place.name)
        assert bystander.failures == []
        assert bystander.answers > 100
        assert len(set(leaders)) > 1, leaders  # its node was one of the three
        assert bed.get("deployment", "web", "-n", NAMESPACE)["spec"]["replicas"] == 2
