"""CPU and memory of pods and nodes: by resourceRules, and as the API answers."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapter.collect.answer import Unanswerable, Unavailable
from adapter.collect.answers import Collected
from adapter.collect.directory import Directory
from adapter.collect.embedded import Embedded, EmbeddedOptions
from adapter.collect.kubelets import KubeletAccess
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.usage import RuledUsage, UsageSource
from adapter.kube.index import Index
from adapter.kube.known import KNOWN
from adapter.kube.objects import ObjectMeta, PartialObjectMetadata
from adapter.kube.resources import GroupResource
from adapter.metrics.sample import Sample
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.metrics.source import ALL_LABELS, ALWAYS, Discovery, Part, Query, Since, SourceError, Wanted
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

    def turn(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.asked.append(query.promql)
        tables = [samples for name, samples in self.tables.items() if name in query.promql]
        if not tables:
            raise SourceError("no such table")
        return tables[0]

    async def silent(self, query: Query, at: float, pods: Since) -> frozenset[tuple[str, str]]:
        return frozenset()

    async def discover(
        self, selector: str, since: float, at: float, wanted: Wanted = ALL_LABELS, parts: Sequence[Part] = ()
    ) -> Discovery:
        return Discovery(await self.series([selector], since, at))

    async def series(self, selectors: Sequence[str], since: float, at: float) -> list[Mapping[str, str]]:
        return []


class Clock:
    """Unix time, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_usage(source: Tables, clock: Clock | None = None, every: float = 15.0) -> RuledUsage:
    rules = load(RULES, "rules.yaml").resource
    assert rules is not None
    return RuledUsage(source, rules, lambda: ResourceMapper(KNOWN), every, clock=clock or Clock())


def pods_only(cpu: list[Sample], memory: list[Sample]) -> Tables:
    return Tables(container_cpu=cpu, container_memory=memory, node_cpu=[], node_memory=[])


async def test_four_queries_tell_the_usage_of_all_containers_and_nodes() -> None:
    source = Tables(
        container_cpu=[container("web", "app", 0.25), container("web", "proxy", 0.05)],
        container_memory=[container("web", "app", 2e8), container("web", "proxy", 3e7, 990.0)],
        node_cpu=[Sample({"node": "n1"}, 1.5, 1000.0)],
        node_memory=[Sample({"node": "n1"}, 4e9, 1000.0)],
    )
    usage = make_usage(source)
    await usage.collect()
    assert usage.pods() == {
        ("shop", "web"): {"app": ResourceUsage(0.25, 2e8, 1000, 180), "proxy": ResourceUsage(0.05, 3e7, 990, 180)}
    }
    assert usage.nodes() == {"n1": ResourceUsage(1.5, 4e9, 1000, 180)}
    assert len(source.asked) == 4


async def test_a_pause_container_without_memory_has_none_and_its_pod_is_served() -> None:
    usage = make_usage(
        pods_only([container("web", "app", 0.25), container("web", "POD", 0.01)], [container("web", "app", 2e8)])
    )
    await usage.collect()
    assert usage.pods() == {
        ("shop", "web"): {"app": ResourceUsage(0.25, 2e8, 1000, 180), "POD": ResourceUsage(0.01, 0, 1000, 180)}
    }


async def test_a_container_that_has_no_rate_yet_keeps_its_pod_out_for_the_rates_window_then_it_counts_0() -> None:
    """With 0 in its place at once the pod would look smaller than it is while the container starts."""
    cpu = [container("web", "app", 0.25)]
    clock, source = Clock(), pods_only(cpu, [container("web", "app", 2e8), container("web", "proxy", 3e7)])
    usage = make_usage(source, clock)
    for now, served in ((1000.0, False), (1179.0, False), (1180.0, True)):  # 3m
        clock.now = now
        await usage.collect()
        assert (("shop", "web") in usage.pods()) == served
    assert usage.pods()["shop", "web"]["proxy"] == ResourceUsage(0, 3e7, 1000, 180)
    cpu.append(container("web", "proxy", 0.05))
    await usage.collect()
    assert usage.pods()["shop", "web"]["proxy"].cpu == 0.05
    cpu.pop()
    await usage.collect()
    assert not usage.pods()  # another container's begin: it waits anew


