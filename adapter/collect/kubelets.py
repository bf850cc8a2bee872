"""The kubelets that CPU and memory come from: how each is doing, and why a node or its pods have no values."""

import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from multidict import MultiMapping
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapter.clock import steady
from adapter.collect import consumption
from adapter.kube.index import Index
from adapter.kube.objects import Node, Pod
from adapter.kube.resources import GroupResource
from adapter.metrics.scrape.health import Failure, Health
from adapter.metrics.scrape.kubelet import KubeletUsage, ResourceUsage, kubelet_id, kubelet_target
from adapter.metrics.scrape.target import Target, TargetError
from adapter.rules.resources import NODES

NAMED = 10
"""Nodes that /readyz names; of further ones it says how many."""
_DOES = {
    Failure.TIMEOUT: "gives no complete answer in time",
    Failure.UNREACHABLE: "cannot be reached",
    Failure.CERTIFICATE: "has a certificate that is not accepted",
    Failure.REFUSED: "refuses our credentials",
    Failure.STATUS: "answers with an error",
    Failure.ANSWER: "gives no page of metrics",
    Failure.STORING: "gives values that cannot be stored",
}
"""What is told to strangers: an error's text holds addresses."""
ADDRESS = "address"
"""The reason of a node that has no address to be asked at."""


class State(NamedTuple):
    """How one node's kubelet is doing."""

    node: str
    reason: str
    """Of the last failure: a value of `Failure`, or ADDRESS; '' where it does well, or was not asked yet."""
    last_success: float | None
    """Unix time, s."""

    def describe(self) -> str:
        """What is wrong, fit for strangers."""
        does = "has no address of a wanted type" if self.reason == ADDRESS else _DOES[Failure(self.reason)]
        return f"the kubelet of node {self.node} {does}: neither its CPU and memory nor its pods' are served"


class KubeletAccess(NamedTuple):
    """How kubelets are reached; None of it matters without nodes."""

    resolution: float = 15.0
    """s between two scrapes of a kubelet."""
    address_types: tuple[str, ...] = ("InternalIP",)
    port: int = 0
    """0: as each node says."""
    tls: ssl.SSLContext | bool = True
    headers: Callable[[], MultiMapping[str]] | None = None


