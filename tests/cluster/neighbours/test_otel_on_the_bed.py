"""An HPA whose metric nobody scrapes: pods push to a Collector, it to the adapter's component `otlp`; all are pods."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtest.pods import PodsLoad
from tests.cluster import image
from tests.cluster.adapter import (
    CUSTOM,
    CUSTOM_API_SERVICES,
    NAMESPACE,
    OVERLAYS,
    SERVICE,
    hpa,
    pods_metric,
    try_raw,
    wait_for_replicas,
)
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.neighbours import otelcol
from tests.cluster.neighbours.hosted import import_program, kustomized
from tests.cluster.processes import wait_until

METRIC = "http_requests_per_second"
DOORS = {"grpc": "{}:4317", "http": "http://{}:4318"}
RATE = 35


def address(bed: Kubectl, service: str, namespace: str) -> str:
    """Its address, since the bed has no DNS."""
    return str(bed.get("service", service, "-n", namespace)["spec"]["clusterIP"])


@pytest.fixture(scope="module")
def doors(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The adapter as pods of the overlay `embedded` with the component `otlp`; the address that takes pushes."""
    folder: Path = tmp_path_factory.mktemp("otlp").resolve()
    image.install(bed, folder, ["adapter"])
    import_program(bed, "otelcol", otelcol.IMAGE)
    manifests = os.path.relpath(OVERLAYS.parent, folder)
    plan = {"resources": [f"{manifests}/overlays/embedded"], "components": [f"{manifests}/components/otlp"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(plan))
    left = str(OVERLAYS / "complete")  # other tests' adapters are processes that use these objects
    bed.kubectl("delete", "-k", left, "--ignore-not-found", "--timeout=90s", seconds=120)
    with kustomized(bed, folder):
        bed.rollout(SERVICE, NAMESPACE, seconds=120)
        for name in CUSTOM_API_SERVICES:
            bed.wait(f"apiservice/{name}", "condition=Available", 60)
        yield address(bed, "streamgate-otlp", NAMESPACE)


def pushing(bed: Bed, namespace: str) -> list[dict[str, Any]]:
    """The sample, which pushes every 2 s and that nobody scrapes."""
    target = f"http://{address(bed, otelcol.NAME, namespace)}:{otelcol.PORT}/v1/metrics"
    deployment, service = sample_deployment("push", namespace, OTLP_TARGET=target, OTLP_INTERVAL_S=2)
    deployment["spec"]["template"]["metadata"]["annotations"] = {}
    return [deployment, service]


@pytest.mark.parametrize("door", DOORS)
def test_an_hpa_scales_up_and_down_on_what_a_collector_hands_on(
    bed: Bed, doors: str, namespace: str, door: str, record_property: Callable[[str, object], None]
) -> None:
    """35 requests/s at a target of 20 are 2 pods: 1.75. Each has a value of its own then; without load 1 is enough."""
    bed.apply(otelcol.objects(namespace, f"otlp_{door}", DOORS[door].format(doors)))
    bed.rollout(otelcol.NAME, namespace)
    bed.apply(pushing(bed, namespace))
    bed.rollout("push", namespace)
    bed.apply(hpa("push", namespace, pods_metric(METRIC, "20"), high=2))
    path = f"{CUSTOM}/namespaces/{namespace}/pods/*/{METRIC}?labelSelector=app%3Dpush"

    def values() -> int:
        answer = try_raw(bed, path)
        return 0 if isinstance(answer, str) else len(answer["items"])

    with in_background(
        bed.kubeconfig,
        lambda client: [PodsLoad(client, namespace=namespace, selector="app=push", port=PORT, rate=RATE)],
    ) as [load]:
        record_property("up_s", wait_for_replicas(bed, "push", namespace, 2, 90))
        assert wait_until(lambda: values() == 2, 60, every=1), try_raw(bed, path)
        load.rate = 0
        record_property("down_s", wait_for_replicas(bed, "push", namespace, 1, 120))
    assert not any(stream.failed for stream in load.streams.values()), load.streams
    assert "Exporting failed" not in bed.kubectl("logs", f"deployment/{otelcol.NAME}", "-n", namespace)
