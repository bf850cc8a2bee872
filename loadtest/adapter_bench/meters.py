"""What the processes of the test bed have spent and counted: a reading before and one after, and their difference."""

import ssl
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

from loadtest import machine
from loadtest.adapter_bench.contenders import Ours, tls
from loadtest.adapter_bench.field import Prometheus
from loadtest.adapter_bench.figures import Event, Process, events, total
from loadtest.machine import Ticks
from tests.cluster.bed import Bed
from tests.cluster.certs import Pair

COMPUTATION = "horizontal_pod_autoscaler_controller_metric_computation_duration_seconds"


class Reading(NamedTuple):
    """At one time (s, monotonic): CPU seconds by process, requests to Prometheus, HPA controller, size of the log."""

    at: float
    cpu: dict[str, float]
    queries: float
    series: float
    computed: float
    computing_s: float
    depth: float
    logged: int
    ticks: Ticks


class Spent(NamedTuple):
    """Between two readings."""

    seconds: float
    cpu: dict[str, float]
    queries: float
    series: float
    computation_s: float
    """Mean seconds that the HPA controller took for one metric; 0 where it computed none."""
    depth: float
    """Of the HPA controller's queue at the end."""
    busy: float
    events: list[Event]


class Meters:
    """Of a bed, its Prometheus and the adapter that runs."""

    def __init__(self, bed: Bed, prometheus: Prometheus, adapter: Ours, log: Path) -> None:
        self._prometheus, self._log = prometheus, log
        admin = Pair(bed.plane.pki / "admin-client.crt", bed.plane.pki / "admin-client.key")
        self._context = tls(bed, admin)
        self._controllers = f"https://127.0.0.1:{bed.plane.ports.controller_manager}/metrics"
        self.adapter = adapter.process
        self.processes = [self.adapter, Process("prometheus", prometheus.pid)]
        for name in ("kube-apiserver", "kube-controller-manager", "etcd"):
            process = bed.processes.get(name)
            assert process is not None, name
            self.processes.append(Process(name, process.pid))

    def read(self) -> Reading:
        """Now."""
        prometheus = _get(f"{self._prometheus.url}/metrics")
        controllers = _get(self._controllers, self._context)
        asked = "prometheus_http_requests_total"
        return Reading(
            at=time.monotonic(),
            cpu={process.name: process.cpu for process in self.processes},
            queries=sum(total(prometheus, asked, handler=f"/api/v1/{kind}") for kind in ("query", "query_range")),
            series=total(prometheus, asked, handler="/api/v1/series"),
            computed=total(controllers, f"{COMPUTATION}_count"),
            computing_s=total(controllers, f"{COMPUTATION}_sum"),
            depth=total(controllers, "workqueue_depth", name="horizontalpodautoscaler"),
            logged=self._log.stat().st_size,
            ticks=machine.parse(Path("/proc/stat").read_text()),
        )

    def difference(self, before: Reading, after: Reading) -> Spent:
        """What was spent between two readings, with the audit log's events of that time."""
        computed = after.computed - before.computed
        with self._log.open("rb") as stream:
            stream.seek(before.logged)
            lines = stream.read(after.logged - before.logged).decode().splitlines(keepends=True)
        return Spent(
            seconds=after.at - before.at,
            cpu={name: seconds - before.cpu[name] for name, seconds in after.cpu.items()},
            queries=after.queries - before.queries,
            series=after.series - before.series,
            computation_s=(after.computing_s - before.computing_s) / computed if computed else 0.0,
            depth=after.depth,
            busy=machine.busy(before.ticks, after.ticks),
            events=list(events(lines)),
        )


def _get(url: str, context: ssl.SSLContext | None = None) -> str:
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:
        text: bytes = answer.read()
    return text.decode()
