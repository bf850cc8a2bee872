"""Our memory target: the smallest amount of which the chance that the next day's peak is above it is under a ceiling.

Two sentences: tomorrow's peak is expected to be like one of the last eight days' peaks, recent ones counting more, or
like what the same weekday always needed, with a chance (smaller the longer the history) of one far above. The target
is the smallest amount that a day passes with a chance of at most `--max-daily-risk`.

What follows from that, for any history: a larger reading never lowers the target, since each day's weight depends on
time alone; all readings times c give the target times c, since only ratios enter; and a lone reading, supported by no
other, lifts it to at most 4 times what it would be without, for a week.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.peaks import FOURFOLD, STEP, Days, amount, level

CHUNK: Final = 1024
GRID: Final = 64
"""Levels between two targets that are told apart: 1.9 %."""
FINE: Final = 16
"""Levels between two ratios that the tables tell apart: 0.5 %."""
TOP: Final = 65535 // GRID
WEEK: Final = 7
RECKONED: Final = (0.0, 0.05, 0.27, 0.75, 1.0)
"""Shares of weight above an amount, and …"""
REALISED: Final = (0.0, 0.05, 0.215, 0.72, 1.0)
"""… what they came to on July's machines: one recent day above says less of the next than its weight."""
LEAST_WEEKDAYS: Final = 2
"""How many of the same weekday make it evidence of its own."""


class Weekday(NamedTuple):
    """What one weekday always needed, of n states."""

    chance: Floats
    """(n): that it needs so much again; 0 where too few were seen"""
    highest: NDArray[np.int64]
    """(n): the level that each of them reached"""
    repeated: NDArray[np.int64]
    """(n): the same, any one reading taken away"""


@dataclass(frozen=True)
class Seen:
    """Days as the reckoning takes them: (n, days) each, newest first."""

    weights: Floats
    missing: Floats
    """(n): how much of the newest day is to come, as far as older days stand in for it"""
    highest: NDArray[np.int64]
    repeated: NDArray[np.int64]
    far: Floats
    """(n): the chance of a day that is not like the one it is compared with"""
    weekdays: tuple[Weekday, ...]
    needed: NDArray[np.int64]
    """(n): level; 0: no kill"""
    killed: Rows

    def part(self, rows: Rows) -> "Seen":
        """Only some of the states."""
        columns = {name: value[rows] for name, value in vars(self).items() if name != "weekdays"}
        weekdays = tuple(Weekday(one.chance[rows], one.highest[rows], one.repeated[rows]) for one in self.weekdays)
        return Seen(weekdays=weekdays, **columns)

    @property
    def lone(self) -> Rows:
        """(n): how many days have a reading so far above all others that it may count only 4 times them."""
        apart: Rows = ((self.highest - self.repeated > FOURFOLD) & (self.weights > 0)).sum(axis=1)
        for one in self.weekdays:
            apart = np.maximum(apart, (one.highest - one.repeated > FOURFOLD) & (one.chance > 0))
        return apart


