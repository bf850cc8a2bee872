"""Daily memory peaks of the last four weeks, a ring per state: what the default policy decides from."""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Amounts, Floats, Rows, is_rising
from recommender.model.histogram import NEVER

DAY: Final = 86400.0
DAYS: Final = 28
"""Days that are kept: four weeks, so that every weekday is there four times."""
OOM_MEMORY: Final = 7 * DAY
"""s for which what an OOM kill showed to be needed is remembered."""
LEAST: Final = 1e6
"""bytes: the lowest level; smaller amounts count as this"""
STEP: Final = 0.0003
"""Logarithmic distance of two levels, so 0.03 %; uint16 reaches 3e14 bytes."""
FOURFOLD: Final = int(np.log(4.0) / STEP) // 64 * 64
"""How many levels one more reading can lift what counts as repeated: 4 times, less what the policy's grid asks for."""
MANY: Final = 15
"""Readings of a day that are told apart: 4 to the power of this spans all levels, so more would change nothing."""
COUNTS: Final = 16
"""Of what readings support the levels are multiples of this, which leaves room for their number."""
Levels: TypeAlias = NDArray[np.uint16]
"""Amounts of memory on a logarithmic scale; 0 is none."""


class Days(NamedTuple):
    """What is known of the days of n states at one time; newest first; level 0 where a day had no sample."""

    highest: Levels
    """(n, days): the largest reading"""
    repeated: Levels
    """(n, days): what stays of it if any one reading is taken away, to 0.5 %; 0 where there was but one"""
    readings: Levels
    """(n, days): how many there were; 15 is as many or more"""
    elapsed: Floats
    """(n): how much of the newest day is over, 0 to 1"""
    needed: Amounts
    """(n): bytes that an OOM kill which is still remembered showed to be needed; 0: none"""
    killed: Amounts
    """(n): the day of that kill, 0 is the newest"""

    @classmethod
    def of(cls, peaks: Floats, elapsed: float = 1.0) -> "Days":
        """Days whose peaks, bytes (n, days), were seen again and again; without kills."""
        highest, count = level(peaks), len(peaks)
        none = np.zeros(count, dtype=np.int64)
        readings = np.where(highest > 0, MANY, 0).astype(np.uint16)
        return cls(highest, highest, readings, np.full(count, elapsed), none, none)

    def part(self, rows: Rows | NDArray[np.bool_] | slice) -> "Days":
        """Only some of the states."""
        highest, repeated, readings = (ring[rows] for ring in (self.highest, self.repeated, self.readings))
        return Days(highest, repeated, readings, self.elapsed[rows], self.needed[rows], self.killed[rows])


def level(amounts: Floats | Amounts) -> Levels:
    """Bytes as levels, rounded down; 0 stays 0."""
    place = np.log(np.maximum(amounts, LEAST) / LEAST) / STEP + 1e-6  # what `amount` gives is its own level again
    levels: Levels = np.where(amounts > 0, np.minimum(place + 1, 65535), 0).astype(np.uint16)
    return levels


def amount(levels: NDArray[np.integer]) -> Amounts:
    """Levels as bytes, rounded up to a whole one."""
    bytes_ = np.ceil(LEAST * np.exp((levels.astype(np.float64) - 1) * STEP))
    amounts: Amounts = np.where(levels > 0, bytes_, 0).astype(np.int64)
    return amounts


