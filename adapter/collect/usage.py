"""CPU and memory of containers and nodes, for metrics.k8s.io: what the API server asks, and usage by resourceRules."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

import structlog

from adapter.clock import steady
from adapter.collect import consumption
from adapter.collect.containers import Key, Pods, by_container, join, usage
from adapter.collect.starving import SHOWN
from adapter.kube.resources import GroupResource
from adapter.metrics.sample import Sample
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.metrics.source import Query, Source, SourceError
from adapter.once import Once
from adapter.rules import merge
from adapter.rules.model import ResourceRule, ResourceRules
from adapter.rules.naming import BoundRule, NamingError, bind
from adapter.rules.queries import QueryError
from adapter.rules.resources import NAMESPACES, NODES, PODS, ResourceMapper

log = structlog.get_logger(__name__)

DEFAULT_WINDOW = 60.0
"""s stated as the window where the file states none."""
MOST_CONTAINERS = 1_000_000
"""Of all pods: the largest clusters have 150,000 pods."""
Found = TypeVar("Found")


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

    def trouble(self, resource: GroupResource, nodes: Collection[str] | None = None) -> str:
        """Why pods or nodes may have no values, one sentence without a full stop; '' where nothing is known of it.

        `nodes` are those that are asked for, or that the pods run on; None: not known, so it may be any.
        """
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
        self.errors: dict[GroupResource, SourceError] = {}
        """Why the last collection of pods or nodes failed; the values before it are kept."""
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

    def notes(self) -> list[str]:
        """What is wrong now, sentences fit for strangers; none where all is well."""
        return [f"usage of {what} was not collected: {error.public[:SHOWN]}" for what, error in self.errors.items()]

    def waiting(self) -> str:
        """'' once a collection was done, or failed; else what is waited for."""
        return "" if self.collected else "usage was not collected yet"

    async def run(self) -> None:
        """Collect until cancelled."""
        while True:
            await self.collect()
            await asyncio.sleep(self._every)

    def trouble(self, resource: GroupResource, nodes: Collection[str] | None = None) -> str:
        """See `UsageSource`: all are collected by the same queries."""
        return str(self.errors.get(resource, "" if self.collected else "it was not collected yet"))

    async def collect(self) -> None:
        """One collection; a failure keeps what was known, and pods and nodes fail apart."""
        at = self._clock()
        if (pods := await self._attempt(PODS, self._collect_pods(at))) is not None:
            self._pods = pods
            self._say("usage left out", consumption.unsayable(pods))
        if (nodes := await self._attempt(NODES, self._collect_nodes(at))) is not None:
            self._nodes = nodes
        if not self.errors:
            self._took = self._clock() - at
        self.collected = True

    async def _attempt(self, resource: GroupResource, collection: Awaitable[Found]) -> Found | None:
        """What was collected; None where that failed."""
        try:
            collected = await collection
        except SourceError as error:
            self.errors[resource] = error
        except (QueryError, NamingError) as error:
            self.errors[resource] = SourceError(str(error.args[0]))
        else:
            self.errors.pop(resource, None)
            self._say("usage not collected", "", str(resource))
            return collected
        self._say("usage not collected", str(self.errors[resource]), str(resource))
        return None

    async def _collect_pods(self, at: float) -> Pods:
        cpu, memory = self._bind(self._rules.cpu), self._bind(self._rules.memory)
        if cpu is None or memory is None:
            return {}
        queries = merge.merge_containers(cpu, None), merge.merge_containers(memory, None)
        named = [(bound.label(PODS), bound.label(NAMESPACES)) for bound in (cpu, memory)]
        read = [(*labels, bound.rule.container_label) for labels, bound in zip(named, (cpu, memory), strict=True)]
        cores, octets = await self._both(queries, read, at)
        for bound, labels, samples in ((cpu, named[0], cores), (memory, named[1], octets)):
            self._say("usage not found", nobodys(bound.rule, "containerQuery", samples, labels), bound.rule.place)
        both = by_container(cpu, cores), by_container(memory, octets)
        containers = join(*both, lacking=self._lacking, window=self._window, at=at)
        self._lacking = containers.lacking
        self._say("usage without containers", _nameless(cpu.rule, containers.nameless))
        return containers.pods

    async def _collect_nodes(self, at: float) -> Mapping[str, ResourceUsage]:
        cpu, memory = self._bind(self._rules.cpu), self._bind(self._rules.memory)
        if cpu is None or memory is None:
            return {}
        queries = merge.merge_nodes(cpu), merge.merge_nodes(memory)
        cores, octets = await self._both(queries, [[bound.label(NODES)] for bound in (cpu, memory)], at)
        for bound, samples in ((cpu, cores), (memory, octets)):
            problem = nobodys(bound.rule, "nodeQuery", samples, [bound.label(NODES)])
            self._say("usage of nodes not found", problem, bound.rule.place)
        used = {sample.labels.get(memory.label(NODES), ""): sample for sample in octets}
        label = cpu.label(NODES)
        return {
            name: usage(sample, used[name], self._window)
            for sample in cores
            if (name := sample.labels.get(label, "")) and name in used
        }

    async def _both(
        self, queries: tuple[str, str], labels: Sequence[Sequence[str]], at: float
    ) -> tuple[list[Sample], list[Sample]]:
        """The results of two queries, of which so many `labels` each are looked at."""
        one, other = (
            Query(promql, most=MOST_CONTAINERS, labels=frozenset(read))
            for promql, read in zip(queries, labels, strict=True)
        )
        return await self._source.query(one, at), await self._source.query(other, at)

    def _say(self, event: str, problem: str, place: str = "") -> None:
        """A problem once for as long as it lasts; '' where there is none."""
        if not problem:
            self._once.over((event, place))
        elif self._once.first((event, place)):
            log.warning(event, problem=problem)

    def _bind(self, rule: ResourceRule | None) -> BoundRule[ResourceRule] | None:
        return None if rule is None else bind(rule, self._mapper())

    @property
    def _window(self) -> float:
        return self._rules.window or DEFAULT_WINDOW


def nobodys(rule: ResourceRule, field: str, samples: Sequence[Sample], labels: Sequence[str]) -> str:
    """What is wrong with a query's result as a whole: nothing there, or nothing that says whose it is."""
    if not samples:
        return (
            f"{rule.place}: its {field} finds nothing, so metrics.k8s.io has no values;"
            " do the series have the labels that it asks for?"
        )
    for label in labels:
        if not any(sample.labels.get(label) for sample in samples):
            return (
                f"{rule.place}: its {field} gives {len(samples)} values without the label {label!r}, so nobody knows"
                " whose they are; do the series have it, and does the query group by it (<<.GroupBy>>)?"
            )
    return ""


def _nameless(rule: ResourceRule, pods: Collection[tuple[str, str]]) -> str:
    if not pods:
        return ""
    first = "/".join(min(pods))
    return (
        f"{rule.place}: the values of {len(pods)} pods ({first}) have no label {rule.container_label}:"
        " each counts as one container without a name"
    )
