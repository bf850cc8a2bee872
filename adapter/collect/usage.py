"""CPU and memory of containers and nodes, for metrics.k8s.io: what the API server asks, and usage by resourceRules."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from adapter.clock import steady
from adapter.collect import consumption
from adapter.collect.containers import Key, Pods, by_container, joined, usage
from adapter.metrics.sample import Sample
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.metrics.source import Query, Source, SourceError
from adapter.once import Once
from adapter.rules import merge
from adapter.rules.model import ResourceRule, ResourceRules
from adapter.rules.naming import BoundRule, NamingError, bind
from adapter.rules.resources import NODES, ResourceMapper

log = structlog.get_logger(__name__)

DEFAULT_WINDOW = 60.0
"""s stated as the window where the file states none."""


class UsageSource(Protocol):
    """Where the consumption is known: kubelets, or queries."""

    @property
    def max_age(self) -> float:
        """s beyond which a value is too old to be served."""
        ...

    def pods(self) -> Pods:
        """Only pods of which every container has a value."""
        ...

    def nodes(self) -> Mapping[str, ResourceUsage]:
        """By node name."""
        ...


class RuledUsage:
    """ResourceUsage by `resourceRules`: two queries for all containers, two for all nodes, on a schedule."""

    def __init__(
        self,
        source: Source,
        rules: ResourceRules,
        mapper: Callable[[], ResourceMapper],
        every: float,
        clock: Callable[[], float] = steady,
    ) -> None:
        self.error = ""
        """Why the last collection failed; the values before it are kept."""
        self.collected = False
        self._source = source
        self._rules = rules
        self._mapper = mapper
        self._every = every
        self._clock = clock
        self._pods: Pods = {}
        self._nodes: Mapping[str, ResourceUsage] = {}
        self._lacking: Mapping[Key, float] = {}
        self._took = 0.0
        self._once = Once(again=None)

    @property
    def max_age(self) -> float:
        """Two collections beyond the time of one, where that is longer than the usual limit."""
        return consumption.max_age(self._every + self._took)

    def pods(self) -> Pods:
        """As of the last collection that worked."""
        return self._pods

    def nodes(self) -> Mapping[str, ResourceUsage]:
        """As of the last collection that worked."""
        return self._nodes

    def waiting(self) -> str:
        """'' once a collection was done, or failed; else what is waited for."""
        return "" if self.collected else "usage was not collected yet"

    async def run(self) -> None:
        """Collect until cancelled."""
        while True:
            await self.collect()
            await asyncio.sleep(self._every)

    async def collect(self) -> None:
        """One collection; a failure keeps what was known."""
        try:
            at = self._clock()
            self._pods = await self._collect_pods(at)
            self._nodes = await self._collect_nodes(at)
            self._took, self.error = self._clock() - at, ""
            self._say("usage left out", consumption.unsayable(self._pods))
        except (SourceError, NamingError) as error:
            if not self.error:
                log.warning("usage not collected", cause=str(error))
            self.error = str(error)
        self.collected = True

    async def _collect_pods(self, at: float) -> Pods:
        cpu, memory = self._bound(self._rules.cpu), self._bound(self._rules.memory)
        if cpu is None or memory is None:
            return {}
        queries = merge.merged_containers(cpu, None), merge.merged_containers(memory, None)
        cores, octets = await self._both(queries, at)
        for rule, samples in ((cpu.rule, cores), (memory.rule, octets)):
            self._say("usage not found", "" if samples else _nothing(rule, "containerQuery"), rule.place)
        both = by_container(cpu, cores), by_container(memory, octets)
        found = joined(*both, lacking=self._lacking, window=self._window, at=at)
        self._lacking = found.lacking
        self._say("usage without containers", _nameless(cpu.rule, found.nameless))
        return found.pods

    async def _collect_nodes(self, at: float) -> Mapping[str, ResourceUsage]:
        cpu, memory = self._bound(self._rules.cpu), self._bound(self._rules.memory)
        if cpu is None or memory is None:
            return {}
        cores, octets = await self._both((merge.merged_nodes(cpu), merge.merged_nodes(memory)), at)
        for rule, found in ((cpu.rule, cores), (memory.rule, octets)):
            self._say("usage of nodes not found", "" if found else _nothing(rule, "nodeQuery"), rule.place)
        used = {sample.labels.get(memory.label(NODES), ""): sample for sample in octets}
        label = cpu.label(NODES)
        return {
            name: usage(sample, used[name], self._window)
            for sample in cores
            if (name := sample.labels.get(label, "")) and name in used
        }

    async def _both(self, queries: tuple[str | None, str | None], at: float) -> tuple[list[Sample], list[Sample]]:
        first, second = queries
        if first is None or second is None:
            raise SourceError("resourceRules: the queries cannot be asked for all objects at once")
        return await self._source.query(Query(first), at), await self._source.query(Query(second), at)

    def _say(self, event: str, problem: str, place: str = "") -> None:
        """A problem once for as long as it lasts; '' where there is none."""
        if not problem:
            self._once.over((event, place))
        elif self._once.first((event, place)):
            log.warning(event, problem=problem)

    def _bound(self, rule: ResourceRule | None) -> BoundRule[ResourceRule] | None:
        return None if rule is None else bind(rule, self._mapper())

    @property
    def _window(self) -> float:
        return self._rules.window or DEFAULT_WINDOW


def _nothing(rule: ResourceRule, field: str) -> str:
    return (
        f"{rule.place}: its {field} finds nothing, so metrics.k8s.io has no values;"
        " do the series have the labels that it asks for?"
    )


def _nameless(rule: ResourceRule, pods: Collection[tuple[str, str]]) -> str:
    if not pods:
        return ""
    first = "/".join(min(pods))
    return (
        f"{rule.place}: the values of {len(pods)} pods ({first}) have no label {rule.container_label}:"
        " each counts as one container without a name"
    )
