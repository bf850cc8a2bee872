"""Rows of weights of which each keeps only the range of buckets that it has touched."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Floats, Indices, Rows

UNIT: Final = 8
"""Buckets per unit of allocation (one cache line of float64)."""
SPARE: Final = 32
"""One in so many units may be empty: room to grow into, or left by rows that have moved."""
LEAST_SPARE: Final = 64
LIGHT: Final = 0.5e-4
"""Of a row's heaviest: what is lighter at either end goes first; VPA's checkpoints leave it out too."""
CHUNK: Final = 4096


class Arena:
    """A ragged matrix: a row holds weights of `count` buckets, but stores only the units of 8 that it touched.

    A row is `span[r]` consecutive units of one growing array, the first of them covers columns from `low[r]` × 8 on.
    A container's usage touches some 10 to 40 of 176 buckets, so a row takes a fifth of a full one.

    Weights are float64 and a column is a bucket, whatever comes: VPA's numbers need every bit. Given `most`, weights
    are float32, and no row spans more units than that: one that would lets the light ends go, and if that is not
    enough each of its columns becomes 2, then 4 … buckets (`scale[r]` is how often it was doubled).
    """

    def __init__(self, count: int, most: int | None = None) -> None:
        self._count, self._most = count, most
        self.dtype: Final = np.dtype(np.float64 if most is None else np.float32)
        self._units: NDArray[np.floating] = np.zeros((0, UNIT), dtype=self.dtype)
        self._used, self._holes = 0, 0
        self._limit = -(-count // UNIT)
        self.at: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        """The first unit of each row, 0 where it has none."""
        self.low: NDArray[np.int8] = np.zeros(0, dtype=np.int8)
        self.span: NDArray[np.int8] = np.zeros(0, dtype=np.int8)
        self.scale: NDArray[np.int8] = np.zeros(0, dtype=np.int8)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in (self._units, self.at, self.low, self.span, self.scale))

    @property
    def flat(self) -> "NDArray[np.floating]":
        """All weights in one dimension: see `position`."""
        return self._units.reshape(-1)

    def extend(self, rows: int) -> None:
        """Adds `rows` empty rows at the end."""
        self.at = np.append(self.at, np.zeros(rows, dtype=np.int32))
        empty = np.zeros(rows, dtype=np.int8)
        self.low, self.span, self.scale = (np.append(each, empty) for each in (self.low, self.span, self.scale))

    def clear(self, rows: Rows) -> None:
        """Makes `rows` (unique) empty and their units free."""
        self._holes += int(self.span[rows].sum(dtype=np.int64))
        self.at[rows], self.low[rows], self.span[rows], self.scale[rows] = 0, 0, 0, 0
        self._tidy()

    def copy(self, rows: Rows) -> "Arena":
        """The rows (unique) as an arena of their own, in that order."""
        other = Arena(self._count, self._most)
        other.low, other.span, other.scale = self.low[rows], self.span[rows], self.scale[rows]
        other.at = other._allocate(other.span)
        for span, members in self._by_span(rows):
            other._units[other._unit_indices(members, span)] = self._units[self._unit_indices(rows[members], span)]
        return other

    def position(self, rows: Rows, buckets: Indices) -> NDArray[np.int64]:
        """Where in `flat` the weight of each (row, bucket) lies; the rows must cover the buckets."""
        offset = (buckets >> self.scale[rows]) - self.low[rows].astype(np.int64) * UNIT
        return self.at[rows].astype(np.int64) * UNIT + offset

    def cover(self, rows: Rows, buckets: Indices) -> Rows:
        """Widens rows so that they can hold `buckets`; a row may occur more than once.

        Returns the rows that would have become too wide, so that what they held is elsewhere now.
        """
        unit = ((buckets >> self.scale[rows]) // UNIT).astype(np.int8)
        outside = (unit < self.low[rows]) | (unit >= self.low[rows] + self.span[rows])
        if not outside.any():
            return np.zeros(0, dtype=np.int64)
        wanted, inverse = np.unique(rows[outside], return_inverse=True)
        low = np.where(self.span[wanted] > 0, self.low[wanted], self._limit).astype(np.int8)
        high = np.where(self.span[wanted] > 0, self.low[wanted] + self.span[wanted], 0).astype(np.int8)
        np.minimum.at(low, inverse, unit[outside])
        np.maximum.at(high, inverse, unit[outside] + np.int8(1))
        wide = high - low > (self._limit if self._most is None else self._most)
        self._move(wanted[~wide], low[~wide], (high - low)[~wide])
        if not wide.any():
            return wanted[wide]
        first, last = np.full(len(wanted), self._count), np.full(len(wanted), -1)
        np.minimum.at(first, inverse, buckets[outside])
        np.maximum.at(last, inverse, buckets[outside])
        for row, least, largest in zip(wanted[wide].tolist(), first[wide], last[wide], strict=True):
            self._squeeze(row, int(least), int(largest))
        return wanted[wide]

    def groups(self, rows: Rows) -> list[tuple[Rows, NDArray[np.int64], Floats]]:
        """The given rows (unique) by width: positions in `rows`, first columns (n), a copy of the weights (n, width).

        At most 4,096 rows at once, so that what is computed on them stays in the cache. Empty rows are left out.
        """
        groups = []
        for span, members in self._by_span(rows):
            for start in range(0, len(members), CHUNK):
                part = members[start : start + CHUNK]
                groups.append((part, self.low[rows[part]].astype(np.int64) * UNIT, self._read(rows[part], span)))
        return groups

    def write(self, rows: Rows, weights: Floats) -> None:
        """Replaces whole rows of one width: (n, width) as `groups` gave them."""
        span = weights.shape[1] // UNIT
        self._units[self._unit_indices(rows, span)] = weights.reshape(len(rows), span, UNIT)

    def _read(self, rows: Rows, span: int) -> Floats:
        weights = self._units[self._unit_indices(rows, span)].reshape(len(rows), span * UNIT)
        return weights.astype(np.float64, copy=False)

    def _unit_indices(self, rows: Rows, span: int) -> NDArray[np.int64]:
        return self.at[rows].astype(np.int64)[:, None] + np.arange(span)

    def _by_span(self, rows: Rows) -> list[tuple[int, Rows]]:
        """Positions in `rows` by span; empty rows are left out."""
        spans = self.span[rows]
        return [(int(span), np.flatnonzero(spans == span)) for span in np.unique(spans[spans > 0])]

    def _move(self, rows: Rows, low: NDArray[np.int8], span: NDArray[np.int8]) -> None:
        """Gives each row (unique) `span` units from unit `low` on, its weights copied."""
        fresh = self._allocate(span)
        for old, members in self._by_span(rows):
            shift = (self.low[rows[members]] - low[members]).astype(np.int64)
            target = fresh[members] + shift
            self._units[target[:, None] + np.arange(old)] = self._units[self._unit_indices(rows[members], old)]
            self._holes += old * len(members)
        self.at[rows], self.low[rows], self.span[rows] = fresh, low, span
        self._tidy()

    def _squeeze(self, row: int, first: int, last: int) -> None:
        """Makes room for the buckets `first` to `last` in a row that would be too wide with all that it has."""
        scale, start = int(self.scale[row]), int(self.low[row]) * UNIT
        weights = self._read(np.array([row]), int(self.span[row]))[0]
        heavy = start + np.flatnonzero(weights > LIGHT * weights.max(initial=0.0))
        if len(heavy):
            first, last = min(first, int(heavy[0]) << scale), max(last, int(heavy[-1]) << scale)
        new = scale
        while (last >> new) // UNIT - (first >> new) // UNIT >= (self._most or self._limit):
            new += 1
        low, high = (first >> new) // UNIT, (last >> new) // UNIT + 1
        columns = np.arange(start, start + len(weights)) >> (new - scale)
        columns = np.clip(columns - low * UNIT, 0, (high - low) * UNIT - 1)
        kept: Floats = np.bincount(columns, weights, (high - low) * UNIT).astype(np.float64, copy=False)
        self.clear(np.array([row]))
        self._move(np.array([row]), np.array([low], dtype=np.int8), np.array([high - low], dtype=np.int8))
        self.scale[row] = new
        self.write(np.array([row]), kept[None, :])

    def _allocate(self, spans: NDArray[np.int8]) -> NDArray[np.int32]:
        """The first unit of zeroed space for each span, at the end of the arena."""
        ends = self._used + np.cumsum(spans, dtype=np.int64)
        used = int(ends[-1]) if len(ends) else self._used
        self._reserve(used)
        self._units[self._used : used] = 0.0
        self._used = used
        return (ends - spans).astype(np.int32)

    def _reserve(self, used: int) -> None:
        if used > len(self._units):
            self._resize(max(used, len(self._units) + len(self._units) // SPARE))

    def _resize(self, units: int) -> None:
        # In place where the allocator can: a copy would double the peak of a large recommender.
        self._units.resize((units, UNIT), refcheck=False)

    def _tidy(self) -> None:
        """Moves all rows together where too much was left empty by those that have moved or gone."""
        if self._holes <= max(LEAST_SPARE, (self._used - self._holes) // SPARE):
            return
        rows = np.flatnonzero(self.span)
        rows = rows[np.argsort(self.at[rows])]
        # From left to right: what is overwritten has been read by then.
        used = 0
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            spans, source = self.span[part].astype(np.int64), self.at[part].astype(np.int64)
            ends = used + np.cumsum(spans)
            moved = np.repeat(source - (ends - spans), spans) + np.arange(used, ends[-1])
            self._units[used : ends[-1]] = self._units[moved]
            self.at[part], used = ends - spans, int(ends[-1])
        self._used, self._holes = used, 0
        if len(self._units) > used + max(LEAST_SPARE, used // SPARE):
            self._resize(used + used // SPARE)
