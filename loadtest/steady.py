"""`make steady`: pods come, go, crash and change places under a steady load; no HPA may move.

On the test bed, with real containers: four Deployments of 3 pods at 150 requests/s each, whose HPAs have their target
near either edge of the tolerance and no stabilisation window, so that every conclusion shows. Each is disturbed in turn
by rolling updates, deletions, crashes, flaps and moves of load. The real HPAs follow one contender (`--behind`); what
they would want by each of the others is computed at each second with the HPA's own formula. Needs root and about 35
minutes (`--disturbances 12 --short` takes 4); `--write-docs` rewrites the figures of docs/steady.md: the table, or with
`--behind` the line about that contender.
"""

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtest.adapter_bench.contenders import READER, tls
from loadtest.machine import ahead, description
from loadtest.pods import PodsLoad
from loadtest.steady_bench.contenders import CONTENDERS, EMBEDDED, METRIC, Contender, all_running
from loadtest.steady_bench.disturbances import DISTURBANCES, REPLICAS, SHORT, Lane
from loadtest.steady_bench.watch import Lane as Watched
from loadtest.steady_bench.watch import Tally, Watch
from tests.cluster.adapter import agreeing, hpa, pods_metric, reflex
from tests.cluster.background import in_background
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.processes import wait_until
from tests.cluster.steady import Change, Recorder

DOCUMENT = Path(__file__).parent.parent / "docs" / "steady.md"
MARKS = "<!-- figures: written by loadtest/steady.py -->", "<!-- end of figures -->"
LIST_MARKS = "<!-- others: written by loadtest/steady.py -->", "<!-- end of others -->"
RATE = 150.0
"""Requests/s of one Deployment."""
EDGES = {"upper": 47.2, "lower": 54.0}
"""Targets: 150 / 3 / 47.2 = 1.059 and 150 / 3 / 54 = 0.926; the tolerance ends at 1.1 and 0.9."""
WARM_UP_S = 150.0
SETTLE_S = 25.0
"""Between two disturbances of one Deployment."""


@contextmanager
def field(bed: Bed, lanes: int) -> Iterator[list[Watched]]:
    """The Deployments, their pods running."""
    edges = [list(EDGES.items())[place % 2] for place in range(lanes)]
    watched = [Watched(f"steady-{edge}-{secrets.token_hex(3)}", target) for edge, target in edges]
    try:
        for lane in watched:
            bed.create_namespace(lane.namespace)
            bed.apply(sample_deployment("web", lane.namespace, REPLICAS, DRAIN_S=2))
        for lane in watched:
            bed.rollout("web", lane.namespace)
        yield watched
    finally:
        for lane in watched:
            bed.delete_namespace(lane.namespace)


def unwanted_changes(changes: Sequence[Change]) -> list[Change]:
    """The changes that took a Deployment to another size than REPLICAS; a change of its template is none."""
    pairs = pairwise(changes)
    return [after for before, after in pairs if after.replicas != before.replicas and after.replicas != REPLICAS]


def put_back(lane: Lane) -> None:
    """To its size, where its HPA has moved it: else all that follows would count against it."""
    if lane.bed.get("deployment", "web", "-n", lane.namespace)["spec"]["replicas"] != REPLICAS:
        lane.bed.kubectl("scale", "deployment", "web", "-n", lane.namespace, f"--replicas={REPLICAS}")
        lane.wait_ready()


def disturb(lane: Lane, watch: Watch, names: Sequence[str], console: Console) -> list[str]:
    """One after the other; what went wrong with the disturbing itself, in words."""
    problems = []
    for place, name in enumerate(names, 1):
        watch.phase[lane.namespace] = name
        began = time.monotonic()
        try:
            DISTURBANCES[name](lane)
            time.sleep(SETTLE_S)
            put_back(lane)
        except (OSError, RuntimeError) as error:
            problems.append(f"{name}: {error}")
            time.sleep(SETTLE_S)
        took = time.monotonic() - began
        console.print(f"{lane.namespace} {place}/{len(names)}: {name}, {took:.0f} s", highlight=False)
    watch.phase.pop(lane.namespace, None)
    return problems


def scripts(number: int, lanes: int, seed: int, *, short: bool) -> list[list[str]]:
    """`number` disturbances shared among the lanes, every kind equally often, in an order of its own."""
    kinds = list(SHORT if short else DISTURBANCES)
    drawn = [kinds[place % len(kinds)] for place in range(number)]
    random.Random(seed).shuffle(drawn)
    return [drawn[place::lanes] for place in range(lanes)]


def measure(bed: Bed, given: argparse.Namespace, console: Console) -> tuple[Tally, list[str], list[str]]:
    """The tally, every change of a Deployment's size by its HPA, and problems."""
    with tempfile.TemporaryDirectory(prefix="steady-") as name, ExitStack() as stack:
        reader = bed.certificate(READER)
        lanes = stack.enter_context(field(bed, given.lanes))
        flags = [reflex(bed)] if given.reflex else []
        adapters = stack.enter_context(all_running(bed, Path(name), given.behind, embedded_flags=flags))
        context = tls(bed, reader)
        made = stack.enter_context(
            in_background(
                bed.kubeconfig,
                lambda client: [
                    Watch(client, adapters, lanes, context),
                    *(
                        PodsLoad(client, namespace=lane.namespace, selector="app=web", port=PORT, rate=RATE)
                        for lane in lanes
                    ),
                    *(Recorder(client, lane.namespace) for lane in lanes),
                ],
            )
        )
        watch, loads, recorders = made[0], made[1 : len(lanes) + 1], made[len(lanes) + 1 :]
        console.print(f"warming up for {given.warm_up:.0f} s: rates over 2 minutes", highlight=False)
        time.sleep(given.warm_up)
        for lane in lanes:
            metric = pods_metric(METRIC, f"{round(lane.target * 1000)}m")
            scaler = hpa("web", lane.namespace, metric, high=10, down=0)
            bed.apply(agreeing(scaler) if given.reflex else scaler)
        if not wait_until(lambda: all(_active(bed, lane.namespace) for lane in lanes), 90, every=1):
            raise BedError(f"an HPA has no metric; the adapter's log ends\n{adapters[given.behind].tail()}")
        before = [len(recorder.changes) for recorder in recorders]
        plans = scripts(given.disturbances, len(lanes), given.seed, short=given.short)
        with ThreadPoolExecutor(len(lanes)) as pool:
            running = [
                pool.submit(disturb, Lane(bed, lane.namespace, load), watch, plan, console)
                for lane, load, plan in zip(lanes, loads, plans, strict=True)
            ]
            problems = [problem for one in running for problem in one.result()]
        sizes = [
            f"{lane.namespace}: {change.replicas} replicas at {datetime.fromtimestamp(change.time, UTC):%H:%M:%S}"
            for lane, recorder, start in zip(lanes, recorders, before, strict=True)
            for change in unwanted_changes(recorder.changes[start - 1 :])
        ]
        return watch.tally, sizes, problems


