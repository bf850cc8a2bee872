"""`python -m loadtest`: what its verbs do."""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rich import markup
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from adapter.kube import config
from adapter.kube.client import Client
from adapter.kube.config import ConfigError
from adapter.kube.errors import KubeError
from loadtest.browser import BROWSERS, find_browser, picture
from loadtest.page import PageError
from loadtest.runs import page, report
from loadtest.runs.arguments import OUT, parse
from loadtest.runs.cluster import Cluster, Place
from loadtest.runs.generator import GeneratorError, too_busy
from loadtest.runs.local import Local
from loadtest.runs.on_bed import bed_up, service
from loadtest.runs.page import HTML
from loadtest.runs.publish import publish, publish_figures
from loadtest.runs.record import Kind, RecordError, Run
from loadtest.runs.report import Report
from loadtest.runs.scenarios import SCENARIOS
from loadtest.runs.watching import Beside, Plan, Standing, check, too_long, watch
from loadtest.runs.world import World, WorldError
from loadtest.standalone import free_port
from tests.cluster.bed import BedError
from tests.cluster.processes import CommandError

PICTURES = {1000: 2050, 1600: 2500}
"""px: width and height."""
TOLD = (RecordError, GeneratorError, WorldError, KubeError, ConfigError, BedError, CommandError, PageError)
"""What can go wrong with the world or with what was given, each with a sentence."""
T = TypeVar("T")
Verb = Callable[[argparse.Namespace, Console], int]


class Where(NamedTuple):
    """Where to run; without a place on this machine alone."""

    place: Place | None = None
    kubeconfig: str = ""
    headroom: float = 0.0
    """Of this machine's HPA; a place has its own."""


@asynccontextmanager
async def world_at(where: Where) -> AsyncIterator[World]:
    """Raises WorldError, KubeError, ConfigError."""
    if where.place is None:
        yield Local(where.headroom)
        return
    async with Client(await config.connect(where.kubeconfig)) as client:
        yield await Cluster.find(client, where.place)


def write(made: Report, folder: Path) -> Path:
    """The folder's report.json and report.html; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    # first what was seen alone: what fails in computing or drawing it loses no run
    (folder / report.JSON).write_text(report.dump(report.record(made)), encoding="utf-8")
    (folder / report.JSON).write_text(report.dump(report.document(made)), encoding="utf-8")
    (folder / HTML).write_text(page.report(made), encoding="utf-8")
    return folder / HTML


async def run_all(plan: Plan, where: Where, console: Console, *, fixed: bool) -> Report | str:
    """The run, and with `fixed` the same load on a fixed fleet; or why it does not count."""
    runs: list[Run] = []
    sizes = (False, True) if fixed else (False,)
    for held in sizes:
        async with world_at(where) as world:
            if problem := check(plan, world):
                return problem
            if not runs and (warning := too_long(plan, world, runs=len(sizes))):
                console.print(warning, style="bold red", highlight=False, soft_wrap=True)
            name = f"{plan.scenario.name}, {'fleet fixed at the peak' if held else 'with its HPA'}"
            runs.append(await watch_with_progress(plan, world, console, name, held=held))
        if problem := too_busy(runs[-1].locust_cpu):
            return problem
    return Report(*runs)


async def watch_with_progress(
    plan: Plan, world: World, console: Console, name: str, *, held: bool = False, beside: Beside | None = None
) -> Run:
    """One run, with its progress on the console."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=plan.seconds, said="starting")
        lines = iter(range(sys.maxsize))
        told: set[str] = set()

        def say(standing: Standing) -> None:
            progress.update(task, completed=max(0.0, standing.elapsed), said=describe_standing(standing))
            if not console.is_terminal and next(lines) % 10 == 0:
                console.print(f"{standing.elapsed:5.0f} s: {describe_standing(standing)}", highlight=False)
            for text in standing.troubles:
                if text not in told:
                    console.print(text, style="bold red", highlight=False, markup=False, soft_wrap=True)
                    told.add(text)

        return await watch(plan, world, say, fixed=held, beside=beside)


def describe_standing(standing: Standing) -> str:
    """How the run stands now, as one line."""
    served = "–" if standing.served is None else f"{standing.served:.0f}"
    counts = standing.counts
    return (
        f"{standing.asked:.0f} requests/s, served {served}; {counts.get(Kind.DESIRED, 0)} replicas desired,"
        f" {counts.get(Kind.READY, 0)} ready"
    )


def _run(given: argparse.Namespace, console: Console) -> int:
    scenario = SCENARIOS[given.scenario]
    plan = Plan(scenario, given.seconds or scenario.seconds, given.path, free_port() if given.web else 0)
    if plan.web:
        console.print(f"Locust's page: http://127.0.0.1:{plan.web}", highlight=False)
    with ExitStack() as stack:
        where = _where(stack, given)
        made = run_until_told(run_all(plan, where, console, fixed=given.fixed))
    if isinstance(made, str):
        print(made, file=sys.stderr)
        return 1
    finish(made, given.out, console)
    return 0


