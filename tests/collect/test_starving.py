"""HPAs without values for the source's sake: who, why, and where it is said."""

import asyncio

import pytest
from structlog.testing import capture_logs

from adapter.collect import announce
from adapter.collect.announce import Announcer
from adapter.collect.concern import UNTOLD, is_concerned
from adapter.collect.demand import CustomWant, ExternalWant
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.index import Index
from adapter.kube.objects import ObjectMeta
from adapter.metrics.source import RefusedQuery, SourceError
from adapter.rules.resources import PODS
from tests.collect.conftest import World

RATE = CustomWant(PODS, "shop", "http_requests_per_second")
DOWN = "Prometheus did not answer: http://prometheus:9090 cannot be asked: Connection refused"


async def refresh(world: World) -> None:
    await asyncio.gather(*world.collector.start_due())


async def test_while_series_cannot_be_looked_up_every_hpa_on_them_starves() -> None:
    world = World()
    world.demand.declare("shop", "web", [RATE, ExternalWant("shop", "jobs_waiting")])
    world.demand.declare("shop", "cpu", [])
    world.source.fault = DOWN
    await world.collector.offers.look()
    await refresh(world)
    assert world.collector.starving() == {
        ("shop", "web"): "metric http_requests_per_second (and 1 more) has no value: the series of rules[0], line 3 "
        f"(and of 1 more) could not be looked up: {DOWN}"
    }
    assert world.collector.trouble() == [
        f"the series of rules[0], line 3 (and of 2 more) could not be looked up: {DOWN}"
    ]


async def test_an_hpa_starves_once_its_values_are_too_old(world: World) -> None:
    world.demand.declare("shop", "web", [RATE])
    world.serves(("shop", "web-1", 1.0))
    await refresh(world)
    world.source.fault = DOWN
    for moment, starves in ((1060, False), (1066, True)):  # 60 s of age are served
        world.now = moment
        await refresh(world)
        assert (("shop", "web") in world.collector.starving()) is starves
        assert world.collector.trouble() == [f"one query failed when last asked: {DOWN}"]
    world.source.fault = ""
    world.now = 1075
    await refresh(world)
    assert (world.collector.starving(), world.collector.trouble()) == ({}, [])


async def test_strangers_are_not_told_what_the_server_says_of_a_query(world: World) -> None:
    world.demand.declare("shop", "web", [RATE])

    async def refuse() -> None:
        raise RefusedQuery('found duplicate series for the match group {namespace="victim"}')

    world.source.gate = refuse
    await refresh(world)
    assert world.collector.trouble() == ["one query failed when last asked; the log says why"]
    assert "victim" in world.collector.starving()["shop", "web"]


async def test_strangers_are_not_told_what_stands_before_the_server_says(world: World) -> None:
    world.demand.declare("shop", "web", [RATE])

    async def refuse() -> None:
        raise SourceError("it answered 403 (it says 'no x{namespace=\"victim\"} for you')", "it answered 403")

    world.source.gate = refuse
    await refresh(world)
    assert world.collector.trouble() == ["one query failed when last asked: it answered 403"]
    assert "victim" in world.collector.starving()["shop", "web"]


async def test_a_metric_that_no_rule_knows_is_the_hpa_controllers_to_tell(world: World) -> None:
    world.demand.declare("shop", "web", [RATE._replace(metric="nope")])
    await refresh(world)
    assert world.collector.starving() == {}


# ---- Events


def hpas(*names: str) -> Index[HorizontalPodAutoscaler]:
    index: Index[HorizontalPodAutoscaler] = Index()
    for name in names:
        index.put(HorizontalPodAutoscaler(metadata=ObjectMeta(name=name, namespace="shop", uid=f"uid-{name}")))
    return index


async def test_an_event_beside_each_hpa_that_starves_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "PAUSE", 0.0)
    monkeypatch.setattr(announce, "LOOK_EVERY", 0.01)
    looks = 0
    enough = asyncio.Event()

    def starving() -> dict[tuple[str, str], str]:
        nonlocal looks
        looks += 1
        if looks == 4:
            enough.set()
        return {("shop", "web"): f"metric a has no value: {DOWN} ({looks})", ("shop", "gone"): "x"}

    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        job = asyncio.ensure_future(Announcer(client, hpas("web"), starving, clock=lambda: 1000.0).run())
        async with asyncio.timeout(10):
            await enough.wait()
        job.cancel()
        [written] = cluster.store.collection("", "events").objects.values()
    assert written["involvedObject"] == {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "name": "web",
        "namespace": "shop",
        "uid": "uid-web",
    }
    assert (written["reason"], written["type"], written["source"]) == (
        "MetricUnavailable",
        "Warning",
        {"component": "streamgate-adapter"},
    )
    assert written["message"] == f"metric a has no value: {DOWN} (1)"
    assert written["firstTimestamp"] == "1970-01-01T00:16:40Z"


async def test_where_events_may_not_be_written_that_is_said_once_and_nothing_waits() -> None:
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        cluster.forbid("/api/v1/namespaces/shop/events")
        announcer = Announcer(client, hpas("a", "b"), dict)
        with capture_logs() as said:
            for reason in ("One", "Two"):
                for name in ("a", "b"):
                    announcer.tell("shop", name, reason, "a sentence")
                await announcer._write(client)
        assert len(cluster.requests) == 2  # one for each look, not one for each HPA
    assert [line["event"] for line in said] == ["no Events can be written beside HPAs"]


async def test_series_without_room_concern_the_hpas_whose_query_names_them_or_that_have_none(world: World) -> None:
    world.demand.declare("shop", "web", [RATE])
    world.serves(("shop", "web-1", 1.0))
    await refresh(world)
    held = world.collector.held
    series = "http_requests_total"
    assert is_concerned([RATE], held, {series, "other"})
    assert not is_concerned([RATE], held, {"other"})
    assert not is_concerned([], held, {series})
    assert is_concerned([RATE], held, {"other", UNTOLD})
    assert is_concerned([RATE, ExternalWant("shop", "jobs_waiting")], held, {"other"})  # it has no query yet
    by_pattern = held[RATE].planned
    by_pattern = by_pattern._replace(query=by_pattern.query._replace(promql='sum({__name__=~"x.*"})'))
    assert is_concerned([RATE], {RATE: held[RATE]._replace(planned=by_pattern)}, {"other"})