def _active(bed: Bed, namespace: str) -> bool:
    conditions = bed.get("hpa", "web", "-n", namespace).get("status", {}).get("conditions", ())
    return any(one["type"] == "ScalingActive" and one["status"] == "True" for one in conditions)


def rows(tally: Tally, contenders: Sequence[Contender] = CONTENDERS) -> list[list[str]]:
    """By contender and disturbance: seconds watched, without a value, and wrong; last of each the sums."""
    made = []
    for contender in contenders:
        keys = [key for key in tally.looks if key[0] == contender.name]
        for _, phase in sorted(keys):
            key = contender.name, phase
            made.append([*key, *(str(counted[key]) for counted in (tally.looks, tally.without, tally.wrong))])
        sums = [sum(counted[key] for key in keys) for counted in (tally.looks, tally.without, tally.wrong)]
        made.append([contender.name, "all", *map(str, sums)])
    return made


HEADINGS = ("contender", "disturbance", "seconds", "without a value", "wrong")


def show(tally: Tally, sizes: Sequence[str], problems: Sequence[str], console: Console) -> None:
    """On the terminal."""
    table = Table(*HEADINGS)
    for row in rows(tally):
        table.add_row(*row, style="bold" if row[1] == "all" else None)
    console.print(table)
    console.print(f"changes of spec.replicas: {len(sizes)}", *sizes, sep="\n  ", highlight=False)
    for problem in problems:
        console.print(f"a disturbance failed: {problem}", highlight=False)


def headline(given: argparse.Namespace, sizes: Sequence[str]) -> str:
    """The run and its outcome in one sentence."""
    changes = f"{len(sizes)} change{'s' * (len(sizes) != 1)}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {description()}; {given.disturbances} disturbances of {given.lanes}"
        f" Deployments, seed {given.seed}; the real HPAs followed {given.behind.name}: {changes} of spec.replicas."
    )


def document(text: str, behind: Contender, said: str, tally: Tally) -> str:
    """docs/steady.md with this run: the embedded source's in the place of the table, others' as a line of the list."""
    first, last = MARKS if behind is EMBEDDED else LIST_MARKS
    before, rest = text.split(first)
    held, after = rest.split(last)
    if behind is EMBEDDED:
        headings = [f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS)]
        lines = [said, "", *headings, *(f"| {' | '.join(row)} |" for row in rows(tally))]
    else:
        others = [line for line in held.splitlines() if line and f"followed {behind.name}:" not in line]
        name, _, *seconds = rows(tally, [behind])[-1]
        looks, without, wrong = seconds
        lines = sorted([*others, f"- {said} Of {looks} s {without} without a value of {name}, {wrong} wrong."])
    return f"{before}{first}\n" + "\n".join(lines) + f"\n{last}{after}"


def write_docs(given: argparse.Namespace, tally: Tally, sizes: Sequence[str]) -> None:
    """The figures of docs/steady.md between their marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(document(text, given.behind, headline(given, sizes), tally), encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.steady", description=__doc__)
    parser.add_argument("--disturbances", type=int, default=100, help="in all (default %(default)s)")
    parser.add_argument("--lanes", type=int, default=4, choices=range(1, 9), help="Deployments (default %(default)s)")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}")
    parser.add_argument("--seed", type=int, default=1, help="of the order (default %(default)s)")
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S, help="s before the HPAs (default %(default)s)")
    names = {str(place): one for place, one in enumerate(CONTENDERS)}
    told = "; ".join(f"{place}: {one.name}" for place, one in names.items())
    parser.add_argument("--behind", default="0", choices=names, help=f"whom the real HPAs follow ({told})")
    parser.add_argument("--reflex", action="store_true", help="the real HPAs and the adapter with --reflex")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the figures of docs/steady.md")
    given = parser.parse_args(arguments)
    given.behind = names[given.behind]
    if given.reflex and (given.behind is not EMBEDDED or given.write_docs):
        parser.error("--reflex is measured with the embedded source, and its figures are not those of docs/steady.md")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where a real HPA that followed us moved, or nothing could be measured."""
    given = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        with ahead("streamgate-steady"):
            bed = Bed.up(Options())
            try:
                tally, sizes, problems = measure(bed, given, console)
            finally:
                bed.down()
    except BedError as error:
        print(error, file=sys.stderr)
        return 1
    show(tally, sizes, problems, console)
    if given.write_docs:
        write_docs(given, tally, sizes)
    return 1 if problems or (sizes and given.behind.ours) else 0


if __name__ == "__main__":
    sys.exit(main())
