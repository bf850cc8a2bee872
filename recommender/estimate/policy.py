"""Our memory target: the smallest amount of which the chance that the next day's peak is above it is under a ceiling.

Two sentences: tomorrow's peak is expected to be like one of the last seven days' peaks, recent ones counting more, or
like what the same weekday always needed, with a chance (smaller the longer the history) of one far above. The target
is the smallest amount that a day passes with a chance of at most `--max-daily-risk`.

What follows from that, for any history: a larger reading never lowers the target, since each day's weight depends on
time alone; all readings times c give the target times c, since only ratios enter; and a lone reading, supported by no
other, lifts it to at most 4 times what it would be without, for a week.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from recommender.estimate import lone
from recommender.estimate.past import Flags, Past, Seen, Weekday, Whole, least
from recommender.model.buckets import Amounts, Floats
from recommender.model.peaks import STEP, Days, amount, level

CHUNK: Final = 1024
FINE: Final = 16
"""Levels between two ratios that the tables tell apart: 0.5 %."""
WEEK: Final = 7
LAST: Final = 22
"""Days back to the last weekday that is looked at; older ones are kept for days that are taken away."""
RECKONED: Final = (0.0, 0.05, 0.27, 0.75, 1.0)
"""Shares of weight above an amount, and …"""
REALISED: Final = (0.0, 0.05, 0.215, 0.72, 1.0)
"""… what they came to on July's machines: one recent day above says less of the next than its weight."""


