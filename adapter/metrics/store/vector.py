"""Instant vectors as columns: labels are numbers (see `family.Strings`), so groups are found by sorting."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adapter.metrics.source import RefusedQuery
from adapter.metrics.store.ring import Floats, Ints

NAME = "__name__"


class Vector(NamedTuple):
    """The elements of an instant vector; all arrays have one entry per element."""

    columns: Mapping[str, Ints]
    """Label -> code of its value; 0 where an element lacks it."""
    values: Floats
    times: Floats
    """Unix time of the newest sample behind each value, s."""
    windows: Floats
    """s over which a rate was taken, 0 otherwise."""

    def take(self, index: Ints) -> "Vector":
        columns = {label: codes[index] for label, codes in self.columns.items()}
        return Vector(columns, self.values[index], self.times[index], self.windows[index])

    def keep(self, labels: Collection[str]) -> "Vector":
        """With these labels only."""
        return self._replace(columns={label: codes for label, codes in self.columns.items() if label in labels})

    def drop(self, labels: Collection[str]) -> "Vector":
        """Without these labels."""
        return self._replace(columns={label: codes for label, codes in self.columns.items() if label not in labels})

    def with_values(self, values: Floats) -> "Vector":
        return self._replace(values=values)


EMPTY = Vector({}, np.zeros(0), np.zeros(0), np.zeros(0))


def concatenate(parts: Sequence[Vector]) -> Vector:
    """One vector of several; a label that a part lacks is absent from its elements."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return EMPTY
    labels = dict.fromkeys(label for part in parts for label in part.columns)
    nothing = [np.zeros(len(part.values), dtype=np.int64) for part in parts]
    columns = {
        label: np.concatenate([part.columns.get(label, zeros) for part, zeros in zip(parts, nothing, strict=True)])
        for label in labels
    }
    values, times, windows = (np.concatenate([part[field] for part in parts]) for field in (1, 2, 3))
    return Vector(columns, values, times, windows)


def group_ids(columns: Mapping[str, Ints], size: int) -> Ints:
    """A number for each of `size` elements, the same where all columns are: the codes as digits of one number."""
    ids = np.zeros(size, dtype=np.int64)
    bound = 1
    for codes in columns.values():
        base = int(codes.max(initial=0)) + 1
        if bound * base > 2**62:
            distinct, ids = np.unique(ids, return_inverse=True)
            bound = len(distinct)
        ids = ids * base + codes
        bound *= base
    return ids


class Groups:
    """The elements of a vector in groups of equal labels: `order` sorts them, `starts` says where each group begins."""

    def __init__(self, columns: Mapping[str, Ints], size: int) -> None:
        ids = group_ids(columns, size)
        self.order: Ints = np.argsort(ids, kind="stable")
        ordered = ids[self.order]
        self.starts: Ints = np.flatnonzero(np.diff(ordered, prepend=-1))
        self.firsts: Ints = self.order[self.starts]
        """One element of each group, to read its labels from."""

    @np.errstate(all="ignore")
    def reduce(self, function: np.ufunc, values: Floats) -> Floats:
        if not len(self.starts):
            return np.zeros(0)
        reduced: Floats = function.reduceat(values[self.order], self.starts)
        return reduced

    def slices(self, size: int) -> Iterator[tuple[Ints, Ints]]:
        """Parts of about `size` elements, made of whole groups: the elements, and where groups begin among them."""
        ends = np.append(self.starts[1:], len(self.order))
        first = 0
        while first < len(ends):
            begin = self.starts[first]
            last = max(first + 1, int(np.searchsorted(ends, begin + size, side="right")))
            yield self.order[begin : ends[last - 1]], self.starts[first:last] - begin
            first = last

    def __iter__(self) -> Iterator[Ints]:
        return iter(np.split(self.order, self.starts[1:]) if len(self.starts) else [])


def aggregate(vector: Vector, operation: str) -> Vector:
    """sum, avg, min, max or count over the elements with equal labels; min and max pass over NaN, as in Prometheus."""
    groups = Groups(vector.columns, len(vector.values))
    values = _AGGREGATIONS[operation](groups, vector.values)
    columns = {label: codes[groups.firsts] for label, codes in vector.columns.items()}
    newest, longest = (groups.reduce(np.maximum, array) for array in (vector.times, vector.windows))
    return Vector(columns, values, newest, longest)


def _count(groups: Groups, values: Floats) -> Floats:
    return groups.reduce(np.add, np.ones_like(values))


