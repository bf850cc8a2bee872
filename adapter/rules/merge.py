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

from collections.abc import Sequence
from typing import NamedTuple

from adapter.kube.resources import GroupResource
from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.write import Writer, label
from adapter.rules.go.template import Template
from adapter.rules.model import ResourceRule, Rule
from adapter.rules.naming import BoundRule
from adapter.rules.partition import MARK, Fixed, Keys, NotMergeable, examine, extend_labels
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


def merge_objects(
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
        return _merge_objects(bound, series, resource, namespaces, metric_selector)
    except (NotMergeable, QueryError):
        return None


def merge_external(
    bound: BoundRule[Rule], series: str, namespaces: Sequence[str], selectors_: Sequence[Selector]
) -> MergedExternal | None:
    """One query for all these selectors in all these namespaces; None where it cannot be had.

    The selectors have only equalities, all on the same labels.
    """
    try:
        return _merge_external(bound, series, namespaces, selectors_)
    except (NotMergeable, QueryError):
        return None


def merge_containers(bound: BoundRule[ResourceRule], namespaces: Sequence[str] | None) -> str:
    """One query for the containers of all pods in the namespaces (None: in all). Raises QueryError."""
    group_by = (label_of(bound, PODS), bound.rule.container_label)
    try:
        return _objects(bound, bound.rule.container_query, resource=PODS, namespaces=namespaces, group_by=group_by)
    except NotMergeable as reason:
        raise _one_for_all(bound, "containerQuery", reason) from None


def merge_nodes(bound: BoundRule[ResourceRule]) -> str:
    """One query for all nodes. Raises QueryError."""
    group_by = (label_of(bound, NODES),)
    try:
        return _objects(bound, bound.rule.node_query, resource=NODES, namespaces=None, group_by=group_by)
    except NotMergeable as reason:
        raise _one_for_all(bound, "nodeQuery", reason) from None


def _one_for_all(bound: BoundRule[ResourceRule], field: str, reason: NotMergeable) -> QueryError:
    return QueryError(f"{bound.rule.place}: its {field} cannot be asked for all objects at once, because {reason}")


def why_not(bound: BoundRule[Rule], resource: GroupResource | None = None, series: str = "series") -> str:
    """Why requests for this rule are not merged, one sentence; '' where they are. None: as an external metric."""
    try:
        if resource is None:
            _merge_external(bound, series, ["a"], [Selector.parse("key=value")])
        else:
            _merge_objects(bound, series, resource, ["a"], EVERYTHING)
    except (NotMergeable, QueryError) as reason:
        return f"each request has its own query, because {reason}"
    return ""


def _merge_objects(
    bound: BoundRule[Rule],
    series: str,
    resource: GroupResource,
    namespaces: Sequence[str] | None,
    metric_selector: Selector,
) -> str:
    group_by = (label_of(bound, resource),)
    return _objects(
        bound,
        bound.rule.metrics_query,
        series=series,
        resource=resource,
        namespaces=namespaces,
        metric_selector=metric_selector,
        group_by=group_by,
    )


def _objects(
    bound: BoundRule[Rule] | BoundRule[ResourceRule],
    template: Template,
    *,
    series: str = "",
    resource: GroupResource,
    namespaces: Sequence[str] | None,
    metric_selector: Selector = EVERYTHING,
    group_by: Sequence[str],
) -> str:
    """The merged query for objects. Raises NotMergeable, QueryError."""
    own = label_of(bound, resource)
    wanted = selector_matchers(metric_selector, quotes=bound.quotes)
    bounded = own if resource == NAMESPACES else None if resource in ROOT_SCOPED else label_of(bound, NAMESPACES)
    if bounded is not None:
        wanted.append(_among(bounded, namespaces))
    if bounded != own:
        wanted.append(_among(own, None))
    keys = Keys(frozenset({own, bounded or own}), frozenset({own}))
    return _rewritten(template, series, group_by, wanted, keys)[0]


def _among(name: str, values: Sequence[str] | None) -> Matcher:
    return Matcher(name, "!=", "", "") if values is None else any_of(name, sorted(set(values)))


def _merge_external(
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
    key_sets: set[tuple[str, ...]] = set()
    for selector in wanted:
        if any(part.operator is not Operator.EQUALS or not all(part.values) for part in selector.requirements):
            raise NotMergeable(f"the selector {str(selector)!r} has more than equalities")
        key_sets.add(tuple(sorted(part.key for part in selector.requirements)))
    keys = key_sets.pop() if len(key_sets) == 1 else None
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

    def write_inside(matchers: Sequence[tuple[str, str, str]]) -> list[str]:
        texts: list[str] = []
        for name, operator, value in matchers:
            texts += map(str, inside) if name == MARK else [f"{label(name)}{operator}{quote(value)}"]
        return texts

    try:
        expression = parse(query)
        finding = examine(expression, keys)
        if isinstance(finding, Fixed):
            raise NotMergeable("its query is the same for every object")
        writer = Writer(lambda node, labels: extend_labels(node, labels, keys), write_inside)
        return writer.write(expression), finding.added
    except PromQLError as error:
        raise NotMergeable(str(error)) from None
    except RecursionError:
        raise NotMergeable("its query is nested too deeply") from None
