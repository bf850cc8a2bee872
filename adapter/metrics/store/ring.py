"""Rings: the last minutes of samples of up to some thousand series, as two arrays (time and value)."""

import math
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

FINEST_S = 0.9
"""Samples closer than this to the one before are dropped, whatever the pace: a 1 s scrape with jitter passes."""
FINER = 0.45
"""So are those closer than this part of the expected interval; a new pod's first two scrapes are half of it apart."""
ROOM = 1.25
"""Times the expected number of samples that a row has room for, so that jitter loses none."""

FIRST_SLOTS = 16
FEW_ROWS = 16
"""A ring doubles up to so many rows, and grows by half from then on: most metric names have one series, or many."""
MAX_ROWS = 4096
"""Rows of one ring: growing one copies at most this many, which holds the event loop for a few milliseconds."""


class Put(Enum):
    """What became of a sample."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    LATE = "late"
    DENSE = "dense"


class Ring:
    """Samples of at most `MAX_ROWS` series, newest last, for at least `retention_s` at one each `interval_s` or less.

    All rows have the same number of slots, which grows to what the row with the shortest interval needs (retention /
    interval), so that the ring costs 16 bytes x rows x slots. But not beyond what the expected interval needs: a row
    that is denser loses its oldest samples, or a sender of one dense series would make everybody's cost as much.
    """

    __slots__ = ("_finest", "_most", "_newest", "_slot", "retention_s", "rows", "times", "values")

    def __init__(self, retention_s: float, interval_s: float = FINEST_S) -> None:
        self.retention_s = retention_s
        self._finest = max(FINEST_S, FINER * interval_s)
        self._most = max(FIRST_SLOTS, math.ceil(ROOM * retention_s / interval_s) + 2)
        self.rows = 0
        self.times: Floats = np.full((1, FIRST_SLOTS), -np.inf)
        self.values: Floats = np.zeros((1, FIRST_SLOTS))
        self._slot: Ints = np.full(1, -1, dtype=np.int64)
        self._newest: Floats = np.full(1, -np.inf)

    @property
    def nbytes(self) -> int:
        return self.times.nbytes + self.values.nbytes + self._slot.nbytes + self._newest.nbytes

    @property
    def newest(self) -> Floats:
        """The time of each row's newest sample, Unix s; -inf where a row is empty."""
        return self._newest[: self.rows]

    def add_row(self) -> int:
        """A new, empty row's number."""
        if self.rows == len(self._slot):
            self._resize(min(MAX_ROWS, self.rows + max(min(self.rows, FEW_ROWS), self.rows // 2)), self.times.shape[1])
        self.rows += 1
        return self.rows - 1

    def clear_row(self, row: int) -> None:
        self.times[row] = -np.inf
        self._slot[row] = -1
        self._newest[row] = -np.inf

    def put(self, row: int, time: float, value: float) -> Put:
        """Append a sample.

        One older than the newest is dropped: a counter's later samples already hold what it would tell, and a gauge's
        newest value is what counts, so all that is lost is resolution.
        """
        newest = self._newest[row]
        if not time >= newest + self._finest:
            if time == newest:
                return Put.DUPLICATE
            return Put.DENSE if time > newest else Put.LATE
        slot = self._next_slot(row, time)
        self.times[row, slot] = time
        self.values[row, slot] = value
        self._slot[row] = slot
        self._newest[row] = time
        return Put.STORED

    def _next_slot(self, row: int, time: float) -> int:
        slots = self.times.shape[1]
        slot: int = (int(self._slot[row]) + 1) % slots
        oldest = float(self.times[row, slot])
        if oldest <= time - self.retention_s or slots >= self._most:
            return slot
        interval = max((time - oldest) / slots, self._finest)
        wanted = max(slots + 1, math.ceil(self.retention_s / interval) + 2)
        self._resize(len(self._slot), min(wanted, self._most))
        return int(self._slot[row]) + 1

    def _resize(self, rows: int, slots: int) -> None:
        """Lay the samples out anew, each row's oldest first."""
        old_rows, old_slots = self.times.shape
        index = (self._slot[:, None] + np.arange(1, old_slots + 1)) % old_slots
        times, values = np.full((rows, slots), -np.inf), np.zeros((rows, slots))
        times[:old_rows, :old_slots] = np.take_along_axis(self.times, index, axis=1)
        values[:old_rows, :old_slots] = np.take_along_axis(self.values, index, axis=1)
        self.times, self.values = times, values
        self._slot = np.full(rows, old_slots - 1, dtype=np.int64)
        self._newest = np.concatenate([self._newest, np.full(rows - old_rows, -np.inf)])

    def tail(self, rows: Ints, since: float, at: float) -> tuple[Floats, Floats]:
        """Times and values of the samples in (since, at]: rows x columns, the newest in the last column, else NaN."""
        slots = self.times.shape[1]
        last = self._slot[rows]
        if (self._newest[rows] > at).any():
            last = last - (self.times[rows] > at).sum(axis=1)
        columns = min(16, slots)
        while True:
            index = (last[:, None] + np.arange(1 - columns, 1)) % slots
            times = self.times[rows[:, None], index]
            if columns == slots or not (times[:, 0] > since).any():
                break
            columns = min(2 * columns, slots)
        outside = ~((times > since) & (times <= at))
        values = self.values[rows[:, None], index]
        times[outside] = np.nan
        values[outside] = np.nan
        return times, values
