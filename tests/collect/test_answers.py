"""What a request gets: values with their own time, from memory; or a sentence saying why not."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from adapter.collect.answer import BadQuestion, CustomQuestion, ExternalQuestion, Missing, Unanswerable, Unavailable
from adapter.collect.demand import CustomWant
from adapter.collect.evaluate import TIMES_EVERY
from adapter.collect.quoting import PROBE
from adapter.kube.index import Index
from adapter.kube.objects import ObjectMeta, PartialObjectMetadata
from adapter.kube.resources import GroupResource
from adapter.metrics.sample import Sample
from adapter.metrics.source import Discovery, Query, RefusedQuery, SourceError, UnsupportedQuery
from adapter.rules.resources import NODES, PODS
from adapter.units.requirement import Operator, Requirement
from adapter.units.selector import EVERYTHING, Selector
from tests.collect.conftest import RULES, World

pytestmark = pytest.mark.looptime

RATE = "http_requests_per_second"


def question(name: str = "*", selector: str = "app=web", metric: str = RATE, namespace: str = "shop") -> CustomQuestion:
    return CustomQuestion(
        resource=PODS,
        namespace=namespace,
        name=name,
        metric=metric,
        selector=Selector.parse(selector),
        metric_selector=EVERYTHING,
        user="alice",
    )


async def refresh(world: World) -> None:
    await asyncio.gather(*world.collector.start_due())


@pytest.fixture
async def served(world: World) -> World:
    """Two pods of app web with values, and an HPA that wants them."""
    for name in ("web-1", "web-2"):
        world.pod(name, app="web")
    world.pod("db-1", app="db")
    world.demand.declare("shop", "web", [CustomWant(PODS, "shop", RATE)])
    world.serves(("shop", "web-1", 1.5), ("shop", "web-2", 2.5), ("shop", "db-1", 9.0))
    await refresh(world)
    return world


async def values(world: World, asked: CustomQuestion) -> dict[str, str]:
    return {value.described.name: str(value.value) for value in await world.answers.custom(asked)}


async def test_a_planned_metric_is_answered_from_memory_for_the_pods_that_match(served: World) -> None:
    before = len(served.source.queries)
    assert await values(served, question()) == {"web-1": "1500m", "web-2": "2500m"}
    assert len(served.source.queries) == before


async def test_a_value_carries_the_samples_own_time(served: World) -> None:
    served.now += 7
    [value, _] = await served.answers.custom(question())
    assert value.time == 1000.0


async def test_a_pod_made_after_the_evaluation_is_left_out_until_it_has_a_sample(served: World) -> None:
    served.pod("web-3", app="web")
    assert "web-3" not in await values(served, question())


async def test_what_the_plan_does_not_cover_is_asked_for_once_by_all_who_wait(world: World) -> None:
    world.pod("web-1", app="web")
    world.serves(("shop", "web-1", 3.0))
    answers = await asyncio.gather(*(values(world, question()) for _ in range(20)))
    assert answers == [{"web-1": "3"}] * 20
    assert len(world.source.queries) == 1


async def test_such_a_request_is_remembered_and_refreshed_from_then_on(world: World) -> None:
    world.pod("web-1", app="web")
    world.serves(("shop", "web-1", 3.0))
    await values(world, question())
    world.now += 6
    world.serves(("shop", "web-1", 4.0))
    await refresh(world)
    assert await values(world, question()) == {"web-1": "4"}
    assert len(world.source.queries) == 2


async def test_a_source_that_hangs_costs_a_request_one_second_and_gets_503(world: World) -> None:
    world.pod("web-1", app="web")
    world.source.gate = lambda: asyncio.sleep(5)
    began = asyncio.get_running_loop().time()
    for first in (True, False):  # who asks again finds the query under way: a worker of HPAs waits but once
        with pytest.raises(Unavailable, match="has not answered within 1 s") as raised:
            await world.answers.custom(question())
        assert raised.value.soon is first
    assert asyncio.get_running_loop().time() - began < 3


async def test_a_failed_query_keeps_the_last_good_values_until_they_are_too_old(served: World) -> None:
    served.source.fault = "Prometheus cannot be reached"
    served.now = 1059
    await refresh(served)
    assert await values(served, question()) == {"web-1": "1500m", "web-2": "2500m"}
    served.now = 1061  # older than the 60 s of the default
    await refresh(served)
    with pytest.raises(
        Unavailable,
        match="all 2 values are left out: web-1: its sample is 61 s old, the limit is 60 s; the last query failed: P",
    ) as raised:
        await values(served, question())
    assert not raised.value.soon


async def test_a_single_object_whose_value_is_too_old_is_503_with_its_age_and_the_last_failure(served: World) -> None:
    served.now = 1075
    asked = question("web-1", "")
    with pytest.raises(Unavailable, match=r"value of web-1 is left out: its sample is 75 s old, the limit is 60 s$"):
        await served.answers.custom(asked)
    served.source.fault = "gone"
    await refresh(served)
    with pytest.raises(Unavailable, match=r"the value of web-1 is left out: .*; the last query failed: gone$"):
        await served.answers.custom(asked)
    with pytest.raises(Unavailable, match=r"web-9 has no sample; the last query failed: gone$"):
        await served.answers.custom(question("web-9", ""))
    served.source.fault = ""
    served.now += 10
    await refresh(served)
    with pytest.raises(Missing, match=r"web-9 has no sample$"):
        await served.answers.custom(question("web-9", ""))


@pytest.mark.parametrize(
    ("queues", "sentence"),
    [
        (["a", "b"], "all 2 values are left out: queue=a: its value is nan"),
        (["a"], "the only value, of queue=a, is left out: its value is nan"),
        ([""], "the only value is left out: its value is nan"),
    ],
)
async def test_external_values_that_are_all_left_out_are_counted_and_one_is_named(
    world: World, queues: list[str], sentence: str
) -> None:
    world.source.samples = [
        Sample({"namespace": "shop"} | ({"queue": queue} if queue else {}), math.nan, 1000.0) for queue in queues
    ]
    with pytest.raises(Unavailable, match=f"^{sentence}$"):
        await world.answers.external(ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=EVERYTHING))


@pytest.mark.parametrize(("interval", "short"), [(120.0, True), (59.0, True), (54.0, False), (15.0, False)])
async def test_a_range_that_cannot_hold_two_samples_is_named(world: World, interval: float, short: bool) -> None:
    """The rule takes a rate over 60 s; the samples of the last 300 s are counted, and the newest is of now."""
    world.source.knows_sample_times = False
    world.source.times = [Sample({"namespace": "shop", "pod": "web-1"}, 1000.0, 1000.0)]
    world.source.counts = [Sample({"namespace": "shop", "pod": "web-1"}, 300.0 / interval, 1000.0)]
    world.pod("web-1", app="web")
    sentence = (
        f"the query takes a rate over 60 s, which needs two samples, and there is one each {interval:.0f} s or so"
    )
    for asked in (question(), question("web-1", "")):
        if short:
            with pytest.raises(Unavailable, match=sentence):
                await world.answers.custom(asked)
        elif asked.name == "*":
            assert await values(world, asked) == {}
        else:
            with pytest.raises(Missing, match=r"web-1 has no sample$"):
                await world.answers.custom(asked)
    told: Any = world.answers.explain(question())["objects"]
    assert (sentence in told["web-1"]["missing"]) is short


async def test_a_source_that_never_answered_is_503_with_its_cause(world: World) -> None:
    world.pod("web-1", app="web")
    world.source.fault = "Prometheus cannot be reached"
    with pytest.raises(Unavailable, match="Prometheus cannot be reached"):
        await world.answers.custom(question())


async def test_odd_values_are_left_out(served: World) -> None:
    served.now += 6
    served.serves(("shop", "web-1", math.nan), ("shop", "web-2", 0.2))
    await refresh(served)
    assert await values(served, question()) == {"web-2": "200m"}
    served.now += 6
    served.serves(("shop", "web-2", -0.2))
    await refresh(served)
    with pytest.raises(Unavailable, match=r"^the only value, of web-2, is left out: its value is -0.2$"):
        await values(served, question())


async def test_pods_without_any_sample_are_an_empty_list_as_in_prometheus_adapter(served: World) -> None:
    served.now += 6
    served.serves()
    await refresh(served)
    assert await values(served, question()) == {}


@pytest.mark.parametrize("labels", [{}, {"instance": "10.0.0.1"}])
async def test_a_rule_whose_query_names_no_object_is_an_error(served: World, labels: dict[str, str]) -> None:
    served.now += 6
    served.source.samples = [Sample(labels, 7.0, served.now)]
    await refresh(served)
    for asked in (question(), question("web-1", "")):
        with pytest.raises(Unanswerable, match="the rule's query gives one element without the label 'pod'"):
            await values(served, asked)


async def test_what_can_never_work_is_said_at_once_and_hardly_asked_again(world: World) -> None:
    world.pod("web-1", app="web")
    world.demand.declare("shop", "web", [CustomWant(PODS, "shop", RATE)])

    async def refuse() -> None:
        raise UnsupportedQuery("Prometheus answered 400: bad_data: parse error")

    world.source.gate = refuse
    for _ in range(12):
        await refresh(world)
        with pytest.raises(Unanswerable, match="bad_data: parse error"):
            await values(world, question())
        world.now += 5
    assert len(world.source.queries) == 1  # in 55 s
    world.now += 5
    await refresh(world)
    assert len(world.source.queries) == 2


async def test_a_refused_query_that_we_cannot_read_either_can_never_work() -> None:
    """VictoriaMetrics answers 422 for what is no PromQL too, as for data that contradict a join."""
    world = World(RULES.replace("max(<<.Series>>{<<.LabelMatchers>>}) by (queue)", "sum(<<.Series>>) bye (queue)"))
    await world.collector.offers.look()
    jobs = ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=EVERYTHING)
    world.source.refusal = "Prometheus answered 422: 422: cannot parse query"
    with pytest.raises(Unanswerable, match="cannot parse query"):
        await world.answers.external(jobs)
    world = World()
    await world.collector.offers.look()
    world.source.refusal = "Prometheus answered 422: execution: found duplicate series"
    with pytest.raises(Unavailable, match="duplicate series"):
        await world.answers.external(jobs)


@pytest.mark.parametrize("error", [UnsupportedQuery("no PromQL"), RefusedQuery("422"), SourceError("away")])
async def test_a_selector_whose_key_no_series_can_have_is_a_bad_question(world: World, error: SourceError) -> None:
    world.pod("web-1", app="web")
    selector = Selector.parse("k8s-app=web")

    async def unable() -> None:
        raise error

    world.source.gate = unable
    for ask in (
        world.answers.custom(replace(question(), metric_selector=selector)),
        world.answers.external(ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=selector)),
    ):
        with pytest.raises(BadQuestion, match="'k8s-app' is no label's name in Prometheus; right would be letters"):
            await ask
    assert [query.promql for query in world.source.queries] == [PROBE]  # asked once a minute at most


async def test_a_selector_that_is_no_expression_is_the_clients_fault_and_no_other(world: World) -> None:
    world.pod("web-1", app="web")

    async def refuse() -> None:
        raise UnsupportedQuery("Prometheus answered 400: bad_data: parse error")

    world.source.gate = refuse
    for operator, value, error in (
        (Operator.IN, "(", BadQuestion),
        (Operator.IN, "o.*", Unanswerable),
        (Operator.EQUALS, "(", Unanswerable),
    ):
        selector = Selector([Requirement("queue", operator, (value,))])
        asked = ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=selector)
        for ask in (
            world.answers.external(asked),
            world.answers.custom(replace(question(), metric_selector=selector)),
        ):
            with pytest.raises(error):
                await ask


async def test_where_the_source_reads_quoted_names_such_a_key_is_asked_for(world: World) -> None:
    world.pod("web-1", app="web")
    world.serves(("shop", "web-1", 3.0))
    asked = replace(question(), metric_selector=Selector.parse("k8s-app=web"))
    for _ in range(2):
        assert await values(world, asked) == {"web-1": "3"}
    probe, query = (query.promql for query in world.source.queries)
    assert (probe, '"k8s-app"="web"' in query) == (PROBE, True)


async def test_what_is_left_out_is_counted_by_rule_for_its_age_or_its_value(served: World) -> None:
    served.now += 6
    served.serves(("shop", "web-1", math.nan))
    await refresh(served)
    with pytest.raises(Unavailable):
        await values(served, question())
    counted = [("age", 0.0), ("value", 1.0)]
    assert [(why, served.left_out_count("rules[0], line 3", why)) for why, _ in counted] == counted
    served.source.fault = "gone"
    served.now += 61
    await refresh(served)
    with pytest.raises(Unavailable):
        await values(served, question())
    assert served.left_out_count("rules[0], line 3", "age") == 1


async def test_a_value_beyond_an_int64_of_milli_units_is_served_as_the_largest(served: World) -> None:
    served.now += 6
    served.serves(("shop", "web-1", 1e30))
    await refresh(served)
    [value] = await served.answers.custom(question())
    assert value.value.milli() == 2**63 - 1


async def test_no_match_and_no_metric_are_not_found_and_say_which(served: World) -> None:
    with pytest.raises(Missing, match=r"no pods in namespace shop match the selector 'app=nobody'"):
        await served.answers.custom(question(selector="app=nobody"))
    with pytest.raises(Missing, match="no rule finds series for metric nope of pods"):
        await served.answers.custom(question(metric="nope"))


async def test_external_values_are_told_apart_by_selector(world: World) -> None:
    world.source.samples = [
        Sample({"queue": queue, "namespace": "shop"}, value, 1000.0) for queue, value in (("mail", 4.0), ("print", 7.0))
    ]
    asked = [
        ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=Selector.parse(f"queue={queue}"))
        for queue in ("mail", "print")
    ]
    answers = [await world.answers.external(one) for one in asked]
    assert [[(dict(value.labels), str(value.value)) for value in answer] for answer in answers] == [
        [({"queue": "mail"}, "4")],
        [({"queue": "print"}, "7")],
    ]


async def test_where_the_source_does_not_tell_sample_times_they_are_asked_for_now_and_then(served: World) -> None:
    served.source.knows_sample_times = False
    served.source.times = [Sample({"namespace": "shop", "pod": "web-1"}, 995.0, 1000.0)]
    served.now = 1006
    served.serves(("shop", "web-1", 1.0), ("shop", "web-2", 1.0))
    await refresh(served)
    assert [value.time for value in await served.answers.custom(question())] == [995.0, 1006.0]
    asked = [query for query in served.source.queries if "timestamp(" in query.promql]
    served.now += TIMES_EVERY - 1
    await refresh(served)
    assert [query for query in served.source.queries if "timestamp(" in query.promql] == asked


async def test_an_object_whose_series_is_there_again_has_the_time_of_its_new_sample_at_once(world: World) -> None:
    """Not the last one's of before, at the next look at times: it would be left out as too old until then."""
    world.pod("web-1", app="web")
    world.source.knows_sample_times = False
    gauge = question(metric="queue_depth")
    for now, value, time, served in (
        (1000, 1.0, 1000, {"web-1": "1"}),
        (1070, None, 0, {}),
        (1075, 2.0, 1074, {"web-1": "2"}),
    ):
        world.now = now
        world.serves(*([("shop", "web-1", value)] if value else []))
        world.source.times = [Sample({"namespace": "shop", "pod": "web-1"}, time, now)] if value else []
        await refresh(world)
        assert await values(world, gauge) == served


