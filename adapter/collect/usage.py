"""CPU and memory of containers and nodes, for metrics.k8s.io: what the API server asks, and usage by resourceRules."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from adapter.collect.consumption import unsayable
from adapter.metrics.sample import Sample
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.metrics.source import Query, Source, SourceError
from adapter.once import Once
from adapter.rules import merge
from adapter.rules.model import ResourceRule, ResourceRules
from adapter.rules.naming import BoundRule, NamingError, bind
from adapter.rules.resources import NAMESPACES, NODES, PODS, ResourceMapper

log = structlog.get_logger(__name__)

DEFAULT_WINDOW = 60.0
"""s stated as the window where the file states none."""


Pods = Mapping[tuple[str, str], Mapping[str, ResourceUsage]]
"""(namespace, pod) -> container -> consumption."""


class UsageSource(Protocol):
    """Where the consumption is known: kubelets, or queries."""

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
        clock: Callable[[], float] = time.time,
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
        self._odd = Once()

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
            self.error = ""
            if (odd := unsayable(self._pods)) and self._odd.first("pods", odd):
                log.warning("usage left out", problem=odd)
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
        return joined(_containers(cpu, cores), _containers(memory, octets), self._window)

    async def _collect_nodes(self, at: float) -> Mapping[str, ResourceUsage]:
        cpu, memory = self._bound(self._rules.cpu), self._bound(self._rules.memory)
        if cpu is None or memory is None:
            return {}
        cores, octets = await self._both((merge.merged_nodes(cpu), merge.merged_nodes(memory)), at)
        used = {sample.labels.get(memory.label(NODES), ""): sample for sample in octets}
        label = cpu.label(NODES)
        return {
            name: _consumption(sample, used[name], self._window)
            for sample in cores
            if (name := sample.labels.get(label, "")) and name in used
        }

    async def _both(self, queries: tuple[str | None, str | None], at: float) -> tuple[list[Sample], list[Sample]]:
        first, second = queries
        if first is None or second is None:
            raise SourceError("resourceRules: the queries cannot be asked for all objects at once")
        return await self._source.query(Query(first), at), await self._source.query(Query(second), at)

    def _bound(self, rule: ResourceRule | None) -> BoundRule[ResourceRule] | None:
        return None if rule is None else bind(rule, self._mapper())

    @property
    def _window(self) -> float:
        return self._rules.window or DEFAULT_WINDOW


_Key = tuple[tuple[str, str], str]


def _containers(bound: BoundRule[ResourceRule], samples: Sequence[Sample]) -> Iterator[tuple[_Key, Sample]]:
    namespace, pod, container = bound.label(NAMESPACES), bound.label(PODS), bound.rule.container_label
    for sample in samples:
        labels = sample.labels
        if labels.get(pod) and labels.get(container):
            yield ((labels.get(namespace, ""), labels[pod]), labels[container]), sample


def joined(cores: Iterator[tuple[_Key, Sample]], octets: Iterator[tuple[_Key, Sample]], window: float) -> Pods:
    """ResourceUsage per pod and container. A container that has one of the two only keeps its whole pod out.

    A half-known pod would look smaller than it is, and an HPA would scale on that (prometheus-adapter takes 0 there).
    """
    cpu, memory = dict(cores), dict(octets)
    incomplete = {pod for pod, _ in cpu.keys() ^ memory.keys()}
    pods: dict[tuple[str, str], dict[str, ResourceUsage]] = {}
    for key, sample in cpu.items():
        pod, container = key
        if pod not in incomplete:
            pods.setdefault(pod, {})[container] = _consumption(sample, memory[key], window)
    return pods


def _consumption(cores: Sample, octets: Sample, window: float) -> ResourceUsage:
    return ResourceUsage(cores.value, octets.value, min(cores.time, octets.time), window)
