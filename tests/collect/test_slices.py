"""What a first plan of many wants holds the event loop for: the work between two turns does not grow with the wants."""

import asyncio

import pytest

from adapter.collect.apart import BATCH, topics
from adapter.collect.collector import STARTED_AT_ONCE
from adapter.collect.demand import CustomWant, Want
from adapter.metrics.slices import run
from adapter.rules.naming import AT_ONCE
from adapter.rules.resources import PODS, ResourceMapper
from adapter.units.selector import Selector
from tests.collect.conftest import World
from tests.collect.test_clocks import ONE_RULE

MANY = 1000


def wants(count: int) -> list[Want]:
    """Each needs a query of its own."""
    texts = (f"path in (p{number}.*,q{number})" for number in range(count))
    return [
        CustomWant(PODS, "shop", "queue_depth_per_pod", Selector.parse(text, strict_values=False)) for text in texts
    ]


@pytest.mark.looptime
async def test_queries_of_a_first_plan_begin_a_few_at_a_time() -> None:
    world = World(ONE_RULE)
    await world.collector.offers.look()
    for number, want in enumerate(wants(MANY)):
        world.demand.declare("shop", f"hpa-{number}", [want])
    await asyncio.sleep(0)
    running = asyncio.create_task(world.collector.run())
    tasks, most = len(asyncio.all_tasks()), 0
    for _ in range(20 * MANY):
        await asyncio.sleep(0)
        now = len(asyncio.all_tasks())
        most, tasks = max(most, now - tasks), now
        if len(world.collector.held) == MANY:
            break
    running.cancel()
    assert len(world.collector.held) == MANY
    assert most <= STARTED_AT_ONCE + 5


def test_wants_are_sorted_in_slices() -> None:
    assert sum(1 for _ in topics(wants(MANY))) == MANY // BATCH
    assert list(run(topics(wants(5)))) == [[want] for want in wants(5)]


@pytest.mark.parametrize("external", [False, True])
def test_what_is_on_offer_is_found_out_in_slices(external: bool) -> None:
    """10,000 names of one rule held the event loop for 0.3 to 0.8 s."""
    catalogue = World().catalogue
    rule = catalogue.rules_of(external=external)[0]
    series = [{"__name__": f"x{number}_total", "namespace": "shop", "pod": "web-1"} for number in range(10 * MANY)]
    slices = catalogue.learn_series_in_slices(rule, series)
    assert sum(1 for _ in slices) >= 2 * 10 * MANY // AT_ONCE
    assert len(catalogue.external if external else catalogue.custom_offers()) >= 10 * MANY
    assert catalogue.custom_offers() is catalogue.custom_offers()


def test_a_rule_that_is_bound_anew_meanwhile_is_read_anew() -> None:
    """The cluster learnt of no resource that the label names while the first half was read."""
    catalogue = World().catalogue
    rule = catalogue.rules_of(external=False)[0]
    series = [{"__name__": f"x{number}_total", "namespace": "shop", "pod": "web-1"} for number in range(MANY)]
    slices = catalogue.learn_series_in_slices(rule, series)
    for _ in range(5):
        next(slices)
    catalogue.bind(ResourceMapper([]))
    run(slices)
    assert catalogue.custom_offers() == ()
    assert catalogue.accounts([rule])[0][1].metrics == 0
