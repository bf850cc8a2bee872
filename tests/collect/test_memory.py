"""What is remembered of groups in transition outlives a change of the query's text, and nothing else does."""

from adapter.collect.demand import CustomWant
from adapter.collect.memory import Memory, Remembered
from adapter.collect.planned import Planned
from adapter.collect.snapshot import Reading
from adapter.collect.transition import Settled
from adapter.rules.resources import PODS
from tests.collect.conftest import World

EMPTY = Remembered()


def plan_one(world: World, *namespaces: str, metric: str = "http_requests_per_second") -> Planned:
    """The one query that serves a metric to these namespaces."""
    wants = [CustomWant(PODS, namespace, metric) for namespace in namespaces]
    [planned] = world.planner.plan(wants, world.catalogue).planned
    return planned


def make_settled(namespace: str) -> Settled:
    return Settled({(namespace, "web-1"): Reading(50.0, 1000.0, 60.0)})


def test_a_query_for_one_more_namespace_takes_over(world: World) -> None:
    memory = Memory()
    memory.remember_settled(plan_one(world, "shop"), make_settled("shop"))
    memory.keep([plan_one(world, "bank", "shop")])
    assert memory.of(plan_one(world, "bank", "shop")).settled == make_settled("shop")
    assert memory.of(plan_one(world, "shop")) == EMPTY


def test_where_two_become_one_it_takes_over_from_both_and_where_one_becomes_two_both_do(world: World) -> None:
    memory = Memory()
    for namespace in ("bank", "shop"):
        memory.remember_settled(plan_one(world, namespace), make_settled(namespace))
    together = plan_one(world, "bank", "shop")
    memory.keep([together])
    both = {**make_settled("bank").readings, **make_settled("shop").readings}
    assert memory.of(together).settled.readings == both
    memory.keep([plan_one(world, "bank"), plan_one(world, "shop")])
    assert memory.of(plan_one(world, "bank")).settled.readings == both


def test_another_metrics_query_takes_nothing_over_and_what_nobody_wants_is_forgotten(world: World) -> None:
    memory = Memory()
    memory.remember_settled(plan_one(world, "shop"), make_settled("shop"))
    other = plan_one(world, "shop")._replace(wants=(CustomWant(PODS, "shop", "other"),))
    memory.keep([other._replace(query=other.query._replace(promql="other"))])
    memory.keep([plan_one(world, "shop")])
    assert memory.of(plan_one(world, "shop")) == EMPTY
