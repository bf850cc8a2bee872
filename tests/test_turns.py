"""Who shares the source has the same share of its time, whatever the others want of it."""

import asyncio
import random
from collections import Counter

import pytest

from adapter.collect.demand import CustomWant
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALWAYS, Query, Since
from adapter.rules.resources import PODS
from adapter.turns import MANY, Turns
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
    """Takes 0.1 s for each query."""

    name, knows_sample_times = "slow", True

    def __init__(self) -> None:
        self.asked = Counter[str]()

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.asked["bank" if "bank" in query.promql else "shop"] += 1
        await asyncio.sleep(0.1)
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
