"""From rules and demand to the fewest queries. Pure.

Where a rule's template allows it, one query serves every namespace that wants the metric (`adapter.rules.merge`);
elsewhere each distinct request is its own query, built as prometheus-adapter builds it.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from adapter.collect.catalogue import Catalogue, Offered
from adapter.collect.demand import CustomWant, ExternalWant, Want
from adapter.collect.snapshot import Limits
from adapter.kube.resources import GroupResource
from adapter.metrics.promql.meaning import is_rate
from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.source import Query
from adapter.rules import merge, samples
from adapter.rules.model import OnNegative, Policy, Rule, ServedPods
from adapter.rules.naming import NamingError
from adapter.rules.queries import QueryError, custom_query, external_query
from adapter.rules.resources import NAMESPACES, PODS
from adapter.units.requirement import Operator
from adapter.units.selector import Selector

SHARD = 2_000
"""Results expected of one query at most: what decodes in about 5 ms."""


class Planned(NamedTuple):
    """One query, and how its result is read."""

    wants: tuple[Want, ...]
    """Whom the result serves."""
    rule: Rule
    query: Query
    times: Query | None
    """Asks for the newest sample's time per object; None where the template does not tell which series that is."""
    object_label: str
    """The label that names the object; '' for external metrics."""
    namespace_label: str | None
    """The label that names the namespace of each sample; None where the whole result is one namespace's."""
    limits: Limits
    external: merge.MergedExternal | None = None
    """How the elements of a merged external query are told apart."""
    coverage: samples.Coverage | None = None
    """Tells whose rates are over full windows; None where there are no rates."""
    counts: Query | None = None
    """Asks for the number of samples per object of late; None where `times` is."""
    unread: str = ""
    """Why nobody can ask for sample times and full windows: the query could not be read; '' where it could."""

    @property
    def namespace(self) -> str:
        """The namespace of the whole result, where `namespace_label` is None."""
        return self.wants[0].namespace

    @property
    def topic(self) -> Hashable:
        """The same for queries of one rule about one metric, whatever namespaces or objects they name."""
        first = self.wants[0]
        if isinstance(first, CustomWant):
            first = first._replace(namespace="", objects=None)
        return self.rule.place, self.rule.generation, first

    @property
    def ready_pods(self) -> bool:
        """Whether values are of pods, and only of those that take traffic."""
        first = self.wants[0]
        of_pods = isinstance(first, CustomWant) and first.resource == PODS
        return of_pods and self.rule.policy.pods is not ServedPods.ANY

    @property
    def merged(self) -> bool:
        """Whether it serves whoever wants the metric, not one request."""
        first = self.wants[0]
        return self.external is not None or (isinstance(first, CustomWant) and first.objects is None)


class UnknownMetric(LookupError):  # noqa: N818 - it is what the client is told
    """No rule offers a metric of this name, as far as the series were looked up."""