async def test_a_slow_scrape_is_no_staleness(served: World) -> None:
    """Samples every 70 s: one of 75 s is served, though the limit is 60 s."""
    served.source.knows_sample_times = False
    for step in range(3):
        served.now = 1100 + 70 * step
        served.source.times = [Sample({"namespace": "shop", "pod": "web-1"}, served.now, served.now)]
        served.serves(("shop", "web-1", 1.0))
        await refresh(served)
    served.now += 75
    assert await values(served, question()) == {"web-1": "1"}


async def test_an_outage_is_no_slow_scrape(served: World) -> None:
    """Samples every 15 s, then none for 600 s, then again: the limit stays 60 s, not 2 x 615."""
    served.source.knows_sample_times = False
    for moment in (1100, 1115, 1730):
        served.now = moment
        served.source.times = [Sample({"namespace": "shop", "pod": "web-1"}, moment, moment)]
        served.serves(("shop", "web-1", 1.0))
        await refresh(served)
    served.now += 61
    with pytest.raises(Unavailable, match="its sample is 61 s old, the limit is 60 s"):
        await values(served, question())
    served.now -= 2
    assert await values(served, question()) == {"web-1": "1"}


async def test_after_an_outage_rates_are_taken_when_their_windows_are_full(served: World) -> None:
    """Of a window of 60 s web-1 has 4 samples, 2 in its newer half; web-2 has 2 and 2, so its rate is half at most."""
    served.source.knows_sample_times = False
    served.now, served.source.fault = 1006, "it is away"
    await refresh(served)
    served.now, served.source.fault = 1020, ""
    served.serves(("shop", "web-1", 1.6), ("shop", "web-2", 1.25))
    pods = {"web-1": 4 - 2 * 2, "web-2": 2 - 2 * 2}
    served.source.coverage = [Sample({"namespace": "shop", "pod": pod}, left, 1020.0) for pod, left in pods.items()]
    await refresh(served)
    assert await values(served, question()) == {"web-1": "1600m", "web-2": "2500m"}  # as it last was, and as old
    assert [value.time for value in await served.answers.custom(question("web-2"))] == [1000.0]
    served.now = 1020 + 1.5 * 60  # later than a new window of an old pod can be: from now on as without an outage
    served.serves(("shop", "web-1", 1.7), ("shop", "web-2", 2.6))
    await refresh(served)
    asked = len([query for query in served.source.queries if "- 2 * count_over_time(" in query.promql])
    assert await values(served, question()) == {"web-1": "1700m", "web-2": "2600m"}
    assert asked == 1


