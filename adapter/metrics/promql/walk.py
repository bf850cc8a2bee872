"""Looking at a tree."""

import uuid
from collections.abc import Iterator, Mapping, Sequence

import promql_parser as ast

SET_ASIDE = f"{uuid.uuid4().hex}~"
"""Before a pattern that the parser was not shown (see `read`): to it a plain text. No query from outside holds it."""

_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def children(node: ast.Expr) -> list[ast.Expr]:
    """The expressions directly below a node, from left to right."""
    match node:
        case ast.AggregateExpr():
            return [part for part in (node.param, node.expr) if part is not None]
        case ast.BinaryExpr():
            return [node.lhs, node.rhs]
        case ast.Call():
            return list(node.args)
        case ast.MatrixSelector():
            return [node.vector_selector]
        case ast.UnaryExpr() | ast.ParenExpr() | ast.SubqueryExpr():
            return [node.expr]
    return []


def selectors(node: ast.Expr) -> Iterator[ast.VectorSelector]:
    """All vector selectors, from left to right."""
    if isinstance(node, ast.VectorSelector):
        yield node
    for child in children(node):
        yield from selectors(child)


def matchers(selector: ast.VectorSelector) -> Sequence[tuple[str, str, str]]:
    """Label, operator (`=`, `!=`, `=~`, `!~`) and value of each matcher within the braces."""
    return [(matcher.name, *_operator_and_value(matcher)) for matcher in selector.matchers.matchers]


def _operator_and_value(matcher: ast.Matcher) -> tuple[str, str]:
    """With a pattern that was set aside as it was written."""
    operator, value = _OPERATORS[str(matcher.op).rpartition(".")[2]], matcher.value
    if value.startswith(SET_ASIDE):
        return f"{operator[0]}~", value.removeprefix(SET_ASIDE)
    return operator, value


def unwrap(node: ast.Expr) -> ast.Expr:
    """Without the parentheses around it."""
    while isinstance(node, ast.ParenExpr):
        node = node.expr
    return node


def is_without(node: ast.AggregateExpr) -> bool:
    """Whether an aggregation is `without (…)`."""
    return node.modifier is not None and str(node.modifier.type).endswith("Without")


def is_on(node: ast.BinaryExpr) -> bool:
    """Whether a binary operation matches `on (…)`."""
    return bool(node.modifier and node.modifier.matching and str(node.modifier.matching.type).endswith("Include"))


def grouping_side(node: ast.BinaryExpr) -> str | None:
    """'group_left', 'group_right' or None."""
    sides: Mapping[str, str] = {"ManyToOne": "group_left", "OneToMany": "group_right"}
    return sides.get(str(node.modifier.card).rpartition(".")[2]) if node.modifier else None