class UnplannedError(QueryError):
    """Planning failed as nobody expected."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"no query can be planned: {type(cause).__name__}; the log says more")
        self.cause = cause


class Plan(NamedTuple):
    """All queries, and why none of them serves a want."""

    planned: tuple[Planned, ...]
    unserved: Mapping[Want, LookupError | QueryError]


class Planner:
    """Makes plans; `defaults` hold where a rule has no policy of its own.

    `names` gives the objects that a want names (for queries that cannot be merged), `size` how many objects a
    resource has in a namespace.
    """

    def __init__(
        self,
        defaults: Limits,
        names: Callable[[CustomWant], Sequence[str]],
        size: Callable[[GroupResource, str], int],
    ) -> None:
        self._defaults = defaults
        self._names = names
        self._size = size
        self._apart: set[Hashable] = set()

    def keep_apart(self, wants: Sequence[Want]) -> bool:
        """From now on ask for each namespace of these wants by itself; False where that is so already.

        The series of one namespace can contradict a join and so fail a merged query for all; asked apart, the others
        have their values.
        """
        key = _topic(wants[0])
        if len({want.namespace for want in wants}) < 2 or key in self._apart:
            return False
        self._apart.add(key)
        return True

    def plan(self, wants: Iterable[Want], catalogue: Catalogue) -> Plan:
        """The queries that serve `wants`; in a stable order."""
        planned: list[Planned] = []
        unserved: dict[Want, LookupError | QueryError] = {}
        for group in _groups(wants):
            try:
                planned.extend(self._group(group, catalogue))
            except (LookupError, QueryError) as error:
                unserved.update(dict.fromkeys(group, error))
            except (KeyboardInterrupt, SystemExit, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 - a parser's panic costs those that share a query, nobody else
                unserved.update(dict.fromkeys(group, UnplannedError(error)))
        return Plan(tuple(sorted(planned, key=lambda item: item.query)), unserved)

    def _group(self, wants: Sequence[Want], catalogue: Catalogue) -> list[Planned]:
        """The queries for wants that `_groups` put together. Raises LookupError, QueryError."""
        first = wants[0]
        if isinstance(first, ExternalWant):
            return self._external([want for want in wants if isinstance(want, ExternalWant)], catalogue)
        if first.objects is not None:
            return [self._single(first, catalogue)]
        return list(self._merged([want for want in wants if isinstance(want, CustomWant)], catalogue))

    def _merged(self, wants: Sequence[CustomWant], catalogue: Catalogue) -> Iterator[Planned]:
        resource = wants[0].resource
        offered = custom_offered(catalogue, resource, wants[0].metric)
        by_namespace = {want.namespace: want for want in wants}
        namespaces = sorted(by_namespace)
        apart = _topic(wants[0]) in self._apart
        for shard in ([one] for one in namespaces) if apart else self._shards(resource, namespaces):
            chosen = tuple(by_namespace[namespace] for namespace in shard)
            yield self._merged_shard(offered, resource, chosen)

    def _shards(self, resource: GroupResource, namespaces: Sequence[str]) -> Iterator[list[str]]:
        """`namespaces` in runs of at most SHARD expected results; one larger namespace is a run of its own."""
        run: list[str] = []
        expected = 0
        for namespace in namespaces:
            size = self._size(resource, namespace)
            if run and expected + size > SHARD:
                yield run
                run, expected = [], 0
            run.append(namespace)
            expected += size
        if run:
            yield run

    def _merged_shard(self, offered: Offered, resource: GroupResource, wants: tuple[CustomWant, ...]) -> Planned:
        bound = offered.bound
        namespaces = [want.namespace for want in wants if want.namespace] or None
        promql = merge.merged(bound, offered.series, resource, namespaces, wants[0].metric_selector)
        if promql is None:
            raise QueryError(merge.why_not(bound, resource, offered.series))
        namespace_label = bound.label(NAMESPACES) if namespaces else None
        return self._planned(
            wants, bound.rule, promql, object_label=bound.label(resource), namespace_label=namespace_label
        )

    def _external(self, wants: Sequence[ExternalWant], catalogue: Catalogue) -> list[Planned]:
        """One query for selectors on the same labels where the template allows it, else one for each want."""
        offered = external_offered(catalogue, wants[0].metric)
        bound = offered.bound
        namespaces = sorted({want.namespace for want in wants})
        together = None
        if _topic(wants[0]) not in self._apart:
            together = merge.merged_external(bound, offered.series, namespaces, [want.selector for want in wants])
        if together is None:
            return [self._single(want, catalogue) for want in wants]
        planned = self._planned(tuple(wants), bound.rule, together.promql, namespace_label=together.namespace_label)
        return [planned._replace(external=together)]

    def _single(self, want: Want, catalogue: Catalogue) -> Planned:
        if isinstance(want, ExternalWant):
            offered = external_offered(catalogue, want.metric)
            promql = external_query(offered.bound, offered.series, want.namespace, want.selector)
            return self._planned((want,), offered.bound.rule, promql)
        offered = custom_offered(catalogue, want.resource, want.metric)
        names = self._names(want)
        if not names:
            raise LookupError(f"no {want.resource} match")
        promql = custom_query(
            offered.bound,
            offered.series,
            resource=want.resource,
            namespace=want.namespace,
            names=names,
            metric_selector=want.metric_selector,
        )
        return self._planned((want,), offered.bound.rule, promql, object_label=offered.bound.label(want.resource))

    def _planned(
        self,
        wants: tuple[Want, ...],
        rule: Rule,
        promql: str,
        *,
        object_label: str = "",
        namespace_label: str | None = None,
    ) -> Planned:
        limits = self.limits(rule, promql)
        query = Query(promql, bool(rule.policy.adaptive))
        labels = [label for label in (object_label, namespace_label) if label]
        planned = Planned(
            wants, rule, query, None, object_label=object_label, namespace_label=namespace_label, limits=limits
        )
        try:
            age = samples.age_query(promql, labels) if object_label else None
            coverage = samples.coverage_query(promql, labels)
        except PromQLError as error:
            return planned._replace(unread=f"served without the age of its samples or a look at its windows: {error}")
        if age is not None:
            asked = limits._replace(offset=age.offset, span=age.span)
            planned = planned._replace(times=Query(age.promql, of_times=True), counts=Query(age.counts), limits=asked)
        return planned._replace(coverage=coverage)

    def limits(self, rule: Rule, promql: str) -> Limits:
        """The rule's policy over the defaults. Below zero a rate is wrong, a gauge is not."""
        return merged_limits(rule.policy, self._defaults, is_rate=_is_rate(promql))


