"""`make bench-adapter`: our adapter against prometheus-adapter v0.12.0, on one cluster and one Prometheus.

The test bed's control plane with pods that kwok plays; both adapters get the same rules file. First requests straight
to each adapter, then HPAs that are looked at every 15 s. Needs root and about 9 minutes (some more the first time, to
build prometheus-adapter and kwok); `--write-docs` rewrites the figures of docs/benchmarks.md.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtest.adapter_bench import direct, driven, report
from loadtest.adapter_bench.contenders import CONTENDERS, PEER, READER, Contender, reader_rights, running, tls
from loadtest.adapter_bench.direct import Bounds, Level, Targets
from loadtest.adapter_bench.driven import Driven
from loadtest.adapter_bench.field import (
    NODES,
    SCRAPE_S,
    Prometheus,
    Size,
    apply_hpas,
    audit_log,
    flags,
    populate,
    running_prometheus,
)
from loadtest.adapter_bench.meters import Meters
from loadtest.adapter_bench.report import Results
from loadtest.adapter_bench.series import SERIES
from loadtest.machine import ahead, description
from tests.cluster import binaries, packages
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.processes import run

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PICTURE = DOCUMENT.parent / "img" / "bench-adapter.png"
MARKS = "<!-- figures: written by loadtest/bench_adapter.py -->", "<!-- end of figures -->"
LEVELS = (1, 5, 20)
FIRST = 5
"""Concurrency of the first pass."""


class Bench:
    """A bed with its field, on which contenders are measured."""

    def __init__(self, bed: Bed, prometheus: Prometheus, folder: Path, given: argparse.Namespace, console: Console):
        self._bed, self._prometheus, self._folder, self._given, self._console = bed, prometheus, folder, given, console
        self._reader = bed.certificate(READER)
        self._context = tls(bed, self._reader)
        self.loads: list[str] = []

    def _begin(self, what: str) -> None:
        load = f"{os.getloadavg()[0]:.1f}"
        self.loads.append(f"{what} {load}")
        self._console.print(f"{what} (load average {load})", highlight=False)

    def direct(self, contender: Contender) -> tuple[Level, list[Level]]:
        """The first pass and the levels."""
        size, bounds = self._given.size, Bounds(self._given.requests, self._given.seconds)
        targets = Targets.of(size)
        folder = self._folder / f"direct-{contender.name}"
        with running(contender, self._bed, self._prometheus, folder) as adapter:
            adapter.wait_serving(size, self._reader)
            meters = Meters(self._bed, self._prometheus, adapter, audit_log(self._folder))
            self._begin(f"direct, {contender.name}")
            once = Bounds(len(targets.paths), bounds.seconds)
            measured = partial(direct.measure, adapter, meters, self._context, targets)
            first = measured(concurrency=FIRST, bounds=once)
            return first, [measured(concurrency=level, bounds=bounds) for level in LEVELS]

    def measure_with_hpas(self, contender: Contender) -> Driven:
        """Measure one adapter over a window in which HPAs ask it, after a time to warm up."""
        with running(contender, self._bed, self._prometheus, self._folder / f"hpas-{contender.name}") as adapter:
            adapter.wait_serving(self._given.size, self._reader)
            meters = Meters(self._bed, self._prometheus, adapter, audit_log(self._folder))
            time.sleep(self._given.warm_up)
            self._begin(f"HPAs, {contender.name}")
            return driven.measure(adapter, meters, self._given.window)


def measure(given: argparse.Namespace, console: Console) -> tuple[Results, dict[str, str]]:
    """The whole run on a bed of its own. Raises BedError, MissingError, RuntimeError."""
    order = tuple(reversed(CONTENDERS)) if given.reverse else CONTENDERS
    with tempfile.TemporaryDirectory(prefix="bench-adapter-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        bed = Bed.up(Options(nodes=0, fake_nodes=NODES, flags=flags(folder)))
        stack.callback(bed.down)
        bed.apply(reader_rights())
        began = time.monotonic()
        pods = populate(bed, given.size)
        console.print(f"{len(pods)} pods run after {time.monotonic() - began:.0f} s", highlight=False)
        prometheus = stack.enter_context(running_prometheus(folder / "prometheus", pods))
        prometheus.wait_for_rates(len(pods))
        bench = Bench(bed, prometheus, folder, given, console)
        directly = {contender.name: bench.direct(contender) for contender in order}
        apply_hpas(bed, given.size)
        by_hpas = {contender.name: bench.measure_with_hpas(contender) for contender in order}
        results = Results(
            {name: first for name, (first, _) in directly.items()},
            {name: levels for name, (_, levels) in directly.items()},
            by_hpas,
        )
        return results, conditions(bed, given, order, bench.loads, count_moved_hpas(bed, given.size))


def count_moved_hpas(bed: Bed, size: Size) -> int:
    """How many HPAs want another size than `size.replicas`, though the values never change."""
    hpas = bed.get("hpa", "--all-namespaces")["items"]
    return sum(item["status"].get("desiredReplicas", size.replicas) not in (0, size.replicas) for item in hpas)


def conditions(
    bed: Bed, given: argparse.Namespace, order: Sequence[Contender], loads: Sequence[str], wrong: int
) -> dict[str, str]:
    """Of this run, in words."""
    server = json.loads(bed.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    program = packages.ensure(["prometheus"])["prometheus"]
    prometheus = run([program, "--version"]).split("(", 1)[0].replace(", version", "").strip().capitalize()
    size = given.size
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{description()}; everything, load client included, on it, ahead of whatever else ran there",
        "versions": f"Kubernetes {server}, {prometheus}, prometheus-adapter {binaries.pinned_version(PEER)} (built"
        " without cgo, stripped), our adapter as of that date",
        "contenders": "; ".join(f"{one.name}: {' '.join(one.flags) or 'its default flags'}" for one in order)
        + "; prometheus-adapter with --metrics-relist-interval=1m as in its manifests; one replica each",
        "pods": f"{size.deployments} Deployments of {size.replicas} in {size.namespaces} namespaces, played by kwok;"
        f" {SERIES} series per pod from one target, scraped every {SCRAPE_S} s; one rule, sum(rate(…[1m])) by pod",
        "direct": f"{size.deployments - 1} distinct selectors, no HPAs; client certificate, protobuf accepted; a level"
        f" ends after {given.requests} requests or {given.seconds:g} s; the first pass goes over each selector once",
        "HPAs": f"{size.hpas}, one Pods metric each, at their target so that nothing scales ({wrong} wanted another"
        f" size at the end); kube-controller-manager --kube-api-qps=1000, period 15 s and 5 workers as by default;"
        f" {given.warm_up:g} s to warm up, then {given.window:g} s",
        "order": ", ".join(loads) + " (1-minute load average at the start of each)",
    }


def show(runs: Sequence[Results], run_conditions: Sequence[dict[str, str]], console: Console) -> None:
    """Tables on the terminal."""
    for title, lines in report.tables(runs):
        table = Table(*report.HEADINGS, title=title, title_justify="left")
        for line in lines:
            table.add_row(*line)
        console.print(table)
    for text in report.condition_lines(run_conditions):
        console.print(text, highlight=False)


def write_docs(runs: Sequence[Results], run_conditions: Sequence[dict[str, str]]) -> None:
    """The figures of docs/benchmarks.md between their marks, and the picture of the first run."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    DOCUMENT.write_text(
        f"{before}{MARKS[0]}\n{report.figures(runs, run_conditions)}\n{MARKS[1]}{after}", encoding="utf-8"
    )
    report.draw(runs[0], lambda figure: figure.savefig(PICTURE, dpi=110, metadata={"Software": None}))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench_adapter", description=__doc__)
    parser.add_argument("--deployments", type=int, default=Size().deployments, help="of 3 pods (default %(default)s)")
    parser.add_argument("--hpas", type=int, default=Size().hpas, help="default %(default)s")
    parser.add_argument("--requests", type=int, default=20_000, help="most of one level (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=15, help="longest level (default %(default)s)")
    parser.add_argument("--warm-up", type=float, default=20, help="s with HPAs before the window (default %(default)s)")
    parser.add_argument("--window", type=float, default=75, help="s with HPAs (default %(default)s)")
    parser.add_argument("--reverse", action="store_true", help="our adapter first")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--show", type=Path, nargs="+", metavar="FILE", help="measure nothing; show the figures of such files together"
    )
    parser.add_argument("--write-docs", action="store_true", help="rewrite the figures of docs/benchmarks.md")
    given = parser.parse_args(arguments)
    if not 2 <= given.deployments <= 600 or not 1 <= given.hpas <= given.deployments:
        parser.error("--deployments must be 2 to 600 (the fake nodes have room for 2000 pods), --hpas at most as many")
    given.size = Size(deployments=given.deployments, hpas=given.hpas)
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where the bed does not come up or a contender does not serve."""
    given = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        if given.show:
            parsed = [report.parse(json.loads(file.read_bytes())) for file in given.show]
        else:
            with ahead("streamgate-bench"):
                parsed = [measure(given, console)]
    except (BedError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    runs, run_conditions = [results for results, _ in parsed], [conditions for _, conditions in parsed]
    if given.json:
        given.json.write_text(json.dumps(report.document(*parsed[0]), indent=1) + "\n", encoding="utf-8")
    show(runs, run_conditions, console)
    if given.write_docs:
        write_docs(runs, run_conditions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
