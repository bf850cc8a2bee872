"""What a query asks for, as far as its text tells: whether its values are rates, and how old its samples may be."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import promql_parser as ast

from adapter.metrics.promql.walk import children, unwrap

RATES = frozenset(("rate", "irate", "increase"))
SHARE_OF_RATE = 0.25
"""Of its window, by which the newest sample of a rate may be old: the rate is off by no more than that share, as
Prometheus divides by the whole window (promql/functions.go, extrapolatedRate)."""
_KEEPS_SIGN = frozenset(("sum", "avg", "min", "max", "topk", "bottomk", "quantile", "limitk", "limit_ratio"))
_RENAMES = frozenset(("label_replace", "label_join", "sort", "sort_desc"))


def is_rate(node: ast.Expr) -> bool:
    """Whether the values are rates of counters, sums or choices of such: a value below zero is then a fault.

    The outermost function counts, not what is somewhere within: `rate(in) - rate(out)` may well be below zero.
    """
    node = unwrap(node)
    match node:
        case ast.AggregateExpr():
            return str(node.op) in _KEEPS_SIGN and is_rate(node.expr)
        case ast.Call() if node.func.name in _RENAMES:
            return is_rate(node.args[0])
        case ast.Call():
            return node.func.name in RATES
        case ast.BinaryExpr() if str(node.op) == "or":
            return is_rate(node.lhs) and is_rate(node.rhs)
    return False


class Reach(NamedTuple):
    """A selector, and how far back in time the query reads it on purpose."""

    selector: ast.VectorSelector
    offset: float = 0.0
    """s by which all that it reads is moved into the past; 0 where it is moved into the future."""
    span: float = 0.0
    """s by which, beyond that, the newest sample may be old: a look at the last 15 minutes asks for any of them."""
    fixed: bool = False
    """Whether it reads at a fixed time (`@`)."""


def reaches(node: ast.Expr) -> Iterator[Reach]:
    """All selectors, from left to right, with the offsets and ranges of the subqueries and functions around them."""
    match node:
        case ast.VectorSelector():
            yield Reach(node, _seconds(node.offset), 0.0, node.at is not None)
        case ast.SubqueryExpr():
            for reach in reaches(node.expr):
                yield reach._replace(
                    offset=reach.offset + _seconds(node.offset), fixed=reach.fixed or node.at is not None
                )
        case ast.Call():
            for argument in node.args:
                span = _span(node.func.name, argument)
                yield from (reach._replace(span=reach.span + span) for reach in reaches(argument))
        case _:
            for child in children(node):
                yield from reaches(child)


def _span(function: str, argument: ast.Expr) -> float:
    argument = unwrap(argument)
    if not isinstance(argument, ast.MatrixSelector | ast.SubqueryExpr):
        return 0.0
    asks_for_any = function.endswith("_over_time") or function in ("changes", "resets")
    return _seconds(argument.range) * (1.0 if asks_for_any else SHARE_OF_RATE)


def _seconds(length: timedelta | None) -> float:
    return 0.0 if length is None else max(length.total_seconds(), 0.0)