async def test_a_pod_with_no_cpu_at_all_or_no_memory_at_all_has_no_usage() -> None:
    usage = make_usage(pods_only([container("cpu", "app", 1)], [container("memory", "app", 1)]))
    await usage.collect()
    assert usage.pods() == {}


def nameless(pod: str, value: float) -> Sample:
    return Sample({"namespace": "shop", "pod": pod}, value, 1000.0)


async def test_where_cadvisor_knows_no_containers_pods_are_found_and_one_line_says_so() -> None:
    usage = make_usage(
        pods_only([nameless("web", 0.5), nameless("db", 0.1)], [nameless("web", 1e8), nameless("db", 2e8)])
    )
    with capture_logs() as said:
        await usage.collect()
        await usage.collect()
    assert usage.pods()["shop", "web"] == {"": ResourceUsage(0.5, 1e8, 1000, 180)}
    told = [line["problem"] for line in said if line["event"] == "usage without containers"]
    assert told == [
        "resourceRules.cpu, line 4: the values of 2 pods (shop/db) have no label container:"
        " each counts as one container without a name"
    ]


async def test_a_whole_pods_value_beside_its_containers_is_not_counted_twice() -> None:
    both = [container("web", "app", 1.0), nameless("web", 1.0)]
    usage = make_usage(pods_only(both, both))
    await usage.collect()
    assert list(usage.pods()["shop", "web"]) == ["app"]


async def test_a_query_that_finds_nothing_is_named_once_and_again_when_it_is_news() -> None:
    cpu: list[Sample] = []
    usage = make_usage(pods_only(cpu, [container("web", "app", 1e8)]))
    with capture_logs() as said:
        await usage.collect()
        await usage.collect()
        cpu.append(container("web", "app", 0.5))
        await usage.collect()
        cpu.clear()
        await usage.collect()
    told = [line["problem"] for line in said if line["event"] == "usage not found"]
    assert told == 2 * [
        "resourceRules.cpu, line 4: its containerQuery finds nothing, so metrics.k8s.io has no values;"
        " do the series have the labels that it asks for?"
    ]


@pytest.mark.parametrize(("every", "max_age"), [(15.0, 60.0), (60.0, 180.0)])
async def test_values_collected_rarely_may_be_as_old_as_that_makes_them(every: float, max_age: float) -> None:
    assert make_usage(pods_only([], []), every=every).max_age == max_age
    assert Embedded(
        EmbeddedOptions(kubelets=KubeletAccess(every)), CollectorRegistry(), Index(), Index()
    ).usage.max_age == (max_age)


async def test_a_source_that_fails_keeps_what_was_known() -> None:
    source = Tables(
        container_cpu=[container("web", "app", 0.25)],
        container_memory=[container("web", "app", 2e8)],
        node_cpu=[],
        node_memory=[],
    )
    usage = make_usage(source)
    await usage.collect()
    known, source.tables = source.tables, {}
    await usage.collect()
    assert list(usage.pods()) == [("shop", "web")]
    assert usage.trouble(PODS) == usage.trouble(NODES) == "no such table"
    assert usage.notes() == [f"usage of {what} was not collected: no such table" for what in ("pods", "nodes")]
    source.tables = known
    await usage.collect()
    assert usage.trouble(PODS) == usage.trouble(NODES) == ""
    assert usage.notes() == []


async def test_pods_and_nodes_fail_apart_and_an_answer_without_any_says_why(world: World) -> None:
    source = pods_only([], [])
    del source.tables["container_cpu"]
    source.tables |= {name: [Sample({"node": "n1"}, 1.5, 1000.0)] for name in ("node_cpu", "node_memory")}
    usage = make_usage(source)
    world.pod("web")
    answers = answering(world, usage)
    with pytest.raises(Unavailable, match="the usage of pods cannot be had: it was not collected yet"):
        answers.pod_usage("shop", None, EVERYTHING)
    await usage.collect()
    assert [node.name for node in answers.node_usage(None, EVERYTHING)] == ["n1"]
    for name in (None, "web"):
        with pytest.raises(Unavailable, match="the usage of pods cannot be had: no such table"):
            answers.pod_usage("shop", name, EVERYTHING)
    assert answers.pod_usage("bank", None, EVERYTHING) == []  # there are no pods


