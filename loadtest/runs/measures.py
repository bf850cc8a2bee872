"""What a run's fleet was worth: elasticity, cost, what clients saw. Pure.

Elasticity as the SPEC Research Group's cloud working group defines it (Herbst et al., "Ready for Rain? A View from SPEC
Research on the Future of Cloud Metrics", SPEC RG 2016, arXiv:1604.03470; before that Herbst, Kounev, Weber, Groenda,
"BUNGEE: An Elasticity Benchmark for Self-Adaptive IaaS Cloud Environments", SEAMS 2015): with demand d and supply s at
each of T moments, provisioning accuracy is the mean of max(d - s, 0) / d (too little) and of max(s - d, 0) / d (too
much), wrong provisioning time share is how often s < d and s > d, jitter is how many changes of s there were more than
of d, in a time. Demand is the replicas that the load needs, supply the pods in the Service's endpoints.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from loadtest.runs.parts import needs
from loadtest.runs.record import Kind, Run, Slice, levels

STEP_S = 0.5
"""Between two moments that are looked at."""
ENOUGH_REQUESTS = 3_000
"""For a word about 99.9 %: by the rule of three, none among 3,000 bounds the share of failures by 0.1 % at 95 %."""
STALLED_S = 0.75
"""A slice that took longer says that Locust itself stood still: its lines come each half second, answers or none."""
EXPECTED = 10
"""Requests that must have been due in a gap for it to be downtime: by chance none comes once in 22,000 times (e^10)."""


class Moment(NamedTuple):
    """Demand and supply, in replicas."""

    need: int
    have: int


def moments(run: Run) -> list[Moment]:
    """Demand and supply in the middle of each STEP_S of the run."""
    pieces = iter(levels(run.counts(Kind.ENDPOINTS), run.seconds))
    piece = next(pieces)
    series = []
    for place in range(int(run.seconds / STEP_S)):
        elapsed = (place + 0.5) * STEP_S
        while elapsed >= piece.end:
            piece = next(pieces)
        series.append(Moment(run.needs(elapsed), piece.replicas))
    return series


class Elasticity(NamedTuple):
    """Shares of 1; `jitter` in changes a minute."""

    accuracy: float
    """1 - mean(|have - need| / need), which is 1 - under - over."""
    under: float
    over: float
    under_time: float
    over_time: float
    jitter: float


def elasticity(moments: Sequence[Moment], *, jitter: float = 0.0) -> Elasticity:
    """The elasticity over moments that are equally far apart; there must be at least one."""
    count = len(moments)
    under = math.fsum(max(one.need - one.have, 0) / one.need for one in moments) / count
    over = math.fsum(max(one.have - one.need, 0) / one.need for one in moments) / count
    return Elasticity(
        accuracy=1 - under - over,
        under=under,
        over=over,
        under_time=sum(one.have < one.need for one in moments) / count,
        over_time=sum(one.have > one.need for one in moments) / count,
        jitter=jitter,
    )


def jitter(run: Run) -> float:
    """Changes of the fleet beyond those of the need, a minute; negative where changes of need passed unanswered."""
    changes = [piece.replicas for piece in levels(run.counts(Kind.DESIRED), run.seconds)]
    moved = sum(before != after for before, after in pairwise(changes))
    return (moved - len(needs(run))) / (run.seconds / 60)


def cost(moments: Sequence[Moment], peak: int) -> float:
    """Pod-seconds against those of a fleet that always has the `peak`'s replicas: -0.2 is a fifth less."""
    return math.fsum(one.have for one in moments) / (peak * len(moments)) - 1


# -- what clients saw --------------------------------------------------------------------------------------------------


def milliseconds(slices: Iterable[Slice]) -> dict[float, int]:
    """How many answers took each duration, by ms."""
    counts: Counter[float] = Counter()
    for part in slices:
        for text, count in part.latencies.items():
            counts[float(text)] += count
    return {duration: count for duration, count in counts.items() if count}


def quantile(durations: Mapping[float, int], share: float) -> float:
    """The shortest duration that `share` of all do not exceed, ms; NaN without any."""
    total = sum(durations.values())
    rank, seen = max(1, math.ceil(share * total - 1e-9)), 0
    for duration, count in sorted(durations.items()):
        seen += count
        if seen >= rank:
            return duration
    return math.nan


class Answers(NamedTuple):
    """Requests of a run."""

    answered: int
    """By the service, well or not."""
    failed: int
    """Not those that asked for it."""
    asked_to_fail: int
    unanswered: int
    """Of those that failed: without any answer of the service, so that no latency is known of them."""
    p50: float
    """ms of the answers; so are the next two."""
    p95: float
    p99: float
    downtime: float
    """s in which there was no good answer."""
    stalled: float
    """s in which Locust itself stood still: nobody asked, and nobody knows."""

    @property
    def requests(self) -> int:
        """Those that ended, with an answer or without."""
        return self.answered + self.unanswered

    @property
    def counted(self) -> int:
        """Those that should not fail: without those that asked to."""
        return self.requests - self.asked_to_fail

    @property
    def availability(self) -> float:
        """The share of the counted that did not fail; NaN without any."""
        return 1 - self.failed / self.counted if self.counted else math.nan

    @property
    def enough(self) -> bool:
        """Whether so many requests allow a word about 99.9 %."""
        return self.counted >= ENOUGH_REQUESTS


def answers(run: Run) -> Answers:
    """What clients saw in the whole run."""
    durations = milliseconds(run.slices)
    return Answers(
        answered=sum(durations.values()),
        failed=sum(part.failed for part in run.slices),
        asked_to_fail=sum(part.asked_to_fail for part in run.slices),
        unanswered=sum(part.unanswered for part in run.slices),
        p50=quantile(durations, 0.5),
        p95=quantile(durations, 0.95),
        p99=quantile(durations, 0.99),
        downtime=downtime(run.slices),
        stalled=sum(one.length for one in _lengths(run.slices) if one.length > STALLED_S),
    )


def downtime(slices: Sequence[Slice]) -> float:
    """s: slices in which every request failed that should not have, and whole gaps without a good one and EXPECTED due.

    Where few are asked for, a gap takes many slices until its silence is no chance. Slices in which Locust stood still
    are no downtime and end a gap; nor are those in which nobody was to ask.
    """
    down = 0.0
    for bad, group in groupby(_lengths(slices), key=_no_good):
        gap = list(group) if bad else []
        enough = sum(map(_due, gap)) >= EXPECTED - 1e-9
        down += sum(one.length for one in gap if one.part.requests or (enough and _due(one)))
    return down


class _Length(NamedTuple):
    """A slice with the one before it, and how long it took, s."""

    before: Slice
    part: Slice
    length: float


def _no_good(one: _Length) -> bool:
    part = one.part
    return one.length <= STALLED_S and part.failed == part.counted and (part.counted > 0 or part.requests == 0)


def _due(one: _Length) -> float:
    """Requests."""
    return min(one.before.asked, one.part.asked) * one.length


def _lengths(slices: Sequence[Slice]) -> Iterator[_Length]:
    """Of each slice; the first one has no beginning, and is left out."""
    for before, part in pairwise(slices):
        yield _Length(before, part, part.time - before.time)
