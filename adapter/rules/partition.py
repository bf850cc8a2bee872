"""Whether one query over many objects gives, object by object, what each object's own query gives.

A request's query differs from another's only in `.LabelMatchers`: here every selector that has it is marked, and the
*key labels* are those that tell requests and their objects apart: namespace and resource label, or for external metrics
the namespace and the selector's keys. The merged query selects all of them at once and groups by the key labels
wherever it groups. That gives the same values if every step works on the series of one key alone, which is decided
from the leaves up:

- a *fixed* expression has no marked selector: it is the same in every request, and in the merged query;
- a *keyed* one has the key labels on every element, and the elements of one key come from that key's series alone.
  `added` are the key labels that the request's own query would not have at this place (`sum by (pod)` drops
  `namespace`). A label may only be added if it has one value in a request: the namespace does, but one request asks
  for many pods, so the resource label (`Keys.own`) has to be in every `by` and `on`.

Refused, because one key's elements would depend on another's, or lose their key: aggregations across objects and those
that choose among or rename elements (topk, bottomk, limitk, limit_ratio, count_values, quantile), `absent` and `scalar`
of keyed series, `or` with a fixed side (`or vector(0)`: its element has no key), label_replace and label_join onto a
key label, matching where a key label is on one side only or is ignored, joins that take over a key label, `@` (an
evaluation at another time), and every function that is not known to work series by series. In doubt the answer is no,
and each request has its own query.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import promql_parser as ast

from adapter.metrics.promql.walk import children, grouping_side, is_on, is_without, matchers

MARK = "__streamgate_matchers__"
"""The label of the one matcher that stands for `.LabelMatchers` while a query is examined."""

_AGGREGATIONS = frozenset({"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"})
_SERIES_BY_SERIES = frozenset({
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "changes", "clamp", "clamp_max",
    "clamp_min", "cos", "cosh", "deg", "delta", "deriv", "double_exponential_smoothing", "exp", "floor",
    "histogram_avg", "histogram_count", "histogram_fraction", "histogram_quantile", "histogram_stddev",
    "histogram_stdvar", "histogram_sum", "holt_winters", "idelta", "increase", "irate", "label_join",
    "label_replace", "ln", "log10", "log2", "predict_linear", "rad", "rate", "resets", "round", "sgn", "sin",
    "sinh", "sqrt", "tan", "tanh", "timestamp", "avg_over_time", "count_over_time", "last_over_time",
    "mad_over_time", "max_over_time", "min_over_time", "present_over_time", "quantile_over_time",
    "stddev_over_time", "stdvar_over_time", "sum_over_time", "sort", "sort_desc",
})  # fmt: skip
_SETS = frozenset({"and", "or", "unless"})


class NotMergeable(ValueError):  # noqa: N818 - a finding
    """Each request needs a query of its own; the text says why, after 'because'."""


class Keys(NamedTuple):
    """The key labels."""

    labels: frozenset[str]
    own: frozenset[str] = frozenset()
    """Those that take several values in one request."""


class Fixed(NamedTuple):
    """The same in every request."""

    scalar: bool


class Keyed(NamedTuple):
    """Has the key labels on every element."""

    added: frozenset[str]


Finding: TypeAlias = Fixed | Keyed


def examine(node: ast.Expr, keys: Keys) -> Finding:
    """What `node` is to the key labels. Raises NotMergeable."""
    match node:
        case ast.NumberLiteral() | ast.StringLiteral():
            return Fixed(scalar=True)
        case ast.VectorSelector():
            return _selector(node)
        case ast.MatrixSelector():
            return _selector(node.vector_selector)
        case ast.ParenExpr() | ast.UnaryExpr():
            return examine(node.expr, keys)
        case ast.SubqueryExpr():
            _refuse_at(node)
            return examine(node.expr, keys)
        case ast.Call():
            return _call(node, keys)
        case ast.AggregateExpr():
            return _aggregate(node, keys)
        case ast.BinaryExpr():
            return _binary(node, keys)
    raise NotMergeable(f"{type(node).__name__} is not known to work series by series")


def extend_labels(node: ast.Expr, labels: Sequence[str], keys: Keys) -> Sequence[str]:
    """The labels of a `by` or `on` in the merged query: with the key labels where the node's parts are keyed."""
    keyed = [isinstance(examine(part, keys), Keyed) for part in children(node)]
    if not (all(keyed) if isinstance(node, ast.BinaryExpr) else any(keyed)):
        return labels
    return [*labels, *sorted(keys.labels.difference(labels))]


def _selector(node: ast.VectorSelector) -> Finding:
    _refuse_at(node)
    if node.matchers.or_matchers:
        raise NotMergeable("it has `or` between matchers")
    marked = any(label == MARK for label, _, _ in matchers(node))
    return Keyed(frozenset()) if marked else Fixed(scalar=False)


def _refuse_at(node: ast.VectorSelector | ast.SubqueryExpr) -> None:
    if node.at is not None:
        raise NotMergeable("it evaluates at another time (`@`)")


def _call(node: ast.Call, keys: Keys) -> Finding:
    findings = [examine(argument, keys) for argument in node.args]
    keyed = [part for part in findings if isinstance(part, Keyed)]
    name = node.func.name
    if not keyed:
        return Fixed(scalar=str(node.func.return_type).endswith("Scalar"))
    if name not in _SERIES_BY_SERIES or len(keyed) > 1:
        raise NotMergeable(f"{name}() of the requested series does not work series by series")
    if name in ("label_replace", "label_join"):
        _refuse_renaming(node, keys)
    if "le" in keys.labels and name.startswith("histogram_"):
        raise NotMergeable(f"{name}() drops le, which tells requests apart")
    return keyed[0]


