"""Series <-> API metric: which series a rule offers, under which name and for which resources.

The rules of prometheus-adapter: a series is on offer for every resource label that it carries, inside a namespace but
for namespaces, nodes and persistent volumes; of two rules that give one API name for one resource, the last wins.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from adapter.kube.resources import GroupResource
from adapter.metrics.slices import Slices, run
from adapter.rooms import Room
from adapter.rules.go.regexp import Regexp
from adapter.rules.go.template import Template, TemplateError
from adapter.rules.model import ResourceMapping, ResourceRule, Rule
from adapter.rules.resources import ROOT_SCOPED, ResourceMapper, UnknownResource, sanitise
from adapter.units.regexp import RegexpError

AnyRule = TypeVar("AnyRule", Rule, ResourceRule)

AT_ONCE = 100
"""Label sets that are read in one slice: about 4 ms."""
MAX_NAME = 1024
"""Characters of an API metric's name."""
LABEL_BYTES = 512 * 1024
"""Of the labels of series of which it is remembered whether they name a resource, for each rule."""


class NamingError(LookupError):
    """A rule has no label for a resource; the text is one sentence."""


class BoundRule(Generic[AnyRule]):
    """A rule whose resources have been looked up in the cluster as it is now known.

    Cheap to make: bind anew when the cluster has learnt new resources. Labels found by the template are remembered.
    """

    def __init__(self, rule: AnyRule, mapper: ResourceMapper, *, quotes: bool = False) -> None:
        self.rule: AnyRule = rule
        self.quotes = quotes
        """Whether the source reads names of labels in quotes, which need not be words then (Prometheus 3)."""
        self._mapper = mapper
        self._label_of: dict[GroupResource, str] = {}
        self._named: dict[str, GroupResource | None] = {}
        self._resource_of: Room[str, tuple[GroupResource | None]] = Room("labels of resources", LABEL_BYTES)
        self.problems: tuple[str, ...] = tuple(self._bind(rule.resources))
        """What of the rule does not work until the cluster has the resource."""
        self._reverse = _reverse(rule.resources.template)

    def _bind(self, resources: ResourceMapping) -> Iterable[str]:
        """Look up the overrides. prometheus-adapter ends where one is unknown; here only that label is without use."""
        for label, named in resources.overrides.items():
            try:
                resource = self._mapper.resolve(named.group, named.resource)
            except UnknownResource as unknown:
                self._named[label] = None
                yield f"{self.rule.place}: resources.overrides.{label}: {unknown}; right would be one it serves"
                continue
            self._named[label] = resource
            self._label_of.setdefault(resource, label)

    def label(self, resource: GroupResource) -> str:
        """The label that names objects of this resource. Raises NamingError."""
        if resource not in self._label_of:
            self._label_of[resource] = self._label_from_template(resource)
        return self._label_of[resource]

    def _label_from_template(self, resource: GroupResource) -> str:
        template = self.rule.resources.template
        if template is None:
            raise NamingError(
                f"{self.rule.place}: resources: no label is given for {resource}; right would be an override"
            )
        try:
            singular = self._mapper.api(resource).singular
            label = template.render({"Group": sanitise(resource.group), "Resource": singular})
        except (UnknownResource, TemplateError) as error:
            raise NamingError(f"{self.rule.place}: resources.template: {error}") from None
        if not label:
            raise NamingError(f"{self.rule.place}: resources.template: it gives no label for {resource}")
        return label

    def resource(self, label: str) -> GroupResource | None:
        """The resource whose objects this label names, None where it names none."""
        if label in self._named:
            return self._named[label]
        known = self._resource_of.get(label)
        if known is None:
            known = self._resource_of.put(label, (self._resource_from_label(label),), 512 + 4 * len(label))
        return known[0]

    def _resource_from_label(self, label: str) -> GroupResource | None:
        match = self._reverse.search(label) if self._reverse else None
        try:
            if match is not None:
                named = match.groupdict()
                return self._mapper.resolve(named.get("group") or "", named["resource"])
        except UnknownResource:
            pass  # `networking_k8s_io_ingress` is read as `networking` and `k8s_io_ingress`
        return self._written.get(label)

    @cached_property
    def _written(self) -> Mapping[str, GroupResource]:
        """The label that the template writes for each resource of the cluster -> that resource."""
        if self.rule.resources.template is None:
            return {}
        by_label: dict[str, GroupResource] = {}
        for resource in self._mapper.resources:
            with suppress(NamingError):
                by_label.setdefault(self._label_from_template(resource.group_resource), resource.group_resource)
        return by_label


