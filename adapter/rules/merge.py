"""One query in place of many: for all HPAs on a rule, for all values of an external selector, for all pods or nodes.

The rule's template is rendered with one mark for `.LabelMatchers`, parsed, examined (`partition` says when merging is
sound, and why each exclusion is there) and written out again: the mark becomes matchers for everything that is asked
for, and the key labels join every `by` and `on` over marked series. Before that, a template is left alone that

- reads `.LabelValuesByName`: the text of the query depends on the request in a way that no label can undo;
- does anything with `.LabelMatchers` but write it out, for the same reason;
- selects with `>` or `<` (refused with or without merging).

A merged query can fail where each request's own would not have: two series of one namespace that contradict a join fail
the query for all. Whoever runs it asks per request when a merged query fails; values are never different.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import promql_parser as ast

from adapter.kube.resources import GroupResource
from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.walk import children, is_without, matchers, selectors
from adapter.metrics.promql.write import Writer, label, span
from adapter.rules.go.template import Template
from adapter.rules.model import ResourceRule, Rule
from adapter.rules.naming import BoundRule
from adapter.rules.partition import MARK, Fixed, Keys, NotMergeable, examine, extended
from adapter.rules.queries import (
    Matcher,
    QueryError,
    any_of,
    external_query,
    label_of,
    render,
    selector_matchers,
)
from adapter.rules.resources import NAMESPACES, NODES, PODS, ROOT_SCOPED
from adapter.units.requirement import Operator
from adapter.units.selector import EVERYTHING, Selector
from adapter.units.text import quote


class MergedExternal(NamedTuple):
    """A merged query for an external metric, and how to tell its results apart."""

    promql: str
    namespace_label: str | None
    """The label that holds the request's namespace; None where the rule is not namespaced."""
    keys: tuple[str, ...]
    """The selector's labels, sorted: an element belongs to the selector whose values it has there."""
    added: frozenset[str]
    """The labels that the request's own result would not have; to be taken off an element once it has been assigned."""


def merged(
    bound: BoundRule[Rule],
    series: str,
    resource: GroupResource,
    namespaces: Sequence[str] | None,
    metric_selector: Selector = EVERYTHING,
) -> str | None:
    """One query for every object of `resource` in the namespaces (None: in all); None where it cannot be had.

    Its elements carry the resource's label and, unless the resource is root-scoped, the namespace's. For the elements
    with one namespace and object the values are those of that object's own query (`queries.custom_query`).
    """
    try:
        return _merged(bound, series, resource, namespaces, metric_selector)
    except (NotMergeable, QueryError):
        return None


def merged_external(
    bound: BoundRule[Rule], series: str, namespaces: Sequence[str], selectors_: Sequence[Selector]
) -> MergedExternal | None:
    """One query for all these selectors in all these namespaces; None where it cannot be had.

    The selectors have only equalities, all on the same labels.
    """
    try:
        return _merged_external(bound, series, namespaces, selectors_)
    except (NotMergeable, QueryError):
        return None


def merged_containers(bound: BoundRule[ResourceRule], namespaces: Sequence[str] | None) -> str | None:
    """One query for the containers of all pods in the namespaces (None: in all); None where it cannot be had."""
    try:
        group_by = (label_of(bound, PODS), bound.rule.container_label)
        return _objects(bound, bound.rule.container_query, "", PODS, namespaces, EVERYTHING, group_by)
    except (NotMergeable, QueryError):
        return None


def merged_nodes(bound: BoundRule[ResourceRule]) -> str | None:
    """One query for all nodes; None where it cannot be had."""
    try:
        return _objects(bound, bound.rule.node_query, "", NODES, None, EVERYTHING, (label_of(bound, NODES),))
    except (NotMergeable, QueryError):
        return None


def why_not(bound: BoundRule[Rule], resource: GroupResource | None = None, series: str = "series") -> str:
    """Why requests for this rule are not merged, one sentence; '' where they are. None: as an external metric."""
    try:
        if resource is None:
            _merged_external(bound, series, ["a"], [Selector.parse("key=value")])
        else:
            _merged(bound, series, resource, ["a"], EVERYTHING)
    except (NotMergeable, QueryError) as reason:
        return f"each request has its own query, because {reason}"
    return ""


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


