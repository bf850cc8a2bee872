"""What a selector finds in the store: rows of families as they were, with the labels that somebody asks for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import promql_parser as ast

from adapter.metrics.matching import Matching
from adapter.metrics.slices import Slices
from adapter.metrics.source import RefusedQuery
from adapter.metrics.store.family import Family
from adapter.metrics.store.ring import Ints
from adapter.metrics.store.strings import Strings
from adapter.metrics.store.supported import matchings

CELLS = 2**22
"""Labels of rows that a query may look at, all the labels that any of its series has counted for each: 32 MiB."""
SLICE_CELLS = 2**18
"""Of these, read in one slice."""

Kept: TypeAlias = frozenset[str] | None
"""Names of labels; None: all."""


class Reader(Protocol):
    """What the evaluation needs of a store."""

    lookback_s: float
    retention_s: float
    strings: Strings

    def select(self, matchings: Sequence[Matching]) -> Iterable[tuple[Family, Ints] | None]:
        """The families and rows that match, None where others may run."""
        ...


class Selection(NamedTuple):
    """Rows of a family as they were when the query began."""

    family: Family
    rows: Ints
    serials: Ints
    columns: Mapping[str, Ints]

    def take(self, index: Ints) -> "Selection":
        columns = {label: codes[index] for label, codes in self.columns.items()}
        return Selection(self.family, self.rows[index], self.serials[index], columns)

    def living(self) -> "Selection":
        """Without the rows that were given up since."""
        alive = self.family.serial[self.rows] == self.serials
        return self if alive.all() else self.take(np.flatnonzero(alive))


def select(reader: Reader, selector: ast.VectorSelector, kept: Kept) -> Slices[list[Selection]]:
    """The families and rows that match, with `kept` of their labels. Raises RefusedQuery, UnsupportedQuery."""
    selections, labels, size = [], set[str](), 0
    for selected in reader.select((yield from matchings(selector))):
        if selected is None:
            yield
            continue
        family, rows = selected
        serials, columns = family.serial[rows], dict[str, Ints]()
        had = family.columns.had_by(rows, kept)
        labels.update(had)
        size += len(rows)
        if len(labels) * size > CELLS:
            raise RefusedQuery(
                f"{size} series with {len(labels)} names of labels are too much for one query of the embedded"
                f" store, at most {CELLS} labels in all; aggregate them by few labels"
            )
        for number, label in enumerate(had, 1):
            columns[label] = family.columns.codes(label, rows)
            if number % max(SLICE_CELLS // len(rows), 1) == 0:
                yield
        selections.append(Selection(family, rows, serials, columns))
        yield
    return selections