_AGGREGATIONS: dict[str, Callable[[Groups, Floats], Floats]] = {
    "sum": lambda groups, values: groups.reduce(np.add, values),
    "avg": lambda groups, values: groups.reduce(np.add, values) / _count(groups, values),
    "min": lambda groups, values: groups.reduce(np.fmin, values),
    "max": lambda groups, values: groups.reduce(np.fmax, values),
    "count": _count,
    "group": lambda groups, values: groups.reduce(np.maximum, np.ones_like(values)),
}
AGGREGATIONS = tuple(_AGGREGATIONS)

ARITHMETIC: dict[str, Callable[..., Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
}
"""PromQL's operators on floats; division by zero gives Inf or NaN, and % has the sign of the dividend, as in Go."""


def combine(left: Vector, right: Vector, operator: str) -> Vector:
    """The operator applied to the one pair of elements with equal labels; elements without a partner are left out.

    Both sides must have been brought to the labels that they are matched on. Raises RefusedQuery where two elements
    of one side have the same labels.
    """
    both = concatenate([left, right])
    ids = group_ids(both.columns, len(both.values))
    ours, theirs = ids[: len(left.values)], ids[len(left.values) :]
    for name, side in (("left", ours), ("right", theirs)):
        if len(np.unique(side)) != len(side):
            raise RefusedQuery(
                f"several series on the {name} side of '{operator}' have the same labels to match on;"
                " aggregate that side by those labels"
            )
    _, one, other = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    left, right = left.take(one), right.take(other)
    with np.errstate(all="ignore"):
        values = ARITHMETIC[operator](left.values, right.values)
    return Vector(left.columns, values, np.maximum(left.times, right.times), np.maximum(left.windows, right.windows))


def select_by(left: Vector, right: Vector, keys: tuple[Vector, Vector], operator: str) -> Vector:
    """PromQL's set operators: `keys` are both sides with the labels that they are matched on.

    `and` and `unless` keep the elements of the left side that have a partner, or none; `or` adds to the left side what
    of the right side has no partner there.
    """
    both = concatenate([side.drop((NAME,)) for side in keys])
    ids = group_ids(both.columns, len(both.values))
    ours, theirs = ids[: len(left.values)], ids[len(left.values) :]
    if operator == "or":
        return concatenate([left, right.take(np.flatnonzero(~np.isin(theirs, ours)))])
    return left.take(np.flatnonzero(np.isin(ours, theirs, invert=operator == "unless")))


SET_OPERATORS = ("and", "or", "unless")


def histogram_quantile(q: float, vector: Vector, bounds: Floats) -> Vector:
    """Prometheus' histogram_quantile over classic buckets: `bounds` is each element's `le`, NaN where it is none."""
    vector = vector.take(np.flatnonzero(~np.isnan(bounds)))
    bounds = bounds[~np.isnan(bounds)]
    groups = Groups(vector.drop({"le", NAME}).columns, len(vector.values))
    quantiles = np.array([bucket_quantile(q, bounds[rows], vector.values[rows]) for rows in groups], dtype=float)
    newest, longest = (groups.reduce(np.maximum, array) for array in (vector.times, vector.windows))
    return Vector(vector.drop({"le", NAME}).take(groups.firsts).columns, quantiles, newest, longest)


@np.errstate(all="ignore")
def bucket_quantile(q: float, bounds: Floats, counts: Floats) -> float:
    """The q-quantile of one histogram, by linear interpolation inside a bucket (Prometheus' promql/quantile.go).

    `counts` are cumulative; buckets of one bound are added up, and falling counts are levelled to their predecessor.
    NaN without a +Inf bucket, with less than two buckets, or without observations.
    """
    if np.isnan(q):
        return np.nan
    if q < 0 or q > 1:
        return float(np.copysign(np.inf, q))
    uppers, inverse = np.unique(bounds, return_inverse=True)
    levels = np.maximum.accumulate(np.bincount(inverse, weights=counts))
    if len(uppers) < 2 or not np.isposinf(uppers[-1]) or not levels[-1] > 0:
        return np.nan
    rank = q * levels[-1]
    bucket = int(np.searchsorted(levels[:-1], rank))
    if bucket == len(uppers) - 1:
        return float(uppers[-2])
    if bucket == 0 and uppers[0] <= 0:
        return float(uppers[0])
    below = levels[bucket - 1] if bucket else 0.0
    lower = uppers[bucket - 1] if bucket else 0.0
    width = uppers[bucket] - lower
    inside = levels[bucket] - below
    return float(lower + width * (rank - below) / inside) if inside > 0 else float(lower)
