"""Past days as the memory policy reckons with them, and the search for the least level that will do. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Floats, Rows
from recommender.model.peaks import MANY

GRID: Final = 64
"""Levels between two targets that are told apart: 1.9 %."""
TOP: Final = 65535 // GRID
LEAST_WEEKDAYS: Final = 2
"""How many of the same weekday make it evidence of its own."""
Whole: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


class Past(NamedTuple):
    """Some days of n states, newest first, each (n, days)."""

    highest: Whole
    """level: the largest reading; 0: no reading"""
    repeated: Whole
    """level: what stays of it if any one reading is taken away; of days with two readings or more"""
    readings: Whole
    """how many; 15 is as many or more"""

    def columns(self, which: slice) -> "Past":
        """Only some of the days."""
        return Past(*(column[:, which] for column in self))

    def rows(self, which: Rows) -> "Past":
        """Only some of the states."""
        return Past(*(column[which] for column in self))


@dataclass(frozen=True)
class Weekday:
    """What one weekday always needed, of n states."""

    chance: Floats
    """(n): that it needs so much again; 0 where too few were seen"""
    highest: Whole
    """(n): the level that each of its days reached"""
    repeated: Whole
    """(n): the same, one reading of the day that matters most taken away"""
    readings: Whole
    """(n): how few readings one of its days has; without these the weekday says nothing"""

    @classmethod
    def of(cls, past: Past, share: Floats) -> "Weekday":
        """`share` (n) is how much that weekday matters for the next 24 hours, 0 to 1.

        Where all n >= 2 peaks of one weekday were above a level, so is the next by (n+1)/(n+2): Laplace's succession.
        """
        present, count = past.highest > 0, (past.highest > 0).sum(axis=1)
        chance = np.where(count >= LEAST_WEEKDAYS, (count + 1) / (count + 2), 0.0) * share
        repeated = np.where(past.readings > 1, past.repeated, 0)
        columns = (past.highest, repeated, np.minimum(past.readings, MANY))
        return cls(chance, *(np.where(present, column, 65535).min(axis=1, initial=65535) for column in columns))

    def rows(self, which: Rows) -> "Weekday":
        """Only some of the states."""
        return Weekday(self.chance[which], self.highest[which], self.repeated[which], self.readings[which])


@dataclass(frozen=True)
class Seen:
    """Days as the reckoning takes them."""

    past: Past
    weights: Floats
    """(n, days); 0 where a day had no reading"""
    missing: Floats
    """(n): how much of the newest day is to come"""
    far: Floats
    """(n): the chance of a day that is not like the one it is compared with"""
    fars: Floats
    """(n, days): the same for each day: less of the newest as far as it is to come"""
    waiting: Floats
    """(n): how much of the newest day older ones stand in for"""
    weekdays: tuple[Weekday, ...]
    needed: Whole
    """(n): level that an OOM kill showed to be needed; 0: no kill"""
    killed: Whole
    """(n): the day of that kill"""

    def rows(self, which: Rows) -> "Seen":
        """Only some of the states."""
        return Seen(
            past=self.past.rows(which),
            weights=self.weights[which],
            missing=self.missing[which],
            far=self.far[which],
            fars=self.fars[which],
            waiting=self.waiting[which],
            weekdays=tuple(one.rows(which) for one in self.weekdays),
            needed=self.needed[which],
            killed=self.killed[which],
        )


def least(good: Callable[[Whole], Flags], count: int) -> Whole:
    """(count): the lowest level, of those that are told apart, which is good; what is above a good one must be good."""
    low, high = np.zeros(count, dtype=np.int64), np.full(count, TOP)
    while (low < high).any():
        middle = (low + high) // 2
        fits = good(middle * GRID)
        low, high = np.where(fits, low, np.minimum(middle + 1, high)), np.where(fits, middle, high)
    return low * GRID
