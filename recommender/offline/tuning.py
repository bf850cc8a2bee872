"""Chooses every knob of the default policy on one half of the containers, and judges it on the other half.

A setting that was chosen on some containers flatters itself there. So the containers are split at random, many times:
on one half the candidates are ranked by how far they are within the goals, and the middle of the best tenth is taken
(the best single one owes its place to luck more than its neighbours do); the other half, which nothing was chosen on,
gives the figures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.config import mode
from recommender.estimate.policy import RiskPolicy
from recommender.estimate.recommend import Evidence, evidence
from recommender.input.usage_file import Usage
from recommender.model.buckets import Floats
from recommender.model.containers import MISSING, Model
from recommender.offline.backtest import Walk, intervals
from recommender.offline.replay import Replay
from recommender.offline.score import GIB, Tally
from recommender.settings import Settings

KNOBS: Final[Mapping[str, tuple[float, ...]]] = {
    "ceiling": (0.03, 0.04, 0.05, 0.06, 0.08),
    "days": (5, 6, 7),
    "half_life": (1.0, 1.5, 2.25, 3.0),
    "spread": (0.07, 0.09, 0.115, 0.15),
    "far": (0.03, 0.06, 0.09),
    "young": (0.0, 0.085, 0.2),
    "tail": (1.2, 1.6, 2.5),
}
"""The knobs of RiskPolicy and the values tried; all but the two that speak of kills, which are not replayed here."""
OVERRUNS: Final = 0.6
"""Goal: at most this share of the baseline's overrun days."""
MEDIAN: Final = 0.02
"""Goal: the median container's slack at most this much above the baseline's; the pooled slack no higher at all."""
AIM: Final = 0.5
"""The share of overruns that is aimed at on the half to choose on: what is chosen does a little worse elsewhere."""
BEST: Final = 0.1
"""The share of candidates whose middle is taken."""
PRICES: Final = (5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
"""GiB-days per overrun day, for the constants chosen in hindsight."""
Members = NDArray[np.int64]


class Margins(NamedTuple):
    """Against the baseline, for each of some policies."""

    overruns: Floats
    """its overrun days as a multiple of the baseline's"""
    slack: Floats
    """pooled memory slack minus the baseline's"""
    median: Floats
    """the median container's slack minus the baseline's median"""

    @property
    def met(self) -> NDArray[np.bool_]:
        """Whether all three goals are met."""
        met: NDArray[np.bool_] = (self.overruns <= OVERRUNS) & (self.slack <= 0) & (self.median <= MEDIAN)
        return met

    @property
    def least(self) -> Floats:
        """How far within the goals, by the one nearest to being missed: 0.1 of overruns weighs as 0.015 of slack or
        0.01 of the median's."""
        least: Floats = np.minimum((AIM - self.overruns) / 0.1, -self.slack / 0.015)
        return np.minimum(least, (MEDIAN - self.median) / 0.01)


@dataclass(frozen=True)
class Scores:
    """Memory sums of p policies for n containers, as in Tally: each (p, n)."""

    asked: Floats
    idle: Floats
    overruns: Floats

    @classmethod
    def of(cls, tallies: Sequence[Tally]) -> "Scores":
        """Those of several tallies."""
        columns = zip(*((tally.memory_asked, tally.memory_idle, tally.overruns) for tally in tallies), strict=True)
        return cls(*(np.stack(column) for column in columns))

    def against(self, baseline: Tally, members: Members) -> Margins:
        """Each policy against the baseline, on `members` (indices; repeats count again)."""
        base = Scores.of([baseline])._sums(members)
        overruns, slack, median = self._sums(members)
        return Margins(overruns / np.maximum(base[0], 1), slack - base[1], median - base[2])

    def _sums(self, members: Members) -> tuple[Floats, Floats, Floats]:
        members = members[self.asked[:, members].any(axis=0)]
        asked, idle = np.maximum(self.asked[:, members], 1), self.idle[:, members]
        median = np.median(idle / asked, axis=1) if len(members) else np.zeros(len(asked))
        return self.overruns[:, members].sum(axis=1), idle.sum(axis=1) / np.maximum(asked.sum(axis=1), 1), median


@dataclass(frozen=True)
class Course:
    """What a policy may know at each decision, and what came after: a backtest of many policies, without kills."""

    steps: Sequence[tuple[Evidence, NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]]
    """evidence, which containers had samples before, then the samples after: containers, bytes"""
    count: int

    @classmethod
    def record(cls, usage: Usage, how: Walk) -> "Course":
        """Walks over the usage once."""
        chosen = mode(Settings())
        replay = Replay(Model(chosen.aggregation), usage, by_time=True)
        alone = np.ones(len(usage.names), dtype=np.int64)
        steps = []
        for edge, rows in intervals(replay.usage, how):
            replay.run(edge)
            seen = evidence(replay.model, replay.rows, alone, edge, chosen.estimation)
            scored = rows[replay.usage.memory[rows] != MISSING]
            steps.append((seen, replay.started, replay.usage.container[scored], replay.usage.memory[scored]))
        return cls(steps, len(usage.names))

    def tally(self, policy: RiskPolicy) -> Tally:
        """The policy's tally, of memory alone: what `walk` finds without kills."""
        tally = Tally.empty(self.count)
        for seen, started, containers, used in self.steps:
            tally.add_memory(containers, used, np.where(started, seen.decide(policy).target, 0))
        return tally

    def hindsight(self, price: float) -> Tally:
        """The tally of the one constant per container that, all days known, costs least: GiB-days + price × overruns.

        No policy that must decide beforehand, and moves little, can be expected to beat it.
        """
        peaks, days = self._peaks()
        levels = np.sort(peaks, axis=0)
        above = (peaks[None] > levels[:, None]).sum(axis=1)
        cost = levels / GIB * days.sum(axis=0) + price * above
        constant = levels[cost.argmin(axis=0), np.arange(self.count)]
        tally = Tally.empty(self.count)
        for _, started, containers, used in self.steps:
            tally.add_memory(containers, used, np.where(started, constant, 0).astype(np.int64))
        return tally

    def _peaks(self) -> tuple[Floats, Floats]:
        """(steps, n): the largest sample of each interval, and how much of a full interval was sampled."""
        peaks, share = np.zeros((len(self.steps), self.count)), np.zeros((len(self.steps), self.count))
        for index, (_, started, containers, used) in enumerate(self.steps):
            np.maximum.at(peaks[index], containers, used)
            share[index] = np.bincount(containers, minlength=self.count) * started
            peaks[index] *= started
        return np.maximum(peaks, 1), share / max(share.max(), 1)


def candidates(count: int, seed: int) -> list[dict[str, float]]:
    """Random settings: a value of each knob, drawn evenly."""
    random = np.random.default_rng(seed)
    return [{name: values[random.integers(len(values))] for name, values in KNOBS.items()} for _ in range(count)]


def policy(knobs: Mapping[str, float]) -> RiskPolicy:
    """The policy with these knobs."""
    given: dict[str, Any] = {**knobs, "days": int(knobs["days"])}
    return RiskPolicy(**given)


def middle(settings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The middle of some settings: geometric for ratios, the median of days, the mean of what may be 0."""
    values = {name: np.array([setting[name] for setting in settings], dtype=float) for name in KNOBS}
    ratios = ("ceiling", "half_life", "spread", "far", "tail")
    middles = {name: float(np.exp(np.log(values[name]).mean())) for name in ratios}
    return {**middles, "young": float(values["young"].mean()), "days": float(np.round(np.median(values["days"])))}


def choose(settings: Sequence[Mapping[str, float]], margins: Margins) -> dict[str, float]:
    """The knobs in the middle of the best tenth of the settings."""
    best = np.argsort(-margins.least, kind="stable")[: max(round(len(settings) * BEST), 1)]
    return middle([settings[index] for index in best])


class Split(NamedTuple):
    """One split: what was chosen on one half, and how it, the default and the hindsight did on the other."""

    seed: int
    knobs: Mapping[str, float]
    tuned: Margins
    default: Margins
    hindsight: Margins
    gain: tuple[float, float]
    """95 % of paired bootstraps over the held-out containers: the overruns of `tuned`"""


def halves(count: int, seed: int) -> tuple[Members, Members]:
    """A random split of containers 0 … count - 1 in two: to tune on, to report on."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def splits(
    course: Course, baseline: Tally, seeds: Sequence[int], tries: int, told: Callable[[int], None]
) -> Iterator[Split]:
    """The splits by these seeds, each with a choice of its own among `tries` candidates, drawn by the first seed.

    `told` hears of each tally.
    """
    settings = candidates(tries, seed=seeds[0])
    scores = Scores.of([_note_progress(course.tally(policy(knobs)), told) for knobs in settings])
    ours = Scores.of([course.tally(RiskPolicy())])
    known = Scores.of([course.hindsight(price) for price in PRICES])
    for seed in seeds:
        tune, held_out = halves(course.count, seed)
        knobs = choose(settings, scores.against(baseline, tune))
        tuned = Scores.of([_note_progress(course.tally(policy(knobs)), told)])
        yield Split(
            seed=seed,
            knobs=knobs,
            tuned=tuned.against(baseline, held_out),
            default=ours.against(baseline, held_out),
            hindsight=_best(known.against(baseline, held_out)),
            gain=_gain(tuned, baseline, held_out, seed=seed),
        )


def _note_progress(tally: Tally, told: Callable[[int], None]) -> Tally:
    told(1)
    return tally


def _best(margins: Margins) -> Margins:
    """The one that meets all goals, if any does, else the one that is nearest to it."""
    index = int((margins.least + 1000 * margins.met).argmax())
    return Margins(*(column[index : index + 1] for column in margins))


def _gain(tuned: Scores, baseline: Tally, members: Members, *, seed: int, rounds: int = 500) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    draws = [random.choice(members, len(members)) for _ in range(rounds)]
    ratios = [float(tuned.against(baseline, drawn).overruns[0]) for drawn in draws]
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)
