"""Where the seconds of a rollback go, in virtual time: the controller's own windows and judge, over counters made up.

    python -m loadtest.rollout_timing               # prints the table
    python -m loadtest.rollout_timing --write-docs  # and rewrites it in docs/rollouts.md

One new pod beside three stable ones, each scraped every 5 s at a moment of its own. The controller looks as its loop
does. Seeded; half a minute on one core. What follows a verdict (writes, EndpointSlices, proxies) is measured by
`make bench-rollouts`, not here.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

from adapter.rollout.evidence.record import begin
from adapter.rollout.hear import EVERY
from adapter.rollout.judge import hear
from adapter.rollout.model.gates import parse
from adapter.rollout.model.window import Arm, Counts, Window
from adapter.rollout.turns import BUSY
from adapter.rollout.windows import Cursor, Sample, Scrape, cut
from loadtest.page import rewrite

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "rollouts.md"
SCRAPE_S: Final = 5.0
TURN_S: Final = 0.15
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
MARGIN: Final = {"margin": 0.5}


class Course(NamedTuple):
    """Seconds from the new pod's first request: to its first sample, to the sample that decided, to the verdict."""

    first: float
    decided: float
    verdict: float
    windows: int
    """With requests of the new pod."""


class Counter:
    """A pod's counters, in steps of 0.1 s from `start` on."""

    STEP_S = 0.1

    def __init__(self, rng: np.random.Generator, *, start: float, requests: float, rate: float) -> None:
        self._start = start
        count = rng.poisson(requests * self.STEP_S, int((LONGEST_S + BEFORE_S) / self.STEP_S))
        self._total, self._bad = np.cumsum(count), np.cumsum(rng.binomial(count, rate))

    def at(self, time: float) -> tuple[float, float]:
        """Requests and bad ones until then."""
        step = int((time - self._start) / self.STEP_S)
        return (float(self._total[step - 1]), float(self._bad[step - 1])) if step > 0 else (0.0, 0.0)


def course(requests: float, rate: float, gate: dict[str, Any], seed: int) -> Course:
    """One release whose new pod has traffic, and is bad, from second 0 on."""
    rng = np.random.default_rng(seed)
    gates = parse({"canary": {}, "gates": [{"metric": "errors", "total": "requests", "limit": 0.01, **gate}]})
    offsets, record = rng.uniform(0, SCRAPE_S, PODS), begin(gates.gates)
    starts, rates = (*[-BEFORE_S] * (PODS - 1), 0.0), (*[STABLE_RATE] * (PODS - 1), rate)
    pods = [Counter(rng, start=start, requests=requests, rate=each) for start, each in zip(starts, rates, strict=True)]
    cursor, windows, looked, first = Cursor(-BEFORE_S), 0, -math.inf, math.nan
    for now in _turns(float(rng.uniform(0, BUSY))):
        if now - looked < EVERY:
            continue
        looked = now
        samples = list(_samples(pods, offsets, now))
        if len(samples) == PODS and math.isnan(first):
            first = samples[-1].time
        found = cut(cursor, Scrape(counters={"errors": samples}), now)
        cursor = found.cursor
        if found.window is None:
            continue
        windows += _has_new(found.window)
        record = hear(gates, record, found.window)
        if record.ended:
            return Course(first, cursor.counters["errors"][str(PODS - 1)].time, now, windows)
    return Course(first, math.nan, math.inf, windows)


def _turns(phase: float) -> Iterator[float]:
    now = phase - BEFORE_S / 2
    while now < LONGEST_S:
        yield now
        now += BUSY + TURN_S


def _samples(pods: Sequence[Counter], offsets: np.typing.NDArray[Any], now: float) -> Iterator[Sample]:
    for number, (pod, offset) in enumerate(zip(pods, offsets, strict=True)):
        time = float(offset + SCRAPE_S * math.floor((now - offset) / SCRAPE_S))
        new = number == PODS - 1
        if time < 0 and new:
            continue
        total, bad = pod.at(time)
        born = -1.0 if new else -3600.0
        yield Sample(Arm.CANARY if new else Arm.STABLE, str(number), time, total, bad, born)


def _has_new(window: Window) -> bool:
    found = window.metrics["errors"].get(Arm.CANARY)
    return isinstance(found, Counts) and found.all > 0


def table() -> str:
    """Medians over SEEDS releases."""
    lines = [
        "| new pod | gate | first sample | windows | sample that decides | verdict | 95 % by |",
        "|---|---|---|---|---|---|---|",
    ]
    for rate in RATES:
        for requests in REQUESTS:
            for name, gate in (("limit", {}), ("limit and margin", MARGIN)):
                found = [course(requests, rate, gate, seed) for seed in range(SEEDS)]
                first, decided, verdict, windows = (median(each) for each in zip(*found, strict=True))
                late = float(np.quantile([each.verdict for each in found], 0.95))
                course_of = f"{first:.1f} s | {windows:g} | {decided:.1f} s | {verdict:.1f} s | {late:.1f} s"
                lines.append(f"| {rate:.0%} bad, {requests:g} requests/s | {name} | {course_of} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Where the seconds of a rollback go, in virtual time.")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the table of docs/rollouts.md")
    told = parser.parse_args(arguments)
    found = table()
    print(found)
    if told.write_docs:
        rewrite(DOCUMENT, {"timing": found}, "loadtest/rollout_timing.py")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
