"""Columns of equal length with rows that are taken and released."""

from typing import Any, Final

import numpy as np

from recommender.model.buckets import Rows

SPARE: Final = 32
"""One in so many rows may be empty: room to grow into."""


class Table:
    """Named numpy columns; subclasses declare them. A released row is handed out again, reset to the defaults."""

    def __init__(self, **defaults: float | int) -> None:
        """Columns by name with their defaults: a float makes a float64 column, an int an int64 column."""
        self._defaults = defaults
        self._columns = tuple(defaults)
        for name, default in defaults.items():
            setattr(self, name, np.zeros(0, dtype=np.float64 if isinstance(default, float) else np.int64))
        self._capacity = 0
        self._used = 0
        self._free: list[int] = []

    def __len__(self) -> int:
        """Rows in use."""
        return self._used - len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(self._column(name).nbytes for name in self._columns)

    def rows(self) -> Rows:
        """All rows in use."""
        used = np.ones(self._used, dtype=np.bool_)
        used[self._free] = False
        return np.flatnonzero(used)

    def take(self, count: int) -> Rows:
        """`count` rows with default values, those released before first."""
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = count - len(reused)
        if self._used + fresh > self._capacity:
            self.grow(max(self._used + fresh - self._capacity, self._capacity // SPARE))
        rows = np.array([*reused, *range(self._used, self._used + fresh)], dtype=np.int64)
        self._used += fresh
        return rows

    def grow(self, rows: int) -> None:
        """Room for `rows` more, with default values."""
        for name in self._columns:
            column = self._column(name)
            setattr(self, name, np.append(column, np.full(rows, self._defaults[name], dtype=column.dtype)))
        self._capacity += rows

    def release(self, rows: Rows) -> None:
        """Gives rows (unique) back."""
        for name in self._columns:
            self._column(name)[rows] = self._defaults[name]
        self._free.extend(rows.tolist())

    def _column(self, name: str) -> "np.ndarray[Any, Any]":
        column: np.ndarray[Any, Any] = getattr(self, name)
        return column