class Kubelets:
    """`UsageSource` of what kubelets tell, and the targets that they are asked at."""

    def __init__(
        self,
        access: KubeletAccess,
        nodes: Index[Node],
        pods: Index[Any],
        health: Mapping[str, Health],
        clock: Callable[[], float] = steady,
        wall: Callable[[float], float] = float,
    ) -> None:
        """`health` is the scraper's, by target; `clock` and `wall` as for `Scraper`."""
        self._usage = KubeletUsage(consumption.max_age(access.resolution), self._runs_on)
        self._access = access
        self._nodes = nodes
        self._pods_there = pods
        self._health = health
        self._clock = clock
        self._wall = wall
        self._unasked: dict[str, str] = {}
        """Node -> why its kubelet cannot be asked, one sentence."""

    # ---- as `UsageSource`

    @property
    def max_age(self) -> float:
        """See `UsageSource`."""
        return self._usage.max_age

    def pods(self) -> Mapping[tuple[str, str], Mapping[str, ResourceUsage]]:
        """See `UsageSource`."""
        return self._usage.pods()

    def nodes(self) -> Mapping[str, ResourceUsage]:
        """See `UsageSource`."""
        return self._usage.nodes()

    def trouble(self, resource: GroupResource, nodes: Collection[str] | None = None) -> str:
        """See `UsageSource`. Of pods on kubelets that are well nothing is known: they may be new, or at their end."""
        whose = [node.metadata.name for node in self._nodes] if nodes is None else nodes
        told = self._why if resource == NODES else self._failure
        reasons = list(filter(None, map(told, sorted(whose))))
        more = f" (and {len(reasons) - 1} more nodes)" if len(reasons) > 1 else ""
        return f"{reasons[0]}{more}" if reasons else ""

    # ---- what is asked

    def targets(self) -> Iterator[Target]:
        """A target for each node's kubelet; of nodes that are gone nothing is kept."""
        self._usage.keep({node.metadata.name for node in self._nodes})
        self._unasked.clear()
        for node in self._nodes:
            try:
                yield self._target(node)
            except TargetError as error:
                self._unasked[node.metadata.name] = str(error)

    def _target(self, node: Node) -> Target:
        access, name = self._access, node.metadata.name
        return kubelet_target(
            name,
            [(address.type, address.address) for address in node.status.addresses],
            port=access.port or node.status.daemon_endpoints.kubelet_endpoint.port or 10250,
            address_types=access.address_types,
            tls=access.tls,
            headers=access.headers,
            interval_s=access.resolution,
            on_points=partial(self._usage.updating, name),
        )

    def expire(self, before: float) -> None:
        """Drop the nodes without a reading since `before`, Unix s."""
        self._usage.expire(before)

    def _runs_on(self, pod: tuple[str, str], node: str) -> bool:
        """Whether a pod may be that node's, as far as is known: a kubelet tells of its own pods only."""
        known_pod = self._pods_there.get(*pod)
        return not isinstance(known_pod, Pod) or known_pod.spec.node_name in ("", node)

    # ---- how they are doing

    def problems(self) -> Iterable[str]:
        """Why kubelets cannot be asked at all, one sentence for each node."""
        return self._unasked.values()

    def states(self) -> Iterator[State]:
        """Of all nodes that were asked, or cannot be."""
        for node in self._nodes:
            name = node.metadata.name
            health = self._health.get(kubelet_id(name))
            if name in self._unasked:
                yield State(name, ADDRESS, None)
            elif health is not None and health.scrapes:
                last = None if health.last_success is None else self._wall(health.last_success)
                yield State(name, health.failure.value if health.failure else "", last)

    def notes(self) -> list[str]:
        """The kubelets that fail, sentences fit for strangers, of NAMED nodes at most."""
        failing = sorted(state for state in self.states() if state.reason)
        more = len(failing) - NAMED
        return [state.describe() for state in failing[:NAMED]] + [f"so it is with {more} more nodes"] * (more > 0)

    def _failure(self, node: str) -> str:
        """How a node's kubelet fails, one sentence without a full stop; '' where it does not."""
        if node in self._unasked:
            return self._unasked[node]
        health = self._health.get(kubelet_id(node))
        if health is None or not health.error:
            return ""
        ago = f"{self._clock() - health.last_success:.0f} s ago" if health.last_success else "never"
        times = "the last scrape" if health.failures == 1 else f"the last {health.failures} scrapes"
        return f"{times} of the kubelet of node {node} failed: {health.error} (the last that worked: {ago})"

    def _why(self, node: str) -> str:
        """Why a node has no values, as `_failure`; '' where it has, or is none of ours."""
        if failure := self._failure(node):
            return failure
        health = self._health.get(kubelet_id(node))
        if health is None:
            return ""
        used = self._usage.nodes().get(node)
        if used is not None:
            age = self._clock() - used.time
            old = f"the newest values of the kubelet of node {node} are {age:.0f} s old"
            return f"{old}, and at most {self.max_age:.0f} s are served" if age > self.max_age else ""
        if not health.scrapes:
            return f"the kubelet of node {node} was not scraped yet"
        if self._usage.reads(node):
            return f"the kubelet of node {node} has told of one moment so far, and CPU needs two"
        return (
            f"the page of the kubelet of node {node} has no CPU and memory of the node (node_cpu_usage_seconds_total)"
        )


class KubeletHealth(Collector):
    """The state of each kubelet, for /metrics."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        up = GaugeMetricFamily(
            "streamgate_kubelet_up", "1 where a node's kubelet gave its page when last asked.", labels=["node"]
        )
        last = GaugeMetricFamily(
            "streamgate_kubelet_last_success_timestamp_seconds",
            "When a node's kubelet last gave its page, Unix time.",
            labels=["node"],
        )
        failing = GaugeMetricFamily(
            "streamgate_kubelet_failing",
            "1 for the reason for which a node's kubelet gave none.",
            labels=["node", "reason"],
        )
        for state in self._kubelets.states():
            up.add_metric([state.node], not state.reason)
            if state.last_success is not None:
                last.add_metric([state.node], state.last_success)
            if state.reason:
                failing.add_metric([state.node, state.reason], 1)
        yield from (up, last, failing)
