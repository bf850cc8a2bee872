"""A new plan costs what has changed, and holds the event loop for one query's planning at a time."""

from collections.abc import Sequence

import pytest

from adapter.collect.demand import CustomWant, ExternalWant, Want
from adapter.collect.plan import Planner
from adapter.collect.planned import Plan
from adapter.metrics.slices import run
from adapter.rules.resources import PODS
from adapter.units.selector import Selector
from tests.collect.conftest import World

pytestmark = pytest.mark.looptime


def selecting(number: int) -> list[Want]:
    """Wants with selectors of their own, which no query serves together."""
    return [
        CustomWant(PODS, "shop", "http_requests_per_second", Selector.parse(f"path=p{index}"))
        for index in range(number)
    ]


class Counting:
    """How many queries were planned."""

    def __init__(self, planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.planned = 0
        real = planner._build_planned

        def count_planned(*arguments: object, **named: object) -> object:
            self.planned += 1
            return real(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(planner, "_build_planned", count_planned)


def anew(world: World, wants: Sequence[Want]) -> Plan:
    return run(world.planner.anew(wants, world.catalogue, 0.0))


async def test_what_is_as_it_was_is_not_planned_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(world.planner, monkeypatch)
    first = anew(world, selecting(50))
    assert counting.planned == 50
    assert anew(world, selecting(50)) == first
    assert counting.planned == 50
    assert len(anew(world, selecting(51)).planned) == 51
    assert counting.planned == 51
    anew(world, [])
    anew(world, selecting(1))
    assert counting.planned == 52  # nothing is remembered of what nobody wants


async def test_new_offers_are_planned_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(world.planner, monkeypatch)
    anew(world, selecting(3))
    world.catalogue.bind(world.catalogue.mapper)
    anew(world, selecting(3))
    assert counting.planned == 6


async def test_one_query_is_planned_between_two_turns_of_the_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(world.planner, monkeypatch)
    before = 0
    for _ in world.planner.anew([*selecting(20), ExternalWant("shop", "jobs_waiting")], world.catalogue, 0.0):
        assert counting.planned - before <= 1
        before = counting.planned
    assert counting.planned == 21


async def test_a_want_that_no_rule_serves_is_refused_in_each_plan(world: World) -> None:
    unknown = CustomWant(PODS, "shop", "no_such_metric")
    for _ in range(2):
        assert str(anew(world, [unknown]).unserved[unknown]) == "no rule finds series for metric no_such_metric of pods"