def _refuse_renaming(node: ast.Call, keys: Keys) -> None:
    target = node.args[1]
    if not isinstance(target, ast.StringLiteral) or target.val in keys.labels or target.val == MARK:
        raise NotMergeable(f"{node.func.name}() writes a label that tells objects apart")


def _aggregate(node: ast.AggregateExpr, keys: Keys) -> Finding:
    inner = examine(node.expr, keys)
    param = examine(node.param, keys) if node.param is not None else Fixed(scalar=True)
    if isinstance(inner, Fixed) and isinstance(param, Fixed):
        return Fixed(scalar=False)
    if isinstance(inner, Fixed) or isinstance(param, Keyed) or str(node.op) not in _AGGREGATIONS:
        raise NotMergeable(f"{node.op} chooses among elements or renames them")
    labels = frozenset(node.modifier.labels) if node.modifier is not None else frozenset()
    if is_without(node):
        if dropped := labels & keys.labels:
            raise NotMergeable(f"`without` drops {_join_labels(dropped)}, which tells objects apart")
        return inner
    added = keys.labels - (labels - inner.added)
    if added & keys.own:
        raise NotMergeable(f"{node.op} is not grouped by {_join_labels(added & keys.own)}")
    return Keyed(added)


def _binary(node: ast.BinaryExpr, keys: Keys) -> Finding:
    left, right = examine(node.lhs, keys), examine(node.rhs, keys)
    if node.modifier is not None and _fills(node.modifier):
        raise NotMergeable("it fills in missing sides")
    if isinstance(left, Fixed) and isinstance(right, Fixed):
        return Fixed(left.scalar and right.scalar)
    if isinstance(left, Keyed) and isinstance(right, Keyed):
        return _both(node, left, right, keys)
    fixed, keyed = (left, right) if isinstance(left, Fixed) else (right, left)
    assert isinstance(fixed, Fixed)
    assert isinstance(keyed, Keyed)
    return keyed if fixed.scalar else _with_fixed(node, keyed, keys)


def _both(node: ast.BinaryExpr, left: Keyed, right: Keyed, keys: Keys) -> Finding:
    """Two keyed sides: matched on the key labels too, each key's elements meet their own."""
    on = is_on(node)
    matched = _matching_labels(node)
    if left_out := keys.own - matched if on else keys.labels & matched:
        raise NotMergeable(
            f"`{'on' if on else 'ignoring'}` leaves out {_join_labels(left_out)}, which tells objects apart"
        )
    compared = matched if on else keys.labels
    if left.added & compared != right.added & compared or (str(node.op) == "or" and left != right):
        raise NotMergeable(f"the sides of {node.op} are grouped differently")
    side = grouping_side(node)
    _refuse_taking_over(node, keys)
    if side == "group_right":
        return right
    if side == "group_left" or str(node.op) in _SETS or not on:
        return left
    return Keyed(keys.labels - (matched - left.added))


def _with_fixed(node: ast.BinaryExpr, keyed: Keyed, keys: Keys) -> Finding:
    """A keyed side and one that is the same in every request: the matching stays as it is written.

    Sound where each element of the result has the key labels, and where the labels that the merged query adds take no
    part in the matching.
    """
    on, matched, taken = is_on(node), _matching_labels(node), _group_labels(node)
    keyed_left = isinstance(examine(node.lhs, keys), Keyed)
    if (matched | taken if on else keys.labels) & keyed.added:
        raise NotMergeable(f"the sides of {node.op} are grouped differently")
    side = grouping_side(node)
    many_keyed = side == ("group_left" if keyed_left else "group_right")
    if str(node.op) in ("and", "unless") and keyed_left:
        return keyed
    if str(node.op) in _SETS and not (str(node.op) == "and" and on and keys.labels <= matched):
        raise NotMergeable(f"`{node.op}` gives elements of a side that is the same for every object")
    if many_keyed:
        _refuse_taking_over(node, keys)
        return keyed
    carried = matched | taken if side else matched
    if not (keys.labels <= carried if on else not side and not matched & keys.labels):
        raise NotMergeable(f"the sides of {node.op} are not matched on {_join_labels(keys.labels)}")
    return Keyed(frozenset())


def _refuse_taking_over(node: ast.BinaryExpr, keys: Keys) -> None:
    if taken := _group_labels(node) & keys.labels:
        raise NotMergeable(f"`{grouping_side(node)}` takes over {_join_labels(taken)}, which tells objects apart")


def _matching_labels(node: ast.BinaryExpr) -> frozenset[str]:
    """The labels of `on` or `ignoring`."""
    if node.modifier is None or node.modifier.matching is None:
        return frozenset()
    return frozenset(node.modifier.matching.labels)


def _group_labels(node: ast.BinaryExpr) -> frozenset[str]:
    return frozenset(node.modifier.group_labels or ()) if node.modifier is not None else frozenset()


def _fills(modifier: ast.BinModifier) -> bool:
    return modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None


def _join_labels(labels: frozenset[str]) -> str:
    return " and ".join(sorted(labels))
