"""The collector's loops: ready after the first collection, whatever came of it; soon again after a failure."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from adapter.collect.answer import CustomQuestion
from adapter.collect.cadence import PASSING
from adapter.collect.catalogue import LabelSets
from adapter.collect.demand import CustomWant, ExternalWant
from adapter.metrics.slices import Slices
from adapter.rules.model import Rule
from adapter.rules.naming import BoundRule, Offer, offers_in_slices
from adapter.rules.resources import PODS
from adapter.spans import MILLION, Span, Tracer
from adapter.units.selector import EVERYTHING, Selector
from tests.collect.conftest import World

pytestmark = pytest.mark.looptime

RATE = CustomWant(PODS, "shop", "http_requests_per_second")


async def run_for(world: World, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await world.collector.run()


async def test_it_is_ready_though_the_source_holds_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.collect.conftest.SERIES", {})
    world = World()
    assert world.collector.waiting() == "the first collection has neither worked nor failed yet"
    await run_for(world, 0.1)
    assert world.collector.waiting() == ""


async def test_it_is_not_ready_before_it_has_seen_what_the_source_holds_when_that_is_all_there() -> None:
    """A pod that is scraped for the first time must not answer that no rule finds series: a rolling update's would."""
    world = World()
    world.filling = "2 targets were not scraped twice yet"
    task = asyncio.create_task(world.collector.run())
    await asyncio.sleep(10)
    assert world.collector.waiting()
    world.filling = ""
    await asyncio.sleep(1.1)  # until then it looks every second
    assert world.collector.waiting() == ""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_it_is_ready_though_the_source_fails() -> None:
    world = World()
    world.source.fault = "Prometheus cannot be reached"
    await run_for(world, 0.1)
    assert world.collector.waiting() == ""
    assert str(world.collector.offers.errors["rules[0], line 3"]) == "Prometheus cannot be reached"


