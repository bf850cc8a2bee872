"""metrics-server beside us: it keeps metrics.k8s.io, we have the other APIs; and who says so before it is taken."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from loadtest.pods import PodsLoad
from tests.cluster.adapter import (
    CUSTOM_API_SERVICES,
    OVERLAYS,
    RunningAdapter,
    hpa,
    pods_metric,
    resource_metric,
    running_adapter,
    wait_for_replicas,
)
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.chart import CHART, run_helm
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.neighbours import metrics_server


@pytest.fixture(scope="module")
def neighbour(bed: Bed) -> Iterator[None]:
    with metrics_server.installed(bed):
        yield


@pytest.fixture(scope="module")
def adapter(bed: Bed, neighbour: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAdapter]:
    folder: Path = tmp_path_factory.mktemp("adapter")
    with running_adapter(bed, folder, apis=CUSTOM_API_SERVICES, overlay="embedded") as running:
        yield running


def test_hpas_on_cpu_and_on_our_metric_scale_and_kubectl_top_works(
    bed: Bed, adapter: RunningAdapter, namespace: str
) -> None:
    """25 requests/s of 10 ms are 250m of CPU, of 100m a pod: 3 pods. 54 requests/s of 20 a pod: 3 pods."""
    bed.apply(
        [*sample_deployment("busy", namespace, WORK_KIND="busy", WORK_MS="10"), *sample_deployment("web", namespace)]
    )
    for name in ("busy", "web"):
        bed.rollout(name, namespace)
    metrics_server.wait_for_top(bed, namespace, "web-")
    bed.apply(hpa("busy", namespace, resource_metric("cpu", "100m"), high=3))
    bed.apply(hpa("web", namespace, pods_metric("http_requests_per_second", "20")))
    rates = {"busy": 25, "web": 54}
    with in_background(
        bed.kubeconfig,
        lambda client: [
            PodsLoad(client, namespace=namespace, selector=f"app={name}", port=PORT, rate=rate)
            for name, rate in rates.items()
        ],
    ):
        wait_for_replicas(bed, "web", namespace, 3, 90)
        wait_for_replicas(bed, "busy", namespace, 3, 120)
    assert metrics_server.serves(bed) == "kube-system/metrics-server"


def test_kubectl_apply_would_take_its_api_without_a_word_and_helm_refuses(bed: Bed, neighbour: None) -> None:
    """As docs/install.md says. kubectl counts what it applied before, for whomever, as its own: no conflict."""
    rendered = yaml.safe_load_all(bed.kubectl("kustomize", str(OVERLAYS / "complete")))
    (wanted,) = (one for one in rendered if one["metadata"]["name"] == metrics_server.API)
    for way in ((), ("--server-side",)):
        told = bed.kubectl("apply", "--dry-run=server", *way, "-f", "-", stdin=yaml.safe_dump(wanted))
        assert metrics_server.API in told
        assert "metrics-server" not in told
    place = ["--kubeconfig", str(bed.kubeconfig), "-n", "beside", "--create-namespace"]
    done = run_helm("install", "beside", str(CHART), "--set", "apis.resource=true,apis.custom=false", *place)
    assert done.returncode != 0
    assert f'APIService "{metrics_server.API}" in namespace "" exists and cannot be imported' in done.stderr
    assert metrics_server.serves(bed) == "kube-system/metrics-server"
