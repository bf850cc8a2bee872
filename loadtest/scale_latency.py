"""`make scale-latency`: from a load step to the HPA's final desiredReplicas, on a real control plane.

20 Deployments of 2 pods, each with an HPA on http_requests_per_second, on the test bed; kube-controller-manager with
its default 15 s HPA period; the adapter with its embedded source. The load on each Deployment doubles, at a random
moment of its own, which makes 4 replicas right; the HPA's answer is awaited, the load goes back, and so on, until there
are 40 steps for each scrape interval. Needs root and about 12 minutes; `--write-docs` rewrites the figures of
docs/scale-latency.md.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from adapter.kube import config
from adapter.kube.client import Client
from loadtest import latency
from loadtest.latency import Step
from loadtest.machine import ahead, description, weigh
from loadtest.steps import BEFORE, HIGH, HPA_PERIOD_S, LOW, MOST, STAGGER_S, TARGET, Measurement, Trial, prepare
from tests.cluster.adapter import reflex, running_adapter
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.node import CGROUP, CGROUPS

DOCUMENT = Path(__file__).parent.parent / "docs" / "scale-latency.md"
PICTURE = DOCUMENT.parent / "img" / "scale-latency.png"
MARKS = "<!-- figures: written by loadtest/scale_latency.py -->", "<!-- end of figures -->"
REFLEX_MARKS = "<!-- reflex: written by loadtest/scale_latency.py -->", "<!-- end of reflex -->"

APIS = ("v1beta2.custom.metrics.k8s.io",)
CONTROLLER_FLAGS = ["--kube-api-qps=200", "--kube-api-burst=400"]
"""Of kube-controller-manager: its client should not be what is measured. The HPA period stays at its default."""


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
            flags = [f"--scrape-interval={scrape:g}s", *([reflex(bed)] if trial.reflex else [])]
            with running_adapter(bed, Path(folder) / namespace, *flags, apis=APIS):
                measurement = asyncio.run(measure(bed, namespace, trial, progress, f"scrape every {scrape:g} s"))
            bed.delete_namespace(namespace)
            results[scrape] = measurement.steps
            conditions[f"scrape every {scrape:g} s"] = _describe_load(measurement)
            console.print(
                f"\n{latency.histogram_text([step.seconds for step in measurement.steps])}\n", highlight=False
            )
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
        "reflex": "on: --reflex, and the HPAs' annotation" if trial.reflex else "off",
        "watch": f"each HPA is watched for {trial.watch_s:g} s after its step; maxReplicas {MOST}",
    }


def _describe_load(measurement: Measurement) -> str:
    streams = [stream for service in measurement.services.values() for stream in service.load.streams.values()]
    counts = ("answered", "failed", "shed")
    answered, failed, shed = (sum(getattr(stream, name) for stream in streams) for name in counts)
    shares = measurement.meter.shares
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


def write_docs(
    results: Mapping[float, Sequence[Step]], conditions: Mapping[str, object], *, with_reflex: bool = False
) -> None:
    """The figures of docs/scale-latency.md between their marks, and the picture; with reflex its own, without one."""
    first, last = REFLEX_MARKS if with_reflex else MARKS
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(first)
    figures = latency.report(results, [f"{name}: {said}" for name, said in conditions.items()])
    DOCUMENT.write_text(f"{before}{first}\n{figures}\n{last}{rest.split(last)[1]}", encoding="utf-8")
    if not with_reflex:
        latency.draw(results, lambda figure: figure.savefig(PICTURE, dpi=110, metadata={"Software": None}))


def _parse(arguments: Sequence[str] | None) -> tuple[Trial, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python -m loadtest.scale_latency", description=__doc__)
    parser.add_argument("--scrape", type=float, action="append", metavar="SECONDS", help="default: 5 and 2")
    parser.add_argument("--hpas", type=int, default=Trial.hpas, help="in parallel (default %(default)s, at most 24)")
    parser.add_argument("--rounds", type=int, default=Trial.rounds, help="steps of each HPA (default %(default)s)")
    parser.add_argument(
        "--reflex", action="store_true", help="with the adapter's flag of that name, and HPAs that agree"
    )
    parser.add_argument("--seed", type=int, help="of the moments at which steps are taken")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the figures of docs/scale-latency.md")
    parser.add_argument("--reuse-bed", action="store_true", help="take the bed that is up, and leave it up")
    given = parser.parse_args(arguments)
    if not 1 <= given.hpas <= 24 or given.rounds < 1:
        parser.error("--hpas must be 1 to 24 (the node has room for 240 pods) and --rounds at least 1")
    scrapes = tuple(given.scrape or Trial.scrapes)
    return Trial(scrapes, given.hpas, given.rounds, seed=given.seed, reflex=given.reflex), given


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
        write_docs(results, conditions, with_reflex=trial.reflex)
    return 0


if __name__ == "__main__":
    sys.exit(main())