async def test_usage_of_what_no_node_is_called_is_an_error(world: World) -> None:
    usage = Known({}, {"10.0.0.1:9100": ResourceUsage(1.5, 4e9, 990.0, 15.0)})
    for name in (None, "n1"):
        with pytest.raises(
            Unanswerable, match=r"usage is known of '10\.0\.0\.1:9100' and the like, and no node has such"
        ):
            answering(world, usage).node_usage(name, EVERYTHING)
    assert answering(world, usage).node_usage("n2", EVERYTHING) == []  # there is no such node


async def test_a_query_that_cannot_be_asked_for_all_pods_at_once_says_why() -> None:
    query = 'sum by (<<.GroupBy>>) (container_memory{<<.LabelMatchers>>,container!=""})'
    rules = load(RULES.replace(query, f"topk(1, {query})"), "rules.yaml").resource
    assert rules is not None
    usage = RuledUsage(pods_only([], []), rules, lambda: ResourceMapper(KNOWN), 15.0, clock=Clock())
    await usage.collect()
    told = usage.trouble(PODS)
    assert told.startswith("resourceRules.memory, line 9: its containerQuery cannot be asked for all objects at once,")
    assert "topk" in told
    assert usage.trouble(NODES) == ""


@pytest.mark.parametrize("lacking", ["pod", "namespace"])
async def test_values_that_are_nobodys_are_named_once(lacking: str) -> None:
    labels = {"namespace": "shop", "pod": "web", "container": "app"}
    labels[f"{lacking}_name"] = labels.pop(lacking)  # cAdvisor's of old
    odd = [Sample(labels, 1.0, 1000.0)]
    usage = make_usage(pods_only(odd, odd))
    with capture_logs() as said:
        await usage.collect()
        await usage.collect()
    told = [line["problem"] for line in said if line["event"] == "usage not found"]
    assert [sentence.partition(", so nobody knows")[0] for sentence in told] == [
        f"resourceRules.{kind}: its containerQuery gives 1 values without the label {lacking!r}"
        for kind in ("cpu, line 4", "memory, line 9")
    ]


async def test_where_one_query_knows_containers_and_the_other_does_not_a_pod_is_one_container() -> None:
    """A CPU of 0 beside the memory of each container would be wrong."""
    usage = make_usage(
        pods_only(
            [nameless("web", 0.5), container("db", "app", 0.25), container("db", "proxy", 0.25)],
            [container("web", "app", 1e8), container("web", "proxy", 2e8, 990.0), nameless("db", 4e8)],
        )
    )
    await usage.collect()
    assert usage.pods() == {
        ("shop", "web"): {"": ResourceUsage(0.5, 3e8, 990.0, 180)},
        ("shop", "db"): {"": ResourceUsage(0.5, 4e8, 1000.0, 180)},
    }


class Known:
    """A usage source with these values."""

    max_age = 60.0

    def __init__(
        self, pods: Mapping[tuple[str, str], Mapping[str, ResourceUsage]], nodes: Mapping[str, ResourceUsage]
    ) -> None:
        self._pods, self._nodes = pods, nodes

    def pods(self) -> Mapping[tuple[str, str], Mapping[str, ResourceUsage]]:
        return self._pods

    def nodes(self) -> Mapping[str, ResourceUsage]:
        return self._nodes

    def trouble(self, resource: GroupResource, nodes: Collection[str] | None = None) -> str:
        return ""


def answering(world: World, usage: UsageSource) -> Collected:
    """The answers over the world's pods and one node."""
    nodes: Index[Any] = Index()
    nodes.put(PartialObjectMetadata(metadata=ObjectMeta(name="n1", labels={"zone": "a"})))
    return Collected(
        world.collector,
        Directory({PODS: cast(Any, world.pods), NODES: nodes}, None, world.catalogue.mapper.api),
        usage,
        CollectTelemetry(CollectorRegistry()),
        serves_custom=True,
        serves_external=False,
        clock=lambda: 1000.0,
    )


@pytest.fixture
def answers(world: World) -> Collected:
    """Two pods, one of them with an old value, and a node."""
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
    return answering(world, usage)


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