def bind(rule: AnyRule, mapper: ResourceMapper, *, quotes: bool = False) -> BoundRule[AnyRule]:
    """The rule with its resources looked up; what is unknown is in `.problems`, never raised."""
    return BoundRule(rule, mapper, quotes=quotes)


def _reverse(template: Template | None) -> Regexp | None:
    """The expression that finds group and resource in a label, made as prometheus-adapter makes it."""
    if template is None:
        return None
    try:
        written = template.render({"Group": "(?P<group>.+?)", "Resource": "(?P<resource>.+?)"})
        return Regexp(f"^{written}$")
    except (TemplateError, RegexpError):
        return None


class Offer(NamedTuple):
    """A metric of the custom metrics API: `series` answers for `metric` of `resource`."""

    resource: GroupResource
    metric: str
    namespaced: bool
    series: str


def api_name(rule: Rule, series: str) -> str | None:
    """The API metric's name for a series; None where a filter or `name.matches` leaves it out, or no name is left."""
    if not all(accepting.accepts(series) for accepting in rule.filters):
        return None
    match = rule.name_matches.search(series)
    name = rule.name_matches.expand(rule.name_as, match) if match else ""
    return name if 0 < len(name) <= MAX_NAME else None


def offers(bound: BoundRule[Rule], series: Iterable[Mapping[str, str]]) -> list[Offer]:
    """As `offers_in_slices`, at once."""
    return run(offers_in_slices(bound, series))


def offers_in_slices(bound: BoundRule[Rule], series: Iterable[Mapping[str, str]]) -> Slices[list[Offer]]:
    """What the rule offers for the label sets (with `__name__`) that its series query found, sorted.

    Each resource and metric is offered once; of several series under one name the last by name answers.
    """
    offers: dict[tuple[GroupResource, str], Offer] = {}
    seen: set[tuple[str, str]] = set()
    names: dict[str, str | None] = {}
    for number, labels in enumerate(series, 1):
        if number % AT_ONCE == 0:
            yield
        name = labels.get("__name__", "")
        if name not in names:
            names[name] = api_name(bound.rule, name)
        if (metric := names[name]) is None:
            continue
        for label in labels:
            if (name, label) not in seen and label != "__name__":
                seen.add((name, label))
                _offer(bound.resource(label), metric, name, offers)
    return sorted(offers.values())


def _offer(
    resource: GroupResource | None, metric: str, series: str, offers: dict[tuple[GroupResource, str], Offer]
) -> None:
    if resource is None:
        return
    known = offers.get((resource, metric))
    if known is None or known.series < series:
        offers[resource, metric] = Offer(resource, metric, resource not in ROOT_SCOPED, series)


def external_offers(rule: Rule, names: Iterable[str]) -> list[tuple[str, str]]:
    """As `external_offers_in_slices`, at once."""
    return run(external_offers_in_slices(rule, names))


def external_offers_in_slices(rule: Rule, names: Iterable[str]) -> Slices[list[tuple[str, str]]]:
    """(API metric, series) for the names of the series that the rule's query found, sorted.

    Of several series under one name the last by name answers.
    """
    series_by_metric = {}
    for number, name in enumerate(sorted(set(names)), 1):
        if (metric := api_name(rule, name)) is not None:
            series_by_metric[metric] = name
        if number % AT_ONCE == 0:
            yield
    return sorted(series_by_metric.items())


Key = TypeVar("Key")
Found = TypeVar("Found")


def combine(
    parts: Sequence[tuple[Rule, Iterable[tuple[Key, Found]]]],
) -> tuple[dict[Key, tuple[Rule, Found]], list[str]]:
    """All rules' offers by key, the last rule winning, and one sentence for each pair of rules that collide.

    Keys are (resource, metric) of the custom and the metric's name of the external API.
    """
    chosen: dict[Key, tuple[Rule, Found]] = {}
    collisions: dict[tuple[str, str], list[str]] = {}
    for rule, offers in parts:
        for key, offer in offers:
            if key in chosen:
                metric = " of ".join(map(str, reversed(key))) if isinstance(key, tuple) else str(key)
                collisions.setdefault((chosen[key][0].place, rule.place), []).append(metric)
            chosen[key] = rule, offer
    return chosen, [_collision(*places, metrics) for places, metrics in collisions.items()]


def _collision(first: str, second: str, metrics: Sequence[str]) -> str:
    named = ", ".join(metrics[:3]) + (f" and {len(metrics) - 3} more" if len(metrics) > 3 else "")
    return f"{first} and {second} both give {named}; the latter answers; right would be different names or series"
