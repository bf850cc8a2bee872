"""Where the seconds of a rollback go, in virtual time: the controller's own windows and judge, over counters made up.

    python -m loadtest.rollout_timing               # prints the tables
    python -m loadtest.rollout_timing --write-docs  # and rewrites them in docs/rollouts.md

One new pod beside three stable ones, each scraped every second, as the embedded source does while gates poll, or every
5 s, at a moment of its own, the new one also a second after its first request. The API tells the times in whole
seconds, and the controller looks as its loop does.
The second table has healthy releases, and an outage of both revisions. Seeded; some minutes on one core. What follows a
verdict (writes, EndpointSlices, proxies) is measured by `make bench-rollouts`, not here.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

from adapter.metrics.scrape.scraper import FIRST_S
from adapter.rollout.evidence.record import begin
from adapter.rollout.hear import look_again
from adapter.rollout.judge import hear
from adapter.rollout.loop import SHORTEST
from adapter.rollout.model.gates import parse
from adapter.rollout.model.window import Arm, Counts, Window
from adapter.rollout.turns import BUSY
from adapter.rollout.windows import Cursor, Sample, Scrape, cut
from loadtest.page import rewrite

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "rollouts.md"
SCRAPE_S: Final = 5.0
TURN_S: Final = 0.25
"""What a turn itself takes."""
BEFORE_S: Final = 20.0
"""The controller has looked at the stable pods for so long before the new one has traffic."""
LONGEST_S: Final = 600.0
STABLE_RATE: Final = 0.001
PODS: Final = 4
SEEDS: Final = 100
REQUESTS: Final = (32.0, 62.5)
"""Requests per second of the new pod: what the run beside Argo Rollouts had, and what it is set to."""
RATES: Final = (0.05, 0.5)
GATES: Final[dict[str, dict[str, Any]]] = {"limit": {}, "limit and margin": {"margin": 0.5}}
OFTEN_S: Final = 1.0
"""Of the embedded source while somebody polls, as the gates do (--polled-scrape-interval)."""


class Outage(NamedTuple):
    """Of every pod of both revisions."""

    share: float
    """Of the requests that fail."""
    seconds: float


OUTAGES: Final = (Outage(1.0, 2.0), Outage(1.0, 6.0), Outage(0.5, 20.0))
OUTAGE_REQUESTS: Final = (32.0, 250.0, 1000.0)
OUTAGE_LONGEST_S: Final = 60.0


class Scene(NamedTuple):
    """A release whose new pod has traffic from second 0 on."""

    requests: float
    """Per second and pod."""
    rate: float
    """The new pod's bad share."""
    gate: dict[str, Any]
    scrape_s: float = SCRAPE_S
    outage: Outage | None = None


class Course(NamedTuple):
    """Seconds from the new pod's first request: to its first sample, to the sample that decided, to the verdict."""

    first: float
    decided: float
    verdict: float
    """Infinite where nothing rolled it back."""
    windows: int
    """With requests of the new pod."""


class Counter:
    """A pod's counters, in steps of 0.1 s from `start` on."""

    STEP_S = 0.1

    def __init__(
        self, rng: np.random.Generator, scene: Scene, *, start: float, rate: float, ill: tuple[float, float]
    ) -> None:
        """`ill`: from when to when the scene's outage lasts."""
        self._start = start
        longest = OUTAGE_LONGEST_S if scene.outage else LONGEST_S
        times = start + self.STEP_S * np.arange(int((longest + BEFORE_S) / self.STEP_S))
        failing = np.where((times >= ill[0]) & (times < ill[1]), scene.outage.share if scene.outage else rate, rate)
        count = rng.poisson(scene.requests * self.STEP_S, len(times))
        self._total, self._bad = np.cumsum(count), np.cumsum(rng.binomial(count, failing))

    def at(self, time: float) -> tuple[float, float]:
        """Requests and bad ones until then."""
        step = int((time - self._start) / self.STEP_S)
        return (float(self._total[step - 1]), float(self._bad[step - 1])) if step > 0 else (0.0, 0.0)