@pytest.mark.parametrize(
    ("oldest", "holes", "value"),
    [(990.0, (), "700m"), (1003.0, (), "700m"), (1004.0, (), "2500m"), (990.0, ("web-1",), "2500m")],
)
async def test_a_failed_query_is_no_lost_data(served: World, oldest: float, holes: tuple[str, ...], value: str) -> None:
    """web-2 is younger than its window of 60 s, before the failure and after it.

    It had a value at 1000 s already, so there were samples; they are looked for at every 3 s. Where nobody scraped in
    the 13 s either, it was more than a failed query.
    """
    served.source.knows_sample_times = False
    served.now, served.source.fault = 1006, "503"
    await refresh(served)
    served.now, served.source.fault = 1013, ""
    served.serves(("shop", "web-1", 1.6), ("shop", "web-2", 0.7))
    served.source.coverage = [Sample({"namespace": "shop", "pod": "web-2"}, -2.0, 1013.0)]
    times = {"web-1": 953.0, "web-2": oldest}
    served.source.oldest = [Sample({"namespace": "shop", "pod": pod}, time, 1013.0) for pod, time in times.items()]
    served.source.holes = [Sample({"namespace": "shop", "pod": pod}, 2.0, 1013.0) for pod in holes]
    await refresh(served)
    [answer] = await served.answers.custom(question("web-2"))
    assert str(answer.value) == value
    [asked] = [query for query in served.source.queries if "min_over_time" in query.promql]
    series = 'http_requests_total{namespace="shop",pod!=""}'
    promql = f"min by (pod, namespace) (min_over_time(timestamp({series})[1m:3s]))"
    assert asked == Query(promql, of_times=True, labels=frozenset({"namespace", "pod"}))


