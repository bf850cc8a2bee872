"""The query that answers one request, built exactly as prometheus-adapter builds it.

`.LabelMatchers` holds the metric's selector, then the namespace, then the objects' names. One thing is done better:
names in `pod=~"a|b"` are escaped, so that a dot in a name means itself. And names and values from outside keep to their
places (`insert`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from adapter.kube.resources import GroupResource
from adapter.metrics.promql.insert import Inserter, InsertError, Name, Promql
from adapter.metrics.promql.write import label as label_text
from adapter.rules.go.functions import Value
from adapter.rules.go.template import Template, TemplateError
from adapter.rules.model import ResourceRule, Rule
from adapter.rules.naming import BoundRule, NamingError
from adapter.rules.resources import NAMESPACES, NODES, PODS
from adapter.units.requirement import Operator, Requirement
from adapter.units.selector import EVERYTHING, Selector
from adapter.units.text import quote

_SPECIAL = frozenset("\\.+*?()|[]{}^$")
_PLAIN = {Operator.EQUALS: "=", Operator.NOT_EQUALS: "!="}
_REGEXP = {Operator.EQUALS: "=~", Operator.IN: "=~", Operator.NOT_EQUALS: "!~", Operator.NOT_IN: "!~"}


class QueryError(ValueError):
    """No query can be built for a request; the text is one sentence."""


class SelectorQueryError(QueryError):
    """A metric's selector asks for what a query cannot say, whatever the rule."""


class Matcher(NamedTuple):
    """One label matcher of a query; `values` are what `.LabelValuesByName` shows of it."""

    label: str
    operator: str
    value: str
    shown: str

    def __str__(self) -> str:
        return f"{label_text(self.label)}{self.operator}{quote(self.value)}"


def escape(text: str) -> str:
    """The text as a regular expression (RE2) that matches nothing else, as Go's QuoteMeta."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)


def any_of(label: str, values: Iterable[str]) -> Matcher:
    """`label="a"` for one value, `label=~"a|b"` for several; values are taken literally."""
    listed = list(values)
    shown = "|".join(listed)
    if len(listed) == 1:
        return Matcher(label, "=", listed[0], shown)
    return Matcher(label, "=~", "|".join(map(escape, listed)), shown)


def selector_matchers(selector: Selector, *, quotes: bool = False) -> list[Matcher]:
    """The matchers of a metric's selector: `in (…)` passes its values through as regular expressions.

    Raises SelectorQueryError for > and <, which PromQL has no matcher for, and for a key that is no label's name,
    unless the source reads such in `quotes`.
    """
    return [_matcher(requirement, quotes=quotes) for requirement in selector.requirements]


def _matcher(requirement: Requirement, *, quotes: bool) -> Matcher:
    key, operator, values = requirement.key, requirement.operator, sorted(requirement.values)
    if label_text(key) != key and not quotes:
        raise SelectorQueryError(f"{key!r} is no label's name in Prometheus; right would be letters, digits and _")
    shown = "|".join(values)
    if operator in (Operator.GREATER, Operator.LESS):
        raise SelectorQueryError(
            f"{str(requirement)!r} has no counterpart in PromQL; right would be =, !=, in, notin or exists"
        )
    if operator is Operator.EXISTS:
        return Matcher(key, "!=", "", shown)
    if operator is Operator.DOES_NOT_EXIST:
        return Matcher(key, "=", "", shown)
    if len(values) == 1 and operator in _PLAIN:
        return Matcher(key, _PLAIN[operator], values[0], shown)
    return Matcher(key, _REGEXP[operator], shown, shown)


def custom_query(
    bound: BoundRule[Rule],
    series: str,
    *,
    resource: GroupResource,
    namespace: str,
    names: Sequence[str],
    metric_selector: Selector = EVERYTHING,
) -> str:
    """The query for objects called `names` in `namespace` ('' for root-scoped objects and namespaces themselves).

    Raises QueryError.
    """
    return object_query(
        bound,
        bound.rule.metrics_query,
        series=series,
        resource=resource,
        namespace=namespace,
        names=names,
        metric_selector=metric_selector,
    )


def external_query(bound: BoundRule[Rule], series: str, namespace: str, selector: Selector) -> str:
    """The query for an external metric. Raises QueryError."""
    matchers = [
        *selector_matchers(selector, quotes=bound.quotes),
        *external_namespace(bound, [namespace] if namespace else []),
    ]
    return render(bound.rule.metrics_query, series, matchers, ())


def external_namespace(bound: BoundRule[Rule], namespaces: Sequence[str]) -> list[Matcher]:
    """The matcher for the namespaces, none where the rule is not `namespaced`. Raises QueryError."""
    if not bound.rule.resources.namespaced or not namespaces:
        return []
    return [any_of(label_of(bound, NAMESPACES), namespaces)]


def container_query(bound: BoundRule[ResourceRule], namespace: str, pods: Sequence[str]) -> str:
    """The query for the usage of the containers of these pods. Raises QueryError."""
    rule = bound.rule
    return object_query(
        bound,
        rule.container_query,
        resource=PODS,
        namespace=namespace,
        names=pods,
        extra_group_by=(rule.container_label,),
    )


def node_query(bound: BoundRule[ResourceRule], nodes: Sequence[str]) -> str:
    """The query for the usage of these nodes. Raises QueryError."""
    return object_query(bound, bound.rule.node_query, resource=NODES, namespace="", names=nodes)


def object_query(
    bound: BoundRule[Rule] | BoundRule[ResourceRule],
    template: Template,
    *,
    series: str = "",
    resource: GroupResource,
    namespace: str,
    names: Sequence[str],
    extra_group_by: Sequence[str] = (),
    metric_selector: Selector = EVERYTHING,
) -> str:
    """What the three queries for objects have in common. Raises QueryError."""
    matchers = selector_matchers(metric_selector, quotes=bound.quotes)
    if namespace:
        matchers.append(any_of(label_of(bound, NAMESPACES), [namespace]))
    label = label_of(bound, resource)
    return render(template, series, [*matchers, any_of(label, names)], (label, *extra_group_by))


def label_of(bound: BoundRule[Rule] | BoundRule[ResourceRule], resource: GroupResource) -> str:
    """The label for a resource. Raises QueryError."""
    try:
        return bound.label(resource)
    except NamingError as error:
        raise QueryError(str(error)) from None


def render(template: Template, series: str, matchers: Sequence[Matcher], group_by: Sequence[str]) -> str:
    """The template with these values, as prometheus-adapter fills it in. Raises QueryError."""
    shown = {matcher.label: matcher.shown for matcher in matchers}
    fields: Mapping[str, Value] = {
        "Series": Name(series),
        "LabelMatchers": Promql(",".join(map(str, matchers))),
        "LabelValuesByName": shown,
        "GroupBy": Promql(",".join(map(label_text, group_by))),
        "GroupBySlice": [Promql(label_text(label)) for label in group_by],
    }
    try:
        inserter = Inserter()
        query = template.render(fields, inserter) + inserter.end()
    except InsertError as error:
        raise QueryError(f"no query can be built: {error}") from None
    except TemplateError as error:
        raise QueryError(f"the query's template does not work: {error}") from None
    if not query:
        raise QueryError("the query's template gives nothing for this request")
    return query
