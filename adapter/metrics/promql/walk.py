"""Looking at a tree."""

from collections.abc import Iterator, Mapping, Sequence

import promql_parser as ast

from adapter.metrics.promql.read import children, operator_and_value


def selectors(node: ast.Expr) -> Iterator[ast.VectorSelector]:
    """All vector selectors, from left to right."""
    if isinstance(node, ast.VectorSelector):
        yield node
    for child in children(node):
        yield from selectors(child)


def matchers(selector: ast.VectorSelector) -> Sequence[tuple[str, str, str]]:
    """Label, operator (`=`, `!=`, `=~`, `!~`) and value of each matcher within the braces."""
    return [(found.name, *operator_and_value(found)) for found in selector.matchers.matchers]


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
