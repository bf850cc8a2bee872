"""The main job: a real HPA controller scales real containers on what our adapter serves, embedded source."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from loadtest.pods import PodsLoad
from tests.cluster.adapter import (
    API_SERVICES,
    RunningAdapter,
    agreeing,
    hpa,
    pods_metric,
    reflex,
    resource_metric,
    running_adapter,
    wait_for_replicas,
)
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.processes import wait_until

OTLP = 4318
RECOMMENDER = "streamgate-recommender"


@pytest.fixture(scope="module")
def adapter(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAdapter]:
    served = [name for name in API_SERVICES if "external" not in name]  # the built-in rules have no external metric
    folder = tmp_path_factory.mktemp("adapter")
    otlp = (f"--otlp-http-port={OTLP}", f"--otlp-bind-address={bed.host_address}")
    with running_adapter(bed, folder, *otlp, reflex(bed), apis=served) as running:
        yield running


def test_an_hpa_on_request_rates_scales_up_under_load_and_back_down_after_it(
    bed: Bed, adapter: RunningAdapter, namespace: str
) -> None:
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(hpa("web", namespace, pods_metric("http_requests_per_second", "20")))
    with in_background(
        bed.kubeconfig, lambda client: [PodsLoad(client, namespace=namespace, selector="app=web", port=PORT, rate=54)]
    ) as [load]:
        wait_for_replicas(bed, "web", namespace, 3, 60)  # 54 / 20 = 2.7
        bed.rollout("web", namespace)
        path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/*/http_requests_per_second"
        assert wait_until(lambda: len(bed.raw(f"{path}?labelSelector=app%3Dweb")["items"]) == 3, 30, every=1)
        load.rate = 0
        wait_for_replicas(bed, "web", namespace, 1, 120)
    assert not any(stream.failed for stream in load.streams.values()), load.streams
    assert "http_requests_per_second" in bed.kubectl("describe", "hpa", "web", "-n", namespace)


def test_hpas_that_agree_are_looked_at_when_a_look_adds_pods_and_their_specs_stay_as_they_were(
    bed: Bed, adapter: RunningAdapter, namespace: str
) -> None:
    """Three HPAs look 5 s apart, and the adapter asks 5.5 s after it sees the load: at least one waits for longer."""
    names = ("first", "second", "third")
    bed.apply([part for name in names for part in sample_deployment(name, namespace)])
    for name in names:
        bed.rollout(name, namespace)
    before = {}
    for name in names:
        bed.apply(agreeing(hpa(name, namespace, pods_metric("http_requests_per_second", "20"), high=2)))
        time.sleep(5)
        before[name] = bed.get("hpa", name, "-n", namespace)
    loads: list[dict[str, Any]] = [
        {"namespace": namespace, "selector": f"app={name}", "port": PORT, "rate": 35} for name in names
    ]
    with in_background(bed.kubeconfig, lambda client: [PodsLoad(client, **load) for load in loads]):
        for name in names:
            wait_for_replicas(bed, name, namespace, 2, 60)  # 35 / 20 = 1.75
    after = {name: bed.get("hpa", name, "-n", namespace) for name in names}
    assert {name: raw["spec"] for name, raw in after.items()} == {name: one["spec"] for name, one in before.items()}
    grown = {name: after[name]["metadata"]["generation"] - before[name]["metadata"]["generation"] for name in names}
    assert max(grown.values()) == 2, (grown, adapter.tail())
    assert set(grown.values()) <= {0, 2}


def test_pods_that_push_otlp_scale_without_a_scrape(bed: Bed, adapter: RunningAdapter, namespace: str) -> None:
    target = f"http://{bed.host_address}:{OTLP}/v1/metrics"
    deployment, service = sample_deployment("push", namespace, OTLP_TARGET=target, OTLP_INTERVAL_S=2)
    deployment["spec"]["template"]["metadata"]["annotations"] = {}
    bed.apply([deployment, service])
    bed.rollout("push", namespace)
    bed.apply(hpa("push", namespace, pods_metric("http_requests_per_second", "20"), high=2))
    with in_background(
        bed.kubeconfig, lambda client: [PodsLoad(client, namespace=namespace, selector="app=push", port=PORT, rate=35)]
    ):
        wait_for_replicas(bed, "push", namespace, 2, 60)  # 35 / 20 = 1.75


def test_cpu_and_memory_hpas_scale_on_what_kubelets_say(bed: Bed, adapter: RunningAdapter, namespace: str) -> None:
    bed.apply(sample_deployment("busy", namespace, WORK_KIND="busy", WORK_MS="10"))
    bed.apply(sample_deployment("large", namespace, BALLAST_MIB="64"))
    for name in ("busy", "large"):
        bed.rollout(name, namespace)
    bed.apply(hpa("busy", namespace, resource_metric("cpu", "100m"), high=3))
    bed.apply(hpa("large", namespace, resource_metric("memory", "50Mi"), high=2))
    with in_background(
        bed.kubeconfig, lambda client: [PodsLoad(client, namespace=namespace, selector="app=busy", port=PORT, rate=25)]
    ):
        wait_for_replicas(bed, "large", namespace, 2, 120)
        wait_for_replicas(bed, "busy", namespace, 3, 120)  # 25 requests/s of 10 ms are 250m: ceil(2.5)


def test_kubectl_top_get_and_discovery_show_it(bed: Bed, adapter: RunningAdapter, namespace: str) -> None:
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    top = ["top", "pods", "-n", namespace, "--containers"]
    assert wait_until(lambda: "sample" in _quiet(bed, *top), 60, every=2)
    node = bed.kubectl("top", "nodes")
    assert "m" in node.splitlines()[1]
    assert "NAME" in bed.kubectl("get", "pods.metrics.k8s.io", "-n", namespace)
    groups = bed.kubectl("api-versions").split()
    assert {"custom.metrics.k8s.io/v1beta2", "custom.metrics.k8s.io/v1beta1", "metrics.k8s.io/v1beta1"} <= set(groups)
    offers = bed.raw("/apis/custom.metrics.k8s.io/v1beta2")["resources"]
    assert "pods/http_requests_per_second" in {line["name"] for line in offers}


def _quiet(bed: Bed, *arguments: str) -> str:
    try:
        return bed.kubectl(*arguments)
    except Exception:  # noqa: BLE001 - not yet
        return ""


def test_the_manifests_pass_a_real_api_server(bed: Bed, adapter: RunningAdapter) -> None:
    for overlay in ("embedded", "prometheus", "complete"):
        rendered = bed.kubectl("kustomize", f"manifests/overlays/{overlay}")
        answer = bed.kubectl(
            "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=rendered
        )
        assert "streamgate-adapter" in answer


@pytest.mark.anywhere
def test_the_recommenders_manifests_pass_a_real_api_server(bed: Kubectl) -> None:
    bed.create_namespace(RECOMMENDER)  # a dry run makes none, and what lies in it needs one
    try:
        for overlay in ("recommender", "beside-vpa"):
            rendered = bed.kubectl("kustomize", f"manifests/overlays/{overlay}")
            answer = bed.kubectl(
                "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=rendered
            )
            assert "deployment.apps/streamgate-recommender serverside-applied" in answer
    finally:
        bed.delete_namespace(RECOMMENDER)
