"""From rules and demand to the fewest queries. Pure.

Where a rule's template allows it, one query serves every namespace that wants the metric (`adapter.rules.merge`);
elsewhere each distinct request is its own query, built as prometheus-adapter builds it.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from adapter.collect.apart import Apart, topics
from adapter.collect.catalogue import Catalogue, Offered
from adapter.collect.demand import CustomWant, ExternalWant, Want
from adapter.collect.planned import Plan, Planned, UnknownMetric, UnplannedError
from adapter.collect.policy import limits_of
from adapter.collect.snapshot import Limits
from adapter.kube.resources import GroupResource
from adapter.metrics.promql.read import PromQLError
from adapter.metrics.slices import Slices, run
from adapter.metrics.source import Query
from adapter.rules import merge, samples
from adapter.rules.model import Rule
from adapter.rules.naming import NamingError
from adapter.rules.queries import QueryError, custom_query, external_query
from adapter.rules.resources import NAMESPACES
from adapter.units.selector import Selector

MERGEABLE_BYTES = 8 * 2**20
"""Of what may be remembered of which metrics are mergeable."""
SHARD = 2_000
"""Results expected of one query at most: what decodes in about 5 ms."""
BATCH = 100
"""Wants that are made ready to be sorted in one slice: about 2 ms."""


class _ApartError(QueryError):
    """The template does not let external wants share a query."""


class _Made(NamedTuple):
    """What was planned, and for which offer."""

    offered: Offered
    outcome: Planned | QueryError


class Planner:
    """Makes plans; `defaults` hold where a rule has no policy of its own.

    `names` gives the objects that a want names (for queries that cannot be merged), `size` how many objects a
    resource has in a namespace. What is as it was in the plan before is taken from there.
    """

    def __init__(
        self,
        defaults: Limits,
        names: Callable[[CustomWant], Sequence[str]],
        size: Callable[[GroupResource, str], int],
    ) -> None:
        self.apart = Apart()
        self._defaults = defaults
        self._names = names
        self._size = size
        self._texts: dict[Want, str] = {}
        """By which the wants of the last plan are sorted."""
        self._made: dict[Hashable, _Made] = {}
        """Of the last plan."""
        self._making: dict[Hashable, _Made] = {}

    def plan(self, wants: Iterable[Want], catalogue: Catalogue) -> Plan:
        """The queries that serve `wants`; in a stable order."""
        return run(self._plan(sorted(wants, key=repr), catalogue))

    def anew(self, wants: Collection[Want], catalogue: Catalogue, now: float) -> Slices[Plan]:
        """The queries for all the wants there are at `now`, s, in slices; what is remembered is of these alone."""
        self.apart.keep(wants, now)
        before, self._texts, self._making = self._texts, {}, {}
        for number, want in enumerate(wants, 1):
            self._texts[want] = before.get(want) or repr(want)
            if number % BATCH == 0:
                yield
        plan = yield from self._plan(sorted(wants, key=self._texts.__getitem__), catalogue)
        self._made, self._making = self._making, {}
        return plan

    def _plan(self, wants: Iterable[Want], catalogue: Catalogue) -> Slices[Plan]:
        planned: list[Planned] = []
        unserved: dict[Want, LookupError | QueryError] = {}
        for topic in (yield from topics(wants)):
            for part in self.apart.parts(topic):
                try:
                    planned.extend(self._part(part, catalogue))
                except (LookupError, QueryError) as error:
                    unserved.update(dict.fromkeys(part, error))
                except (KeyboardInterrupt, SystemExit, GeneratorExit):
                    raise
                except BaseException as error:  # noqa: BLE001 - a parser's panic costs whom it asks for, nobody else
                    unserved.update(dict.fromkeys(part, UnplannedError(error)))
                yield
        return Plan(tuple(sorted(planned, key=lambda item: item.query)), unserved)

    def _part(self, wants: Sequence[Want], catalogue: Catalogue) -> list[Planned]:
        """The queries for wants of one topic. Raises LookupError, QueryError."""
        first = wants[0]
        if isinstance(first, ExternalWant):
            return self._external([want for want in wants if isinstance(want, ExternalWant)], catalogue)
        if first.objects is not None:
            return [self._single(first, catalogue)]
        return list(self._merge([want for want in wants if isinstance(want, CustomWant)], catalogue))

    def _once(self, key: Hashable, offered: Offered, make: Callable[[], Planned]) -> Planned:
        """What `make` gives, or gave for the plan before. Raises QueryError."""
        made = self._making.get(key) or self._made.get(key)
        if made is None or made.offered.bound is not offered.bound or made.offered.series != offered.series:
            try:
                made = _Made(offered, make())
            except QueryError as error:
                made = _Made(offered, error)
        self._making[key] = made
        if isinstance(made.outcome, QueryError):
            raise made.outcome.with_traceback(None)
        return made.outcome

    def _merge(self, wants: Sequence[CustomWant], catalogue: Catalogue) -> Iterator[Planned]:
        resource = wants[0].resource
        offered = custom_offered(catalogue, resource, wants[0].metric)
        by_namespace = {want.namespace: want for want in wants}
        for shard in self._shards(resource, sorted(by_namespace)):
            chosen = tuple(by_namespace[namespace] for namespace in shard)
            yield self._once(chosen, offered, partial(self._merge_shard, offered, resource, chosen))

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

    def _merge_shard(self, offered: Offered, resource: GroupResource, wants: tuple[CustomWant, ...]) -> Planned:
        bound = offered.bound
        namespaces = [want.namespace for want in wants if want.namespace] or None
        promql = merge.merge_objects(bound, offered.series, resource, namespaces, wants[0].metric_selector)
        if promql is None:
            raise QueryError(merge.why_not(bound, resource, offered.series))
        namespace_label = bound.label(NAMESPACES) if namespaces else None
        return self._build_planned(
            wants, bound.rule, promql, object_label=bound.label(resource), namespace_label=namespace_label
        )

    def _external(self, wants: Sequence[ExternalWant], catalogue: Catalogue) -> list[Planned]:
        """One query for selectors on the same labels where the template allows it, else one for each want."""
        offered = external_offered(catalogue, wants[0].metric)
        if len(wants) > 1 or not self.apart.alone(wants[0]):
            together = self._together(wants, offered)
            if together is not None:
                return [together]
        return [self._single(want, catalogue) for want in wants]

    def _together(self, wants: Sequence[ExternalWant], offered: Offered) -> Planned | None:
        def make() -> Planned:
            bound, namespaces = offered.bound, sorted({want.namespace for want in wants})
            together = merge.merge_external(bound, offered.series, namespaces, [want.selector for want in wants])
            if together is None:
                raise _ApartError("each has its own query")
            planned = self._build_planned(
                tuple(wants), bound.rule, together.promql, namespace_label=together.namespace_label
            )
            return planned._replace(external=together)

        try:
            return self._once(("together", *wants), offered, make)
        except _ApartError:
            return None

    def _single(self, want: Want, catalogue: Catalogue) -> Planned:
        if isinstance(want, ExternalWant):
            offered = external_offered(catalogue, want.metric)
            return self._once(want, offered, partial(self._single_external, want, offered))
        offered = custom_offered(catalogue, want.resource, want.metric)
        names = tuple(self._names(want))
        if not names:
            raise LookupError(f"no {want.resource} match")
        return self._once((want, names), offered, partial(self._single_custom, want, offered, names))

    def _single_external(self, want: ExternalWant, offered: Offered) -> Planned:
        promql = external_query(offered.bound, offered.series, want.namespace, want.selector)
        return self._build_planned((want,), offered.bound.rule, promql)

    def _single_custom(self, want: CustomWant, offered: Offered, names: Sequence[str]) -> Planned:
        promql = custom_query(
            offered.bound,
            offered.series,
            resource=want.resource,
            namespace=want.namespace,
            names=names,
            metric_selector=want.metric_selector,
        )
        return self._build_planned((want,), offered.bound.rule, promql, object_label=offered.bound.label(want.resource))

    def _build_planned(
        self,
        wants: tuple[Want, ...],
        rule: Rule,
        promql: str,
        *,
        object_label: str = "",
        namespace_label: str | None = None,
    ) -> Planned:
        limits = limits_of(rule.policy, self._defaults, promql)
        query = Query(promql, bool(rule.policy.adaptive))
        labels = [label for label in (object_label, namespace_label) if label]
        planned = Planned(
            wants, rule, query, None, object_label=object_label, namespace_label=namespace_label, limits=limits
        )
        try:
            age = samples.age_query(promql, labels) if object_label else None
            coverage, needs = samples.coverage_query(promql, labels), samples.shortest_range(promql)
        except PromQLError as error:
            return planned._replace(unread=f"served without the age of its samples or a look at its windows: {error}")
        if age is not None:
            asked = limits._replace(offset=age.offset, span=age.span)
            planned = planned._replace(times=Query(age.promql, of_times=True), counts=Query(age.counts), limits=asked)
        return planned._replace(coverage=coverage, needs=needs)


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
        return merge.merge_objects(offered.bound, offered.series, resource, namespaces, metric_selector) is not None
    except (QueryError, NamingError):
        return False
