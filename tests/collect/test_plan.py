"""From demand to the fewest queries."""

import asyncio
from typing import Any

import pytest
import structlog

from adapter.collect.answer import CustomQuestion, Unavailable
from adapter.collect.demand import CustomWant, ExternalWant, Objects
from adapter.collect.plan import SHARD, Planner
from adapter.collect.snapshot import Limits
from adapter.metrics.sample import Sample
from adapter.rules.model import OnNegative
from adapter.rules.resources import PODS
from adapter.units.selector import EVERYTHING, Selector
from tests.collect.conftest import World

RANKED = """
rules:
- seriesQuery: 'http_requests_total{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: ".*", as: requests_ranked}
  metricsQuery: 'topk(9999, sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>))'
"""


def rate(namespace: str, selector: str = "") -> CustomWant:
    return CustomWant(PODS, namespace, "http_requests_per_second", Selector.parse(selector))


def promql(world: World, *wants: CustomWant | ExternalWant) -> list[str]:
    return [planned.query.promql for planned in world.planner.plan(wants, world.catalogue).planned]


async def test_one_query_serves_all_namespaces_on_a_rule(world: World) -> None:
    queries = promql(world, rate("shop"), rate("bank"))
    assert queries == ['sum by (pod, namespace) (rate(http_requests_total{namespace=~"bank|shop",pod!=""}[1m]))']


async def test_only_values_of_pods_are_of_those_that_take_traffic(world: World) -> None:
    plan = world.planner.plan([rate("shop"), ExternalWant("shop", "jobs_waiting")], world.catalogue)
    assert sorted((planned.external is None, planned.ready_pods) for planned in plan.planned) == [
        (False, False), (True, True)
    ]  # fmt: skip


async def test_each_metric_selector_is_a_query_of_its_own(world: World) -> None:
    assert len(promql(world, rate("shop"), rate("shop", "verb=GET"), rate("bank", "verb=GET"))) == 2


async def test_a_plan_does_not_depend_on_the_order_of_demand(world: World) -> None:
    wants: list[Any] = [
        rate("c"),
        rate("a"),
        rate("b", "verb=GET"),
        ExternalWant("a", "jobs_waiting"),
    ]
    assert promql(world, *wants) == promql(world, *reversed(wants))


async def test_namespaces_are_split_into_shards_of_expected_results(world: World) -> None:
    planner = Planner(Limits(), lambda want: [], lambda resource, namespace: 900)
    plan = planner.plan([rate(f"ns-{number}") for number in range(5)], world.catalogue)
    assert sorted(len(planned.wants) for planned in plan.planned) == [1, 2, 2]  # 2 x 900 <= 2000 < 3 x 900
    assert SHARD == 2000


async def test_a_template_that_ranks_its_group_is_asked_per_request(world: World) -> None:
    for name in ("web-1", "web-2"):
        world.pod(name, app="web")
    objects = Objects("*", Selector.parse("app=web"))
    want = CustomWant(PODS, "shop", "queue_depth", objects=objects)
    assert promql(world, want) == ['topk(1, sum(queue_depth{namespace="shop",pod=~"web-1|web-2"}) by (pod))']
    assert not world.planner.plan([want], world.catalogue).planned[0].merged


async def test_an_hpas_want_for_such_a_template_waits_for_its_first_request(world: World) -> None:
    want = CustomWant(PODS, "shop", "queue_depth")
    plan = world.planner.plan([want, rate("shop")], world.catalogue)
    assert [planned.wants for planned in plan.planned] == [(rate("shop"),)]
    assert "each request has its own query" in str(plan.unserved[want])


async def test_external_selectors_on_the_same_label_share_a_query(world: World) -> None:
    wants = [ExternalWant("shop", "jobs_waiting", Selector.parse(f"queue={queue}")) for queue in ("mail", "print")]
    assert promql(world, *wants) == ['max by (queue, namespace) (jobs_waiting{queue=~"mail|print",namespace="shop"})']


async def test_an_unknown_metric_is_named_and_keeps_nothing_from_being_served(world: World) -> None:
    unknown = rate("shop")._replace(metric="nope")
    plan = world.planner.plan([unknown, rate("shop")], world.catalogue)
    assert len(plan.planned) == 1
    assert {want: str(error) for want, error in plan.unserved.items()} == {
        unknown: "no rule finds series for metric nope of pods"
    }


