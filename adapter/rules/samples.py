"""What can be asked about the samples behind a query: how old they are, and whether they fill its windows."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import promql_parser as ast

from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import children, is_without, matchers, selectors
from adapter.metrics.promql.write import Writer, label, span


def timestamp_query(promql: str, by: Sequence[str] | None = None) -> str | None:
    """The query for the age of what `promql` reads: the time of the newest sample of one of its selectors.

    The selector is the first of those with matchers for the most of the labels `by`, which default to the labels of the
    first aggregation; for `a or b` one of each side. None where no selector has any, or it reads at a fixed time (`@`).
    An `offset` stays: the age is the sample's own. Raises PromQLError for a query that cannot be read.
    """
    expression = parse(promql)
    grouping = list(by) if by is not None else _first_grouping(expression)
    chosen = [_telling(side, grouping) for side in _alternatives(expression)]
    read = dict.fromkeys(f"timestamp({Writer().write(selector)})" for selector in chosen if selector is not None)
    if not read:
        return None
    return f"max by ({', '.join(map(label, grouping))}) ({' or '.join(read)})"


class Coverage(NamedTuple):
    """Tells whether the windows that a query reads are full."""

    promql: str
    """0 or more for whom they are, by the object's labels; less, or nothing, for the others."""
    window: float
    """The longest of them, s."""


def coverage_query(promql: str, by: Sequence[str]) -> Coverage | None:
    """Whether the windows of the rates in `promql` have as many samples in their older half as in their newer one.

    Prometheus divides by the whole window, however little of it has samples (promql/functions.go, extrapolatedRate
    reaches half a sample interval further at most): after an outage, or the loss of its data, a rate is too low until
    its window is full. Per object the shortest-known series counts, without labels `by` the longest-known. None where
    there is no rate that tells the labels apart. Raises PromQLError for a query that cannot be read.
    """
    chosen = [window for side in _alternatives(parse(promql)) if (window := _telling_window(side, by)) is not None]
    counts = dict.fromkeys(map(_older_half, chosen))
    if not counts:
        return None
    how = f"min by ({', '.join(map(label, by))})" if by else "max"
    return Coverage(f"{how} ({' or '.join(counts)})", max(window.range.total_seconds() for window in chosen))


def _older_half(window: ast.MatrixSelector) -> str:
    """How many more samples its older half has than its newer."""
    whole = Writer().write(window)
    series, _, offset = whole.rpartition(f"[{span(window.range)}]")
    newer = f"{series}[{span(window.range / 2)}]{offset}"
    return f"(count_over_time({whole}) - 2 * count_over_time({newer}))"


def _telling_window(node: ast.Expr, grouping: Sequence[str]) -> ast.MatrixSelector | None:
    """The window of the first rate or increase that has matchers for the most of the labels."""
    found = [window for window in _windows(node) if window.vector_selector.at is None]
    best = max(found, key=lambda window: _told(window.vector_selector, grouping), default=None)
    return best if best is not None and (not grouping or _told(best.vector_selector, grouping)) else None


def _windows(node: ast.Expr) -> Iterator[ast.MatrixSelector]:
    if isinstance(node, ast.Call) and node.func.name in ("rate", "increase"):
        yield from (part for part in node.args if isinstance(part, ast.MatrixSelector))
    for child in children(node):
        yield from _windows(child)


def _alternatives(node: ast.Expr) -> list[ast.Expr]:
    """The sides of an `or` at the top, of any number."""
    if isinstance(node, ast.ParenExpr):
        return _alternatives(node.expr)
    if isinstance(node, ast.BinaryExpr) and str(node.op) == "or":
        return [*_alternatives(node.lhs), *_alternatives(node.rhs)]
    return [node]


def _telling(expression: ast.Expr, grouping: Sequence[str]) -> ast.VectorSelector | None:
    """The first of the selectors that have matchers for the most of the labels."""
    found = [selector for selector in selectors(expression) if selector.at is None]
    best = max(found, key=lambda selector: _told(selector, grouping), default=None)
    return best if best is not None and _told(best, grouping) else None


def _told(selector: ast.VectorSelector, grouping: Sequence[str]) -> int:
    """For how many of the labels it has matchers."""
    return len({name for name, _, _ in matchers(selector)}.intersection(grouping))


def _first_grouping(node: ast.Expr) -> list[str]:
    if isinstance(node, ast.AggregateExpr) and node.modifier is not None and not is_without(node):
        return [name for name in node.modifier.labels if name != "le"]
    return next(filter(None, map(_first_grouping, children(node))), [])
