"""Builders for the collector's tests: a source that is told what to answer, rules as a file has them, a clock."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from adapter.collect.answers import Collected
from adapter.collect.catalogue import Catalogue
from adapter.collect.collector import Collector
from adapter.collect.demand import Demand
from adapter.collect.directory import Directory
from adapter.collect.groups import Groups
from adapter.collect.plan import Planner
from adapter.collect.polled import Polled
from adapter.collect.presence import Presences
from adapter.collect.snapshot import Limits
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.transition import Transitions
from adapter.kube.index import Index
from adapter.kube.known import KNOWN
from adapter.kube.objects import Condition, ObjectMeta, PartialObjectMetadata, Pod, PodStatus
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALL_LABELS, ALWAYS, Discovery, Part, Query, RefusedQuery, Since, SourceError, Wanted
from adapter.rules.config import load
from adapter.rules.resources import PODS, ResourceMapper
from adapter.spans import OFF, Tracer

RULES = """
rules:
- seriesQuery: 'http_requests_total{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: 'sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)'
- seriesQuery: 'queue_depth{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  metricsQuery: 'topk(1, sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>))'
externalRules:
- seriesQuery: 'jobs_waiting{queue!=""}'
  resources: {overrides: {namespace: {resource: namespace}}}
  metricsQuery: 'max(<<.Series>>{<<.LabelMatchers>>}) by (queue)'
"""
SERIES = {
    "http_requests_total": {"__name__": "http_requests_total", "namespace": "shop", "pod": "web-1"},
    "queue_depth": {"__name__": "queue_depth", "namespace": "shop", "pod": "web-1"},
    "jobs_waiting": {"__name__": "jobs_waiting", "namespace": "shop", "queue": "mail"},
}


class ToldSource:
    """Answers what `samples` says to any value query; records the queries; fails with `fault` while it is set."""

    name = "told"

    def __init__(self) -> None:
        self.knows_sample_times = True
        self.samples: list[Sample] = []
        self.times: list[Sample] = []
        self.coverage: list[Sample] = []
        self.oldest: list[Sample] = []
        self.holes: list[Sample] = []
        self.counts: list[Sample] = []
        self.queries: list[Query] = []
        self.mute: set[tuple[str, str]] = set()
        self.fault = ""
        self.refusal = ""
        self.gate: Callable[[], Any] | None = None

    def turn(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.queries.append(query)
        if self.gate is not None:
            await self.gate()
        if self.refusal:
            raise RefusedQuery(self.refusal)
        if self.fault:
            raise SourceError(self.fault)
        if "- 2 * count_over_time(" in query.promql:
            return await self.count(query, at)
        if "min_over_time(timestamp(" in query.promql:
            return self.oldest
        if " or 0 * count_over_time(" in query.promql:
            return self.holes
        if "count_over_time(" in query.promql:
            return self.counts
        return self.times if "timestamp(" in query.promql else self.samples

    async def count(self, query: Query, at: float) -> list[Sample]:
        return self.coverage

    async def silent(self, query: Query, at: float, pods: Since) -> frozenset[tuple[str, str]]:
        return frozenset(pods.keys() & self.mute)

    async def discover(
        self, selector: str, since: float, at: float, wanted: Wanted = ALL_LABELS, parts: Sequence[Part] = ()
    ) -> Discovery:
        return Discovery(await self.series([selector], since, at))

    async def series(self, selectors: Sequence[str], since: float, at: float) -> list[Mapping[str, str]]:
        if self.fault:
            raise SourceError(self.fault)
        return [labels for name, labels in SERIES.items() if selectors[0].startswith(name)]


class Followed:
    """An informer of pods, as far as it tells what it waits for."""

    waits_for = ""

    def waiting(self) -> str:
        return self.waits_for


class World:
    """A collector with its surroundings; `now` is Unix time, moved by hand.

    With `interval`, s, between samples it knows which pods take traffic; 0: the source takes the samples.
    """

    def __init__(
        self,
        rules: str = RULES,
        *,
        interval: float | None = None,
        source: Any = None,
        clock: Callable[[], float] | None = None,
        tracer: Tracer = OFF,
    ) -> None:
        self.now = 1000.0
        self.filling = ""
        """What the source waits for before it holds all that it will."""
        self.clock = clock or (lambda: self.now)
        self.source: Any = source or ToldSource()
        self.demand = Demand()
        self.listed = Followed()
        self.pods: Index[Any] = Index()
        transitions = None
        if interval is not None:
            presences = Presences(lambda: self.now)
            self.pods.on_change(presences.note_change)
            transitions = Transitions(presences, Groups(presences, self.pods.select), interval)
        self.catalogue = Catalogue(load(rules, "rules.yaml"), ResourceMapper(KNOWN))
        self.directory = Directory({PODS: self.pods}, None, self.catalogue.mapper.api, pods=self.listed)
        planner = Planner(Limits(), self.directory.names_of, self.directory.size)
        self.planner = planner
        self.registry = CollectorRegistry()
        telemetry = CollectTelemetry(self.registry, tracer)
        self.collector = Collector(
            self.source,
            self.catalogue,
            self.demand,
            planner,
            telemetry,
            transitions=transitions,
            filling=lambda: self.filling,
            clock=self.clock,
        )
        self.polled = Polled(self.clock)
        self.answers = Collected(
            self.collector,
            self.directory,
            None,
            telemetry,
            serves_custom=True,
            serves_external=True,
            polled=self.polled,
            clock=self.clock,
        )

    def pod(self, name: str, namespace: str = "shop", **labels: str) -> None:
        """A pod exists."""
        self.pods.put(PartialObjectMetadata(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels)))

    def ready_pod(self, name: str, ready: bool = True, namespace: str = "shop", **labels: str) -> None:
        """A pod whose readiness is known from now on."""
        since = datetime.fromtimestamp(self.now, UTC)
        status = PodStatus("Running", conditions=(Condition("Ready", str(ready), last_transition_time=since),))
        self.pods.put(Pod(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels), status=status))

    def left_out_count(self, rule: str, why: str) -> float:
        """How many values of a rule were left out of answers for a reason."""
        labels = {"rule": rule, "why": why}
        return self.registry.get_sample_value("streamgate_values_left_out_total", labels) or 0.0

    def serves(self, *values: tuple[str, str, float], at: float | None = None) -> None:
        """The source's answer: (namespace, pod, value), sampled at `at`."""
        time = self.now if at is None else at
        self.source.samples = [Sample({"namespace": ns, "pod": pod}, value, time) for ns, pod, value in values]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.collector.offers.look()
    return made
