"""`python -m loadtest`: run a scenario and report, compare two reports."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtest.runs import page, report
from loadtest.runs.generator import GeneratorError, too_busy
from loadtest.runs.local import Local
from loadtest.runs.record import Kind, RecordError, Run
from loadtest.runs.report import Report
from loadtest.runs.scenarios import SCENARIOS
from loadtest.runs.watching import Plan, Standing, check, watch
from loadtest.runs.world import World
from loadtest.standalone import free_port

T = TypeVar("T")
OUT = Path("build") / "loadtest"
HTML = "report.html"
SHORTEST = 30.0
LONGEST = 86_400.0


def write(found: Report, folder: Path) -> Path:
    """The folder's report.json and report.html; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / report.JSON).write_text(report.dumped(report.document(found)), encoding="utf-8")
    (folder / HTML).write_text(page.report(found), encoding="utf-8")
    return folder / HTML


async def run_all(plan: Plan, world: World, console: Console, *, fixed: bool) -> Report | str:
    """The run, and with `fixed` the same load on a fixed fleet; or why it does not count."""
    if problem := check(plan, world):
        return problem
    found: list[Run] = []
    for held in (False, True) if fixed else (False,):
        name = f"{plan.scenario.name}, {'fleet fixed at the peak' if held else 'with its HPA'}"
        found.append(await _one(plan, world, console, name, held=held))
        if problem := too_busy(found[-1].locust_cpu):
            return problem
    return Report(*found)


async def _one(plan: Plan, world: World, console: Console, name: str, *, held: bool) -> Run:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=plan.seconds, said="starting")
        lines = iter(range(sys.maxsize))

        def say(standing: Standing) -> None:
            progress.update(task, completed=max(0.0, standing.elapsed), said=said(standing))
            if not console.is_terminal and next(lines) % 10 == 0:
                console.print(f"{standing.elapsed:5.0f} s: {said(standing)}", highlight=False)

        return await watch(plan, world, say, fixed=held)


def said(standing: Standing) -> str:
    """How it stands, in a line."""
    served = "–" if standing.served is None else f"{standing.served:.0f}"
    counts = standing.counts
    return (
        f"{standing.asked:.0f} requests/s, served {served}; {counts.get(Kind.DESIRED, 0)} replicas desired,"
        f" {counts.get(Kind.READY, 0)} ready"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="one scenario, and its report")
    run.add_argument("scenario", choices=list(SCENARIOS))
    run.add_argument("--seconds", type=float, help="stretch or squeeze the scenario to so long")
    run.add_argument("--fixed", action="store_true", help="then the same load on a fleet fixed at the peak")
    run.add_argument("--web", action="store_true", help="with Locust's own page")
    run.add_argument("--out", type=Path, help=f"folder of the report (default: one below {OUT})")
    compare = verbs.add_parser("compare", help="two reports side by side")
    compare.add_argument("reports", nargs=2, type=Path, metavar="REPORT", help="a report's folder, or its report.json")
    compare.add_argument("--out", type=Path, help="write a page there")
    verbs.add_parser("scenarios", help="what there is")
    return parser


def _run(given: argparse.Namespace, console: Console) -> int:
    scenario = SCENARIOS[given.scenario]
    plan = Plan(scenario, given.seconds or scenario.seconds, web=free_port() if given.web else 0)
    if plan.web:
        console.print(f"Locust's page: http://127.0.0.1:{plan.web}", highlight=False)
    found = asyncio.run(_until_told(run_all(plan, Local(), console, fixed=given.fixed)))
    if isinstance(found, str):
        print(found, file=sys.stderr)
        return 1
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    written = write(found, given.out or OUT / f"{scenario.name}-{stamp}")
    report.show(found, console)
    console.print(f"report: {written}", highlight=False, soft_wrap=True)
    return 0


async def _until_told(job: Coroutine[Any, Any, T]) -> T:
    """The job; SIGTERM cancels it, so that nothing is left running."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await job


def _compare(given: argparse.Namespace, console: Console) -> int:
    before, after = (report.load(place) for place in given.reports)
    names = [place.name if place.is_dir() else place.parent.name or place.name for place in given.reports]
    if names[0] == names[1]:
        names = [f"{name} ({place})" for name, place in zip(names, ("first", "second"), strict=True)]
    table = Table("figure", *names, "second less first", title="95 % intervals in brackets; * where 0 is outside")
    for name, old, new, apart in page.compared(before.run, after.run):
        table.add_row(name, page.interval(old), page.interval(new), page.interval(apart) + page.sure(apart))
    console.print(table)
    if given.out:
        given.out.write_text(page.comparison(names, before, after), encoding="utf-8")
        console.print(f"page: {given.out}", highlight=False, soft_wrap=True)
    return 0


def _scenarios(console: Console) -> int:
    table = Table("scenario", "takes", "peak", "asks")
    for one in SCENARIOS.values():
        table.add_row(one.name, f"{one.seconds:g} s", f"{one.peak:g} pods' worth", one.asks)
    console.print(table)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a run does not count or a report cannot be read."""
    parser = _parser()
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    if given.verb == "scenarios":
        return _scenarios(console)
    if given.verb == "run" and given.seconds is not None and not SHORTEST <= given.seconds <= LONGEST:
        parser.error(f"--seconds: {given.seconds:g} is not within {SHORTEST:g} to {LONGEST:g}")
    try:
        return _compare(given, console) if given.verb == "compare" else _run(given, console)
    except (RecordError, GeneratorError) as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("ended before the scenario's end: there is no report", file=sys.stderr)
        return 130
