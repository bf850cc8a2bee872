"""VictoriaMetrics as it is started by default in place of Prometheus; the adapter asks it by its built-in rules."""

import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtest.pods import PodsLoad
from tests.cluster.adapter import (
    CUSTOM,
    CUSTOM_API_SERVICES,
    RunningAdapter,
    free_port,
    hpa,
    pods_metric,
    running_adapter,
    try_raw,
    wait_for_replicas,
)
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.binaries import find
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.neighbours.hosted import running_process
from tests.cluster.processes import wait_until

NAME = "victoria-metrics"
METRIC = "http_requests_per_second"
ANNOTATION = "__meta_kubernetes_pod_annotation_prometheus_io_"
SCRAPE_S = 5
TOLD = {"": 30, "?latency_offset=1s": 1}
"""Behind the URL -> how old a sample must be for VictoriaMetrics to tell of it, s (-search.latencyOffset is 30 s)."""
TIMES_EVERY_S = 15
"""The adapter asks so often for the samples' own times, so that these may lag behind by as much."""


def scrape_config(bed: Bed) -> dict[str, Any]:
    """Annotated pods by VictoriaMetrics' own discovery, with the usual relabelling."""
    names = {
        "ca_file": bed.ca,
        "cert_file": bed.plane.pki / "admin-client.crt",
        "key_file": bed.plane.pki / "admin-client.key",
    }
    discovery = {
        "role": "pod",
        "api_server": bed.plane.url,
        "tls_config": {key: str(path) for key, path in names.items()},
    }
    address = {"source_labels": ["__meta_kubernetes_pod_ip", f"{ANNOTATION}port"], "separator": ":"}
    relabelling = [
        {"source_labels": [f"{ANNOTATION}scrape"], "action": "keep", "regex": "true"},
        {**address, "target_label": "__address__"},
        {"source_labels": [f"{ANNOTATION}path"], "target_label": "__metrics_path__"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    job = {"job_name": "pods", "kubernetes_sd_configs": [discovery], "relabel_configs": relabelling}
    return {"global": {"scrape_interval": f"{SCRAPE_S}s", "scrape_timeout": "4s"}, "scrape_configs": [job]}


@pytest.fixture(scope="module")
def victoria(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL."""
    folder = tmp_path_factory.mktemp("victoria")
    config = folder / "scrape.yaml"
    config.write_text(yaml.safe_dump(scrape_config(bed)))
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    command = [str(find([NAME])[NAME]), f"-httpListenAddr={address}", f"-storageDataPath={folder / 'data'}"]
    command += [
        f"-promscrape.config={config}",
        "-promscrape.kubernetesSDCheckInterval=2s",
        "-memory.allowedBytes=128MiB",
    ]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    with running_process(command, folder / "victoria.log", ready):
        yield f"http://{address}"


@pytest.mark.parametrize("behind", TOLD, ids=["as-it-is", "latency-offset"])
def test_an_hpa_scales_up_under_load_on_what_victoriametrics_says(
    bed: Bed, victoria: str, namespace: str, tmp_path: Path, behind: str, record_property: Callable[[str, object], None]
) -> None:
    flags = [f"--prometheus-url={victoria}{behind}", "--metrics-relist-interval=10s"]
    with running_adapter(bed, tmp_path, *flags, apis=CUSTOM_API_SERVICES, overlay="prometheus") as adapter:
        scales_up(bed, adapter, namespace, TOLD[behind], record_property)


def scales_up(
    bed: Bed, adapter: RunningAdapter, namespace: str, told: float, record_property: Callable[[str, object], None]
) -> None:
    """54 requests/s of 20 a pod are 3 pods; then all three have values, of samples as new as `told` s allow."""
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    bed.apply(hpa("web", namespace, pods_metric(METRIC, "20")))
    path = f"namespaces/{namespace}/pods/*/{METRIC}?labelSelector=app%3Dweb"

    def values() -> dict[str, tuple[float, float]]:
        """pod -> its rate in requests/s, and how old that is, s; empty where no value is served."""
        answer = try_raw(bed, f"{CUSTOM}/{path}")
        items = [] if isinstance(answer, str) else answer["items"]
        return {item["describedObject"]["name"]: (rate_of(item), age_of(item)) for item in items}

    seen: dict[str, tuple[float, float]] = {}

    def near() -> bool:
        seen.clear()
        seen.update(values())
        return len(seen) == 3 and abs(sum(rate for rate, _ in seen.values()) - 54) < 11

    with in_background(
        bed.kubeconfig, lambda client: [PodsLoad(client, namespace=namespace, selector="app=web", port=PORT, rate=54)]
    ) as [load]:
        record_property("up_s", wait_for_replicas(bed, "web", namespace, 3, 150))  # 54 / 20 = 2.7
        bed.rollout("web", namespace)
        assert wait_until(near, 150, every=1), (seen, adapter.explain(path))
        ages = [age for _, age in seen.values()]
        record_property("ages_s", ages)
        assert max(ages) < told + SCRAPE_S + TIMES_EVERY_S + 10
    assert not any(stream.failed for stream in load.streams.values()), load.streams
    story = adapter.explain(path)
    assert (story["source"], story["lastError"]) == ("prometheus", "")


def rate_of(item: dict[str, Any]) -> float:
    value = item["value"]
    return float(value.removesuffix("m")) / (1000 if value.endswith("m") else 1)


def age_of(item: dict[str, Any]) -> float:
    return time.time() - datetime.fromisoformat(item["timestamp"]).timestamp()