async def test_a_window_that_cannot_be_looked_at_holds_nobody_up_for_good(served: World) -> None:
    """Every query for samples in the window fails; after 1.5 windows of 60 s the rates are believed all the same."""
    served.source.knows_sample_times = False
    served.now, served.source.fault = 1006, "it is away"
    await refresh(served)
    served.source.fault = ""

    refused = SourceError("this server cannot count")

    async def refuse(query: Query, at: float) -> list[Sample]:
        raise refused

    served.source.count = refuse
    for moment in range(1020, 1110, 10):
        served.now = moment
        await refresh(served)
        assert served.collector.held[next(iter(served.collector.held))].error is refused
    served.now = 1110
    served.serves(("shop", "web-1", 1.6))
    await refresh(served)
    assert await values(served, question("web-1")) == {"web-1": "1600m"}


async def test_a_source_that_comes_back_empty_between_two_queries_had_an_outage_too(served: World) -> None:
    served.source.knows_sample_times = False
    served.now = 1005
    served.serves()
    await refresh(served)
    assert await values(served, question()) == {}
    served.now = 1015
    served.serves(("shop", "web-1", 0.5), ("shop", "web-2", 0.8))
    served.source.coverage = [Sample({"namespace": "shop", "pod": "web-1"}, -2.0, 1015.0)]
    await refresh(served)
    assert await values(served, question()) == {}
    served.now = 1066
    served.source.coverage = [Sample({"namespace": "shop", "pod": pod}, 0.0, 1066.0) for pod in ("web-1", "web-2")]
    await refresh(served)
    assert await values(served, question()) == {"web-1": "500m", "web-2": "800m"}


