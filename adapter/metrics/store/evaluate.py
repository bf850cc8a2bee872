"""PromQL over the embedded store: the shapes that metric templates have, each in slices of a few milliseconds.

What differs from Prometheus: nothing is extrapolated. `increase` is what was counted from the first to the last
sample in the window, `rate` is that over the time between the two (`docs/rates.md`); a series counts as gone after
the store's lookback, not after five minutes.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import promql_parser as ast

from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import unwrap
from adapter.metrics.sample import Sample
from adapter.metrics.slices import Slices
from adapter.metrics.source import ALWAYS, Query, Since, UnsupportedQuery
from adapter.metrics.store import rate
from adapter.metrics.store.operators import arithmetic, keep_matching_labels, operator_of
from adapter.metrics.store.ranges import LAST, RANGE_FUNCTIONS, RangeFunction
from adapter.metrics.store.ring import Floats, Ints
from adapter.metrics.store.selection import Kept, Reader, Selection, select
from adapter.metrics.store.strings import Strings
from adapter.metrics.store.supported import grouping_labels, unsupported_error
from adapter.metrics.store.vector import (
    AGGREGATIONS,
    NAME,
    SET_OPERATORS,
    Groups,
    Vector,
    aggregate,
    combine,
    concatenate,
    histogram_quantile,
    select_by,
)

SLICE_ROWS = 1024
TARGET = ("namespace", "pod", "instance")
"""Labels that tell targets apart: series of one target are scraped together, so their increments can be added up."""


def evaluate(reader: Reader, query: Query, at: float, since: Since = ALWAYS) -> Slices[list[Sample]]:
    """The instant vector of `query` at Unix time `at`, s; a scalar is one sample without labels.

    Of a pod in `since` only the samples from that time on count.
    Raises UnsupportedQuery, or SourceError where the data contradict the query.
    """
    value = yield from _Evaluation(reader, at, query.adaptive, since).of(parse(query.promql))
    if isinstance(value, float):
        return [Sample({}, value, at)]
    return (yield from _samples(value, reader.strings))


def _samples(vector: Vector, strings: Strings) -> Slices[list[Sample]]:
    samples: list[Sample] = []
    labels = list(vector.columns)
    for start in range(0, len(vector.values), SLICE_ROWS):
        part = slice(start, start + SLICE_ROWS)
        texts = [[strings.text(code) for code in vector.columns[label][part].tolist()] for label in labels]
        sets: Iterable[tuple[str, ...]] = zip(*texts, strict=True) if labels else [()] * len(vector.values[part])
        numbers = zip(*(array[part].tolist() for array in vector[1:]), strict=True)
        samples += [
            Sample({label: text for label, text in zip(labels, values, strict=True) if text}, *three)
            for values, three in zip(sets, numbers, strict=True)
        ]
        yield
    return samples


class _Evaluation:
    """One query at one time."""

    def __init__(self, reader: Reader, at: float, adaptive: bool, since: Since) -> None:
        self._reader = reader
        self._at = at
        self._adaptive = adaptive
        codes = ((reader.strings.find(space), reader.strings.find(pod), begin) for (space, pod), begin in since.items())
        self._since = {(space, pod): begin for space, pod, begin in codes}

    def of(self, node: ast.Expr, kept: Kept = None) -> Slices[Vector | float]:
        """The value of `node`; whoever asks needs no other labels than `kept`, which may come all the same."""
        if isinstance(node, ast.NumberLiteral):
            return float(node.val)
        if isinstance(node, ast.ParenExpr):
            return (yield from self.of(node.expr, kept))
        if isinstance(node, ast.VectorSelector):
            return (yield from self._instant(node, kept))
        if isinstance(node, ast.UnaryExpr):
            return arithmetic("*", -1.0, (yield from self.of(node.expr, kept)))
        if isinstance(node, ast.Call):
            return (yield from self._call(node, kept))
        if isinstance(node, ast.AggregateExpr):
            return (yield from self._aggregate(node))
        if isinstance(node, ast.BinaryExpr):
            return (yield from self._binary(node))
        raise unsupported_error(_KINDS.get(type(node).__name__, type(node).__name__))

    def _instant(self, selector: ast.VectorSelector, kept: Kept) -> Slices[Vector]:
        return (yield from self._read(selector, self._reader.lookback_s, LAST, kept))

    def _range(self, node: ast.Call, function: RangeFunction, kept: Kept) -> Slices[Vector]:
        selector, window = self._matrix(node)
        return (yield from self._read(selector, window, function, kept)).drop((NAME,))

    def _matrix(self, node: ast.Call) -> tuple[ast.VectorSelector, float]:
        matrix = unwrap(node.args[0])
        if not isinstance(matrix, ast.MatrixSelector):
            raise unsupported_error(f"{node.func.name} of a subquery")
        window = matrix.range.total_seconds()
        if window > self._reader.retention_s:
            raise UnsupportedQuery(
                f"the window of {window:g} s is longer than the {self._reader.retention_s:g} s of samples that the"
                " embedded store keeps; take a shorter window or a longer retention"
            )
        return matrix.vector_selector, window

    def _read(self, selector: ast.VectorSelector, window: float, function: RangeFunction, kept: Kept) -> Slices[Vector]:
        parts = []
        for selection in (yield from select(self._reader, selector, _with_target(kept))):
            for start in range(0, len(selection.rows), SLICE_ROWS):
                index = np.arange(start, min(start + SLICE_ROWS, len(selection.rows)))
                parts.append(self._read_slice(selection.take(index).living(), window, function))
                yield
        return concatenate(parts)

    def _begins(self, columns: Mapping[str, Ints]) -> Floats | None:
        """Per row the time from which on its samples count; None where all do."""
        if not self._since or "pod" not in columns or "namespace" not in columns:
            return None
        pairs = zip(columns["namespace"].tolist(), columns["pod"].tolist(), strict=True)
        return np.array([self._since.get(pair, -np.inf) for pair in pairs])

    def _read_slice(self, selection: Selection, window: float, function: RangeFunction) -> Vector:
        read = selection.family.newest_of if function is LAST else selection.family.tail
        times, values = read(selection.rows, self._at - window, self._at)
        if (begins := self._begins(selection.columns)) is not None:
            before = times < begins[:, None]
            times[before], values[before] = np.nan, np.nan
        with np.errstate(all="ignore"):
            result = function(times, values)
        fresh = result.present & (times[:, -1] > self._at - self._reader.lookback_s)
        whole = Vector(selection.columns, result.values, times[:, -1], result.windows)
        return whole if fresh.all() else whole.take(np.flatnonzero(fresh))

    def _call(self, node: ast.Call, kept: Kept) -> Slices[Vector | float]:
        name = node.func.name
        if name in RANGE_FUNCTIONS:
            return (yield from self._range(node, RANGE_FUNCTIONS[name], kept))
        if name == "timestamp":
            if not isinstance(selector := unwrap(node.args[0]), ast.VectorSelector):
                raise unsupported_error("timestamp of anything but a plain selector")
            vector = yield from self._instant(selector, kept)
            return vector.with_values(vector.times).drop((NAME,))
        if name == "histogram_quantile":
            return (yield from self._histogram_quantile(node))
        raise unsupported_error(f"the function {name}")

    def _histogram_quantile(self, node: ast.Call) -> Slices[Vector]:
        q, buckets = (yield from self.of(node.args[0])), (yield from self.of(node.args[1]))
        if not isinstance(q, float) or not isinstance(buckets, Vector):
            raise unsupported_error("histogram_quantile with anything but a number and a vector")
        text = self._reader.strings.text
        known, inverse = np.unique(buckets.columns.get("le", np.zeros(len(buckets.values))), return_inverse=True)
        bounds = np.array([_parse_bound(text(code)) for code in known.tolist()], dtype=float)[inverse]
        yield
        return histogram_quantile(q, buckets, bounds)

    def _aggregate(self, node: ast.AggregateExpr) -> Slices[Vector]:
        operation = str(node.op)
        if operation not in AGGREGATIONS:
            raise unsupported_error(f"the aggregation {operation}")
        inner = unwrap(node.expr)
        if self._adaptive and operation == "sum" and isinstance(inner, ast.Call) and inner.func.name == "rate":
            vector: Vector | float = yield from self._adaptive_rate(inner, node.modifier)
        else:
            vector = yield from self.of(inner, _labels_needed(node.modifier))
        if isinstance(vector, float):
            raise unsupported_error(f"{operation} of a number")
        kept = _regroup(vector, node.modifier)
        yield
        return aggregate(kept, operation)

    def _adaptive_rate(self, node: ast.Call, modifier: ast.AggModifier | None) -> Slices[Vector]:
        """One element for each group and target: the change-point rate of the target's summed counters."""
        selector, window = self._matrix(node)
        parts = []
        for selection in (yield from select(self._reader, selector, _with_target(_labels_needed(modifier)))):
            kept = set(grouping_labels(selection.columns, modifier))
            keys = {label: codes for label, codes in selection.columns.items() if label in kept or label in TARGET}
            groups = Groups(keys, len(selection.rows))
            yield
            for index, starts in groups.slices(SLICE_ROWS):
                parts.append(self._adaptive_slice(selection.take(index), starts, window))
                yield
        return concatenate(parts)

    def _adaptive_slice(self, selection: Selection, starts: Ints, window: float) -> Vector:
        times, values = selection.family.tail(selection.rows, self._at - self._reader.retention_s, self._at)
        gone = selection.family.serial[selection.rows] != selection.serials
        unknown = gone[:, None] | ~np.isfinite(values)  # a counter that says NaN has not stood still
        times[unknown], values[unknown] = np.nan, np.nan
        counts, durations, newest = rate.sum_increments(times, values, starts)
        columns = {label: codes[starts] for label, codes in selection.columns.items()}
        begins = self._begins(columns)
        reach = None if begins is None else newest - begins
        rates, windows = rate.adaptive_rate(counts, durations, window, reach_s=reach)
        fresh = (windows > 0) & (newest > self._at - self._reader.lookback_s)
        return Vector(columns, rates, newest, windows).take(np.flatnonzero(fresh))

    def _binary(self, node: ast.BinaryExpr) -> Slices[Vector | float]:
        operator, matching = operator_of(node), node.modifier and node.modifier.matching
        left, right = (yield from self.of(node.lhs)), (yield from self.of(node.rhs))
        if not isinstance(left, Vector) or not isinstance(right, Vector):
            if operator in SET_OPERATORS:
                raise unsupported_error(f"'{operator}' of a number")
            return arithmetic(operator, left, right)
        keys = keep_matching_labels(left, matching), keep_matching_labels(right, matching)
        yield
        if operator in SET_OPERATORS:
            return select_by(left, right, keys, operator)
        return combine(*keys, operator)


_KINDS = {"SubqueryExpr": "subqueries", "StringLiteral": "strings", "MatrixSelector": "a bare range ([…])"}


def _parse_bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _with_target(kept: Kept) -> Kept:
    return None if kept is None else kept.union(TARGET)


def _labels_needed(modifier: ast.AggModifier | None) -> Kept:
    """The labels that an aggregation needs of what it aggregates."""
    if modifier is None:
        return frozenset()
    return frozenset(modifier.labels) if modifier.type == ast.AggModifierType.By else None


def _regroup(vector: Vector, modifier: ast.AggModifier | None) -> Vector:
    return vector.keep(grouping_labels(vector.columns, modifier))
