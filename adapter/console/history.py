"""Values of the last minutes, for the lines on the page: a ring of columns, one for each list. Pure.

Memory is bounded: as many series as there are cells for, 4 bytes each; whoever comes later has no line, and the page
says so.
"""

import math
from array import array
from collections.abc import Mapping
from typing import Final, NamedTuple

MOST_CELLS: Final = 2_000_000
"""8 MB."""


class Point(NamedTuple):
    """A value at a time, Unix s."""

    time: float
    value: float


class History:
    """The values of many series, all taken at the same times."""

    def __init__(self, *, length: int, cells: int = MOST_CELLS) -> None:
        """`length`: times that are remembered."""
        self.most = max(cells // length, 1)
        self.without_room = 0
        """Series of the last column that are not remembered."""
        self._times = array("d", [math.nan] * length)
        self._rows: dict[str, array[float]] = {}
        self._next = 0

    def add(self, now: float, values: Mapping[str, float | None]) -> None:
        """One more column, in place of the oldest. A series that is not in it has ended and is forgotten."""
        at = self._next % len(self._times)
        self._next += 1
        self._times[at] = now
        for key in self._rows.keys() - values.keys():
            del self._rows[key]
        self.without_room = 0
        for key, value in values.items():
            row = self._rows.get(key)
            if row is None and len(self._rows) >= self.most:
                self.without_room += 1
                continue
            if row is None:
                row = self._rows[key] = array("f", [math.nan] * len(self._times))
            row[at] = math.nan if value is None else _fitting(value)

    def of(self, key: str) -> list[Point]:
        """What is remembered of a series, oldest first; NaN where it had no value."""
        row = self._rows.get(key)
        if row is None:
            return []
        length = len(self._times)
        order = ((self._next + step) % length for step in range(length))
        return [Point(self._times[at], row[at]) for at in order if not math.isnan(self._times[at])]


def _fitting(value: float) -> float:
    """What a float of 4 bytes can hold."""
    return max(-3e38, min(3e38, value))
