"""`make compare-step`: one step for ours, ours over Prometheus and prometheus-adapter, at once on one test bed.

Each has a Deployment, a real HPA and a Locust of its own; both Prometheus-based adapters read the same Prometheus with
its usual settings, a scrape every 15 s and rates over 2 minutes. Needs root and about 10 minutes.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtest.page import rewrite
from loadtest.runs import side_report
from loadtest.runs.arguments import LONGEST, OUT, SHORTEST, check_out
from loadtest.runs.command import run_until_told, run_verb, write
from loadtest.runs.generator import too_busy
from loadtest.runs.local import DOWN_S
from loadtest.runs.on_bed import bed_in_words, bed_up
from loadtest.runs.record import Run
from loadtest.runs.report import Report
from loadtest.runs.scenarios import SCENARIOS
from loadtest.runs.side_by_side import COMPARED, places, watch_all
from loadtest.runs.watching import Plan

ROOT = Path(__file__).parents[2]
SCRIPT, PART = "make compare-step", "compare-step"
SCENARIO = SCENARIOS["plateau"]
PICTURE = f"{PART}.png"


def draw(runs: Mapping[str, Run], target: Path) -> None:
    """The picture as a file."""
    side_report.figure(runs).savefig(target, dpi=100, metadata={"Software": None})


def write_docs(runs: Mapping[str, Run], world: str, root: Path = ROOT) -> None:
    """The picture, the table of docs/loadtest.md and the sentence of the README."""
    draw(runs, root / "docs" / "img" / PICTURE)
    rewrite(root / "docs" / "loadtest.md", {PART: side_report.tables(runs, world)}, SCRIPT)
    rewrite(root / "README.md", {PART: side_report.sentence(runs)}, SCRIPT)


def show(runs: Mapping[str, Run], console: Console) -> None:
    """The table on the terminal, a column for each run."""
    columns = side_report.rows(runs)
    table = Table(*(column[0] for column in [side_report.HEADINGS, *columns]))
    for cells in zip(*(column[1:] for column in [side_report.HEADINGS, *columns]), strict=True):
        table.add_row(*cells)
    console.print(table)


def _compare(given: argparse.Namespace, console: Console) -> int:
    plan = Plan(SCENARIO, given.seconds)
    console.print(f"starting a cluster, a Prometheus and {len(COMPARED)} adapters")
    with bed_up(reuse=given.reuse_bed) as bed, places(bed) as place_by_name:
        world = f"{bed_in_words(bed)}, scale-down window {DOWN_S} s"
        runs = run_until_told(watch_all(plan, place_by_name, bed.kubeconfig, console))
    folder: Path = given.out or OUT / f"{PART}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for name, run in runs.items():
        write(Report(run), folder / name)
    named = {COMPARED[name].name: run for name, run in runs.items()}
    draw(named, folder / PICTURE)
    show(named, console)
    console.print(f"reports and picture: {folder}", highlight=False, soft_wrap=True)
    problems = [problem for run in runs.values() if (problem := too_busy(run.locust_cpu))]
    for problem in problems:
        print(problem, file=sys.stderr)
    if given.write_docs and not problems:
        write_docs(named, world)
    return 1 if problems else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where there is no run, or none that counts."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.runs.side_command", description=__doc__)
    parser.add_argument("--reuse-bed", action="store_true", help="on the bed that is up, which is left up")
    parser.add_argument("--seconds", type=float, default=SCENARIO.seconds, help="of the run (default %(default)g)")
    parser.add_argument("--out", type=Path, help="folder of the reports")
    parser.add_argument("--write-docs", action="store_true", help="rewrite picture, table and sentence in the docs")
    given = parser.parse_args(arguments)
    if not SHORTEST <= given.seconds <= LONGEST:
        parser.error(f"--seconds: {given.seconds:g} is not within {SHORTEST:g} to {LONGEST:g}")
    if given.write_docs and given.seconds != SCENARIO.seconds:
        parser.error(f"--write-docs is for the whole run of {SCENARIO.seconds:g} s")
    check_out(parser, given.out)
    return run_verb(_compare, given, Console(width=None if sys.stdout.isatty() else 150))


if __name__ == "__main__":
    sys.exit(main())