def _where(stack: ExitStack, given: argparse.Namespace) -> Where:
    """A bed comes up where one is asked for. Raises BedError."""
    if given.bed or given.reuse_bed:
        bed = stack.enter_context(bed_up(reuse=given.reuse_bed))
        made = service(bed, with_reflex=given.reflex, behavior=given.behavior, headroom=given.headroom)
        return Where(stack.enter_context(made), str(bed.kubeconfig))
    if given.hpa:
        place = Place(given.namespace, given.hpa, given.host, given.work_ms, headroom=given.headroom)
        return Where(place, given.kubeconfig)
    return Where(headroom=given.headroom)


def finish(made: Report, out: Path | None, console: Console) -> None:
    """Written, and shown on the terminal."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    written = write(made, out or OUT / f"{made.run.scenario}-{stamp}")
    report.show(made, console)
    console.print(f"report: {written}", highlight=False, soft_wrap=True)


def run_until_told(job: Coroutine[Any, Any, T]) -> T:
    """The job; SIGTERM cancels it as SIGINT does, so that nothing is left running."""

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await job

    return asyncio.run(cancellable())


def _compare(given: argparse.Namespace, console: Console) -> int:
    before, after = (report.load(place) for place in given.reports)
    names = [_name(place) for place in given.reports]
    if names[0] == names[1]:
        names = [f"{name} ({place})" for name, place in zip(names, ("first", "second"), strict=True)]
    table = Table(
        "figure",
        *map(markup.escape, names),
        "second less first",
        title="95 % intervals in brackets; * where 0 is outside",
    )
    for cells in page.comparison_rows(before.run, after.run):
        table.add_row(*cells)
    console.print(table)
    if warning := page.unlike(before.run, after.run):
        console.print(warning, style="bold red", highlight=False)
    if given.out:
        given.out.write_text(page.comparison(names, before, after), encoding="utf-8")
        console.print(f"page: {given.out}", highlight=False, soft_wrap=True)
    return 0


def _name(report: Path) -> str:
    """A report's, by which it is compared: its folder's."""
    folder = report if report.is_dir() else report.parent
    return (folder if folder.name.strip(".") else folder.resolve()).name or str(report)


def _scenarios(_: argparse.Namespace, console: Console) -> int:
    table = Table("scenario", "takes", "peak", "asks")
    for one in SCENARIOS.values():
        table.add_row(one.name, f"{one.seconds:g} s", f"{one.peak:g} pods' worth", one.asks)
    console.print(table)
    return 0


def _picture(given: argparse.Namespace, console: Console) -> int:
    browser = find_browser()
    if not browser:
        print(f"no browser: one of {', '.join(BROWSERS)} is wanted", file=sys.stderr)
        return 1
    folder = given.report.absolute()
    if not (folder / HTML).is_file():
        print(f"{folder / HTML}: there is no such file; the folder of a report would be right", file=sys.stderr)
        return 1
    for width, height in PICTURES.items():
        target = folder / f"report-{width}.png"
        target.unlink(missing_ok=True)
        picture(browser, (folder / HTML).as_uri(), target, width=width, height=height)
        if not target.is_file():
            print(f"{target}: {browser} has written no picture; one of {HTML} would be right", file=sys.stderr)
            return 1
        console.print(f"{target}", highlight=False, soft_wrap=True)
    return 0


def _publish(given: argparse.Namespace, console: Console) -> int:
    made, browser = report.load(given.report), find_browser()
    if not browser and not given.figures:
        print(f"no browser: one of {', '.join(BROWSERS)} is wanted", file=sys.stderr)
        return 1
    if given.part and not given.figures:
        print("--as is for --figures: page and picture are called as the scenario", file=sys.stderr)
        return 1
    for path in publish_figures(made, part=given.part) if given.figures else publish(made, given.report, browser):
        console.print(f"{path}", highlight=False, soft_wrap=True)
    return 0


def run_verb(job: Verb, given: argparse.Namespace, console: Console) -> int:
    """Run a verb and give its exit code; an expected failure is one sentence on stderr."""
    try:
        return job(given, console)
    except TOLD as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(_sentence(error), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("ended before the scenario's end: there is no report", file=sys.stderr)
        return 130


def _sentence(error: OSError) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}; a path that can be read and written would be right"
    return str(error) or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a run does not count or a report cannot be read."""
    given = parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    jobs = {"run": _run, "compare": _compare, "scenarios": _scenarios, "picture": _picture, "publish": _publish}
    return run_verb(jobs[given.verb], given, console)