def _merged(
    bound: BoundRule[Rule],
    series: str,
    resource: GroupResource,
    namespaces: Sequence[str] | None,
    metric_selector: Selector,
) -> str:
    group_by = (label_of(bound, resource),)
    return _objects(bound, bound.rule.metrics_query, series, resource, namespaces, metric_selector, group_by)


def _objects(
    bound: BoundRule[Rule] | BoundRule[ResourceRule],
    template: Template,
    series: str,
    resource: GroupResource,
    namespaces: Sequence[str] | None,
    metric_selector: Selector,
    group_by: Sequence[str],
) -> str:
    """The merged query for objects. Raises NotMergeable, QueryError."""
    own = label_of(bound, resource)
    wanted = selector_matchers(metric_selector)
    bounded = own if resource == NAMESPACES else None if resource in ROOT_SCOPED else label_of(bound, NAMESPACES)
    if bounded is not None:
        wanted.append(_among(bounded, namespaces))
    if bounded != own:
        wanted.append(_among(own, None))
    keys = Keys(frozenset({own, bounded or own}), frozenset({own}))
    return _rewritten(template, series, group_by, wanted, keys)[0]


def _among(name: str, values: Sequence[str] | None) -> Matcher:
    return Matcher(name, "!=", "", "") if values is None else any_of(name, sorted(set(values)))


def _merged_external(
    bound: BoundRule[Rule], series: str, namespaces: Sequence[str], wanted: Sequence[Selector]
) -> MergedExternal:
    keys = _equality_keys(wanted)
    namespace_label = label_of(bound, NAMESPACES) if bound.rule.resources.namespaced else None
    if namespace_label in keys:
        raise NotMergeable(f"the selector is on {namespace_label}, the label of the request's own namespace")
    if not keys and namespace_label is None:
        return MergedExternal(external_query(bound, series, "", EVERYTHING), None, (), frozenset())
    inside = [any_of(key, sorted({selector.equals[key] for selector in wanted})) for key in keys]
    if namespace_label is not None:
        inside.append(any_of(namespace_label, sorted(set(namespaces))))
    apart = Keys(frozenset(matcher.label for matcher in inside))
    promql, added = _rewritten(bound.rule.metrics_query, series, (), inside, apart)
    return MergedExternal(promql, namespace_label, keys, added)


def _equality_keys(wanted: Sequence[Selector]) -> tuple[str, ...]:
    """The labels that every selector has one equality for. Raises NotMergeable."""
    found: set[tuple[str, ...]] = set()
    for selector in wanted:
        if any(part.operator is not Operator.EQUALS or not all(part.values) for part in selector.requirements):
            raise NotMergeable(f"the selector {str(selector)!r} has more than equalities")
        found.add(tuple(sorted(part.key for part in selector.requirements)))
    keys = found.pop() if len(found) == 1 else None
    if keys is None or len(set(keys)) != len(keys):
        raise NotMergeable("the selectors are on different labels")
    if odd := [key for key in keys if label(key) != key]:
        raise NotMergeable(f"{odd[0]!r} is no classic label name")
    return keys


def _rewritten(
    template: Template, series: str, group_by: Sequence[str], inside: Sequence[Matcher], keys: Keys
) -> tuple[str, frozenset[str]]:
    """The template's query with `inside` in place of `.LabelMatchers`, grouped by the keys; and the labels it added."""
    if template.uses("LabelValuesByName"):
        raise NotMergeable("its template reads .LabelValuesByName")
    if template.alters("LabelMatchers"):
        raise NotMergeable("its template does more with .LabelMatchers than write it out")
    query = render(template, series, [Matcher(MARK, "=", "1", "1")], group_by)

    def written(found: Sequence[tuple[str, str, str]]) -> list[str]:
        texts: list[str] = []
        for name, operator, value in found:
            texts += map(str, inside) if name == MARK else [f"{label(name)}{operator}{quote(value)}"]
        return texts

    try:
        expression = parse(query)
        finding = examine(expression, keys)
        if isinstance(finding, Fixed):
            raise NotMergeable("its query is the same for every object")
        writer = Writer(lambda node, labels: extended(node, labels, keys), written)
        return writer.write(expression), finding.added
    except PromQLError as error:
        raise NotMergeable(str(error)) from None
    except RecursionError:
        raise NotMergeable("its query is nested too deeply") from None
