"""Who shares the source has the same share of its time, whatever the others want of it."""

import asyncio
import random
from collections import Counter

import pytest

from adapter.collect.demand import CustomWant
from adapter.collect.held import NotYetError
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALWAYS, Query, Since
from adapter.rules.resources import PODS
from adapter.turns import MANY, MemberTurns, Turns
from adapter.units.selector import Selector
from tests.collect.conftest import World

pytestmark = pytest.mark.looptime


def loop_time() -> float:
    return asyncio.get_running_loop().time()


async def test_many_queries_of_one_do_not_make_the_others_wait() -> None:
    """600 of 0.1 s on 8 places would be 7.5 s before it in one queue; here one that is under way has to end."""
    turns, waited = Turns(8, loop_time), []

    async def ask(tenant: str, takes: float) -> None:
        asked = loop_time()
        async with turns.turn(tenant):
            if tenant == "victim":
                waited.append(loop_time() - asked)
            await asyncio.sleep(takes)

    async with asyncio.TaskGroup() as group:
        for _ in range(600):
            group.create_task(ask("greedy", 0.1))
        for _ in range(20):
            await asyncio.sleep(0.2)
            group.create_task(ask("victim", 0.01))
    assert max(waited) < 0.1
    assert turns.waiting == 0


async def test_slow_queries_get_fewer_turns_so_that_each_has_the_same_time() -> None:
    turns, used = Turns(2, loop_time), Counter[str]()

    async def keep_asking(tenant: str, takes: float) -> None:
        while loop_time() < 200:
            async with turns.turn(tenant):
                await asyncio.sleep(takes)
                used[tenant] += round(takes * 1000)

    async with asyncio.TaskGroup() as group:
        for tenant, takes in (("slow", 1.0), ("quick", 0.1), ("quicker", 0.05)):
            for _ in range(4):
                group.create_task(keep_asking(tenant, takes))
    assert max(used.values()) < 1.1 * min(used.values())


async def test_who_had_nothing_to_ask_has_saved_nothing_up() -> None:
    turns, order = Turns(1, loop_time), []

    async def ask(tenant: str) -> None:
        async with turns.turn(tenant):
            order.append(tenant)
            await asyncio.sleep(1)

    for _ in range(50):
        await ask("busy")
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(ask("new"))
            group.create_task(ask("busy"))
    assert Counter(order[50:60])["new"] <= 6


@pytest.mark.parametrize("seed", range(20))
async def test_whoever_is_cancelled_gives_his_place_back(seed: int) -> None:
    turns, draw = Turns(2, loop_time), random.Random(seed)

    async def ask(tenant: str) -> None:
        async with turns.turn(tenant):
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(ask(draw.choice("abc"))) for _ in range(12)]
    for task in tasks:
        if draw.random() < 0.5:
            await asyncio.sleep(draw.choice([0.0, 0.1, 0.5]))
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert turns.waiting == turns._under_way == 0
    async with asyncio.timeout(1):
        await ask("later")


async def test_tenants_that_come_and_go_are_forgotten() -> None:
    turns = Turns(2, loop_time)
    for number in range(10 * MANY):
        async with turns.turn(f"namespace {number}"):
            await asyncio.sleep(0.01)
    assert len(turns._tenants) <= MANY + 1


class Slow:
    """Takes 0.1 s for each query, or as long as it is told."""

    name, knows_sample_times = "slow", True

    def __init__(self, takes: float = 0.1) -> None:
        self.takes = takes
        self.asked = Counter[str]()

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.asked["bank" if "bank" in query.promql else "shop"] += 1
        await asyncio.sleep(self.takes)
        namespace = "bank" if "bank" in query.promql else "shop"
        return [Sample({"namespace": namespace, "pod": "web-1"}, 1.0, at)]


async def test_an_hpa_with_hundreds_of_selectors_leaves_the_others_values_fresh() -> None:
    world = World()
    world.collector._clock = world.collector._turns._clock = loop_time
    await world.collector.offers.look()
    world.collector._evaluator._source = Slow()  # type: ignore[assignment]
    metric = "http_requests_per_second"
    greedy = [CustomWant(PODS, "shop", metric, Selector.parse(f"path=p{number}")) for number in range(90)]
    victim = CustomWant(PODS, "bank", metric)
    world.demand.declare("shop", "greedy", greedy)
    world.demand.declare("bank", "web", [victim])
    task = asyncio.create_task(world.collector.run())
    await asyncio.sleep(5)
    ages = []
    for _ in range(300):
        await asyncio.sleep(1)
        table = world.collector.held[victim].table
        assert table is not None
        ages.append(loop_time() - table.evaluated)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert max(ages) < 6  # refreshed every 5 s


async def test_of_one_tenants_members_each_has_the_same_share_and_none_has_all() -> None:
    """40 of 10 s are ahead of it in the namespace, where 2 may be under way: 200 s in one queue."""
    turns = MemberTurns(4, loop_time)
    waited: dict[tuple[str, str], float] = {}

    async def ask(tenant: str, member: str, takes: float) -> None:
        asked = loop_time()
        async with turns.turn(tenant, member):
            waited.setdefault((tenant, member), loop_time() - asked)
            await asyncio.sleep(takes)

    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(ask("shop", "greedy", 10.0))
        await asyncio.sleep(1)
        group.create_task(ask("shop", "victim", 0.1))
        group.create_task(ask("bank", "greedy", 0.1))
    assert waited == {("shop", "greedy"): 0.0, ("shop", "victim"): 0.0, ("bank", "greedy"): 0.0}
    assert not turns._within  # nobody's queue is kept when nobody waits


@pytest.mark.parametrize("places", [1, 2, 4, 8])
async def test_members_that_are_cancelled_give_their_places_back(places: int) -> None:
    turns, draw = MemberTurns(places, loop_time), random.Random(places)

    async def ask(tenant: str, member: str) -> None:
        async with turns.turn(tenant, member):
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(ask(draw.choice("ab"), draw.choice("uvw"))) for _ in range(40)]
    for task in tasks:
        if draw.random() < 0.5:
            await asyncio.sleep(draw.choice([0.0, 0.1, 0.5]))
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(1):
        await ask("a", "later")
    assert not turns._within


async def test_a_users_costly_requests_keep_nobody_elses_in_the_namespace_waiting() -> None:
    """No HPA asks for them, each takes 0.9 s, and a request waits for 1 s at most before it is told to come again."""
    world = World()
    world.collector._clock = world.collector._turns._clock = loop_time
    await world.collector.offers.look()
    slow = Slow(0.9)
    world.collector._evaluator._source = slow  # type: ignore[assignment]
    metric = "http_requests_per_second"
    world.demand.declare("bank", "web", [CustomWant(PODS, "bank", metric)])

    async def ask(user: str, path: str) -> None:
        want = CustomWant(PODS, "shop", metric, Selector.parse(f"path={path}"))
        world.demand.note_request(want, user, loop_time())
        await world.collector.fetch(want)

    greedy = [asyncio.create_task(ask("greedy", f"p{number}")) for number in range(40)]
    await asyncio.sleep(0.5)
    for number in range(5):
        await ask("victim", f"v{number}")
    told = await asyncio.gather(*greedy, return_exceptions=True)
    assert sum(isinstance(one, NotYetError) for one in told) == 39  # all but the one that had its turn at once