def course(scene: Scene, seed: int) -> Course:
    """One release; an outage begins up to its own length before the new pod's first request, or in 20 s after it."""
    rng = np.random.default_rng(seed)
    gates = parse({"canary": {}, "gates": [{"metric": "errors", "total": "requests", "limit": 0.01, **scene.gate}]})
    offsets, record = rng.uniform(0, scene.scrape_s, PODS), begin(gates.gates)
    began = float(rng.uniform(-scene.outage.seconds, 20.0)) if scene.outage else math.inf
    ill = (began, began + scene.outage.seconds if scene.outage else math.inf)
    starts, rates = (*[-BEFORE_S] * (PODS - 1), 0.0), (*[STABLE_RATE] * (PODS - 1), scene.rate)
    pods = [Counter(rng, scene, start=start, rate=rate, ill=ill) for start, rate in zip(starts, rates, strict=True)]
    cursor, windows, first, pause = Cursor(-BEFORE_S), 0, math.nan, BUSY
    now = float(rng.uniform(0, BUSY)) - BEFORE_S / 2
    while (now := now + max(pause, TURN_S + SHORTEST)) < (OUTAGE_LONGEST_S if scene.outage else LONGEST_S):
        samples = list(_samples(pods, offsets, scene.scrape_s, now))
        if len(samples) == PODS and math.isnan(first):
            first = samples[-1].time
        piece = cut(cursor, Scrape(counters={"errors": samples}), now)
        cursor, pause = piece.cursor, BUSY
        if piece.window is None:
            pause = min(BUSY, look_again(cursor, now))
            continue
        windows += _has_new(piece.window)
        record = hear(gates, record, piece.window)
        if record.ended:
            return Course(first, cursor.counters["errors"][str(PODS - 1)].time, now, windows)
    return Course(first, math.nan, math.inf, windows)


def _samples(pods: Sequence[Counter], offsets: np.typing.NDArray[Any], scrape_s: float, now: float) -> Iterator[Sample]:
    for number, (pod, offset) in enumerate(zip(pods, offsets, strict=True)):
        time = float(offset + scrape_s * math.floor((now - offset) / scrape_s))
        new = number == PODS - 1
        if new and time < FIRST_S + scrape_s / 2:  # the scrape out of turn, and no other soon after it
            time = FIRST_S
        if new and time > now:
            continue
        total, bad = pod.at(time)
        born = -1.0 if new else -3600.0
        yield Sample(Arm.CANARY if new else Arm.STABLE, str(number), math.floor(time), total, bad, born)


def _has_new(window: Window) -> bool:
    counts = window.metrics["errors"].get(Arm.CANARY)
    return isinstance(counts, Counts) and counts.all > 0


def timing() -> str:
    """Medians over SEEDS releases."""
    lines = [
        "| new pod | gate | scraped every | first sample | windows | sample that decides | verdict | 95 % by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rate, requests, (name, gate), often in product(RATES, REQUESTS, GATES.items(), (SCRAPE_S, OFTEN_S)):
        courses = [course(Scene(requests, rate, gate, often), seed) for seed in range(SEEDS)]
        first, decided, verdict, windows = (median(each) for each in zip(*courses, strict=True))
        late = float(np.quantile([each.verdict for each in courses], 0.95))
        course_of = f"{first:.1f} s | {windows:g} | {decided:.1f} s | {verdict:.1f} s | {late:.1f} s"
        lines.append(f"| {rate:.0%} bad, {requests:g} requests/s | {name} | {often:g} s | {course_of} |")
    return "\n".join(lines)


def outages() -> str:
    """How many of SEEDS healthy releases an outage of both revisions rolls back."""
    lines = [
        "| requests/s of each pod | gate | scraped every | "
        + " | ".join(f"{each.share:.0%} of requests fail for {each.seconds:g} s" for each in OUTAGES)
        + " |",
        "|---" * (3 + len(OUTAGES)) + "|",
    ]
    for requests, (name, gate), often in product(OUTAGE_REQUESTS, GATES.items(), (SCRAPE_S, OFTEN_S)):
        rollbacks = [count_rollbacks(Scene(requests, STABLE_RATE, gate, often, each), SEEDS) for each in OUTAGES]
        counts = " | ".join(f"{each} of {SEEDS}" for each in rollbacks)
        lines.append(f"| {requests:,g} | {name} | {often:g} s | {counts} |")
    return "\n".join(lines)


def count_rollbacks(scene: Scene, count: int) -> int:
    """How many of `count` releases, each with a seed of its own, are rolled back."""
    return sum(math.isfinite(course(scene, seed).verdict) for seed in range(count))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Where the seconds of a rollback go, in virtual time.")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the tables of docs/rollouts.md")
    told = parser.parse_args(arguments)
    tables = {"outages": outages(), "timing": timing()}
    for part in tables.values():
        print(f"{part}\n")
    if told.write_docs:
        rewrite(DOCUMENT, tables, "loadtest/rollout_timing.py")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