def _is_rate(promql: str) -> bool:
    try:
        return is_rate(parse(promql))
    except PromQLError:
        return False


def _groups(wants: Iterable[Want]) -> Iterable[list[Want]]:
    """Wants that one query might serve; each that must name its very objects alone."""
    groups: dict[Hashable, list[Want]] = defaultdict(list)
    for want in sorted(wants, key=repr):
        groups[_topic(want)].append(want)
    return groups.values()


def _topic(want: Want) -> Hashable:
    """The same for wants that one query might serve."""
    if isinstance(want, ExternalWant):
        labels = tuple(requirement.key for requirement in want.selector.requirements)
        return want.metric, labels if _equalities(want.selector) else want
    if want.objects is None:
        return want.resource, want.metric, want.metric_selector
    return want


def _equalities(selector: Selector) -> bool:
    return all(requirement.operator is Operator.EQUALS for requirement in selector.requirements)


def merged_limits(policy: Policy, defaults: Limits, is_rate: bool) -> Limits:
    """What holds for a rule with `policy`."""
    negative = policy.negative or (OnNegative.OMIT if is_rate else OnNegative.SERVE)
    return Limits(
        defaults.max_age if policy.max_age is None else policy.max_age,
        defaults.refresh if policy.refresh is None else policy.refresh,
        policy.nan or defaults.odd,
        negative,
    )


def custom_offered(catalogue: Catalogue, resource: GroupResource, metric: str) -> Offered:
    """What answers for a custom metric. Raises UnknownMetric with the cause."""
    offered = catalogue.custom.get((resource, metric))
    if offered is None:
        raise UnknownMetric(f"no rule finds series for metric {metric} of {resource}")
    return offered


def external_offered(catalogue: Catalogue, metric: str) -> Offered:
    """What answers for an external metric. Raises UnknownMetric with the cause."""
    offered = catalogue.external.get(metric)
    if offered is None:
        raise UnknownMetric(f"no external rule finds series for metric {metric}")
    return offered


def mergeable(offered: Offered, resource: GroupResource, namespace: str, metric_selector: Selector) -> bool:
    """Whether one query can serve all who want the metric."""
    try:
        namespaces = [namespace] if namespace else None
        return merge.merged(offered.bound, offered.series, resource, namespaces, metric_selector) is not None
    except (QueryError, NamingError):
        return False