async def test_series_that_were_gone_had_an_outage_too(served: World, monkeypatch: pytest.MonkeyPatch) -> None:
    served.source.knows_sample_times = False
    looked_up = served.source.series

    async def nothing(*_: object) -> list[Mapping[str, str]]:
        return []

    monkeypatch.setattr(served.source, "series", nothing)
    served.now = 1005
    await served.collector.offers.look()
    await refresh(served)
    served.source.series = looked_up
    served.now = 1015
    await served.collector.offers.look()
    served.serves(("shop", "web-1", 0.5))
    served.source.coverage = [Sample({"namespace": "shop", "pod": "web-1"}, -2.0, 1015.0)]
    await refresh(served)
    assert await values(served, question()) == {"web-1": "1500m"}  # the last good one, of 1000


async def test_after_an_outage_an_external_rate_is_the_last_good_one_until_its_window_is_full() -> None:
    world = World(
        "externalRules: [{seriesQuery: jobs_waiting, metricsQuery: 'sum(rate(jobs_waiting[1m]))',"
        " resources: {namespaced: false}}]"
    )
    world.source.knows_sample_times = False
    await world.collector.offers.look()
    asked = ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=EVERYTHING, user="alice")
    world.source.samples = [Sample({}, 8.0, world.now)]
    assert [str(value.value) for value in await world.answers.external(asked)] == ["8"]
    await refresh(world)
    world.now, world.source.fault = 1006, "it is away"
    await refresh(world)
    world.now, world.source.fault = 1020, ""
    world.source.samples, world.source.coverage = [Sample({}, 3.0, 1020.0)], [Sample({}, -1.0, 1020.0)]
    await refresh(world)
    assert [(str(value.value), value.time) for value in await world.answers.external(asked)] == [("8", 1000.0)]
    world.now, world.source.coverage = 1050, [Sample({}, 0.0, 1050.0)]
    await refresh(world)
    assert [str(value.value) for value in await world.answers.external(asked)] == ["3"]


