"""Walks forward over usage: decide from the past only, score the next interval, replay OOM kills."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.buckets import Amounts
from recommender.contenders import Contender, Krr, Largest, Modelled, Targets
from recommender.engine import Mode, mode
from recommender.model import DAY
from recommender.policy import CostPolicy
from recommender.score import Summary, Tally, summary
from recommender.settings import Settings
from recommender.usage import Usage


@dataclass(frozen=True)
class Walk:
    """How a backtest walks."""

    interval: float = DAY
    """s between decisions, which is what one 'day' of the metrics is"""
    warmup: float = 7 * DAY
    """s of history before the first decision"""
    kills: bool = True
    """Whether usage above the target is told to the policies as an OOM kill (once per interval and container)."""


POLICIES: Final[Mapping[str, Callable[[Usage], Contender]]] = {
    "vpa": lambda usage: Modelled(usage, mode(Settings(mode="vpa"))),
    "vpa-fixed": lambda usage: Modelled(usage, mode(Settings(mode="vpa", fix_zero_peak="true"))),
    "krr": Krr,
    "max": Largest,
    "default": lambda usage: Modelled(usage, mode(Settings())),
}
"""By name: vpa to the last bit, vpa without its zero-peak bug, KRR's simple strategy, the week's maximum, ours."""


def priced(gib_days: float) -> Callable[[Usage], Contender]:
    """Our policy with another price of an overrun: a point of the cost-against-risk curve."""
    chosen = mode(Settings())
    return lambda usage: Modelled(usage, Mode(chosen.aggregation, chosen.estimation, CostPolicy(price=gib_days)))


def margined(margin: float) -> Callable[[Usage], Contender]:
    """VPA's policy with another safety margin: a point of its curve."""
    return lambda usage: Modelled(usage, mode(Settings(mode="vpa", margin=margin)))


def walk(usage: Usage, contender: Contender, how: Walk) -> Tally:
    """The tally of one policy over the whole file; the first decision comes after the warm-up."""
    ordered = usage.ordered(by_time=True)
    start = float(ordered.time.min()) + how.warmup
    edges = np.arange(start, float(ordered.time.max()) + how.interval, how.interval)
    tally = Tally.empty(len(usage.names))
    slot = np.floor((ordered.time - start) / how.interval).astype(np.int64)
    by_slot = np.argsort(slot, kind="stable")
    borders = np.searchsorted(slot[by_slot], np.arange(len(edges) + 1))
    before: Targets | None = None
    for index, edge in enumerate(edges):
        contender.see(float(edge), _limit(before, how))
        targets = contender.decide(float(edge))
        rows = by_slot[borders[index] : borders[index + 1]]
        tally.add(ordered, rows, targets.cpu, targets.memory, before.memory if before else None)
        before = targets
    return tally


def _limit(before: Targets | None, how: Walk) -> Amounts | None:
    return before.memory if before is not None and how.kills else None


def sample_step(usage: Usage) -> float:
    """The usual distance of two samples of a container, s."""
    ordered = usage.ordered(by_time=True)
    steps = np.diff(ordered.time)[np.diff(ordered.container) == 0]
    return float(np.median(steps)) if len(steps) else 60.0


def halves(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A random split of containers 0 … count - 1 in two: to tune on, to report on."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


class Verdict(NamedTuple):
    """A policy against a baseline on one set of containers."""

    baseline: Summary
    ours: Summary

    @property
    def overrun_ratio(self) -> float:
        """Our overrun days over the baseline's."""
        return self.ours.overruns / self.baseline.overruns if self.baseline.overruns else float("nan")

    @property
    def passes(self) -> bool:
        """The goal: at most 0.6 of the overruns, no more slack, the median container's at most 0.02 more."""
        return (
            self.overrun_ratio <= 0.6
            and self.ours.memory_slack <= self.baseline.memory_slack
            and self.ours.median_slack <= self.baseline.median_slack + 0.02
        )


def verdicts(baseline: Tally, ours: Tally, seeds: Sequence[int], step: float) -> list[Verdict]:
    """The verdict on the held-out half of each split."""
    found = []
    for seed in seeds:
        held_out = halves(len(ours.days), seed)[1]
        found.append(Verdict(summary(baseline, held_out, step), summary(ours, held_out, step)))
    return found
