"""CPU and memory of pods and nodes: by resourceRules, and as the API answers."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from adapter.collect.answers import Collected
from adapter.collect.directory import Directory
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.usage import RuledUsage
from adapter.kube.index import Index
from adapter.kube.known import KNOWN
from adapter.kube.objects import ObjectMeta, PartialObjectMetadata
from adapter.metrics.sample import Sample
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.metrics.source import ALWAYS, Query, Since, SourceError
from adapter.rules.config import load
from adapter.rules.resources import NODES, PODS, ResourceMapper
from adapter.units.selector import EVERYTHING, Selector
from tests.collect.conftest import World

RULES = """
resourceRules:
  cpu:
    containerQuery: 'sum by (<<.GroupBy>>) (container_cpu{<<.LabelMatchers>>,container!=""})'
    nodeQuery: 'sum by (<<.GroupBy>>) (node_cpu{<<.LabelMatchers>>})'
    resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}, node: {resource: node}}}
    containerLabel: container
  memory:
    containerQuery: 'sum by (<<.GroupBy>>) (container_memory{<<.LabelMatchers>>,container!=""})'
    nodeQuery: 'sum by (<<.GroupBy>>) (node_memory{<<.LabelMatchers>>})'
    resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}, node: {resource: node}}}
    containerLabel: container
  window: 3m
"""


def container(pod: str, name: str, value: float, time: float = 1000.0) -> Sample:
    return Sample({"namespace": "shop", "pod": pod, "container": name}, value, time)


class Tables:
    """Answers by the series that a query names."""

    name = "tables"
    knows_sample_times = True

    def __init__(self, **tables: list[Sample]) -> None:
        self.tables = tables
        self.asked: list[str] = []

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.asked.append(query.promql)
        found = [samples for name, samples in self.tables.items() if name in query.promql]
        if not found:
            raise SourceError("no such table")
        return found[0]

    async def silent(self, query: Query, at: float, pods: Since) -> frozenset[tuple[str, str]]:
        return frozenset()

    async def series(self, selectors: Sequence[str], since: float, at: float) -> list[Mapping[str, str]]:
        return []


def ruled(source: Tables) -> RuledUsage:
    rules = load(RULES, "rules.yaml").resource
    assert rules is not None
    return RuledUsage(source, rules, lambda: ResourceMapper(KNOWN), 15.0, clock=lambda: 1000.0)


async def test_four_queries_tell_the_usage_of_all_containers_and_nodes() -> None:
    source = Tables(
        container_cpu=[container("web", "app", 0.25), container("web", "proxy", 0.05)],
        container_memory=[container("web", "app", 2e8), container("web", "proxy", 3e7, 990.0)],
        node_cpu=[Sample({"node": "n1"}, 1.5, 1000.0)],
        node_memory=[Sample({"node": "n1"}, 4e9, 1000.0)],
    )
    usage = ruled(source)
    await usage.collect()
    assert usage.pods() == {
        ("shop", "web"): {"app": ResourceUsage(0.25, 2e8, 1000, 180), "proxy": ResourceUsage(0.05, 3e7, 990, 180)}
    }
    assert usage.nodes() == {"n1": ResourceUsage(1.5, 4e9, 1000, 180)}
    assert len(source.asked) == 4


async def test_a_container_with_one_value_of_two_keeps_its_pod_out() -> None:
    """prometheus-adapter takes 0 for the other one; an HPA would then scale on half a pod."""
    source = Tables(
        container_cpu=[container("web", "app", 0.25), container("whole", "app", 0.5)],
        container_memory=[container("web", "app", 2e8), container("web", "proxy", 3e7), container("whole", "app", 1e8)],
        node_cpu=[],
        node_memory=[],
    )
    usage = ruled(source)
    await usage.collect()
    assert list(usage.pods()) == [("shop", "whole")]


async def test_a_source_that_fails_keeps_what_was_known() -> None:
    source = Tables(
        container_cpu=[container("web", "app", 0.25)],
        container_memory=[container("web", "app", 2e8)],
        node_cpu=[],
        node_memory=[],
    )
    usage = ruled(source)
    await usage.collect()
    source.tables = {}
    await usage.collect()
    assert list(usage.pods()) == [("shop", "web")]
    assert usage.error == "no such table"


class Known:
    """A usage source with these values."""

    def __init__(
        self, pods: Mapping[tuple[str, str], Mapping[str, ResourceUsage]], nodes: Mapping[str, ResourceUsage]
    ) -> None:
        self._pods, self._nodes = pods, nodes

    def pods(self) -> Mapping[tuple[str, str], Mapping[str, ResourceUsage]]:
        return self._pods

    def nodes(self) -> Mapping[str, ResourceUsage]:
        return self._nodes


@pytest.fixture
def answers(world: World) -> Collected:
    """Two pods, one of them with an old value, and a node."""
    nodes: Index[Any] = Index()
    nodes.put(PartialObjectMetadata(metadata=ObjectMeta(name="n1", labels={"zone": "a"})))
    for name in ("web", "stale", "silent"):
        world.pod(name, app="web")
    usage = Known(
        {
            ("shop", "web"): {
                "proxy": ResourceUsage(0.000000005, 1048576.0, 985.0, 15.0),
                "app": ResourceUsage(0.25, 1000.0, 990.0, 14.0),
            },
            ("shop", "stale"): {"app": ResourceUsage(0.1, 1.0, 939.0, 15.0)},
            ("shop", "gone"): {"app": ResourceUsage(0.1, 1.0, 990.0, 15.0)},
        },
        {"n1": ResourceUsage(1.5, 4 * 2.0**30, 990.0, 15.0)},
    )
    directory = Directory({PODS: cast(Any, world.pods), NODES: nodes}, None, world.catalogue.mapper.api)
    return Collected(
        world.collector,
        directory,
        usage,
        CollectTelemetry(CollectorRegistry()),
        serves_custom=True,
        serves_external=False,
        clock=lambda: 1000.0,
    )


async def test_a_pods_usage_has_the_time_of_its_oldest_container_and_quantities_to_the_nano_and_byte(
    answers: Collected,
) -> None:
    [pod] = answers.pod_usage("shop", None, Selector.parse("app=web"))
    assert (pod.name, pod.time, pod.window) == ("web", 985.0, 15.0)
    shown = [(name, str(usage.cpu), str(usage.memory)) for name, usage in pod.containers]
    assert shown == [("app", "250m", "1k"), ("proxy", "5n", "1Mi")]


async def test_old_values_pods_that_are_gone_and_pods_without_values_are_left_out(answers: Collected) -> None:
    assert [pod.name for pod in answers.pod_usage(None, None, EVERYTHING)] == ["web"]
    assert answers.pod_usage("shop", "stale", EVERYTHING) == []


async def test_nodes_are_found_by_name_and_label(answers: Collected) -> None:
    [node] = answers.node_usage(None, Selector.parse("zone=a"))
    assert (node.name, str(node.usage.cpu), str(node.usage.memory)) == ("n1", "1500m", "4Gi")
    assert answers.node_usage("n2", EVERYTHING) == []