async def test_explain_tells_query_values_ages_and_what_is_missing(served: World) -> None:
    served.pod("web-3", app="web")
    served.now += 3
    story = served.answers.explain(question())
    assert story["wantedBy"] == ["HPA shop/web"]
    assert story["promql"] == served.source.queries[-1].promql
    assert story["objects"] == {
        "web-1": {"value": 1.5, "ageSeconds": 3.0, "windowSeconds": 0.0, "served": "1500m"},
        "web-2": {"value": 2.5, "ageSeconds": 3.0, "windowSeconds": 0.0, "served": "2500m"},
        "web-3": {"missing": "the query's result has no sample for it"},
    }


async def test_explain_of_an_unknown_metric_says_so(served: World) -> None:
    assert "no rule finds series" in str(served.answers.explain(question(metric="nope"))["why"])


async def test_a_metric_that_may_be_among_names_that_are_left_out_is_404_with_that_cause(world: World) -> None:
    async def discover(selector: str, since: float, at: float, *_: object) -> Discovery:
        return Discovery([], by_name=True, left_out="more than the first 10000 names of series")

    world.pod("web-1", app="web")
    world.source.discover = discover
    await world.collector.offers.look()
    asked = ExternalQuestion(namespace="shop", metric="nope", selector=EVERYTHING)
    why = (
        r"finds series for metric nope.*; but of (external)?[rR]ules\[0\], line \d+ left out is more than the first 100"
    )
    for answer in (world.answers.custom(question(metric="nope")), world.answers.external(asked)):
        with pytest.raises(Missing, match=why):
            await answer


async def test_while_series_cannot_be_looked_up_an_unknown_metric_is_503_with_the_cause(world: World) -> None:
    world.pod("web-1", app="web")
    world.source.fault = "Prometheus answered 401; check its credentials"
    assert not await world.collector.offers.look()
    asked = ExternalQuestion(namespace="shop", metric="nope", selector=EVERYTHING)
    why = r"finds series for metric nope.*; but the series of (external)?[rR]ules\[0\], line \d+.* answered 401; check"
    for answer in (world.answers.custom(question(metric="nope")), world.answers.external(asked)):
        with pytest.raises(Unavailable, match=why) as raised:
            await answer
        assert not raised.value.soon
    told = world.answers.explain(question(metric="nope"))
    assert (told["answer"], "answered 401" in str(told["why"])) == ("503", True)
    world.source.fault = ""
    assert await world.collector.offers.look()
    with pytest.raises(Missing):
        await world.answers.custom(question(metric="nope"))