@dataclass(frozen=True)
class RiskPolicy:
    """The knobs, and tables made from them. Where they come from: docs/recommender.md, "Measured"."""

    ceiling: float = 0.05
    """The most that a target's chance of being passed on a day may be."""
    days: int = 7
    """Daily peaks that count."""
    half_life: float = 1.5
    """Days in which a peak loses half its weight."""
    spread: float = 0.115
    """How far a day like a past one may lie from it: the standard deviation of the logarithm."""
    far: float = 0.06
    """The chance that a day is not like the past one, but above it, whatever the history …"""
    young: float = 0.085
    """… and this over the number of days seen besides: what day-to-day ratios of other containers say."""
    tail: float = 1.6
    """Farther ones are rarer: the chance of r times the past peak falls as r to the minus this."""
    cut: float = 0.45
    """The chance that a peak which was cut by an OOM kill would have passed what the kill showed to be needed …"""
    cut_tail: float = 2.5
    """… and how fast that of r times as much falls."""
    _like: Floats = field(init=False, repr=False, compare=False)
    _above: Floats = field(init=False, repr=False, compare=False)
    _cut: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        distance: Floats = np.arange(-(65536 // FINE), 65536 // FINE, dtype=np.float64) * (FINE * STEP)
        object.__setattr__(self, "_like", _normal_tail(distance / self.spread))
        object.__setattr__(self, "_above", np.exp(-self.tail * np.maximum(distance, 0.0)))
        object.__setattr__(self, "_cut", self.cut * np.exp(-self.cut_tail * np.maximum(distance, 0.0)))

    @cached_property
    def most(self) -> float:
        """What a reckoned chance may be so that the risk that it comes to is within the ceiling."""
        return float(np.interp(self.ceiling, REALISED, RECKONED))

    def targets(self, days: Days) -> Amounts:
        """Bytes for n containers; 0 where no day had a sample."""
        count = len(days.highest)
        levels = np.zeros(count, dtype=np.int64)
        for start in range(0, count, CHUNK):
            part = slice(start, start + CHUNK)
            levels[part] = self._least(self.weigh(days.part(part)))
        levels = lone.lower_targets(self, days, levels)
        targets: Amounts = np.where((days.highest > 0).any(axis=1), amount(np.maximum(levels, 1)), 0)
        return np.maximum(targets, days.needed)

    def risk(self, days: Days, amounts: Amounts) -> Floats:
        """The chance (n) that the next day's peak is above `amounts` (n), bytes."""
        return self._risk(self.weigh(days), level(amounts).astype(np.int64))

    def weigh(self, days: Days, far: Floats | None = None, whole: Flags | None = None) -> Seen:
        """The days with the weight that each has in the target.

        Given if newer days than these are known: `far` (n), and which still have all weekdays, `whole` (n).
        """
        highest, repeated = days.highest.astype(np.int64), days.repeated.astype(np.int64)
        present, rows = highest > 0, np.arange(len(highest))
        killed = np.where(present[rows, days.killed], level(days.needed), 0).astype(np.int64)
        for ring in (highest, repeated):
            ring[rows, days.killed] = np.maximum(ring[rows, days.killed], killed)
        age = np.maximum(np.arange(self.days) - 1 + days.elapsed[:, None], 0.0)
        weights = np.where(present[:, : self.days], 2.0 ** (-age / self.half_life), 0.0)
        weights[:, 0] = present[:, 0]
        missing = (1 - days.elapsed) * present[:, 0]
        count = np.maximum(present.sum(axis=1) - missing, 1.0)
        kept = Past(highest, repeated, days.readings.astype(np.int64))
        present_weekdays = np.ones(len(highest)) if whole is None else whole.astype(np.float64)
        today = np.minimum(2 * (1 - days.elapsed), 1.0) * present_weekdays
        tomorrow = np.minimum(2 * days.elapsed, 1.0) * present_weekdays
        own = np.minimum(self.far + self.young / count, 1.0) if far is None else far
        waiting = missing * np.minimum(weights[:, 1:].sum(axis=1), 1.0)
        fars = np.repeat(own[:, None], weights.shape[1], axis=1)
        fars[:, 0] *= 1 - waiting
        return Seen(
            weights=weights,
            missing=missing,
            past=kept.columns(slice(0, self.days)),
            far=own,
            fars=fars,
            waiting=waiting,
            weekdays=(
                Weekday.of(kept.columns(slice(WEEK, LAST, WEEK)), today),
                Weekday.of(kept.columns(slice(WEEK - 1, LAST, WEEK)), tomorrow),
            ),
            needed=killed,
            killed=days.killed,
        )

    def above(self, seen: Seen, levels: Whole, at: Whole) -> Floats:
        """(n, days): the chance of being above `at` (n) that each past day gives if it had these `levels`.

        Of the newest day, which counts whole for what it has passed, the chance of one far above counts by the part
        that is over, as far as older days stand in for the rest: what is yet to come would count twice.
        """
        place = _place(at[:, None] - levels)
        above: Floats = (1 - seen.fars) * self._like[place] + seen.fars * self._above[place]
        rows = np.flatnonzero((seen.needed > 0) & (seen.killed < self.days))
        if len(rows):
            cell = rows, seen.killed[rows]
            above[cell] = np.maximum(above[cell], self._cut[_place(at[rows] - seen.needed[rows])])
        return above

    def again(self, weekday: Weekday, levels: Whole, at: Whole) -> Floats:
        """(n): the chance that a weekday whose days all reached `levels` is above `at`."""
        again: Floats = weekday.chance * self._like[_place(at - levels)]
        return again

    def _least(self, seen: Seen) -> Whole:
        return least(lambda at: self._risk(seen, at) <= self.ceiling, len(seen.far))

    def _risk(self, seen: Seen, at: Whole) -> Floats:
        """(n): the chance of a day above level `at` (n).

        The newest day, of which only a part has passed, counts whole as evidence above a level that it has passed,
        and by its part as evidence below, as far as older days stand in for the rest: it may yet rise. So nothing
        jumps when a day ends and the next begins.
        """
        above = self.above(seen, seen.past.highest, at)
        known = (seen.weights * above).sum(axis=1)
        whole = seen.weights.sum(axis=1) - seen.waiting * (1 - above[:, 0])
        chance = np.minimum(known / np.maximum(whole, 1e-12), 1.0)
        for one in seen.weekdays:
            chance = np.maximum(chance, self.again(one, one.highest, at))
        risk: Floats = np.interp(chance, RECKONED, REALISED)
        return risk


def _place(distance: Whole) -> Whole:
    return distance // FINE + 65536 // FINE


def _normal_tail(x: Floats) -> Floats:
    """The share of a normal distribution above x (Bowling's logistic form; off by at most 0.00014)."""
    tail: Floats = 1.0 / (1.0 + np.exp(np.clip(1.5976 * x + 0.07056 * x**3, -80, 80)))
    return tail
