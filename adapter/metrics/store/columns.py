"""The labels of a family's rows as numbers, in memory by the labels that there are.

Whoever makes a label of every request's number makes as many labels as series: a whole column for each would take the
square of their number. So only a label that many rows have is a column, others are kept row by row.
"""

from collections.abc import Collection, Iterator
from itertools import chain

import numpy as np

from adapter.metrics.store.ring import Ints

ABSENT = 0
"""The code of the empty text, which is the same as no label."""
THIN = 16
"""A label is a whole column where one of so many rows has it, so that a label of a row takes 128 bytes at most."""


class Columns:
    """Label -> code of each row's value. All rows are below `size`."""

    __slots__ = ("_count", "_few", "_lone", "_size", "_whole")

    def __init__(self) -> None:
        self._size = 0
        self._whole: dict[str, Ints] = {}
        self._count: dict[str, int] = {}
        """Rows that have the label, of whole columns."""
        self._few: dict[str, dict[int, int]] = {}
        self._lone: dict[str, tuple[int, int]] = {}
        """Row and code of a label that one row has: whoever makes a label, or a name, for each series makes many."""

    def __contains__(self, label: str) -> bool:
        return label in self._whole or label in self._few or label in self._lone

    def __iter__(self) -> Iterator[str]:
        return chain(self._whole, self._few, self._lone)

    @property
    def nbytes(self) -> int:
        by_rows = sum(map(len, self._few.values())) + len(self._lone)
        return sum(column.nbytes for column in self._whole.values()) + 100 * by_rows

    def grow(self, size: int) -> None:
        """There is room for `size` rows from now on."""
        more = np.zeros(size - self._size, dtype=np.int64)
        self._size = size
        for label in list(self._whole):
            if self._count[label] * THIN * 2 < size:
                column = self._whole.pop(label)
                rows = np.flatnonzero(column)
                self._few[label] = dict(zip(rows.tolist(), column[rows].tolist(), strict=True))
                del self._count[label]
            else:
                self._whole[label] = np.concatenate([self._whole[label], more])

    def put(self, label: str, row: int, code: int) -> None:
        """A row that lacks the label gets it."""
        if label in self._whole:
            self._whole[label][row] = code
            self._count[label] += 1
            return
        if label not in self._few and label not in self._lone and (self._size > THIN or self._size == 1):
            self._lone[label] = row, code
            return
        few = self._few.setdefault(label, {})
        few[row] = code
        if label in self._lone:
            first, its = self._lone.pop(label)
            few[first] = its
        if len(few) * THIN >= self._size:
            column = self._whole[label] = np.zeros(self._size, dtype=np.int64)
            column[list(few)] = list(few.values())
            self._count[label] = len(self._few.pop(label))

    def clear(self, label: str, row: int) -> None:
        """A row that has the label loses it; with its last row the label is gone."""
        if label in self._whole:
            self._whole[label][row] = ABSENT
            self._count[label] -= 1
            if not self._count[label]:
                del self._whole[label], self._count[label]
            return
        if label in self._lone:
            del self._lone[label]
            return
        few = self._few[label]
        del few[row]
        if not few:
            del self._few[label]

    def codes(self, label: str, rows: Ints) -> Ints:
        """The codes of `rows`, ABSENT where they lack the label."""
        if label in self._whole:
            return self._whole[label][rows]
        few = self._by_rows(label)
        if len(rows) < len(few):
            return np.array([few.get(row, ABSENT) for row in rows.tolist()], dtype=np.int64)
        column = np.zeros(self._size, dtype=np.int64)
        column[list(few)] = list(few.values())
        return column[rows]

    def had_by(self, rows: Ints, among: Collection[str] | None) -> list[str]:
        """The labels that some of `rows` have, in a stable order; of these `among` only, None: of all."""
        asked = self if among is None else [label for label in among if label in self]
        chosen = np.zeros(self._size, dtype=bool)
        chosen[rows] = True
        return [label for label in asked if label in self._whole or any(chosen[row] for row in self._by_rows(label))]

    def _by_rows(self, label: str) -> dict[int, int]:
        """The code of each row of a label that is no whole column."""
        if label in self._lone:
            row, code = self._lone[label]
            return {row: code}
        return self._few.get(label, {})