@dataclass(frozen=True)
class RiskPolicy:
    """The knobs, and tables made from them. Where they come from: docs/recommender.md, "Measured"."""

    ceiling: float = 0.05
    """The most that a target's chance of being passed on a day may be."""
    days: int = 8
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

    def targets(self, days: Days) -> Amounts:
        """Bytes for n containers; 0 where no day had a sample."""
        parts = [slice(start, start + CHUNK) for start in range(0, len(days.highest), CHUNK)]
        chunks = [self._targets(days.part(part)) for part in parts]
        return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int64)

    def risk(self, days: Days, amounts: Amounts) -> Floats:
        """The chance (n) that the next day's peak is above `amounts` (n), bytes."""
        return self._risk(self._seen(days), level(amounts).astype(np.int64))

    def _targets(self, days: Days) -> Amounts:
        seen = self._seen(days)
        found = self._least(seen, 0)
        lone = seen.lone
        for count in range(1, int(lone.max(initial=0)) + 1):
            rows = np.flatnonzero(lone >= count)
            without = self._least(seen.part(rows), count) + count * FOURFOLD
            found[rows] = np.minimum(found[rows], without)
        targets: Amounts = np.where((days.highest > 0).any(axis=1), amount(np.maximum(found, 1)), 0)
        return np.maximum(targets, days.needed)

    def _least(self, seen: Seen, without: int) -> NDArray[np.int64]:
        """(n): the lowest level whose risk is within the ceiling, that many lone readings taken away."""
        low, high = np.zeros(len(seen.far), dtype=np.int64), np.full(len(seen.far), TOP)
        while (low < high).any():
            middle = (low + high) // 2
            good = self._risk(seen, middle * GRID, without) <= self.ceiling
            low, high = np.where(good, low, np.minimum(middle + 1, high)), np.where(good, middle, high)
        return low * GRID

    def _seen(self, days: Days) -> Seen:
        highest, repeated = (ring.astype(np.int64) for ring in (days.highest, days.repeated))
        present, rows = highest > 0, np.arange(len(highest))
        repeated = _of_single(highest, repeated)
        killed = np.where(present[rows, days.killed], level(days.needed), 0).astype(np.int64)
        for ring in (highest, repeated):
            ring[rows, days.killed] = np.maximum(ring[rows, days.killed], killed)
        age = np.maximum(np.arange(self.days) - 1 + days.elapsed[:, None], 0.0)
        weights = np.where(present[:, : self.days], 2.0 ** (-age / self.half_life), 0.0)
        weights[:, 0] = present[:, 0]
        missing = (1 - days.elapsed) * present[:, 0]
        count = np.maximum(present.sum(axis=1) - missing, 1.0)
        weekdays = (
            _weekday(highest[:, WEEK::WEEK], repeated[:, WEEK::WEEK], np.minimum(2 * (1 - days.elapsed), 1.0)),
            _weekday(highest[:, WEEK - 1 :: WEEK], repeated[:, WEEK - 1 :: WEEK], np.minimum(2 * days.elapsed, 1.0)),
        )
        recent = np.where(np.arange(self.days) < WEEK, highest[:, : self.days], repeated[:, : self.days])
        return Seen(
            weights=weights,
            missing=missing * np.minimum(weights[:, 1:].sum(axis=1), 1.0),
            highest=recent,
            repeated=repeated[:, : self.days],
            far=np.minimum(self.far + self.young / count, 1.0),
            weekdays=weekdays,
            needed=killed,
            killed=days.killed,
        )

    def _risk(self, seen: Seen, at: NDArray[np.int64], without: int = 0) -> Floats:
        """(n): the chance of a day above level `at` (n), the `without` lone readings that matter most taken away.

        The newest day, of which only a part has passed, counts whole as evidence above a level that it has passed,
        and by its part as evidence below: it may yet rise. So nothing jumps when a day ends and the next begins.
        """
        above = self._above_day(seen, seen.highest, at)
        known = (seen.weights * above).sum(axis=1)
        whole = seen.weights.sum(axis=1)
        if not without:
            chance = _share(known, whole, seen.missing, above[:, 0])
        else:
            spared = self._above_day(seen, seen.repeated, at)
            gains = -np.sort(-(seen.weights * (above - spared))[:, 1:], axis=1)[:, :without]
            older, newest = gains.sum(axis=1), (above - spared)[:, 0]
            chance = np.minimum(
                _share(known - older, whole, seen.missing, above[:, 0]),
                _share(known - gains[:, : without - 1].sum(axis=1) - newest, whole, seen.missing, spared[:, 0]),
            )
        for one in seen.weekdays:
            again = one.chance * self._like[_place(at - (one.repeated if without else one.highest))]
            chance = np.maximum(chance, again)
        return np.interp(chance, RECKONED, REALISED)

    def _above_day(self, seen: Seen, levels: NDArray[np.int64], at: NDArray[np.int64]) -> Floats:
        """(n, days): the chance of being above `at` for a day that is compared with each of the past ones."""
        place = _place(at[:, None] - levels)
        far = seen.far[:, None]
        above: Floats = (1 - far) * self._like[place] + far * self._above[place]
        rows = np.flatnonzero((seen.needed > 0) & (seen.killed < self.days))
        if len(rows):
            cell = rows, seen.killed[rows]
            above[cell] = np.maximum(above[cell], self._cut[_place(at[rows] - seen.needed[rows])])
        return above


def _of_single(highest: NDArray[np.int64], repeated: NDArray[np.int64]) -> NDArray[np.int64]:
    """`repeated`, where a day with one reading is, that taken away, like the lowest day of all."""
    known = np.where(repeated > 0, repeated, np.where(highest > 0, highest, 65535))
    lowest = np.minimum(highest, known.min(axis=1, keepdims=True, initial=65535))
    found: NDArray[np.int64] = np.where(repeated > 0, repeated, lowest)
    return found


def _place(distance: NDArray[np.int64]) -> NDArray[np.int64]:
    return distance // FINE + 65536 // FINE


def _share(known: Floats, whole: Floats, missing: Floats, newest: Floats) -> Floats:
    """The weight above a level as a share of all; of the newest day's the missing part counts only above."""
    return np.minimum(known / np.maximum(whole - missing * (1 - newest), 1e-12), 1.0)


def _weekday(highest: NDArray[np.int64], repeated: NDArray[np.int64], share: Floats) -> Weekday:
    """Where all n >= 2 peaks of one weekday were above a level, so is the next by (n+1)/(n+2): Laplace's succession.

    `share` (n) is how much that weekday matters for the next 24 hours.
    """
    present = highest > 0
    count = present.sum(axis=1)
    chance = np.where(count >= LEAST_WEEKDAYS, (count + 1) / (count + 2), 0.0) * share
    least = [np.where(present, levels, 65535).min(axis=1, initial=65535) for levels in (highest, repeated)]
    return Weekday(chance, *least)


def _normal_tail(x: Floats) -> Floats:
    """The share of a normal distribution above x (Bowling's logistic form; off by at most 0.00014)."""
    tail: Floats = 1.0 / (1.0 + np.exp(np.clip(1.5976 * x + 0.07056 * x**3, -80, 80)))
    return tail
