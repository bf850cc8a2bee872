"""Rows of weights of which each keeps only the range of buckets that it has touched."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Floats, Indices, Rows

UNIT = 8
"""Buckets per unit of allocation (one cache line of float64)."""


class Arena:
    """A ragged matrix: a row holds float64 weights of `count` buckets, but stores only the units of 8 that it touched.

    A row is `span[r]` consecutive units of one growing array, the first of them covers buckets from `low[r]` × 8 on.
    A container's usage touches some 10 to 40 of 176 buckets, so a row takes a fifth of a full one.
    """

    def __init__(self, count: int) -> None:
        self._units: Floats = np.zeros((0, UNIT))
        self._used = 0
        self._free: dict[int, list[NDArray[np.int64]]] = defaultdict(list)
        self._limit = -(-count // UNIT)
        self.at: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        """The first unit of each row, 0 where it has none."""
        self.low: NDArray[np.int8] = np.zeros(0, dtype=np.int8)
        self.span: NDArray[np.int8] = np.zeros(0, dtype=np.int8)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._units.nbytes + self.at.nbytes + self.low.nbytes + self.span.nbytes

    @property
    def flat(self) -> Floats:
        """All weights in one dimension: see `position`."""
        return self._units.reshape(-1)

    def extend(self, rows: int) -> None:
        """Adds `rows` empty rows at the end."""
        self.at = np.append(self.at, np.zeros(rows, dtype=np.int32))
        self.low = np.append(self.low, np.zeros(rows, dtype=np.int8))
        self.span = np.append(self.span, np.zeros(rows, dtype=np.int8))

    def clear(self, rows: Rows) -> None:
        """Makes `rows` (unique) empty and their units free."""
        for span, members in self._by_span(rows):
            self._free[span].append(self.at[members].astype(np.int64))
        self.at[rows], self.low[rows], self.span[rows] = 0, 0, 0

    def position(self, rows: Rows, buckets: Indices) -> NDArray[np.int64]:
        """Where in `flat` the weight of each (row, bucket) lies; the rows must cover the buckets."""
        offset = buckets - self.low[rows].astype(np.int64) * UNIT
        return self.at[rows].astype(np.int64) * UNIT + offset

    def cover(self, rows: Rows, buckets: Indices) -> None:
        """Widens rows so that they can hold `buckets`; a row may occur more than once."""
        unit = (buckets // UNIT).astype(np.int8)
        outside = (unit < self.low[rows]) | (unit >= self.low[rows] + self.span[rows])
        if not outside.any():
            return
        wanted, inverse = np.unique(rows[outside], return_inverse=True)
        low = np.where(self.span[wanted] > 0, self.low[wanted], self._limit).astype(np.int8)
        high = np.where(self.span[wanted] > 0, self.low[wanted] + self.span[wanted], 0).astype(np.int8)
        np.minimum.at(low, inverse, unit[outside])
        np.maximum.at(high, inverse, unit[outside] + np.int8(1))
        self._move(wanted, low, high - low)

    def groups(self, rows: Rows, chunk: int = 4096) -> list[tuple[Rows, NDArray[np.int64], Floats]]:
        """The given rows (unique) by width: positions in `rows`, first buckets (n), a copy of the weights (n, width).

        At most `chunk` rows at once, so that what is computed on them stays in the cache. Empty rows are left out.
        """
        found = []
        for span, members in self._by_span(rows, positions=True):
            for start in range(0, len(members), chunk):
                part = members[start : start + chunk]
                found.append((part, self.low[rows[part]].astype(np.int64) * UNIT, self._read(rows[part], span)))
        return found

    def write(self, rows: Rows, weights: Floats) -> None:
        """Replaces whole rows of one width: (n, width) as `groups` gave them."""
        span = weights.shape[1] // UNIT
        self._units[self._unit_indices(rows, span)] = weights.reshape(len(rows), span, UNIT)

    def _read(self, rows: Rows, span: int) -> Floats:
        return self._units[self._unit_indices(rows, span)].reshape(len(rows), span * UNIT)

    def _unit_indices(self, rows: Rows, span: int) -> NDArray[np.int64]:
        return self.at[rows].astype(np.int64)[:, None] + np.arange(span)

    def _by_span(self, rows: Rows, positions: bool = False) -> list[tuple[int, Rows]]:
        spans = self.span[rows]
        found = []
        for span in np.unique(spans[spans > 0]):
            members = np.flatnonzero(spans == span)
            found.append((int(span), members if positions else rows[members]))
        return found

    def _move(self, rows: Rows, low: NDArray[np.int8], span: NDArray[np.int8]) -> None:
        """Gives each row (unique) `span` units from unit `low` on, its weights copied."""
        fresh = self._allocate(span)
        for old, members in self._by_span(rows, positions=True):
            shift = (self.low[rows[members]] - low[members]).astype(np.int64)
            target = fresh[members] + shift
            self._units[target[:, None] + np.arange(old)] = self._units[self._unit_indices(rows[members], old)]
            self._free[old].append(self.at[rows[members]].astype(np.int64))
        self.at[rows], self.low[rows], self.span[rows] = fresh, low, span

    def _allocate(self, spans: NDArray[np.int8]) -> NDArray[np.int64]:
        """The first unit of zeroed space for each span: freed space first, then the end of the arena."""
        at = np.zeros(len(spans), dtype=np.int64)
        for span in np.unique(spans):
            members = np.flatnonzero(spans == span)
            reused = self._reuse(int(span), len(members))
            at[members[: len(reused)]] = reused
            rest = members[len(reused) :]
            at[rest] = self._used + np.arange(len(rest)) * int(span)
            self._reserve(self._used + len(rest) * int(span))
            self._units[at[members][:, None] + np.arange(span)] = 0.0
        return at

    def _reuse(self, span: int, wanted: int) -> NDArray[np.int64]:
        free = self._free.pop(span, None)
        if not free:
            return np.zeros(0, dtype=np.int64)
        pool = np.concatenate(free)
        if len(pool) > wanted:
            self._free[span].append(pool[wanted:])
        return pool[:wanted]

    def _reserve(self, used: int) -> None:
        if used > len(self._units):
            # In place where the allocator can: a copy would double the peak of a large recommender.
            self._units.resize((max(used, len(self._units) + len(self._units) // 8), UNIT), refcheck=False)
        self._used = used
