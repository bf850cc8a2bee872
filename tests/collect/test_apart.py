"""A want whose series make the source refuse a shared query costs itself alone, and few queries more."""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.answer import ExternalQuestion, Unavailable
from adapter.collect.apart import KEPT_APART, Apart
from adapter.collect.demand import CustomWant, ExternalWant
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALWAYS, Query, RefusedQuery, Since
from adapter.rules.resources import PODS
from adapter.units.selector import Selector
from tests.collect.conftest import World
from tests.collect.test_answers import question, values

pytestmark = pytest.mark.looptime

RATE = "http_requests_per_second"
NAMESPACES = [f"team-{number:03}" for number in range(64)]


def wants(namespaces: Sequence[str]) -> list[CustomWant]:
    return [CustomWant(PODS, namespace, RATE) for namespace in namespaces]


@given(
    st.sets(st.sampled_from(NAMESPACES), max_size=8),
    st.integers(1, len(NAMESPACES)),
)
def test_each_that_fails_ends_alone_and_the_others_are_asked_together(bad: set[str], number: int) -> None:
    """A query fails where one of the bad is in it. With k of n bad at most 2 k log2(n) + 1 queries are asked first."""
    asked, all_wants, apart = 0, wants(NAMESPACES[:number]), Apart()
    failing = True
    while failing:
        failing = False
        for part in apart.parts(all_wants):
            asked += 1
            if any(want.namespace in bad for want in part) and apart.note_refusal(part, 0.0):
                failing = True
        apart.keep(all_wants, 0.0)
    expected = {want.namespace for want in all_wants if want.namespace in bad}
    assert {want.namespace for want in all_wants if apart.alone(want)} == expected
    levels = math.ceil(math.log2(max(number, 2))) + 1
    assert len(apart.parts(all_wants)) <= len(expected) * levels + 1
    apart.keep(all_wants, KEPT_APART)
    assert apart.parts(all_wants) == [all_wants]


class Contradicted:
    """Refuses a query that covers one of `bad`: (label, value); a pattern of names covers each of its names."""

    name, knows_sample_times = "contradicted", True

    def __init__(self, *bad: tuple[str, str]) -> None:
        self.bad = set(bad)
        self.samples: list[Sample] = []
        self.queries: list[Query] = []

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.queries.append(query)
        named: Mapping[str, set[str]] = {
            label: set(text.split("|")) for label, text in re.findall(r'(\w+)=~?"([^"]*)"', query.promql)
        }
        for label, value in self.bad:
            if value in named.get(label, {value}):
                raise RefusedQuery(f"found duplicate series on the right side for {value}")
        return [
            sample
            for sample in self.samples
            if all(sample.labels.get(label) in allowed for label, allowed in named.items())
        ]


async def refresh(world: World, seconds: float, every: float = 1.0) -> None:
    for _ in range(int(seconds / every)):
        await asyncio.gather(*world.collector.start_due())
        world.now += every


async def contradicting_world(*bad: tuple[str, str]) -> tuple[World, Contradicted]:
    world = World()
    await world.collector.offers.look()
    source = Contradicted(*bad)
    world.collector._evaluator._source = source  # type: ignore[assignment]
    return world, source


async def test_one_namespace_that_fails_costs_the_others_nothing_and_few_queries() -> None:
    world, source = await contradicting_world(("namespace", "team-031"))
    world.demand.declare("team-000", "web", wants(NAMESPACES))
    source.samples = [Sample({"namespace": name, "pod": "web-1"}, 2.0, 1e9) for name in NAMESPACES]
    await refresh(world, 8)  # halves of 64 until one: 6 rounds of two queries each, 13 queries in all
    failing = {want.namespace for want in wants(NAMESPACES) if world.collector.held[want].error}
    assert failing == {"team-031"}
    assert all(world.collector.held[want].table for want in wants(NAMESPACES) if want.namespace != "team-031")
    assert len(world.collector.plan.planned) == 7  # 32 + 16 + 8 + 4 + 2 + 1 + the one
    assert len(source.queries) <= 13 + 7


async def test_when_it_works_again_all_are_asked_together_again() -> None:
    world, source = await contradicting_world(("namespace", "team-031"))
    world.demand.declare("team-000", "web", wants(NAMESPACES))
    await refresh(world, 10)
    source.bad.clear()
    await refresh(world, KEPT_APART + 20, every=5)
    assert len(world.collector.plan.planned) == 1
    assert not any(held.error for held in world.collector.held.values())


async def test_within_a_namespace_each_request_names_its_own_pods() -> None:
    """Two pods of another app contradict the join: the HPA on app web keeps its values, the one on db is told why."""
    world, source = await contradicting_world(("pod", "db-1"))
    world.pod("web-1", app="web")
    world.pod("db-1", app="db")
    world.demand.declare("shop", "web", wants(["shop"]))
    source.samples = [Sample({"namespace": "shop", "pod": "web-1"}, 2.0, 1e9)]
    await refresh(world, 2)
    for _ in range(8):  # longer than what was known before may be served
        assert await values(world, question(selector="app=web")) == {"web-1": "2"}
        with pytest.raises(Unavailable, match="duplicate series"):
            await values(world, question(selector="app=db"))
        await refresh(world, 10)
    told = world.answers.explain(question(selector="app=web"))
    assert "because the shared one is refused: found duplicate series" in str(told["query"])


async def test_of_two_hpas_on_an_external_rule_the_healthy_one_keeps_its_value() -> None:
    world, source = await contradicting_world(("queue", "bad"))
    mail, bad = (ExternalWant("shop", "jobs_waiting", Selector.parse(f"queue={name}")) for name in ("mail", "bad"))
    world.demand.declare("shop", "one", [mail])
    world.demand.declare("shop", "two", [bad])
    source.samples = [Sample({"queue": "mail", "namespace": "shop"}, 7.0, 1e9)]
    await refresh(world, 90)
    asked = ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=mail.selector)
    [value] = await world.answers.external(asked)
    assert str(value.value) == "7"
    with pytest.raises(Unavailable, match="duplicate series"):
        await world.answers.external(question_of(bad))


def question_of(want: ExternalWant) -> ExternalQuestion:
    return ExternalQuestion(namespace=want.namespace, metric=want.metric, selector=want.selector)


async def test_many_that_fail_alone_are_asked_once_a_second_in_all() -> None:
    world, source = await contradicting_world(*(("namespace", name) for name in NAMESPACES))
    world.demand.declare("team-000", "web", wants(NAMESPACES))
    await refresh(world, 200)
    before = len(source.queries)
    await refresh(world, 128)
    assert len(source.queries) - before <= 2 * 64 + 64
