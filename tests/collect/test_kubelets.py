"""Kubelets that fail: each is named with its cause, in answers, /readyz and /metrics, others' values stay."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, cast

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from adapter.collect.answer import Unavailable
from adapter.collect.answers import Collected
from adapter.collect.directory import Directory
from adapter.collect.embedded import Embedded, EmbeddedOptions
from adapter.collect.kubelets import ADDRESS, NAMED, KubeletAccess, Kubelets
from adapter.collect.telemetry import CollectTelemetry
from adapter.kube.index import Index
from adapter.kube.objects import (
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeDaemonEndpoints,
    NodeStatus,
    ObjectMeta,
    PartialObjectMetadata,
    Pod,
    PodSpec,
)
from adapter.metrics.scrape.exposition import Parser
from adapter.metrics.scrape.health import Failure, Health
from adapter.metrics.scrape.kubelet import NAMES
from adapter.metrics.slices import run
from adapter.rules.resources import NODES, PODS
from adapter.units.selector import EVERYTHING
from tests.collect.conftest import World

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]
EVERY = 0.3
"""s between two scrapes, and the most that one takes."""


def page(pods: tuple[str, ...] = (), *, with_node: bool = True) -> str:
    """What a kubelet tells now: half a core of the node, a tenth of each pod."""
    now = time.time()
    lines = [
        f"node_cpu_usage_seconds_total {now / 2} {now * 1000:.0f}",
        f"node_memory_working_set_bytes 5e9 {now * 1000:.0f}",
    ]
    lines = lines if with_node else ["kubelet_up 1"]
    for pod in pods:
        labels = f'{{namespace="shop",pod="{pod}",container="app"}}'
        lines.append(f"container_cpu_usage_seconds_total{labels} {now / 10} {now * 1000:.0f}")
        lines.append(f"container_memory_working_set_bytes{labels} 1e8 {now * 1000:.0f}")
    return "\n".join(lines) + "\n"


def telling(*pods: str, with_node: bool = True) -> Page:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=page(pods, with_node=with_node))

    return handle


async def refusing(_: web.Request) -> web.StreamResponse:
    return web.Response(status=403)


async def hanging(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


def node(name: str, port: int, kind: str = "InternalIP") -> Node:
    endpoints = NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=port))
    status = NodeStatus(addresses=(NodeAddress(kind, "127.0.0.1"),), daemon_endpoints=endpoints)
    return Node(metadata=ObjectMeta(name=name), status=status)


def pod(name: str, runs_on: str) -> Pod:
    return Pod(metadata=ObjectMeta(namespace="shop", name=name), spec=PodSpec(node_name=runs_on))


class Cluster(NamedTuple):
    embedded: Embedded
    answers: Collected
    registry: CollectorRegistry

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"streamgate_kubelet_{name}", labels)


@asynccontextmanager
async def running_adapter(world: World, pods: list[Pod], nodes: dict[str, Page | int]) -> AsyncIterator[Cluster]:
    """An adapter that scrapes these nodes' kubelets; a number is a port at which nobody listens."""
    authority = trustme.CA()
    tls, trusted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trusted)
    there, running = Index[Node](), Index[Any]()
    for one in pods:
        running.put(one)
    async with AsyncExitStack() as stack:
        for name, kubelet in nodes.items():
            if isinstance(kubelet, int):
                there.put(node(name, kubelet))
                continue
            application = web.Application()
            application.router.add_get("/metrics/resource", kubelet)
            server = TestServer(application, scheme="https")
            await server.start_server(ssl=tls)
            stack.push_async_callback(server.close)
            assert server.port is not None
            there.put(node(name, server.port))
        registry = CollectorRegistry()
        options = EmbeddedOptions(kubelets=KubeletAccess(resolution=EVERY, tls=trusted))
        embedded = await stack.enter_async_context(Embedded(options, registry, running, there))
        following = asyncio.create_task(embedded.run())
        stack.callback(following.cancel)
        yield Cluster(embedded, answering(world, embedded.usage, running, there), registry)


