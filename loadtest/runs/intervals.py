"""How sure the figures of one run are: intervals at 95 %. Pure; the draws are seeded.

Neighbouring seconds of a run resemble each other, so a mean over them is less sure than its many moments say. Therefore
blocks of BLOCK_S are drawn anew, not moments (Kuensch's block bootstrap, 1989). Draws of few failures know too little:
where none was seen, none is drawn. A share of failures therefore has Wilson's interval (1927) at least, and a
difference of two has Newcombe's (1998, his method 10), made of both Wilson's.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from loadtest.runs.measures import STEP_S, Moment, milliseconds, moments
from loadtest.runs.parts import downs, slowest, ups
from loadtest.runs.record import Run, Slice

BLOCK_S = 30.0
DRAWS = 1_000
SEED = 1
Z95 = 1.959964
MIN_BLOCKS = 4
"""With fewer nothing is said."""
FAILED = "requests failed, %"
"""The name of a figure that may be far below 0.1."""


class Interval(NamedTuple):
    """A figure and between what it lies, at 95 %; NaN where that is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there are bounds."""
        return not (math.isnan(self.low) or math.isnan(self.high))


def wilson(count: int, total: int) -> Interval:
    """The share count / total by Wilson's score interval."""
    if total == 0:
        return Interval(math.nan)
    share, square = count / total, Z95 * Z95
    middle = (share + square / (2 * total)) / (1 + square / total)
    reach = Z95 / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return Interval(share, max(0.0, middle - reach), min(1.0, middle + reach))


class Draws(NamedTuple):
    """A figure of the run, and of each redrawn one."""

    value: float
    drawn: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    least: Interval | None = None
    """The narrowest that its interval may be, by its counts alone."""

    @property
    def interval(self) -> Interval:
        """The middle 95 % of the draws, and `least`."""
        if len(self.drawn) == 0:
            return Interval(self.value)
        low, high = map(float, np.quantile(self.drawn, [0.025, 0.975]))
        if self.least is not None:
            low, high = min(low, self.least.low), max(high, self.least.high)
        return Interval(self.value, low, high)


def difference(before: Draws, after: Draws) -> Interval:
    """after - before of two independent runs."""
    value = after.value - before.value
    if len(before.drawn) == 0 or len(after.drawn) == 0:
        return Interval(value)
    drawn = after.drawn - np.random.default_rng(SEED).permutation(before.drawn)
    least = newcombe(before.least, after.least) if before.least is not None and after.least is not None else None
    return Draws(value, drawn, least).interval


def newcombe(before: Interval, after: Interval) -> Interval:
    """The difference of two shares, by the Wilson interval of each."""
    value = after.value - before.value
    low = math.hypot(after.value - after.low, before.high - before.value)
    high = math.hypot(after.high - after.value, before.value - before.low)
    return Interval(value, value - low, value + high)


def _weights(blocks: int, seed: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """How often each block is in each draw."""
    return np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS)


def mean(values: Sequence[float], *, step: float = STEP_S, seed: int = SEED) -> Draws:
    """The mean of values that are `step` s apart."""
    row = np.asarray(values, dtype=np.float64)
    size = round(BLOCK_S / step)
    blocks = [row[start : start + size] for start in range(0, len(row), size)]
    if len(blocks) < MIN_BLOCKS:
        return Draws(float(row.mean()) if len(row) else math.nan, np.empty(0))
    sums, counts = np.array([block.sum() for block in blocks]), np.array([len(block) for block in blocks])
    weights = _weights(len(blocks), seed)
    return Draws(float(row.mean()), (weights @ sums) / (weights @ counts))


def latency(run: Run, share: float, *, seed: int = SEED) -> Draws:
    """A quantile of the durations, ms."""
    each = [counts for part in _blocks(run) if (counts := milliseconds(part))]
    durations = np.array(sorted({duration for counts in each for duration in counts}))
    if len(durations) == 0:
        return Draws(math.nan, np.empty(0))
    table = np.array([[counts.get(duration, 0) for duration in durations] for counts in each])
    whole = durations[_rank(table.sum(axis=0), share)]
    if len(each) < MIN_BLOCKS:
        return Draws(float(whole), np.empty(0))
    drawn = [durations[_rank(row, share)] for row in _weights(len(each), seed) @ table]
    return Draws(float(whole), np.array(drawn))


def failures(run: Run, *, seed: int = SEED) -> Draws:
    """The share of the requests that failed and had not asked to; NaN without any."""
    table = np.array([_failure_counts(part) for part in _blocks(run)])
    failed, counted = table.sum(axis=0)
    if counted == 0:
        return Draws(math.nan, np.empty(0))
    each = table[table[:, 1] > 0]
    if len(each) < MIN_BLOCKS:
        return Draws(float(failed / counted), np.empty(0))
    drawn = _weights(len(each), seed) @ each
    return Draws(float(failed / counted), drawn[:, 0] / drawn[:, 1], wilson(int(failed), int(counted)))


def _failure_counts(part: Sequence[Slice]) -> tuple[int, int]:
    """Failed requests and all requests of some slices, without those that asked to fail."""
    return sum(one.failed for one in part), sum(one.counted for one in part)


def _blocks(run: Run) -> list[list[Slice]]:
    blocks: list[list[Slice]] = [[] for _ in range(max(1, math.ceil(run.seconds / BLOCK_S)))]
    for one in run.slices:
        blocks[min(len(blocks) - 1, max(0, int(one.time / BLOCK_S)))].append(one)
    return blocks


def _rank(counts: "np.ndarray[tuple[int], np.dtype[np.int64]]", share: float) -> int:
    sums = np.cumsum(counts)
    return int(np.searchsorted(sums, max(1, math.ceil(share * sums[-1] - 1e-9))))


def accuracy(moments: Sequence[Moment]) -> Draws:
    """1 - mean(|have - need| / need)."""
    return mean([1 - abs(one.have - one.need) / one.need for one in moments])


def cost(moments: Sequence[Moment], peak: int) -> Draws:
    """Pod-seconds against a fleet fixed at the `peak`'s replicas, less 1."""
    return mean([one.have / peak - 1 for one in moments])


def figures(run: Run) -> dict[str, Draws]:
    """Those that two runs are compared by; NaN where a run cannot tell."""
    fleet_moments = moments(run) if run.watched else []
    return {
        "scaling accuracy, %": _scale(accuracy(fleet_moments), 100),
        "too little (share of the need), %": _scale(
            mean([max(m.need - m.have, 0) / m.need for m in fleet_moments]), 100
        ),
        "too much (share of the need), %": _scale(mean([max(m.have - m.need, 0) / m.need for m in fleet_moments]), 100),
        "pods at a time": mean([one.have for one in fleet_moments]),
        "cost against a fleet fixed at the peak, %": _scale(cost(fleet_moments, run.peak), 100),
        "slowest scale-up, s": Draws(slowest(ups(run)), np.empty(0)),
        "slowest scale-down, s": Draws(slowest(downs(run) if run.watched else []), np.empty(0)),
        "p50 latency, ms": latency(run, 0.5),
        "p95 latency, ms": latency(run, 0.95),
        "p99 latency, ms": latency(run, 0.99),
        FAILED: _scale(failures(run), 100),
    }


def _scale(draws: Draws, factor: float) -> Draws:
    least = None if draws.least is None else Interval(*(one * factor for one in draws.least))
    return Draws(draws.value * factor, draws.drawn * factor, least)
