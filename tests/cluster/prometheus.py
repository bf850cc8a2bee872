"""Debian's Prometheus as a process of the host: its own port and folder, never the service that the package brings.

It scrapes annotated pods as the usual configurations do.
"""

import asyncio
import json
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from adapter.kube.client import Client
from adapter.kube.informer import Informer
from adapter.kube.objects import Pod
from adapter.kube.resources import PODS
from tests.cluster import packages
from tests.cluster.adapter import free_port
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.processes import run, wait_until

SCRAPE_S = 5
PER_SECOND = """\
rules:
- seriesQuery: 'http_requests_total{{namespace!="",pod!=""}}'
  resources: {{overrides: {{namespace: {{resource: namespace}}, pod: {{resource: pod}}}}}}
  name: {{matches: "^(.*)_total$", as: "${{1}}_per_second"}}
  metricsQuery: sum(rate(<<.Series>>{{<<.LabelMatchers>>}}[{window}])) by (<<.GroupBy>>)
"""
"""prometheus-adapter's usual rule for requests, over a `window`."""
# bcrypt of a word that no test knows
PASSWORD_HASH = "$2b$04$abcdefghijklmnopqrstuubY41VsYFMPPTi67ohSJgoejF.zm5HHO"


def scrape_config(targets: Path, scrape_s: int) -> dict[str, Any]:
    """One job for the pods in the file `targets`, which is read again whenever it changes."""
    job = {"job_name": "pods", "file_sd_configs": [{"files": [str(targets)]}]}
    every = {"scrape_interval": f"{scrape_s}s", "scrape_timeout": f"{scrape_s - 1}s"}
    return {"global": every, "scrape_configs": [job]}


class TargetsFile:
    """Keeps the file of targets at the annotated pods, as Prometheus' own discovery would: Debian builds it without."""

    def __init__(self, client: Client, path: Path) -> None:
        self._path = path
        self._informer = Informer(client, PODS, Pod)

    async def run(self) -> None:
        """Until cancelled."""
        written: list[dict[str, Any]] | None = None
        async with self._informer.running():
            while True:
                targets = [target_of(pod) for pod in self._informer.index if is_target(pod)]
                if targets != written:
                    written = targets
                    new = self._path.with_suffix(".new")
                    new.write_text(json.dumps(targets))
                    new.rename(self._path)
                await asyncio.sleep(0.25)


def is_target(pod: Pod) -> bool:
    """Whether the usual relabelling would keep it."""
    wanted = pod.metadata.annotations.get("prometheus.io/scrape") == "true"
    return wanted and bool(pod.status.pod_ip) and pod.status.phase not in ("Pending", "Succeeded", "Failed")


def target_of(pod: Pod) -> dict[str, Any]:
    """Address and labels as the usual relabelling makes them."""
    notes, meta = pod.metadata.annotations, pod.metadata
    labels = {"namespace": meta.namespace, "pod": meta.name, "__metrics_path__": notes["prometheus.io/path"]}
    return {"targets": [f"{pod.status.pod_ip}:{notes['prometheus.io/port']}"], "labels": labels}


class RunningPrometheus:
    """One process of Prometheus; it can be ended, killed and started again, with its data or without."""

    def __init__(self, folder: Path, targets: Path, scrape_s: int = SCRAPE_S, address: str = "127.0.0.1") -> None:
        self._program = packages.ensure(["prometheus"])["prometheus"]
        self._folder, self._log = folder, folder / "prometheus.log"
        config, self._web = folder / "prometheus.yml", folder / "web.yml"
        config.write_text(yaml.safe_dump(scrape_config(targets, scrape_s)))
        self._web.write_text("{}")
        self.port = free_port(address)
        self.url = f"http://{address}:{self.port}"
        self._command = [
            *(self._program, f"--config.file={config}", f"--web.config.file={self._web}"),
            f"--web.listen-address={address}:{self.port}",
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._generation = 0

    def fill(self, page: str) -> None:
        """Before its start: the past that it shall remember, in OpenMetrics with times."""
        file = self._folder / "past.txt"
        file.write_text(page)
        promtool = str(packages.ensure(["promtool"])["promtool"])
        run([promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", str(file), str(self._data)])

    @property
    def _data(self) -> Path:
        return self._folder / f"data-{self._generation}"

    def start(self, *, anew: bool = False) -> None:
        """Start it, with no data at all where `anew`, and wait until it answers queries."""
        self._generation += anew
        with self._log.open("ab") as stream:
            self._process = subprocess.Popen(
                [*map(str, self._command), f"--storage.tsdb.path={self._data}"],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        process = self._process
        if not wait_until(lambda: self._ready() or process.poll() is not None, 60, every=0.2) or process.poll():
            raise AssertionError(f"Prometheus is not ready; its log ends\n{self._log.read_text()[-3000:]}")

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal and wait for it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def want_password(self, wanted: bool) -> None:
        """From now on, without a restart, let in nobody without a password that nobody has; or everybody."""
        self._web.write_text(yaml.safe_dump({"basic_auth_users": {"nobody": PASSWORD_HASH}} if wanted else {}))

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The result of an instant query now."""
        parameters = urllib.parse.urlencode({"query": promql, "time": f"{time.time():.3f}"})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{parameters}", timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result


@contextmanager
def running_prometheus(
    bed: Bed, folder: Path, *, scrape_s: int = SCRAPE_S, address: str = "127.0.0.1"
) -> Iterator[RunningPrometheus]:
    """A Prometheus that answers at this address of the host; ended afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = folder / "targets.json"
    prometheus = RunningPrometheus(folder, targets, scrape_s, address)
    with in_background(bed.kubeconfig, lambda client: [TargetsFile(client, targets)]):
        try:
            prometheus.start()
            yield prometheus
        finally:
            prometheus.end()
