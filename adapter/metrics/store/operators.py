"""PromQL's binary operators: which are evaluated, with numbers and on which labels."""

import numpy as np
import promql_parser as ast

from adapter.metrics.store.supported import unsupported_error
from adapter.metrics.store.vector import ARITHMETIC, NAME, SET_OPERATORS, Vector


def operator_of(node: ast.BinaryExpr) -> str:
    """The operator's sign or word. Raises UnsupportedQuery where it is not evaluated."""
    operator, modifier = str(node.op), node.modifier
    if operator not in ARITHMETIC and operator not in SET_OPERATORS:
        raise unsupported_error(f"the operator {operator}")
    cardinalities = (ast.VectorMatchCardinality.OneToOne, ast.VectorMatchCardinality.ManyToMany, None)
    if modifier is not None and modifier.card not in cardinalities:
        raise unsupported_error("group_left and group_right")
    fill = modifier.fill_values if modifier is not None else None
    if fill is not None and not (fill.lhs is None and fill.rhs is None):
        raise unsupported_error("fill")
    return operator


def arithmetic(operator: str, left: Vector | float, right: Vector | float) -> Vector | float:
    """The operator where one side at least is a number."""
    vector = left if isinstance(left, Vector) else right
    one, other = (np.asarray(side.values if isinstance(side, Vector) else side) for side in (left, right))
    with np.errstate(all="ignore"):
        values = ARITHMETIC[operator](one.astype(float), other.astype(float))
    return vector.with_values(values).drop((NAME,)) if isinstance(vector, Vector) else float(values)


def keep_matching_labels(vector: Vector, matching: ast.LabelModifier | None) -> Vector:
    """`vector` with only the labels that a binary operator matches on, which are the result's too."""
    if matching is None:
        return vector.drop((NAME,))
    if matching.type == ast.LabelModifierType.Include:
        return vector.keep(matching.labels)
    return vector.drop((NAME, *matching.labels))
