"""What an HPA gets while its pods come and go: through the collector and the answers, with either kind of source."""

import asyncio

import pytest
from msgspec.structs import replace

from adapter.collect.answer import CustomQuestion, Unavailable
from adapter.collect.demand import CustomWant
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALWAYS, Query, Since
from adapter.rules.resources import PODS
from adapter.units.selector import EVERYTHING, Selector
from tests.collect.conftest import RULES, World

pytestmark = pytest.mark.looptime

RATE = "http_requests_per_second"
HPA = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
ANY = RULES.replace("[1m])) by (<<.GroupBy>>)'", "[1m])) by (<<.GroupBy>>)'\n  x-streamgate: {pods: any}")


def question(name: str = "*") -> CustomQuestion:
    return CustomQuestion(
        resource=PODS,
        namespace="shop",
        name=name,
        metric=RATE,
        selector=Selector.parse("app=web"),
        metric_selector=EVERYTHING,
        user="hpa",
    )


def explain_pod(world: World, pod: str) -> dict[str, object]:
    """What explain says of a pod."""
    objects = world.answers.explain(question())["objects"]
    assert isinstance(objects, dict)
    return dict(objects[pod])


async def ask(world: World) -> dict[str, str]:
    """Evaluate and ask, as an HPA does every 15 s."""
    if not world.collector.catalogue.custom:
        await world.collector.offers.look()
        await world.answers.custom(question())
    await asyncio.gather(*world.collector.start_due())
    return {value.described.name: str(value.value) for value in await world.answers.custom(question())}


def set_samples(world: World, window: float, **values: float) -> None:
    """What the source says of pods, over a window that ends now."""
    world.source.samples = [
        Sample({"namespace": "shop", "pod": name.replace("_", "-")}, value, world.now, window)
        for name, value in values.items()
    ]


def embedded_world(rules: str = RULES) -> World:
    """Two pods of long ago that share 100 requests/s, scraped every 5 s."""
    return begin(World(rules, interval=5.0), 60.0)


def prometheus(rules: str = RULES) -> World:
    """The same with Prometheus, which says no window and no sample times with its values."""
    world = World(rules, interval=0.0)
    world.source.knows_sample_times = False
    return begin(world, 0.0)


def begin(world: World, window: float) -> World:
    for name in ("web-1", "web-2"):
        world.ready_pod(name, app="web")
    world.demand.declare("shop", "web", [CustomWant(PODS, "shop", RATE)])
    world.now += 1000
    set_samples(world, window, web_1=50, web_2=50)
    return world


@pytest.mark.parametrize("make", [embedded_world, prometheus])
async def test_a_pod_that_takes_no_traffic_has_no_value_and_says_why(make: type[World]) -> None:
    world = make()
    world.ready_pod("web-3", ready=False, app="web")
    world.now += 12
    set_samples(world, 5, web_1=50, web_2=50, web_3=0)
    assert await ask(world) == {"web-1": "50", "web-2": "50"}
    assert "not ready for 12 s" in explain_pod(world, "web-3").values()
    assert world.left_out_count("rules[0], line 3", "transition") >= 1
    with pytest.raises(Unavailable, match="the value of web-3 is left out: not ready for 12 s"):
        await world.answers.custom(question("web-3"))


@pytest.mark.parametrize("make", [embedded_world, prometheus])
async def test_a_rule_for_any_pod_serves_it_all_the_same(make: type[World]) -> None:
    world = make(ANY)
    world.ready_pod("web-3", ready=False, app="web")
    set_samples(world, 5, web_1=50, web_2=50, web_3=0)
    assert await ask(world) == {"web-1": "50", "web-2": "50", "web-3": "0"}


async def test_a_pod_that_crashes_loses_its_value_at_once() -> None:
    world = embedded_world()
    assert await ask(world) == {"web-1": "50", "web-2": "50"}
    world.ready_pod("web-2", ready=False, app="web")  # nothing was evaluated since
    values = await world.answers.custom(question())
    assert [value.described.name for value in values] == ["web-1"]


async def ask_as(world: World, user: str, selector: str) -> dict[str, str]:
    """What `user` gets who asks for all pods of a selector."""
    wanted = replace(question(), user=user, selector=Selector.parse(selector))
    return {value.described.name: str(value.value) for value in await world.answers.custom(wanted)}


