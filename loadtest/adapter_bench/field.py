"""The field of both contenders: pods that kwok plays, their series, a Prometheus that scrapes them, HPAs."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from adapter.units.quantity import Quantity
from tests.cluster.adapter import ROOT, free_port, hpa, pods_metric
from tests.cluster.bed import Bed
from tests.cluster.processes import wait_until
from tests.cluster.prometheus import RunningPrometheus

METRIC = "http_requests_per_second"
PER_POD = 10
"""Requests/s of each pod, and the target of each HPA: nothing scales."""
SCRAPE_S = 15
NODES = 4
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "resources": [{"group": "custom.metrics.k8s.io"}]},
        {"level": "Metadata", "verbs": ["list"], "resources": [{"group": "", "resources": ["pods"]}]},
        {"level": "None"},
    ],
}


class Size(NamedTuple):
    """How much there is of everything."""

    deployments: int = 400
    replicas: int = 3
    namespaces: int = 20
    hpas: int = 300

    @property
    def pods(self) -> int:
        """Of all Deployments."""
        return self.deployments * self.replicas

    def place(self, number: int) -> tuple[str, str]:
        """Namespace and name of a Deployment."""
        return f"bench-{number % self.namespaces:02d}", f"app-{number:04d}"


def flags(folder: Path) -> dict[str, list[str]]:
    """Of the control plane: clients that do not wait for themselves, and an audit log of what is counted."""
    (folder / "audit.yaml").write_text(json.dumps(AUDIT_POLICY))
    return {
        "kube-controller-manager": ["--kube-api-qps=1000", "--kube-api-burst=2000"],
        "kube-scheduler": ["--kube-api-qps=1000", "--kube-api-burst=2000"],
        "kube-apiserver": [f"--audit-policy-file={folder / 'audit.yaml'}", f"--audit-log-path={audit_log(folder)}"],
    }


def audit_log(folder: Path) -> Path:
    """Where the API server writes it."""
    return folder / "audit.log"


def deployment(namespace: str, name: str, replicas: int) -> dict[str, Any]:
    """One that only kwok runs."""
    labels = {"app": name}
    container = {"name": "app", "image": "none", "resources": {"requests": {"cpu": "10m"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def populate(bed: Bed, size: Size) -> list[tuple[str, str]]:
    """Make the pods and wait until all run: namespace and name of each."""
    names = [f"bench-{number:02d}" for number in range(size.namespaces)]
    bed.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names])
    for name in names:
        bed.wait_for_service_account(name)
    places = [size.place(number) for number in range(size.deployments)]
    bed.apply([deployment(*place, size.replicas) for place in places])
    if not wait_until(lambda: len(_running(bed)) >= size.pods, 180, every=3):
        raise RuntimeError(f"only {len(_running(bed))} of {size.pods} pods run after 180 s")
    return _running(bed)


def _running(bed: Bed) -> list[tuple[str, str]]:
    lines = bed.kubectl(
        *("get", "pods", "--all-namespaces", "--field-selector=status.phase=Running", "--no-headers"),
        "-o=custom-columns=NS:.metadata.namespace,NAME:.metadata.name",
    ).splitlines()
    return [(namespace, name) for namespace, name in map(str.split, lines) if namespace.startswith("bench-")]


def apply_hpas(bed: Bed, size: Size, parts: int = 5) -> None:
    """One on each of the first Deployments, made in parts over the HPA period so that their phases differ."""
    places = [size.place(number) for number in range(size.hpas)]
    scalers = [
        hpa(name, namespace, pods_metric(METRIC, str(PER_POD)), low=size.replicas, high=2 * size.replicas)
        for namespace, name in places
    ]
    for part in range(parts):
        began = time.monotonic()
        bed.apply(scalers[part::parts])
        time.sleep(max(0.0, 15 / parts - (time.monotonic() - began)))


class Prometheus(RunningPrometheus):
    """Debian's, with one job: the process of `series`."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, folder / "targets.json")
        job = {"job_name": "pods", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        every = {"scrape_interval": f"{SCRAPE_S}s", "scrape_timeout": "10s"}
        (folder / "prometheus.yml").write_text(yaml.safe_dump({"global": every, "scrape_configs": [job]}))

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def wait_for_rates(self, pods: int, seconds: float = 150) -> None:
        """Until each rate is within a percent of what it is made to be: when its window is full."""
        low, high = PER_POD * 0.99, PER_POD * 1.01
        query = f"count({low} < sum(rate(http_requests_total[1m])) by (namespace,pod) < {high})"

        def ready() -> bool:
            return any(float(Quantity.parse(one["value"][1])) >= pods for one in self.query(query))

        if not wait_until(ready, seconds, every=1):
            raise RuntimeError(f"Prometheus has not the rates of {pods} pods after {seconds:.0f} s")


@contextmanager
def running_prometheus(folder: Path, pods: list[tuple[str, str]]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes made-up series of these pods; both end with the context."""
    folder.mkdir(parents=True, exist_ok=True)
    port, file = free_port("127.0.0.1"), folder / "pods.json"
    file.write_text(json.dumps(pods))
    module = "loadtest.adapter_bench.series"
    with subprocess.Popen([sys.executable, "-m", module, str(file), str(port)], cwd=ROOT) as series:
        prometheus = Prometheus(folder, port)
        try:
            prometheus.start()
            yield prometheus
        finally:
            prometheus.end()
            series.kill()