async def test_a_look_up_of_series_that_failed_is_tried_again_after_a_second_or_two() -> None:
    world = World()
    world.source.fault = "starting"
    task = asyncio.create_task(world.collector.run())
    await asyncio.sleep(0.1)
    world.source.fault = ""
    await asyncio.sleep(2.2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert world.answers.custom_offers()


async def test_series_that_are_gone_at_once_are_looked_for_again_soon_and_for_as_long_as_a_look_reaches_back() -> None:
    """A Prometheus that has lost its data has no series until its first scrapes: values must not wait for 60 s more."""
    world = World()
    looks: list[float] = []
    loop = asyncio.get_running_loop()
    there: Any = world.source.series

    async def lose_series(selectors: Sequence[str], since: float, at: float) -> list[Mapping[str, str]]:
        if "jobs_waiting" in selectors[0]:
            looks.append(round(loop.time()))
            world.now = 1000 + loop.time()
        return [] if 30 < loop.time() < 500 else await there(selectors, since, at)

    world.source.series = lose_series
    task = asyncio.create_task(world.collector.run())
    await asyncio.sleep(620)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert looks[:8] == [0, 60, 62, 66, 74, 90, 122, 182]  # 1 minute, then 2, 4, 8, 16, 32 s and 1 minute
    assert world.answers.custom_offers()


async def test_a_look_up_that_goes_on_failing_is_one_line_until_it_works(world: World) -> None:
    with capture_logs() as said:
        for fault in ("down", "down again", "", "down"):
            world.source.fault = fault
            await world.collector.offers.look()
    told = [line["cause"] for line in said if line["event"] == "series not looked up"]
    assert told == 3 * ["down"] + 3 * ["down"]  # three series queries


async def test_what_an_hpa_declares_is_asked_for_on_schedule_and_forgotten_with_it() -> None:
    world = World()
    await world.collector.offers.look()
    world.demand.declare("shop", "web", [RATE])
    for second in range(11):
        world.now = 1000.0 + second
        await asyncio.gather(*world.collector.start_due())
    assert len(world.source.queries) == 3  # at 0, 5 and 10 s
    world.demand.withdraw("shop", "web")
    world.now += 5
    await asyncio.gather(*world.collector.start_due())
    assert world.collector.held == {}
    assert len(world.source.queries) == 3


async def test_a_slow_query_is_asked_for_less_often() -> None:
    """One of 2 s is asked after 10 and 20 s, then every 40 s: 5 % of the source's time."""
    world = World()
    await world.collector.offers.look()
    world.demand.declare("shop", "web", [RATE])

    async def slow() -> None:
        world.now += 2

    world.source.gate = slow
    for _ in range(100):
        await asyncio.gather(*world.collector.start_due())
        world.now += 1
    assert len(world.source.queries) == 4  # 1000, 1010, 1030, 1070 of 1000 to 1108


class Panic(BaseException):
    """As a Rust extension's, which is no Exception."""


@pytest.mark.parametrize("error", [Panic(), RecursionError(), MemoryError(), ValueError()])
async def test_a_query_that_fails_as_nobody_expected_costs_that_query_alone(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    world = World()
    await world.collector.offers.look()
    world.demand.declare("shop", "web", [RATE])

    async def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(world.collector._evaluator, "table", failing)
    with capture_logs() as said:
        [held] = await asyncio.gather(*world.collector.start_due())
    assert str(held.error) == "the result could not be read; the log says more"
    assert [line["event"] for line in said if line["log_level"] == "error"] == ["query"]
    assert not world.collector._running


async def test_a_rule_that_offers_nothing_says_once_what_became_of_its_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Series of requests whose name does not match, no series of queues; both are there at the third look."""
    looks: dict[str, list[Mapping[str, str]]] = {"http": [{"__name__": "http_requests", "pod": "web-1"}], "queue": []}
    world = World()

    async def series(selectors: Sequence[str], since: float, at: float) -> list[Mapping[str, str]]:
        return next((label_sets for name, label_sets in looks.items() if selectors[0].startswith(name)), [])

    monkeypatch.setattr(world.source, "series", series)
    told = []
    for look in range(4):
        if look == 2:
            looks["http"] = looks["queue"] = [{"__name__": "queue_depth_total", "namespace": "shop", "pod": "web-1"}]
        with capture_logs() as said:
            await world.collector.offers.look()
        told.append([(line["log_level"], line["problem"]) for line in said])
    nothing = "nothing is on offer: its seriesQuery finds"
    assert told == [
        [("warning", f"rules[0], line 3: {nothing} one series, 1 dropped by name.matches, which leaves no metrics")],
        [("info", f"{place}: {nothing} no series") for place in ("rules[1], line 7", "externalRules[0], line 11")],
        [],
        [],
    ]


async def test_while_the_source_fills_no_rule_is_said_to_find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.collect.conftest.SERIES", {})
    world = World()
    told: list[int] = []
    for filling in ("first scrapes", "first scrapes", "", ""):
        world.filling = filling
        with capture_logs() as said:
            await world.collector.offers.look()
        told.append(sum("finds no series" in line.get("problem", "") for line in said))
    assert told == [0, 0, 0, 3]


async def test_several_values_of_one_object_are_told_once(world: World) -> None:
    """As of `by (<<.GroupBy>>, code)`: the last counts, as in prometheus-adapter."""
    world.demand.declare("shop", "web", [RATE])
    world.serves(("shop", "web-1", 1.0), ("shop", "web-2", 2.0), ("shop", "web-1", 3.0))
    with capture_logs() as said:
        for _ in range(2):
            await asyncio.gather(*world.collector.start_due())
            world.now += 5
    [told] = [line["problem"] for line in said if line["event"] == "rule"]
    assert told.startswith("rules[0], line 3: its query gives 3 values for 2 objects, of each the last one counts;")


async def test_explain_says_what_became_of_the_series_of_each_rule(world: World) -> None:
    asked = CustomQuestion(
        resource=PODS,
        namespace="shop",
        name="*",
        metric="nope",
        selector=EVERYTHING,
        metric_selector=EVERYTHING,
    )
    one = "its seriesQuery finds one series, which leaves one metric"
    places = ("rules[0], line 3", "rules[1], line 7", "externalRules[0], line 11")
    assert world.answers.explain(asked)["rules"] == [f"{place}: {one}" for place in places]
    assert world.answers.explain(replace(asked, metric=RATE.metric))["rule"]["account"] == one  # type: ignore[index]


@pytest.mark.parametrize("error", [Panic(), RecursionError(), MemoryError(), ValueError()])
async def test_planning_that_fails_as_nobody_expected_costs_those_of_one_query_alone(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """One HPA wants a metric whose planning panics, another an external one; only the first has none."""
    world = World()
    await world.collector.offers.look()
    world.demand.declare("shop", "web", [RATE])
    world.demand.declare("shop", "jobs", [ExternalWant("shop", "jobs_waiting")])

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("adapter.collect.plan.merge.merge_objects", failing)
    with capture_logs() as said:
        for _ in range(3):
            await asyncio.gather(*world.collector.start_due())
            world.now += 11  # a new plan
    assert [planned.wants for planned in world.collector.plan.planned] == [(ExternalWant("shop", "jobs_waiting"),)]
    assert f"no query can be planned: {type(error).__name__}" in str(world.collector.plan.unserved[RATE])
    assert len([line for line in said if line["log_level"] == "error"]) == 1


@pytest.mark.parametrize("error", [Panic(), RecursionError(), MemoryError(), ValueError()])
async def test_series_that_cannot_be_read_cost_their_rule_alone(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    world = World()

    def failing(bound: BoundRule[Rule], series: LabelSets) -> Slices[list[Offer]]:
        if bound.rule.place == "rules[1], line 7":
            raise error
        return offers_in_slices(bound, series)

    monkeypatch.setattr("adapter.collect.catalogue.offers_in_slices", failing)
    for _ in range(2):
        with capture_logs() as said:
            await world.collector.offers.look()
        assert {metric for _, metric in world.catalogue.custom} == {RATE.metric}
        assert set(world.catalogue.external) == {"jobs_waiting"}
        assert [line["rule"] for line in said if line["log_level"] == "error"] == ["rules[1], line 7"]
        assert "could not be read" in str(world.collector.offers.errors["rules[1], line 7"])


async def test_values_of_selectors_beyond_the_share_are_held_by_characters_not_until_the_next_plan_in_10_s() -> None:
    """Of 50,000 characters each: 2**20 / 50,512 are 21, and a new plan forgets all but what the share has room for."""
    world = World()
    task = asyncio.create_task(world.collector.run())
    await asyncio.sleep(1)
    held = []
    for number in range(100):
        values = ",".join(f"{number}-{place}-{'v' * 900}" for place in range(55))
        selector = Selector.parse(f"path in ({values})", strict_values=False)
        await world.collector.fetch(RATE._replace(metric_selector=selector))
        await asyncio.sleep(0.01)
        held.append(len(world.collector.held))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert 1 < max(held) <= 25
    assert len(world.collector._evaluator._cadences) <= PASSING + 25


async def test_an_error_is_kept_without_the_answer_that_it_came_from(world: World) -> None:
    """Its frames hold the bytes that could not be read: 400 kB of each of 1,000 queries."""
    world.source.fault = "the answer is no JSON"
    want = CustomWant(PODS, "shop", "http_requests_per_second")
    held = await world.collector.fetch(want)
    assert held.error is not None
    assert (str(held.error), held.error.__context__) == ("the answer is no JSON", None)
    assert held.error.__traceback__ is None or held.error.__traceback__.tb_next is None


async def test_a_round_of_evaluation_is_a_trace_with_its_queries() -> None:
    spans: list[Span] = []
    world = World(tracer=Tracer(spans.append, MILLION))
    await world.collector.offers.look()
    world.serves(("shop", "web-1", 5.0))
    world.demand.declare("shop", "web", [RATE])
    await asyncio.gather(*world.collector.start_due())
    query, evaluation = spans
    assert (query.name, query.parent_id, evaluation.parent_id) == ("query", evaluation.span_id, 0)
    assert query.attributes == {"db.system.name": "told", "db.query.text": world.source.queries[0].promql}
    assert (evaluation.name, evaluation.attributes) == ("evaluate", {"streamgate.rule": "rules[0], line 3"})
    assert not evaluation.error


async def test_an_evaluation_that_fails_says_so_in_its_span() -> None:
    spans: list[Span] = []
    world = World(tracer=Tracer(spans.append, MILLION))
    await world.collector.offers.look()
    world.source.fault = "Prometheus cannot be reached"
    world.demand.declare("shop", "web", [RATE])
    await asyncio.gather(*world.collector.start_due())
    assert [one.error for one in spans] == ["SourceError", "SourceError"]


async def test_counters_of_a_rule_begin_at_zero_with_its_first_query(world: World) -> None:
    """Of a counter that begins at 1 `rate` does not see the first failure, and until then a panel is empty."""

    def counter_value(name: str, **labels: str) -> float | None:
        return world.registry.get_sample_value(f"streamgate_{name}_total", labels)

    place = world.catalogue.rules[0].place
    assert counter_value("relist_errors", rule=place) == 0
    assert counter_value("uncovered_requests", group="custom.metrics.k8s.io") == 0
    assert counter_value("uncovered_requests", group="external.metrics.k8s.io") == 0
    assert counter_value("source_query_errors", rule=place, kind="value") is None
    world.demand.declare("shop", "web", [RATE])
    await asyncio.gather(*world.collector.start_due())
    assert counter_value("source_queries", rule=place, kind="value") == 1
    assert counter_value("source_query_errors", rule=place, kind="value") == 0
    assert [counter_value("values_left_out", rule=place, why=why) for why in ("age", "value", "transition")] == [
        0,
        0,
        0,
    ]