@pytest.mark.parametrize("curious", ["", "app in (web, api)", "app"])
async def test_who_reads_the_pods_of_many_hpas_makes_none_wait_for_another(curious: str) -> None:
    """A pod of `api` comes. Those of `web` are averaged without it, whoever else asked for all of them together."""
    world = embedded_world()
    await ask(world)
    assert await ask_as(world, HPA, "app=web") == {"web-1": "50", "web-2": "50"}
    assert await ask_as(world, "alice", curious) == {"web-1": "50", "web-2": "50"}
    world.now += 1
    world.ready_pod("api-1", app="api")
    world.now += 6
    set_samples(world, 5, web_1=80, web_2=80)  # api-1 has given none yet
    await asyncio.gather(*world.collector.start_due())
    assert await ask_as(world, HPA, "app=web") == {"web-1": "80", "web-2": "80"}


async def test_values_of_before_are_served_until_all_have_one_since() -> None:
    world = embedded_world()
    await ask(world)
    world.now += 1
    world.ready_pod("web-3", app="web")
    world.now += 6
    set_samples(world, 5, web_1=33, web_3=33)  # web-2 was not scraped twice yet
    assert await ask(world) == {"web-1": "50", "web-2": "50"}
    assert (
        explain_pod(world, "web-1")["fromBefore"]
        == "the load of these pods was shared anew, and web-2 has no whole interval since"
    )
    world.now += 5
    set_samples(world, 5, web_1=33, web_2=33, web_3=33)
    # 99 requests/s in 5 s, 100 in the 55 s before: (99 * 5 + 100 * 55) / 60 = 99.917, a third of it each
    assert await ask(world) == {"web-1": "33305m", "web-2": "33305m", "web-3": "33305m"}


async def test_with_prometheus_a_pod_that_replaces_another_waits_for_its_window() -> None:
    world = prometheus()
    assert await ask(world) == {"web-1": "50", "web-2": "50"}
    world.pods.remove("shop", "web-2")
    world.ready_pod("web-3", app="web")
    world.now += 56
    set_samples(world, 0, web_1=50, web_3=49)
    assert await ask(world) == {"web-1": "50"}
    world.now += 6  # rate over 1m is whole: 62 s
    set_samples(world, 0, web_1=50, web_3=50)
    assert await ask(world) == {"web-1": "50", "web-3": "50"}


async def test_with_prometheus_the_rates_since_are_asked_for_as_soon_as_two_scrapes_lie_behind_the_change() -> None:
    """A scrape every 10 s, a rule over a minute: 20 s are two intervals, and the least."""
    world = prometheus()
    world.source.times = [Sample({"namespace": "shop", "pod": "web-1"}, world.now, world.now)]
    for _ in range(3):  # how far the samples are apart shows with the third look
        await ask(world)
        world.now += 15
        world.source.times = [world.source.times[0]._replace(value=world.source.times[0].value + 10)]
    world.pods.remove("shop", "web-2")
    world.ready_pod("web-3", app="web")
    answer = world.source.query

    async def over(query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        values = {"web-1": 48.0, "web-3": 48.0} if "[20s]" in query.promql else {"web-1": 50.0, "web-3": 17.0}
        samples = await answer(query, at, since)
        return (
            samples
            if samples is world.source.times
            else [Sample({"namespace": "shop", "pod": pod}, value, world.now, 0.0) for pod, value in values.items()]
        )

    world.source.query = over
    world.now += 10
    assert await ask(world) == {"web-1": "50"}
    world.now += 12
    # 96 requests/s in 20 s, 100 in the 40 s before: (96 * 20 + 100 * 40) / 60 = 98.667, half of it each
    assert await ask(world) == {"web-1": "49333m", "web-3": "49333m"}


async def test_the_source_is_told_since_when_samples_count() -> None:
    world = embedded_world()
    told: list[object] = []
    answer = world.source.query

    async def note_since(query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        told.append(since)
        return await answer(query, at)

    world.source.query = note_since
    await ask(world)
    world.ready_pod("web-3", app="web")
    changed = world.now
    world.now += 5
    await ask(world)
    assert told[0] == {}
    assert told[-1] == dict.fromkeys((("shop", name) for name in ("web-1", "web-2", "web-3")), changed)


@pytest.mark.parametrize("others", [(), ("bank",), ("bank", "post")])
async def test_a_first_hpa_in_another_namespace_does_not_touch_a_group_in_transition(others: tuple[str, ...]) -> None:
    """It makes the merged query another one; what was served of the pods that wait is served on."""
    world = embedded_world()
    assert await ask(world) == {"web-1": "50", "web-2": "50"}
    world.now += 10
    world.ready_pod("web-3", app="web")
    for namespace in others:
        world.demand.declare(namespace, "web", [CustomWant(PODS, namespace, RATE)])
    world.now += 5
    set_samples(world, 4.0, web_1=33, web_2=34)  # and web-3 has no whole interval yet
    assert await ask(world) == {"web-1": "50", "web-2": "50"}
