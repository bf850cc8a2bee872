"""A query whose value is a share of two counters -> the two, so that requests can be counted. Pure.

`sum(rate(good)) / sum(rate(all)) * 100` says the same as a gauge would, but a gate on events learns from each request
and not from each window.
"""

from datetime import timedelta
from typing import Final, NamedTuple

import promql_parser as ast

from adapter.metrics.promql.meaning import RATES
from adapter.metrics.promql.walk import matchers, unwrap

MOST_DEPTH: Final = 20
"""Of sums and products around a division."""
NO_SHARES: Final = ("_sum", "_created")
"""Ends of counters' names that count no requests: a sum of durations over their number is no share."""


class Part(NamedTuple):
    """One counter of the two: a selector, summed over all series."""

    selector: ast.VectorSelector
    range: timedelta


class Ratio(NamedTuple):
    """value = scale * share, where share = part / whole, or 1 - part / whole where `inverse`."""

    part: Part
    whole: Part
    scale: float
    inverse: bool


class _Line(NamedTuple):
    """constant + factor * division"""

    constant: float = 0.0
    factor: float = 0.0
    division: ast.BinaryExpr | None = None


def ratio(tree: ast.Expr) -> Ratio | None:
    """The share that a query computes; None for any other query."""
    line = _line(tree, 0)
    if line is None or line.division is None:
        return None
    part, whole = _part(_bare(line.division.lhs)[1]), _part(_bare(line.division.rhs)[1])
    if part is None or whole is None or not _counts(part, whole):
        return None
    if line.constant == 0 and line.factor > 0:
        return Ratio(part, whole, line.factor, inverse=False)
    if line.constant > 0 and line.factor == -line.constant:
        return Ratio(part, whole, line.constant, inverse=True)
    return None


def _line(node: ast.Expr, depth: int) -> _Line | None:
    node = unwrap(node)
    if isinstance(node, ast.NumberLiteral):
        return _Line(constant=node.val)
    if not isinstance(node, ast.BinaryExpr) or not _plain(node) or depth > MOST_DEPTH:
        return None
    sign = str(node.op)
    left, right = _line(node.lhs, depth + 1), _line(node.rhs, depth + 1)
    if left is None or right is None:
        part, whole = _bare(node.lhs)[0], _bare(node.rhs)[0]
        return _Line(factor=part / whole, division=node) if sign == "/" and whole else None
    if left.division is not None and right.division is not None:
        return None
    return _combine(sign, left, right)


def _combine(sign: str, left: _Line, right: _Line) -> _Line | None:
    division = left.division or right.division
    if sign in "+-":
        turned = 1.0 if sign == "+" else -1.0
        return _Line(left.constant + turned * right.constant, left.factor + turned * right.factor, division)
    if sign == "*":
        number, line = (left, right) if left.division is None else (right, left)
        return _Line(number.constant * line.constant, number.constant * line.factor, division)
    if sign == "/" and right.division is None and right.constant:
        return _Line(left.constant / right.constant, left.factor / right.constant, division)
    return None


def _bare(node: ast.Expr) -> tuple[float, ast.Expr]:
    """A factor, and what it multiplies."""
    node = unwrap(node)
    if isinstance(node, ast.BinaryExpr) and str(node.op) == "*" and _plain(node):
        for number, other in ((node.lhs, node.rhs), (node.rhs, node.lhs)):
            if isinstance(number, ast.NumberLiteral):
                return number.val, other
    return 1.0, node


def _plain(node: ast.BinaryExpr) -> bool:
    modifier = node.modifier
    return modifier is None or (not modifier.return_bool and modifier.matching is None)


def _part(node: ast.Expr) -> Part | None:
    """A sum over all series of a counter's rate."""
    node = unwrap(node)
    if not isinstance(node, ast.AggregateExpr) or str(node.op) != "sum" or node.modifier is not None:
        return None
    call = unwrap(node.expr)
    if not isinstance(call, ast.Call) or call.func.name not in RATES:
        return None
    matrix = unwrap(call.args[0])
    if not isinstance(matrix, ast.MatrixSelector) or matrix.vector_selector.offset is not None:
        return None
    return Part(matrix.vector_selector, matrix.range)


def _counts(part: Part, whole: Part) -> bool:
    """Whether the one is counted among the other, as far as names and matchers tell."""
    names = [each.selector.name or "" for each in (part, whole)]
    if any(not name or name.endswith(NO_SHARES) for name in names):
        return False
    if any(
        name.endswith("_bucket") and not _of_one_bucket(each) for name, each in zip(names, (part, whole), strict=True)
    ):
        return False
    below = [name.removesuffix("_bucket").removesuffix("_count") for name in names]
    if below[0] == below[1]:
        return set(_without_le(whole)) <= set(_without_le(part))
    return all(name.endswith(("_total", "_count")) for name in names)


def _of_one_bucket(part: Part) -> bool:
    return any(label == "le" and sign == "=" for label, sign, _ in matchers(part.selector))


def _without_le(part: Part) -> list[tuple[str, str, str]]:
    """Matchers, but for the bucket of all requests."""
    return [matcher for matcher in matchers(part.selector) if matcher != ("le", "=", "+Inf")]
