"""`make scale-latency`: from a load step to the HPA's final desiredReplicas, on a real control plane.

20 Deployments of 2 pods, each with an HPA on http_requests_per_second, on the test bed; kube-controller-manager with
its default 15 s HPA period; the adapter with its embedded source. The load on each Deployment doubles, at a random
moment of its own, which makes 4 replicas right; the HPA's answer is awaited, the load goes back, and so on, until there
are 40 steps for each scrape interval. Needs root and about 12 minutes; `--write-docs` rewrites the figures of
docs/scale-latency.md.
"""

import argparse
import asyncio
import contextlib
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from adapter.kube import config
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.informer import Informer
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.metrics.quantity import Quantity
from loadtest import latency
from loadtest.latency import Change, Step
from loadtest.machine import Meter, ahead, description, weigh
from loadtest.pods import PodsLoad
from tests.cluster.adapter import hpa, pods_metric, running_adapter
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.node import CGROUP, CGROUPS

DOCUMENT = Path(__file__).parent.parent / "docs" / "scale-latency.md"
PICTURE = DOCUMENT.parent / "img" / "scale-latency.png"
MARKS = "<!-- figures: written by loadtest/scale_latency.py -->", "<!-- end of figures -->"

METRIC = "http_requests_per_second"
APIS = ("v1beta2.custom.metrics.k8s.io",)
LOW, HIGH, TARGET = 120.0, 240.0, 68
"""Requests/s on a Deployment before and after the step, and the HPA's target per pod. 2 pods at 60/s are under target,
240/s need 3.53 replicas: 4 is right for whatever is measured between 204 and 272, 15 and 13 % off."""
BEFORE, AFTER, MOST = 2, 4, 8
HPA_PERIOD_S = 15.0
STAGGER_S = 60.0
"""First steps come at random within it and second ones likewise: new pods of 20 Deployments at once would be a test of
how fast the machine starts containers."""
POLL_S = 0.5
WARM_UP_S = 45.0
"""From the beginning of the load: the adapter has seen 9 samples by then."""
CONTROLLER_FLAGS = ["--kube-api-qps=200", "--kube-api-burst=400"]
"""Of kube-controller-manager: its client should not be what is measured. The HPA period stays at its default."""


@dataclass(frozen=True)
class Trial:
    """What to do."""

    scrapes: tuple[float, ...] = (5.0, 2.0)
    hpas: int = 20
    rounds: int = 2
    watch_s: float = 60.0
    """How long an HPA is watched after its step."""
    rest_s: float = 60.0
    """How long the load is low before the next step, at least."""
    seed: int | None = None


@dataclass
class Service:
    """One Deployment, its load and what was heard of its HPA."""

    name: str
    load: PodsLoad
    heard: list[Change] = field(default_factory=list)
    served: tuple[float, float] | None = None
    """When the adapter was first seen to serve what needs AFTER replicas since the last step, and its newest sample."""

    @property
    def desired(self) -> int:
        return self.heard[-1].replicas if self.heard else 0


