"""What a query asks for, as far as its text tells: whether its values are rates, and how old its samples may be."""

import promql_parser as ast

from adapter.metrics.promql.walk import unwrap

RATES = frozenset(("rate", "irate", "increase"))
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