class Peaks:
    """Of each state three summaries of each of the last 28 days of UTC.

    Beside the day's largest reading that is the largest one that others support: one more reading can lift it to at
    most 4 times what it was, and never above the second largest, whenever it comes: so where a lower one follows the
    first few, these hold it up to 4 times for each but two. So a lone reading of any size moves it little, and a
    level that holds is reached within some readings. The third is how many there were, up to 15. Takes 148 bytes a
    state; amounts are at most 0.03 % too small, what others support 0.5 %.
    """

    def __init__(self) -> None:
        self.ring: Levels = np.zeros((0, DAYS), dtype=np.uint16)
        """the largest; 0 where that day had no sample; day d is in column d % 28"""
        self.supported: Levels = np.zeros((0, DAYS), dtype=np.uint16)
        """the largest that is supported, a multiple of 16, and in the lowest four bits the number of readings"""
        self.first: Floats = np.zeros(0)
        """Unix time, s, of the earliest sample"""
        self.day: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        """the newest day that is in the ring, since 1970"""
        self.oom: Amounts = np.zeros(0, dtype=np.int64)
        """bytes: the largest need after an OOM kill that is still remembered"""
        self.oom_time: Floats = np.zeros(0)
        self.changed: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        """Whether the ring has changed since whoever watches it last cleared this."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        own = (self.ring, self.supported, self.first, self.day, self.oom, self.oom_time, self.changed)
        return sum(column.nbytes for column in own)

    def extend(self, rows: int) -> None:
        """Adds `rows` empty states at the end."""
        empty = np.zeros((rows, DAYS), dtype=np.uint16)
        self.ring, self.supported = np.append(self.ring, empty, axis=0), np.append(self.supported, empty, axis=0)
        self.first = np.append(self.first, np.full(rows, NEVER))
        self.day = np.append(self.day, np.zeros(rows, dtype=np.int32))
        self.oom = np.append(self.oom, np.zeros(rows, dtype=np.int64))
        self.oom_time = np.append(self.oom_time, np.full(rows, NEVER))
        self.changed = np.append(self.changed, np.ones(rows, dtype=np.bool_))

    def clear(self, rows: Rows) -> None:
        """Forgets rows."""
        self.ring[rows], self.supported[rows], self.day[rows], self.oom[rows] = 0, 0, 0, 0
        self.first[rows], self.oom_time[rows], self.changed[rows] = NEVER, NEVER, True

    def add(self, rows: Rows, amounts: Amounts, times: Floats) -> None:
        """Takes memory samples in; those older than four weeks are dropped. A row may occur more than once."""
        self._begin(rows, times)
        day = _day(times)
        self.roll(rows, day)
        kept = day > self.day[rows] - DAYS
        cells = rows[kept] * DAYS + day[kept] % DAYS
        levels = level(np.maximum(amounts[kept], 1))
        known = self.supported.reshape(-1)[cells]
        news = (levels > known) | (known % COUNTS < MANY)
        for each, read in _rounds(cells[news], levels[news]):
            self._read(each, read)

    def add_oom(self, rows: Rows, needed: Amounts, times: Floats, memory: float) -> None:
        """Takes OOM kills in: what each would have needed; a larger need within `memory` seconds is not forgotten."""
        stale = self.oom_time[rows] < times - memory
        self.oom[rows] = np.where(stale, needed, np.maximum(needed, self.oom[rows]))
        self.oom_time[rows] = np.maximum(self.oom_time[rows], times)
        self.changed[rows] = True

    def roll(self, rows: Rows, day: NDArray[np.int32]) -> None:
        """Moves the rings on to `day` where that is newer; the days in between had no samples."""
        newer = day > self.day[rows]
        if not newer.any():
            return
        moved, index = np.unique(rows[newer], return_inverse=True)
        target = np.zeros(len(moved), dtype=np.int32)
        np.maximum.at(target, index, day[newer])
        gap = np.minimum(target - self.day[moved], DAYS)
        for step in range(int(gap.max())):
            passed = gap > step
            at = moved[passed], (target[passed] - step) % DAYS
            self.ring[at], self.supported[at] = 0, 0
        self.day[moved] = target
        self.changed[moved] = True

    def newest(self, rows: Rows) -> Levels:
        """The level of each state's newest day."""
        levels: Levels = self.ring.reshape(-1)[rows * DAYS + self.day[rows] % DAYS]
        return levels

    def recent(self, rows: Rows, days: int) -> Amounts:
        """The last `days` peaks, bytes, newest first: (n, days); 0 where a day had no sample."""
        return amount(self._newest_first(self.ring, rows, days))

    def elapsed_share(self, rows: Rows, now: float) -> Floats:
        """How much of each state's newest day is over at Unix time `now`, s: 0 to 1."""
        passed: Floats = np.clip(now / DAY - self.day[rows], 0.0, 1.0)
        return passed

    def days(self, rows: Rows, now: float) -> Days:
        """All that is known of `rows` at Unix time `now`, s."""
        remembered = self.oom_time[rows] >= now - OOM_MEMORY
        age = self.day[rows] - np.floor(self.oom_time[rows] / DAY)
        supported = self._newest_first(self.supported, rows, DAYS)
        return Days(
            self._newest_first(self.ring, rows, DAYS),
            supported // COUNTS * COUNTS,
            supported % COUNTS,
            self.elapsed_share(rows, now),
            np.where(remembered, self.oom[rows], 0),
            np.where(remembered, np.clip(age, 0, DAYS - 1), 0).astype(np.int64),
        )

    def load(self, rows: Rows, day: Amounts, highest: Amounts, repeated: Amounts, readings: Amounts) -> None:
        """Fills the days of `rows` (unique), newest first, each (n, 28): bytes, and how many readings; 0 is no day."""
        cells = rows[:, None] * DAYS + (day[:, None] - np.arange(DAYS)) % DAYS
        count = np.where(highest > 0, np.clip(readings, 1, MANY), 0).astype(np.uint16)
        self.ring.reshape(-1)[cells] = level(highest)
        self.supported.reshape(-1)[cells] = level(np.minimum(repeated, highest)) // COUNTS * COUNTS + count
        self.day[rows], self.changed[rows] = day, True

    def _read(self, cells: Rows, levels: Levels) -> None:
        """One reading for each of some cells (unique) of the rings: the rule of this class."""
        ring, supported = self.ring.reshape(-1), self.supported.reshape(-1)
        highest, count = ring[cells], supported[cells] % COUNTS
        known = (supported[cells] - count).astype(np.int64)
        second = np.where(count > 0, np.minimum(levels, highest), 0)
        lifted = np.maximum(known, np.minimum(second, known + FOURFOLD))
        lowered = np.minimum(known, levels.astype(np.int64) + (count.astype(np.int64) - 1) * FOURFOLD)
        updated = np.where(levels < known, lowered, lifted)
        support = np.where(count > 1, updated, second) // COUNTS * COUNTS
        supported[cells] = support + np.minimum(count + 1, MANY)
        ring[cells] = np.maximum(highest, levels)
        # How many there were matters where the day is far above the one before; else the next look is soon enough.
        before = ring[cells // DAYS * DAYS + (cells - 1) % DAYS].astype(np.int64)
        news = (levels > highest) | (support != known) | (ring[cells] > before + FOURFOLD)
        self.changed[cells[news] // DAYS] = True

    def _newest_first(self, ring: Levels, rows: Rows, days: int) -> Levels:
        columns = (self.day[rows][:, None] - np.arange(days)) % DAYS
        return np.take_along_axis(ring[rows], columns, axis=1)

    def _begin(self, rows: Rows, times: Floats) -> None:
        first = self.first
        first[rows[first[rows] == NEVER]] = np.inf
        np.minimum.at(first, rows, times)


def _day(times: Floats) -> NDArray[np.int32]:
    return np.floor(times / DAY).astype(np.int32)


def _rounds(cells: Rows, levels: Levels) -> list[tuple[Rows, Levels]]:
    """The readings in rounds in which no cell is there twice, each cell's smallest first; only its largest count."""
    if is_rising(cells) or len(np.unique(cells)) == len(cells):
        return [(cells, levels)]
    order = np.lexsort((-levels.astype(np.int64), cells))
    cells, levels = cells[order], levels[order]
    first = np.flatnonzero(np.append(True, cells[1:] != cells[:-1]))
    rank = np.arange(len(cells)) - np.repeat(first, np.diff(np.append(first, len(cells))))
    return [(cells[rank == place], levels[rank == place]) for place in range(int(min(rank.max(), MANY)), -1, -1)]