class Measurement:
    """One scrape interval: services under load, their HPAs watched, steps taken."""

    def __init__(self, bed: Bed, client: Client, namespace: str, trial: Trial) -> None:
        self.bed, self.namespace, self.trial = bed, namespace, trial
        self.steps: list[Step] = []
        self.meter = Meter()
        self.services = {
            name: Service(name, PodsLoad(client, namespace, f"app={name}", PORT, LOW))
            for name in (f"web-{number:02}" for number in range(trial.hpas))
        }
        self._client = client
        self._hpas = Informer(client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler, namespace=namespace)
        self._hpas.index.on_change(self._heard)
        self._random = random.Random(trial.seed)

    @property
    def total(self) -> int:
        """How many steps there will be."""
        return self.trial.hpas * self.trial.rounds

    async def run(self) -> None:
        """All of it; returns when the last step was watched."""
        async with self._under_load(), asyncio.TaskGroup() as group:
            started = time.time()
            await self._create_hpas()
            await asyncio.sleep(max(0.0, WARM_UP_S - (time.time() - started)))
            self.meter.shares.clear()
            offsets = latency.spread(len(self.services), STAGGER_S, self._random)
            for service, offset in zip(self.services.values(), offsets, strict=True):
                group.create_task(self._rounds(service, offset))

    @asynccontextmanager
    async def _under_load(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._hpas.running())
            group = await stack.enter_async_context(asyncio.TaskGroup())
            jobs = [self.meter.run(), self._poll(), *(service.load.run() for service in self.services.values())]
            tasks = [group.create_task(job) for job in jobs]
            stack.callback(lambda: [task.cancel() for task in tasks])
            yield

    async def _create_hpas(self) -> None:
        """Over one HPA period, so that their phases within it differ."""
        pause = HPA_PERIOD_S / len(self.services)
        for service in self.services.values():
            made = hpa(service.name, self.namespace, pods_metric(METRIC, str(TARGET)), low=BEFORE, high=MOST, down=10)
            began = time.monotonic()
            await asyncio.to_thread(self.bed.apply, made)
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))

    async def _rounds(self, service: Service, offset: float) -> None:
        await asyncio.sleep(offset)
        for number in range(self.trial.rounds):
            await asyncio.sleep(self.trial.rest_s if number else 0.0)
            await self._calm(service)
            self.steps.append(await self._step(service))
            service.load.rate = LOW

    async def _calm(self, service: Service) -> None:
        """Wait until the HPA is where a step begins; SystemExit where it does not get there."""
        for _ in range(240):
            if service.desired == BEFORE:
                return
            await asyncio.sleep(0.5)
        raise SystemExit(f"HPA {service.name} wants {service.desired} replicas at {LOW:g} requests/s, not {BEFORE}")

    async def _step(self, service: Service) -> Step:
        before, service.served, at = service.desired, None, time.time()
        service.load.rate = HIGH
        await asyncio.sleep(self.trial.watch_s)
        until = time.time()
        served, sampled = service.served or (None, None)
        found = latency.changes(service.heard, at, until)
        return Step(f"{self.namespace}/{service.name}", at, until, before, AFTER, found, served, sampled)

    def _heard(self, _: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> None:
        if new is not None and new.metadata.name in self.services:
            self.services[new.metadata.name].heard.append(Change(time.time(), new.status.desired_replicas))

    async def _poll(self) -> None:
        """What the adapter serves, by way of the API server's aggregator, as the HPA controller asks."""
        path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{self.namespace}/pods/*/{METRIC}"
        while True:
            with contextlib.suppress(KubeError):
                self._seen(json.loads(await self._client.get(path))["items"], time.time())
            await asyncio.sleep(POLL_S)

    def _seen(self, items: Sequence[Mapping[str, Any]], now: float) -> None:
        by_service: dict[str, list[tuple[float, float]]] = {}
        for item in items:
            name = item["describedObject"]["name"].rsplit("-", 2)[0]
            value = float(Quantity.parse(item["value"])), datetime.fromisoformat(item["timestamp"]).timestamp()
            by_service.setdefault(name, []).append(value)
        for name, values in by_service.items():
            service, total = self.services.get(name), sum(value for value, _ in values)
            high = service is not None and service.load.rate == HIGH and service.served is None
            if service is not None and high and latency.replicas_for(total, TARGET) >= AFTER:
                service.served = now, max(moment for _, moment in values)


def prepare(bed: Bed, namespace: str, trial: Trial) -> None:
    """The Deployments, ready."""
    bed.create_namespace(namespace)
    made = [sample_deployment(f"web-{number:02}", namespace, BEFORE)[0] for number in range(trial.hpas)]
    for deployment in made:
        _probe_seldom(deployment["spec"]["template"]["spec"]["containers"][0])
    bed.apply(made)
    everything = ["wait", "deployment", "--all", "--for=condition=Available", "-n", namespace, "--timeout=240s"]
    bed.kubectl(*everything, seconds=260)


def _probe_seldom(container: dict[str, Any]) -> None:
    """Every second only until it is up: 80 probes a second would be a load of their own."""
    container["startupProbe"] = {**container["readinessProbe"], "failureThreshold": 60}
    container["readinessProbe"] = {**container["readinessProbe"], "periodSeconds": 10, "timeoutSeconds": 5}


async def measure(bed: Bed, namespace: str, trial: Trial, progress: Progress, label: str) -> Measurement:
    """One scrape interval with an adapter that runs already."""
    async with Client(await config.connect(str(bed.kubeconfig))) as client:
        measurement = Measurement(bed, client, namespace, trial)
        task = progress.add_task(label, total=measurement.total, said="warming up")
        running = asyncio.create_task(measurement.run())
        while not running.done():
            await asyncio.wait([running], timeout=1)
            progress.update(task, completed=len(measurement.steps), said=_standing(measurement))
        await running
        return measurement


def _standing(measurement: Measurement) -> str:
    sizes = [service.desired for service in measurement.services.values()]
    stepped = sum(service.load.rate == HIGH for service in measurement.services.values())
    share = measurement.meter.shares[-1] if measurement.meter.shares else math.nan
    return f"{stepped} under high load, {sum(sizes)} replicas wanted, processors {share:.0%} busy"


def measure_all(trial: Trial, bed: Bed, console: Console) -> tuple[dict[float, list[Step]], dict[str, object]]:
    """All scrape intervals, one after the other, and the conditions of the run."""
    results: dict[float, list[Step]] = {}
    conditions: dict[str, object] = _conditions(trial, bed)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps"))
    with (
        tempfile.TemporaryDirectory(prefix="scale-latency-") as folder,
        Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[said]}"), console=console) as progress,
    ):
        for scrape in trial.scrapes:
            namespace = f"latency-{scrape:g}s-{int(time.time()) % 100_000}"
            progress.print(f"scrape every {scrape:g} s: starting {trial.hpas * BEFORE} pods and the adapter")
            prepare(bed, namespace, trial)
            with running_adapter(bed, Path(folder) / namespace, f"--scrape-interval={scrape:g}s", apis=APIS):
                found = asyncio.run(measure(bed, namespace, trial, progress, f"scrape every {scrape:g} s"))
            bed.delete_namespace(namespace)
            results[scrape] = found.steps
            conditions[f"scrape every {scrape:g} s"] = _told(found)
            console.print(f"\n{latency.histogram_text([step.seconds for step in found.steps])}\n", highlight=False)
    return results, conditions


def on_bed(trial: Trial, reuse: bool, console: Console) -> tuple[dict[float, list[Step]], dict[str, object]]:
    """On a bed of its own, or with `reuse` on the one that is up. Raises BedError."""
    bed = Bed.attach() if reuse else Bed.up(Options(flags={"kube-controller-manager": CONTROLLER_FLAGS}))
    try:
        for cgroup in (CGROUPS / "cpu" / CGROUP, CGROUPS / CGROUP):
            weigh(cgroup)  # containers compete as this one
        return measure_all(trial, bed, console)
    finally:
        if not reuse:
            bed.down()


def _conditions(trial: Trial, bed: Bed) -> dict[str, object]:
    version = json.loads(bed.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": description(),
        "cluster": f"the test bed: Kubernetes {version}, one real node, HPA period {HPA_PERIOD_S:g} s (default),"
        f" kube-controller-manager {' '.join(CONTROLLER_FLAGS)}; everything, load included, on that machine,"
        " ahead of whatever else ran there",
        "load": f"{trial.hpas} HPAs in parallel, each on 2 pods at {LOW / BEFORE:g} requests/s; a step takes"
        f" {LOW:g} to {HIGH:g} requests/s at target {TARGET} per pod, at random within {STAGGER_S:g} s",
        "watch": f"each HPA is watched for {trial.watch_s:g} s after its step; maxReplicas {MOST}",
    }


def _told(found: Measurement) -> str:
    streams = [stream for service in found.services.values() for stream in service.load.streams.values()]
    counts = ("answered", "failed", "shed")
    answered, failed, shed = (sum(getattr(stream, name) for stream in streams) for name in counts)
    shares = found.meter.shares
    return (
        f"{answered} requests answered by {len(streams)} pods, {failed} failed, {shed} not sent; processors"
        f" {latency.quantile(shares, 0.5):.0%} busy at the median, {latency.quantile(shares, 0.95):.0%} at p95"
    )


def show(results: Mapping[float, Sequence[Step]], conditions: Mapping[str, object], console: Console) -> None:
    """Tables on the terminal."""
    rows = [latency.row(latency.summary(scrape, steps)) for scrape, steps in results.items()]
    parts = [line for scrape, steps in results.items() for line in latency.part_rows(scrape, steps)]
    for headings, lines in ((latency.HEADINGS, rows), (latency.PART_HEADINGS, parts)):
        table = Table(*headings)
        for line in lines:
            table.add_row(*line)
        console.print(table)
    for name, text in conditions.items():
        console.print(f"{name}: {text}", highlight=False)


def write_docs(results: Mapping[float, Sequence[Step]], conditions: Mapping[str, object]) -> None:
    """The figures of docs/scale-latency.md between their marks, and the picture."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    figures = latency.report(results, [f"{name}: {said}" for name, said in conditions.items()])
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n{figures}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")
    latency.draw(results, lambda figure: figure.savefig(PICTURE, dpi=110, metadata={"Software": None}))


def _parse(arguments: Sequence[str] | None) -> tuple[Trial, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python -m loadtest.scale_latency", description=__doc__)
    parser.add_argument("--scrape", type=float, action="append", metavar="SECONDS", help="default: 5 and 2")
    parser.add_argument("--hpas", type=int, default=Trial.hpas, help="in parallel (default %(default)s, at most 24)")
    parser.add_argument("--rounds", type=int, default=Trial.rounds, help="steps of each HPA (default %(default)s)")
    parser.add_argument("--seed", type=int, help="of the moments at which steps are taken")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the figures of docs/scale-latency.md")
    parser.add_argument("--reuse-bed", action="store_true", help="take the bed that is up, and leave it up")
    given = parser.parse_args(arguments)
    if not 1 <= given.hpas <= 24 or given.rounds < 1:
        parser.error("--hpas must be 1 to 24 (the node has room for 240 pods) and --rounds at least 1")
    scrapes = tuple(given.scrape or Trial.scrapes)
    return Trial(scrapes, given.hpas, given.rounds, seed=given.seed), given


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where the bed does not come up."""
    trial, given = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        with ahead("streamgate-latency"):
            results, conditions = on_bed(trial, given.reuse_bed, console)
    except (BedError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    show(results, conditions, console)
    if given.json:
        given.json.write_text(json.dumps(latency.document(results, conditions), indent=1) + "\n", encoding="utf-8")
    if given.write_docs:
        write_docs(results, conditions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