async def test_below_zero_a_rate_is_left_out_and_a_gauge_is_served(world: World) -> None:
    plan = world.planner.plan([rate("shop"), ExternalWant("shop", "jobs_waiting")], world.catalogue)
    negative = {planned.rule.series_query[:4]: planned.limits.negative for planned in plan.planned}
    assert negative == {"http": OnNegative.OMIT, "jobs": OnNegative.SERVE}


NET = """
rules:
- seriesQuery: 'http_requests_total{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {as: "net"}
  metricsQuery: >-
    sum(rate(<<.Series>>{way="in",<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)
    - sum(rate(<<.Series>>{way="out",<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)
  x-streamgate: {POLICY}
"""


@pytest.mark.parametrize(
    ("policy", "served"),
    [("", "-500m"), ("negative: serve", "-500m"), ("negative: zero", "0"), ("negative: omit", None)],
)
async def test_a_difference_of_rates_may_be_below_zero_unless_the_rule_says_otherwise(
    policy: str, served: str | None
) -> None:
    world = World(NET.replace("POLICY", policy))
    await world.collector.offers.look()
    world.pod("web-1", app="web")
    world.serves(("shop", "web-1", -0.5))
    asked = CustomQuestion(
        resource=PODS,
        namespace="shop",
        name="*",
        metric="net",
        selector=EVERYTHING,
        metric_selector=EVERYTHING,
    )
    if served is None:
        with pytest.raises(Unavailable, match=r"the only value, of web-1, is left out: its value is -0\.5"):
            await world.answers.custom(asked)
        return
    assert [str(value.value) for value in await world.answers.custom(asked)] == [served]


async def test_a_merged_query_that_the_data_contradict_is_asked_apart_from_then_on(world: World) -> None:
    wants = [rate("shop"), rate("bank")]
    world.demand.declare("shop", "web", wants)
    world.source.refusal = "many-to-many matching"
    await asyncio.gather(*world.collector.start_due())
    await asyncio.gather(*world.collector.start_due())
    asked = [query.promql for query in world.source.queries]
    assert [query.count("bank") + query.count("shop") for query in asked] == [2, 1, 1]


@pytest.mark.parametrize("pods", [3_500, 10_000])
async def test_a_request_for_thousands_of_pods_is_asked_with_times_and_windows(pods: int) -> None:
    world = await ranking(pods, "web")
    want = CustomWant(PODS, "shop", "requests_ranked", objects=Objects("*", Selector.parse("app=web")))
    [planned] = world.planner.plan([want], world.catalogue).planned
    assert planned.query.promql.count("web-") == pods
    assert planned.times is not None
    assert planned.times.promql.count("web-") == pods
    assert planned.coverage is not None
    assert planned.coverage.promql.count("web-") == 2 * pods
    assert not planned.unread


async def test_a_query_that_has_too_much_to_be_read_is_served_and_that_is_said() -> None:
    world = await ranking(1, "web", RANKED.replace("<<.GroupBy>>)", "<<.GroupBy>>)" + " + 0" * 500))  # and one =
    asked = CustomQuestion(
        resource=PODS,
        namespace="shop",
        name="*",
        metric="requests_ranked",
        selector=Selector.parse("app=web"),
        metric_selector=EVERYTHING,
    )
    world.source.samples = [Sample({"namespace": "shop", "pod": f"web-{0:017d}"}, 4.0, 1000.0)]
    with structlog.testing.capture_logs() as lines:
        for world.now in (1000.0, 1010.0):
            assert [str(value.value) for value in await world.answers.custom(asked)] == ["4"]
    why = "served without the age of its samples or a look at its windows: the query has more than 500 operators"
    assert [line["problem"] for line in lines if line["event"] == "rule"] == [f"rules[0], line 3: {why}"]
    assert world.answers.explain(asked)["unread"] == why


async def ranking(pods: int, name: str, rules: str = RANKED) -> World:
    """Pods of app web, and a rule whose template no query can serve together."""
    world = World(rules)
    await world.collector.offers.look()
    for number in range(pods):
        world.pod(f"{name}-{number:017d}", app="web")
    return world


async def test_external_selectors_that_cannot_be_merged_are_queries_of_their_own(world: World) -> None:
    """A set is no equality: each want is its own query, with its own matcher and namespace."""
    wants = [ExternalWant(ns, "jobs_waiting", Selector.parse("queue in (mail,print)")) for ns in ("a", "b")]
    queries = world.planner.plan(wants, world.catalogue).planned
    assert [planned.wants for planned in queries] == [(want,) for want in wants]
    for planned, namespace in zip(queries, "ab", strict=True):
        assert 'queue=~"mail|print"' in planned.query.promql
        assert f'namespace="{namespace}"' in planned.query.promql