async def test_while_pods_are_not_listed_yet_all_of_them_are_503_and_a_named_one_is_answered(served: World) -> None:
    """404 would tell the HPA that there are no pods; a name needs no list."""
    served.listed.waits_for = "no list was read so far"
    with pytest.raises(Unavailable, match="the list of pods is not here yet: no list was read so far"):
        await served.answers.custom(question())
    assert await values(served, question("web-1", "")) == {"web-1": "1500m"}
    served.listed.waits_for = ""
    assert await values(served, question()) == {"web-1": "1500m", "web-2": "2500m"}


async def test_explain_of_what_nobody_has_asked_for_yet_says_so(world: World) -> None:
    world.pod("web-1", app="web")
    told = world.answers.explain(question())
    assert (told["answer"], told["lastError"]) == ("asked for when requested", "")
    world.source.fault = "Prometheus cannot be reached"
    with pytest.raises(Unavailable):
        await world.answers.custom(question())
    told = world.answers.explain(question())
    assert (told["answer"], told["lastError"]) == ("asked for when requested", "Prometheus cannot be reached")


OBJECTS = """
rules:
- seriesQuery: 'queue_depth{namespace!="",pod!=""}'
  resources: {overrides: {pod: {resource: node}, namespace: {resource: namespace}}}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
"""


@pytest.mark.parametrize("override", ["node", "persistentvolume"])
async def test_an_hpa_asks_for_a_node_or_a_volume_in_its_own_namespace_and_is_answered_from_memory(
    override: str,
) -> None:
    """The HPA controller asks for all kinds but Namespace in the HPA's namespace (podautoscaler/metrics/client.go)."""
    world = World(OBJECTS.replace("node", override))
    await world.collector.offers.look()
    resource = GroupResource("", f"{override}s")
    world.demand.declare("shop", "web", [CustomWant(resource, "", "queue_depth")])
    world.source.samples = [Sample({"pod": "a1"}, 7.0, world.now)]
    await refresh(world)
    before = len(world.source.queries)
    asked = replace(question("a1", "", "queue_depth"), resource=resource)
    [value] = await world.answers.custom(asked)
    assert (value.described.name, value.described.namespace, str(value.value)) == ("a1", "", "7")
    assert len(world.source.queries) == before
    assert (await world.answers.custom(replace(asked, namespace="")))[0].value == value.value


async def test_all_nodes_are_no_business_of_one_namespace() -> None:
    world = World(OBJECTS)
    await world.collector.offers.look()
    nodes: Index[Any] = Index()
    nodes.put(PartialObjectMetadata(metadata=ObjectMeta(name="a1")))
    world.directory.indexes = {NODES: nodes}
    world.source.samples = [Sample({"pod": "a1"}, 7.0, world.now)]
    assert len(await world.answers.custom(replace(question("*", "", "queue_depth", ""), resource=NODES))) == 1
    with pytest.raises(Missing, match="no nodes in namespace shop match"):
        await world.answers.custom(replace(question("*", "", "queue_depth"), resource=NODES))


async def test_before_the_first_look_at_the_series_nobody_is_told_that_there_are_none() -> None:
    world = World()
    world.pod("web-1", app="web")
    world.demand.declare("shop", "web", [CustomWant(PODS, "shop", RATE), CustomWant(PODS, "shop", "nope")])
    with capture_logs() as said:
        await refresh(world)
        asked = ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=EVERYTHING)
        for answer in (world.answers.custom(question()), world.answers.external(asked)):
            with pytest.raises(Unavailable, match="looked up for the first time"):
                await answer
        assert world.answers.explain(question())["answer"] == "503"
    assert not said
    await world.collector.offers.look()
    with capture_logs() as said:
        await refresh(world)
    assert [line["note"] for line in said] == [
        "nope in namespace shop is wanted, but no rule finds series for metric nope of pods"
    ]
    with pytest.raises(Missing, match="no rule finds series for metric nope"):
        await world.answers.custom(question(metric="nope"))


@pytest.mark.parametrize(("metric", "polled"), [("queue_depth", True), (RATE, False)])
async def test_who_polls_plain_values_gets_newer_ones_and_rates_stay_as_they_are(
    served: World, metric: str, polled: bool
) -> None:
    """Pods that have no value yet are among them: theirs are waited for."""
    served.pod("web-3", app="web")
    for _ in range(2):
        await served.answers.custom(question(metric=metric))
        served.now += 1
    held = [served.polled.holds("shop", name) for name in ("web-1", "web-2", "web-3", "db-1")]
    assert held == [polled, polled, polled, False]
