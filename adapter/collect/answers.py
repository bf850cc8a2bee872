"""The answers themselves: a look-up in what is held, the policy on age and odd values, and the story behind each."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from adapter.clock import steady
from adapter.collect import explain, refusals
from adapter.collect.answer import (
    NO_ANSWER,
    CustomOffer,
    CustomQuestion,
    CustomValue,
    ExternalQuestion,
    ExternalValue,
    Missing,
    NodeUsage,
    ObjectReference,
    PodUsage,
    Unanswerable,
    Unavailable,
)
from adapter.collect.collector import Collector
from adapter.collect.demand import CustomWant, ExternalWant, Objects, Want
from adapter.collect.directory import Directory
from adapter.collect.forecast import Forecaster
from adapter.collect.held import Held, NotYetError
from adapter.collect.judge import Judged, judge_reading, quantity
from adapter.collect.plan import MERGEABLE_BYTES, custom_offered, mergeable
from adapter.collect.polled import Polled
from adapter.collect.quoting import Quoting
from adapter.collect.sieve import Sieve
from adapter.collect.snapshot import Pace
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.usage import UsageSource
from adapter.collect.used import Used
from adapter.kube.resources import GroupResource
from adapter.metrics.source import CostlyQuery, UnsupportedQuery
from adapter.rooms import Room
from adapter.rules.queries import QueryError
from adapter.rules.resources import NODES, PERSISTENT_VOLUMES, PODS, UnknownResource
from adapter.units.selector import Selector


class Collected:
    """`Answers` over a collector, a directory of objects and a source of usage."""

    def __init__(
        self,
        collector: Collector,
        directory: Directory,
        usage: UsageSource | None,
        telemetry: CollectTelemetry,
        *,
        serves_custom: bool,
        serves_external: bool,
        forecaster: Forecaster | None = None,
        polled: Polled | None = None,
        clock: Callable[[], float] = steady,
        wall: Callable[[float], float] = float,
    ) -> None:
        """`clock` gives Unix s and never steps; `wall` puts its moments into the time that clients know.

        `polled` hears whose newest values are asked for; None where that changes nothing.
        """
        self.serves_custom = serves_custom
        self.serves_external = serves_external
        self.serves_resource = usage is not None
        self._collector = collector
        self._directory = directory
        self._used = Used(usage, directory, clock, wall) if usage is not None else None
        self._telemetry = telemetry
        self._sieve = Sieve(collector.transitions, telemetry, clock)
        self._quoting = Quoting(collector.source, collector.catalogue, clock)
        self._forecaster = forecaster
        self._polled = polled
        self._clock = clock
        self._wall = wall
        self._shared: Room[Hashable, bool] = Room("merged metrics", MERGEABLE_BYTES)
        """Whether a metric's query is shared: asked at every request, and found out by parsing PromQL."""

    def custom_offers(self) -> Sequence[CustomOffer]:
        """Sorted by resource and metric."""
        return self._collector.catalogue.custom_offers()

    def external_offers(self) -> Sequence[str]:
        """Sorted."""
        return sorted(self._collector.catalogue.external)

    # ---- custom and external

    async def custom(self, question: CustomQuestion) -> Sequence[CustomValue]:
        """See `Answers`."""
        question = self._resolve(question)
        await self._quoting.learn(question.metric_selector)
        names = await self._names(question)
        self._sieve.follow(question)
        held = await self._look_up(self._want(question), question.user)
        if self._polled is not None and question.name == "*" and question.resource == PODS and not held.planned.needs:
            self._polled.note_question(question, names)
        kind, api_version = self._kind(question.resource)
        values = []
        judged_of = self._sieve.judge(question, names, held)
        for name, verdict in judged_of.items():
            if verdict is None or verdict.reading is None or verdict.value is None:
                continue
            described = ObjectReference(kind, question.namespace, name, api_version)
            window = verdict.reading.window or None
            time = self._wall(verdict.reading.time)
            values.append(CustomValue(described, quantity(verdict.value), time, window))
        if not values:
            self._refuse_nothing(question, held, judged_of)
        return values

    def _refuse_nothing(self, question: CustomQuestion, held: Held, verdicts: Mapping[str, Judged | None]) -> None:
        """Say why there is no value at all. Raises those of NO_ANSWER; returns where there just are no samples."""
        assert held.table is not None
        if held.table.unnamed:
            raise refusals.of_unnamed(held.table.unnamed, held.planned.object_label)
        lacking = [(question.namespace, name) for name, item in verdicts.items() if item is None]
        short = refusals.too_short(lacking, held.table, held.planned.needs)
        if question.name != "*":
            raise refusals.of_object(question.name, verdicts[question.name], held.error, short)
        if refusal := refusals.of_list(verdicts, held.error, short):
            raise refusal

    async def external(self, question: ExternalQuestion) -> Sequence[ExternalValue]:
        """See `Answers`."""
        await self._quoting.learn(question.selector)
        held = await self._look_up(
            ExternalWant(namespace=question.namespace, metric=question.metric, selector=question.selector),
            question.user,
        )
        table, limits, now = held.table, held.planned.limits, self._clock()
        assert table is not None
        verdicts = [
            (labels, judge_reading(reading, limits, Pace(every=table.every), now)) for labels, reading in table.external
        ]
        self._sieve.count(held, [item for _, item in verdicts])
        values = [
            ExternalValue(labels, quantity(item.value), self._wall(item.reading.time), item.reading.window or None)
            for labels, item in sorted(verdicts, key=lambda pair: sorted(pair[0].items()))
            if item.value is not None and item.reading is not None
        ]
        if not values and (refusal := refusals.of_list(_by_labels(verdicts), held.error)):
            raise refusal
        return values

    def _resolve(self, question: CustomQuestion) -> CustomQuestion:
        """The question with the resource as the cluster knows it: `deployments` for `deployments.apps`.

        An HPA asks for the metric of a node or volume in its own namespace; they have none, so it is dropped.
        """
        catalogue, resource = self._collector.catalogue, question.resource
        if (resource, question.metric) not in catalogue.custom:
            try:
                resource = catalogue.mapper.resolve(resource.group, resource.resource)
            except UnknownResource as error:
                raise Missing(str(error)) from error
        unbound = resource in (NODES, PERSISTENT_VOLUMES) and question.name != "*"
        return replace(question, resource=resource, namespace="" if unbound else question.namespace)

    def _want(self, question: CustomQuestion) -> CustomWant:
        """Raises Missing."""
        resource, namespace, selector = question.resource, question.namespace, question.metric_selector
        try:
            offered = custom_offered(self._collector.catalogue, resource, question.metric)
        except LookupError as error:
            raise self._unserved_error(error, external=False) from error
        key = self._collector.catalogue.revision, resource, question.metric, bool(namespace), selector
        shared = self._shared.get(key)
        if shared is None:
            weight = 1024 + 8 * len(str(selector)) + 512 * len(selector.requirements)
            shared = self._shared.put(key, mergeable(offered, resource, namespace, selector), weight)
        want = CustomWant(resource, namespace=namespace, metric=question.metric, metric_selector=selector)
        if shared and self._collector.refusal(want) is None:
            return want
        return want._replace(objects=Objects(question.name, question.selector))

    def _unserved_error(self, error: LookupError | QueryError, *, external: bool) -> Exception:
        """What to tell whoever asks for a metric that nothing serves."""
        rules = self._collector.catalogue.rules_of(external=external)
        offers = self._collector.offers
        return refusals.of_plan(error, offers.trouble(rules), offers.lacking(rules))

    async def _names(self, question: CustomQuestion) -> Sequence[str]:
        """The objects that are asked for. Raises Missing, Unavailable."""
        if question.name != "*":
            return [question.name]
        self._kind(question.resource)
        names = await self._directory.names(question.resource, question.namespace, question.selector)
        if not names:
            where = f" in namespace {question.namespace}" if question.namespace else ""
            raise Missing(f"no {question.resource}{where} match the selector {str(question.selector)!r}")
        return names

    def _kind(self, resource: GroupResource) -> tuple[str, str]:
        """Kind and apiVersion of a resource. Raises Missing."""
        try:
            api = self._collector.catalogue.mapper.api(resource)
        except UnknownResource as error:
            raise Missing(str(error)) from error
        return api.kind, api.api_version

    async def _look_up(self, want: Want, user: str) -> Held:
        """The held result for `want`, with a table; what the plan does not cover is queried now, and noted.

        Raises those of NO_ANSWER.
        """
        if refusal := self._collector.demand.refusal(want):
            raise Unanswerable(refusal)
        held = self._collector.held.get(want)
        self._collector.demand.note_request(want, user, self._clock())
        if held is None or (held.table is None and not isinstance(held.error, UnsupportedQuery | CostlyQuery)):
            group = "external" if isinstance(want, ExternalWant) else "custom"
            self._telemetry.uncovered.labels(f"{group}.metrics.k8s.io").inc()
            try:
                held = await self._collector.fetch(want)
            except (LookupError, QueryError) as error:
                raise self._unserved_error(error, external=isinstance(want, ExternalWant)) from error
            except NotYetError as error:
                sentence = "the source has not answered within 1 s; the query goes on, ask again"
                raise Unavailable(sentence, soon=error.began) from error
        if held.table is None:
            assert held.error is not None
            raise refusals.of_source(held.error, want)
        return held

    # ---- CPU and memory

    def node_usage(self, name: str | None, selector: Selector) -> Sequence[NodeUsage]:
        """See `Answers`."""
        assert self._used is not None
        return self._used.nodes(name, selector)

    def pod_usage(self, namespace: str | None, name: str | None, selector: Selector) -> Sequence[PodUsage]:
        """See `Answers`."""
        assert self._used is not None
        return self._used.pods(namespace, name, selector)

    # ---- what it tells of itself

    async def explain_hpa(self, *, namespace: str, name: str, user: str) -> Mapping[str, object]:
        """See `Answers`."""
        if self._forecaster is None:
            raise Unavailable("HPAs are not followed")
        return await self._forecaster.explain(self, namespace=namespace, name=name, user=user)

    def explain(self, question: CustomQuestion) -> Mapping[str, object]:
        """See `Answers`. The same look-ups as `custom`, told instead of served."""
        try:
            question = self._resolve(question)
            want = self._want(question)
        except NO_ANSWER as refusal:
            return {
                "metric": question.metric,
                "answer": str(refusals.code(refusal)),
                "why": str(refusal),
                "rules": explain.of_rules(self._collector.catalogue, self._collector.offers.left_out),
            }
        offered = custom_offered(self._collector.catalogue, question.resource, question.metric)
        refused = self._collector.refusal(want._replace(objects=None))
        story = explain.of_rule(offered, want, self._collector.demand, self._collector.catalogue, refused)
        held = self._collector.held.get(want)
        if held is None or held.table is None:
            return story | {
                "answer": "asked for when requested",
                "lastError": _error_text(held.error if held else None),
            }
        return story | self._explain_values(question, held)

    def _explain_values(self, question: CustomQuestion, held: Held) -> dict[str, object]:
        assert held.table is not None
        names: Sequence[str] = [question.name]
        if question.name == "*":
            names = self._directory.known_names(question.resource, question.namespace, question.selector)
        source = self._collector.source
        return explain.of_values(
            held.planned,
            held.table,
            self._sieve.judge(question, names, held),
            explain.Origin(source.name, source.knows_sample_times),
            namespace=question.namespace,
            waits_for=self._collector.waits_for(held.planned),
            error=_error_text(held.error),
            now=self._clock(),
        )


def _error_text(error: Exception | None) -> str:
    return "" if error is None else str(error)


def _by_labels(verdicts: Iterable[tuple[Mapping[str, str], Judged]]) -> dict[str, Judged]:
    return {",".join(f"{key}={value}" for key, value in labels.items()): item for labels, item in verdicts}