def answering(world: World, usage: Kubelets, pods: Index[Any], nodes: Index[Node]) -> Collected:
    return Collected(
        world.collector,
        Directory({PODS: cast(Any, pods), NODES: cast(Any, nodes)}, None, world.catalogue.mapper.api),
        usage,
        CollectTelemetry(CollectorRegistry()),
        serves_custom=True,
        serves_external=False,
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_each_kubelet_that_fails_is_named_with_its_cause_and_takes_nothing_from_the_others(world: World) -> None:
    pods = [pod("web", "good"), pod("db", "barred"), pod("queue", "gone")]
    nodes: dict[str, Page | int] = {"good": telling("web"), "barred": refusing, "slow": hanging, "gone": 1}
    async with running_adapter(world, pods, nodes) as cluster:
        await until(lambda: "good" in cluster.embedded.usage.nodes() and len(cluster.embedded.usage.notes()) == 3)
        answers = cluster.answers
        assert [one.name for one in answers.node_usage(None, EVERYTHING)] == ["good"]
        assert [one.name for one in answers.pod_usage("shop", None, EVERYTHING)] == ["web"]
        for name, cause in (
            (
                "barred",
                r"of the kubelet of node barred failed: it answered with status 403 \(the last that worked: never\)",
            ),
            ("slow", r"of the kubelet of node slow failed: no complete answer within 0.3 s"),
            ("gone", r"of the kubelet of node gone failed: no answer: .*127.0.0.1:1"),
        ):
            with pytest.raises(Unavailable, match=f"the usage of nodes cannot be had: the last .*{cause}"):
                answers.node_usage(name, EVERYTHING)
        with pytest.raises(
            Unavailable, match=r"the usage of pods cannot be had: the last .* node barred failed: .* 403"
        ):
            answers.pod_usage("shop", "db", EVERYTHING)
        assert cluster.embedded.usage.notes() == [
            f"the kubelet of node {told}: neither its CPU and memory nor its pods' are served"
            for told in (
                "barred refuses our credentials",
                "gone cannot be reached",
                "slow gives no complete answer in time",
            )
        ]
        assert (cluster.value("up", node="good"), cluster.value("up", node="barred")) == (1, 0)
        assert cluster.value("failing", node="barred", reason="refused") == 1
        assert cluster.value("failing", node="slow", reason="timeout") == 1
        last = cluster.value("last_success_timestamp_seconds", node="good")
        assert last is not None
        assert abs(last - time.time()) < 60
        assert cluster.value("last_success_timestamp_seconds", node="gone") is None


async def test_where_all_kubelets_fail_a_list_is_no_empty_answer(world: World) -> None:
    async with running_adapter(world, [pod("web", "a")], {"a": refusing, "b": refusing}) as cluster:
        await until(lambda: len(cluster.embedded.usage.notes()) == 2)
        with pytest.raises(
            Unavailable, match=r"kubelet of node a failed: it answered with status 403 .*\(and 1 more node"
        ):
            cluster.answers.node_usage(None, EVERYTHING)
        with pytest.raises(Unavailable, match="kubelet of node a failed: it answered with status 403"):
            cluster.answers.pod_usage("shop", None, EVERYTHING)


async def test_a_certificate_that_is_not_accepted_is_a_cause_of_its_own(world: World) -> None:
    async with running_adapter(world, [], {"a": telling()}) as cluster:
        cluster.embedded.usage._access = cluster.embedded.usage._access._replace(tls=ssl.create_default_context())
        await until(cluster.embedded.usage.notes)
        [state] = cluster.embedded.usage.states()
        assert state.reason == Failure.CERTIFICATE.value
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            cluster.answers.node_usage("a", EVERYTHING)


async def test_a_page_without_the_nodes_own_metrics_is_said_to_be_so(world: World) -> None:
    async with running_adapter(world, [], {"a": telling(with_node=False)}) as cluster:
        await until(lambda: cluster.value("up", node="a"))
        with pytest.raises(Unavailable, match="the page of the kubelet of node a has no CPU and memory of the node"):
            cluster.answers.node_usage("a", EVERYTHING)


# ---- without a network


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def kubelets(clock: Clock, nodes: list[Node], *pods: Any, **health: Health) -> Kubelets:
    there, running = Index[Node](), Index[Any]()
    for one in nodes:
        there.put(one)
    for other in pods:
        running.put(other)
    by_target = {f"kubelet/{name}": state for name, state in health.items()}
    usage = Kubelets(KubeletAccess(), there, running, by_target, clock=clock)
    list(usage.targets())
    return usage


def read(usage: Kubelets, name: str, text: str) -> None:
    points = Parser({"node": name}, names=NAMES).parse(text.encode(), 1000.0).points
    taken = next(target for target in usage.targets() if target.id == f"kubelet/{name}").on_points
    assert taken is not None
    run(taken(points))


def test_one_moment_is_too_little_for_cpu_and_old_values_are_called_old() -> None:
    clock = Clock()
    usage = kubelets(clock, [node("a", 1)], a=Health())
    assert usage.trouble(NODES, {"a"}) == "the kubelet of node a was not scraped yet"
    usage = kubelets(clock, [node("a", 1)], a=Health(scrapes=1, last_success=1000.0))
    lines = "node_cpu_usage_seconds_total {} {}000\nnode_memory_working_set_bytes 1 {}000\n"
    read(usage, "a", lines.format(5, 990, 990))
    assert usage.trouble(NODES, {"a"}) == "the kubelet of node a has told of one moment so far, and CPU needs two"
    read(usage, "a", lines.format(6, 1000, 1000))
    assert usage.trouble(NODES, {"a"}) == ""
    clock.now += 60.5
    told = "the newest values of the kubelet of node a are 60 s old, and at most 60 s are served"
    assert usage.trouble(NODES, {"a"}) == told


def test_a_node_without_an_address_of_a_wanted_type_says_which_flag_helps() -> None:
    usage = kubelets(Clock(), [node("a", 1, "Hostname")])
    said = "node a has no address of the types InternalIP, so its kubelet cannot be asked; right would be others in --"
    assert usage.trouble(NODES, {"a"}).startswith(said)
    assert [problem.startswith(said) for problem in usage.problems()] == [True]
    assert [state.reason for state in usage.states()] == [ADDRESS]
    assert usage.notes() == [
        "the kubelet of node a has no address of a wanted type: neither its CPU and memory nor its pods' are served"
    ]


def test_readyz_names_ten_nodes_and_counts_the_rest() -> None:
    health = {f"n{number:02}": Health(scrapes=1, error="it", failure=Failure.STATUS) for number in range(NAMED + 5)}
    usage = kubelets(Clock(), [node(name, 1) for name in health], **health)
    notes = usage.notes()
    assert (len(notes), notes[-1]) == (NAMED + 1, "so it is with 5 more nodes")


def test_pods_of_kubelets_that_are_well_are_not_laid_at_others_doors() -> None:
    failing = Health(
        scrapes=3, failures=3, error="it answered with status 500", failure=Failure.STATUS, last_success=970.0
    )
    usage = kubelets(Clock(), [node("a", 1), node("b", 1)], a=failing, b=Health(scrapes=3, last_success=1000.0))
    failed = "the last 3 scrapes of the kubelet of node a failed: it answered with status 500"
    told = f"{failed} (the last that worked: 30 s ago)"
    assert usage.trouble(PODS, {"a", "b"}) == told
    assert usage.trouble(PODS, None) == told  # where the pods run is not known
    assert usage.trouble(PODS, {"b"}) == usage.trouble(PODS, set()) == ""


def test_a_kubelet_tells_of_its_own_pods_alone() -> None:
    """As in metrics-server: who has one node must not be able to scale what runs on another."""
    nodes = [node("own", 1), node("hostile", 1)]
    metadata = PartialObjectMetadata(metadata=ObjectMeta(namespace="shop", name="elsewhere"))
    usage = kubelets(Clock(), nodes, pod("web", "own"), metadata, own=Health(), hostile=Health())
    line = 'container_{}{{namespace="shop",pod="{}",container="app"}} {} {}000\n'
    for at, used in ((980, 1.0), (990, 11.0)):
        lines = [
            line.format(metric, name, value, at)
            for name in ("web", "elsewhere")
            for metric, value in (("cpu_usage_seconds_total", used), ("memory_working_set_bytes", 1))
        ]
        read(usage, "hostile", "".join(lines))
    assert list(usage.pods()) == [("shop", "elsewhere")]  # of which nobody knows where it runs
