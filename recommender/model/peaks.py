"""Daily memory peaks of the last four weeks, a ring per state: what the default policy decides from."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.histogram import NEVER

DAY: Final = 86400.0
DAYS: Final = 28
"""Days that are kept: four weeks, so that every weekday is there four times."""


class Peaks:
    """Of each state the largest memory of each of the last 28 days; a state's days begin with its first sample.

    Takes 144 bytes a state. Amounts are float32 rounded up: at most 0.000012 % too large.
    """

    def __init__(self) -> None:
        self.ring: NDArray[np.float32] = np.zeros((0, DAYS), dtype=np.float32)
        """bytes; 0 where that day had no sample; day d is in column d % 28"""
        self.anchor: Floats = np.zeros(0)
        """Unix time, s, at which day 0 began"""
        self.day: Amounts = np.zeros(0, dtype=np.int64)
        """the newest day that is in the ring"""
        self.oom: Amounts = np.zeros(0, dtype=np.int64)
        """bytes: the largest need after an OOM kill that is still remembered"""
        self.oom_time: Floats = np.zeros(0)
        self.changed: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        """Whether the ring has changed since whoever watches it last cleared this."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(
            column.nbytes for column in (self.ring, self.anchor, self.day, self.oom, self.oom_time, self.changed)
        )

    def extend(self, rows: int) -> None:
        """Adds `rows` empty states at the end."""
        self.ring = np.append(self.ring, np.zeros((rows, DAYS), dtype=np.float32), axis=0)
        self.anchor = np.append(self.anchor, np.full(rows, NEVER))
        self.day = np.append(self.day, np.zeros(rows, dtype=np.int64))
        self.oom = np.append(self.oom, np.zeros(rows, dtype=np.int64))
        self.oom_time = np.append(self.oom_time, np.full(rows, NEVER))
        self.changed = np.append(self.changed, np.ones(rows, dtype=np.bool_))

    def clear(self, rows: Rows) -> None:
        """Forgets rows."""
        self.ring[rows], self.day[rows], self.oom[rows] = 0.0, 0, 0
        self.anchor[rows], self.oom_time[rows], self.changed[rows] = NEVER, NEVER, True

    def add(self, rows: Rows, amounts: Amounts, times: Floats) -> None:
        """Takes memory samples in; those older than four weeks are dropped. A row may occur more than once."""
        self._anchor(rows, times)
        day = np.floor((times - self.anchor[rows]) / DAY).astype(np.int64)
        self.roll(rows, day)
        kept = (day > self.day[rows] - DAYS) & (day >= 0)
        rows, column = rows[kept], day[kept] % DAYS
        rounded = np.nextafter(amounts[kept].astype(np.float32), np.float32(np.inf))
        raised = rounded > self.ring[rows, column]
        np.maximum.at(self.ring, (rows[raised], column[raised]), rounded[raised])
        self.changed[rows[raised]] = True

    def add_oom(self, rows: Rows, needed: Amounts, times: Floats, memory: float) -> None:
        """Takes OOM kills in: what each would have needed; a larger need within `memory` seconds is not forgotten."""
        stale = self.oom_time[rows] < times - memory
        self.oom[rows] = np.where(stale, needed, np.maximum(needed, self.oom[rows]))
        self.oom_time[rows] = np.maximum(self.oom_time[rows], times)

    def roll(self, rows: Rows, day: Amounts) -> None:
        """Moves the rings on to `day` where that is newer; the days in between had no samples."""
        newer = day > self.day[rows]
        if not newer.any():
            return
        moved, index = np.unique(rows[newer], return_inverse=True)
        target = np.zeros(len(moved), dtype=np.int64)
        np.maximum.at(target, index, day[newer])
        gap = np.minimum(target - self.day[moved], DAYS)
        for step in range(int(gap.max())):
            passed = gap > step
            self.ring[moved[passed], (target[passed] - step) % DAYS] = 0.0
        self.day[moved] = target
        self.changed[moved] = True

    def recent(self, rows: Rows, days: int) -> NDArray[np.float32]:
        """The last `days` peaks, newest first: (n, days); 0 where a day had no sample."""
        columns = (self.day[rows][:, None] - np.arange(days)) % DAYS
        return np.take_along_axis(self.ring[rows], columns, axis=1)

    def elapsed(self, rows: Rows, now: float) -> Floats:
        """How much of each state's newest day is over at Unix time `now`, s: 0 to 1."""
        passed: Floats = np.clip((now - self.anchor[rows]) / DAY - self.day[rows], 0.0, 1.0)
        return passed

    def _anchor(self, rows: Rows, times: Floats) -> None:
        unset = self.anchor[rows] == NEVER
        if unset.any():
            fresh = rows[unset]
            self.anchor[fresh] = np.inf
            np.minimum.at(self.anchor, fresh, times[unset])
