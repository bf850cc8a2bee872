"""What requests ask for and no HPA: it has its own turns, and what takes too much is hardly asked again."""

import asyncio

import pytest

from adapter.collect.answer import CustomQuestion, Unavailable
from adapter.collect.demand import CustomWant
from adapter.metrics.source import CostlyQuery
from adapter.rules.resources import PODS
from adapter.units.selector import EVERYTHING, Selector
from tests.collect.conftest import World

pytestmark = pytest.mark.looptime

RATE = "http_requests_per_second"
ALL = CustomWant(PODS, "shop", RATE)


def question(path: str = "", user: str = "a") -> CustomQuestion:
    selector = Selector.parse(f"path={path}") if path else EVERYTHING
    return CustomQuestion(
        resource=PODS, namespace="shop", name="*", selector=EVERYTHING, metric=RATE, metric_selector=selector, user=user
    )


async def ask_in_vain(world: World, path: str, user: str = "a") -> None:
    with pytest.raises(Unavailable, match="has not answered within 1 s"):
        await world.answers.custom(question(path, user))


@pytest.mark.parametrize("declared", [True, False])
async def test_slow_requests_keep_no_hpa_of_their_namespace_waiting(world: World, declared: bool) -> None:
    """20 requests of each of two users that the source does not answer; without an HPA they are all there is."""
    world.pod("web-1", app="web")
    if declared:
        world.demand.declare("shop", "web", [ALL])
    world.source.gate = lambda: asyncio.sleep(1000)
    await asyncio.gather(*(ask_in_vain(world, f"p{number}") for number in range(20)))
    assert len(world.source.queries) == (1 if declared else 4)  # of 8 places; an eighth is one user's
    await asyncio.gather(*(ask_in_vain(world, f"q{number}", "b") for number in range(20)))
    assert len(world.source.queries) == (2 if declared else 4)  # half of half are one namespace's
    world.collector.start_due()
    await asyncio.sleep(1)
    hpas = [query for query in world.source.queries if "path" not in query.promql]
    assert len(hpas) == declared


async def test_requests_of_all_namespaces_take_half_of_the_places_at_most(world: World) -> None:
    world.demand.declare("shop", "web", [ALL])
    world.source.gate = lambda: asyncio.sleep(1000)
    for number in range(8):
        world.pod("web-1", f"team-{number}")
        want = CustomWant(PODS, f"team-{number}", RATE, Selector.parse(f"a={number}"))
        world.demand.note_request(want, "a", 0)
    world.now = 1.0
    world.collector.start_due()
    await asyncio.sleep(1)
    assert sum("a=" in query.promql for query in world.source.queries) == 4
    assert len(world.source.queries) == 5


async def test_a_request_that_takes_too_much_is_told_so_at_once_and_asked_again_after_a_minute(world: World) -> None:
    world.pod("web-1", app="web")
    world.demand.declare("shop", "web", [ALL])

    async def refuse() -> None:
        if "path" in world.source.queries[-1].promql:
            raise CostlyQuery("its matchers would look at too much")

    world.source.gate = refuse
    for _ in range(59):
        await asyncio.gather(*world.collector.start_due())
        with pytest.raises(Unavailable, match="would look at too much"):
            await world.answers.custom(question("x"))
        world.now += 1
    assert sum("path" in query.promql for query in world.source.queries) == 1
    world.now += 2
    await asyncio.gather(*world.collector.start_due())
    assert sum("path" in query.promql for query in world.source.queries) == 2
    assert len(world.source.queries) >= 12  # the HPA's own every 5 s


async def test_an_hpas_metric_that_takes_too_much_goes_on_as_it_is(world: World) -> None:
    """It gets further each time, so it is asked again soon, and not by the objects of each request."""
    world.pod("web-1", app="web")
    world.demand.declare("shop", "web", [ALL])
    looks = 0

    async def costly() -> None:
        nonlocal looks
        looks += 1
        if looks <= 3:
            raise CostlyQuery("its matchers would look at too much")

    world.source.gate = costly
    world.serves(("shop", "web-1", 3.0))
    for _ in range(61):
        await asyncio.gather(*world.collector.start_due())
        world.now += 1
    assert looks > 3
    world.serves(("shop", "web-1", 3.0))
    world.now += 6
    await asyncio.gather(*world.collector.start_due())
    assert [value.described.name for value in await world.answers.custom(question())] == ["web-1"]
    assert len({query.promql for query in world.source.queries}) == 1


async def test_what_takes_too_much_for_several_namespaces_together_is_asked_apart(world: World) -> None:
    for namespace in ("shop", "long"):
        world.demand.declare(namespace, "web", [ALL._replace(namespace=namespace)])

    async def costly() -> None:
        if "long" in world.source.queries[-1].promql:
            raise CostlyQuery("its matchers would look at too much")

    world.source.gate = costly
    world.serves(("shop", "web-1", 3.0))
    for _ in range(5):
        await asyncio.gather(*world.collector.start_due())
        world.now += 5
    assert world.collector.held[ALL].table is not None
    assert world.collector.held[ALL._replace(namespace="long")].table is None
