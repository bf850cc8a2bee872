"""`make bench-rollouts`: blue-green and canary releases under load, half of them bad, judged by the adapter's counters.

On the test bed, with real containers: two Deployments of three pods, 20 clients each of which half open a connection
for every request, some 250 requests/s; 20 more open one, to keep it, once the new revision has traffic. Every other
release answers 5 % of its requests with 500 (0.1 % otherwise) and must be rolled back by its gate; the others must be
promoted without a restart of a judged pod. No request may stay without an answer. Needs root and some 30 minutes
(`--releases 2` takes 4); `--write-docs` rewrites the figures of docs/rollouts.md.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from loadtest.machine import ahead, description
from loadtest.rollout_bench.releases import GOOD_RATE, STRATEGIES, Lane, Release, run
from tests.cluster.adapter import CUSTOM_API_SERVICES, running_adapter
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.rollout import Clients, Shop, running_controller

DOCUMENT = Path(__file__).parent.parent / "docs" / "rollouts.md"
MARKS = "<!-- releases: written by loadtest/rollouts.py -->", "<!-- end of releases -->"
HEADINGS = (
    "strategy", "releases", "promoted", "rolled back", "ended wrongly", "s to promote", "s to roll back",
    "s of old revision after the switch (new connections, p50 / p95)", "the same after a rollback's verdict",
    "on kept connections after the switch, p95", "on kept connections after that verdict, p95", "requests",
    "without an answer", "judged pods restarted",
)  # fmt: skip


@contextmanager
def lanes(bed: Bed, folder: Path) -> Iterator[dict[str, Lane]]:
    """One Deployment per strategy, with its policy, its controller and its clients."""
    with ExitStack() as stack:
        made = {}
        for strategy, spec in STRATEGIES.items():
            namespace = f"releases-{strategy}"
            bed.create_namespace(namespace)
            stack.callback(bed.delete_namespace, namespace)
            shop = Shop(bed, namespace, spec, ERROR_RATE=GOOD_RATE)
            stack.enter_context(running_controller(bed, namespace, folder / f"{strategy}.log"))
            shop.until("Idle")
            made[strategy] = Lane(shop, stack.enter_context(Clients(shop.address)), strategy)
        yield made


def measure(bed: Bed, number: int, console: Console) -> list[Release]:
    """`number` releases of each strategy, both strategies at the same time."""

    def print_release(release: Release) -> None:
        kind = "good" if release.good else "bad"
        told_s, kept_s = ("–" if each is None else f"{each:.1f} s" for each in (release.new_s, release.kept_s))
        console.print(
            f"{release.strategy}, {kind}: {release.outcome} after {release.seconds:.0f} s; last new connection of the"
            f" losing revision {told_s} after the verdict, on a kept one {kept_s}; {release.requests} requests,"
            f" {len(release.failures)} without an answer",
            highlight=False,
        )

    with tempfile.TemporaryDirectory(prefix="rollouts-") as name, ExitStack() as stack:
        folder = Path(name)
        stack.enter_context(running_adapter(bed, folder / "adapter", apis=CUSTOM_API_SERVICES, overlay="embedded"))
        made = stack.enter_context(lanes(bed, folder))
        with ThreadPoolExecutor(len(made)) as pool:
            running = [pool.submit(run, lane, number, print_release) for lane in made.values()]
            return [release for one in running for release in one.result()]


def rows(releases: Sequence[Release]) -> list[list[str]]:
    """One per strategy."""
    made = []
    for strategy in STRATEGIES:
        mine = [release for release in releases if release.strategy == strategy]
        kept = {outcome: [one for one in mine if one.outcome == outcome] for outcome in ("Promoted", "RolledBack")}
        up, down = kept["Promoted"], kept["RolledBack"]
        made.append([
            strategy, str(len(mine)), str(len(up)), str(len(down)), str(sum(not one.right for one in mine)),
            _spread([one.seconds for one in up]), _spread([one.seconds for one in down]),
            _spread([one.new_s for one in up]), _spread([one.new_s for one in down]),
            _latest([one.kept_s for one in up]), _latest([one.kept_s for one in down]),
            f"{sum(one.requests for one in mine):,}", str(sum(len(one.failures) for one in mine)),
            str(sum(one.restarted for one in mine)),
        ])  # fmt: skip
    return made


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return f"{median(known):.1f} / {_quantile(known, 0.95):.1f}" if known else "–"


def _latest(values: Sequence[float | None]) -> str:
    """Their 95th percentile; in words where no kept connection had come to the losing revision at all."""
    known = _quantile(values, 0.95)
    return "none was on it" if math.isnan(known) else f"{known:.1f}"


def _quantile(values: Sequence[float | None], share: float) -> float:
    """The smallest value that `share` of all are not above; NaN of none."""
    known = sorted(value for value in values if value is not None)
    return known[math.ceil(share * len(known)) - 1] if known else math.nan


def show(releases: Sequence[Release], console: Console) -> None:
    """On the terminal: the table turned on its side, and each request without an answer."""
    table = Table("", *STRATEGIES)
    for line in zip(HEADINGS[1:], *(row[1:] for row in rows(releases)), strict=True):
        table.add_row(*line)
    console.print(table)
    for release in releases:
        for failure in release.failures:
            console.print(f"{release.strategy}: {failure}", highlight=False)


def write_docs(releases: Sequence[Release]) -> None:
    """The figures of docs/rollouts.md between their marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    sides = zip(HEADINGS[1:], *(row[1:] for row in rows(releases)), strict=True)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {description()}; pairs are median / 95th percentile.",
        "",
        f"| | {' | '.join(STRATEGIES)} |",
        "|---|" + "---|" * len(STRATEGIES),
        *(f"| {' | '.join(line)} |" for line in sides),
    ]
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n" + "\n".join(lines) + f"\n{MARKS[1]}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where a request stayed without an answer, a judged pod restarted, or a release ended wrongly."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.rollouts", description=__doc__)
    parser.add_argument("--releases", type=int, default=20, help="of each strategy (default %(default)s)")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the figures of docs/rollouts.md")
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        with ahead("streamgate-rollouts"):
            bed = Bed.up(Options())
            try:
                releases = measure(bed, given.releases, console)
            finally:
                bed.down()
    except BedError as error:
        print(error, file=sys.stderr)
        return 1
    show(releases, console)
    if given.write_docs:
        write_docs(releases)
    return int(any(not one.right or one.failures or one.restarted for one in releases))


if __name__ == "__main__":
    sys.exit(main())
