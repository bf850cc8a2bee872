"""What a real Prometheus answers, and what becomes of it: values that must be there, and those that must not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.clock import steady
from adapter.collect.answer import Unavailable
from adapter.collect.demand import CustomWant
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.metrics.source import Query
from adapter.rules.resources import PODS
from adapter.rules.samples import coverage_query
from tests.cluster.prometheus import RunningPrometheus
from tests.prometheus.conftest import collecting, every, pod_values, prometheus_with, refresh

OLD = 150.0
"""s: how old the newest samples of CloudWatch's and Stackdriver's exporters are."""
PHASES = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]


def of(name: str, pod: str) -> str:
    return f'{name}{{namespace="shop",pod="{pod}"}}'


@pytest.fixture(scope="module")
def prometheus(folder: Path) -> Iterator[RunningPrometheus]:
    """Series of every kind that these tests ask for, the newest sample now unless said otherwise."""
    past = {
        of("queue_depth", "web-1"): every(15, lambda age: 7 if age > 60 else 9, newest=1, oldest=3600),
        of("cloud_depth", "web-1"): every(60, lambda age: 5, newest=OLD, oldest=3600),
        of("cloud_depth", "dead"): every(60, lambda age: 6, newest=800, oldest=3600),
        of("cloud_bytes_total", "web-1"): every(60, lambda age: 60_000 - 10 * age, newest=OLD, oldest=3600),
        of("in_total", "web-1"): every(15, lambda age: 60_000 - 2 * age, newest=1, oldest=900),
        of("out_total", "web-1"): every(15, lambda age: 60_000 - 5 * age, newest=1, oldest=900),
    }
    for number, phase in enumerate(PHASES):
        past[of("slow_depth", f"web-{number}")] = every(120, lambda age: 1, newest=phase + 1, oldest=1200)
    with prometheus_with(folder / "values", past) as running:
        yield running


def rules(series: str, query: str, policy: str = "") -> str:
    return f"""
rules:
- seriesQuery: '{series}{{namespace!="",pod!=""}}'
  resources: {{overrides: {{namespace: {{resource: namespace}}, pod: {{resource: pod}}}}}}
  name: {{as: "metric"}}
  metricsQuery: '{query}'
  x-streamgate: {{refresh: 1s, pods: any{policy}}}
"""


ALL = "<<.LabelMatchers>>"
BY = "by (<<.GroupBy>>)"


@pytest.mark.parametrize(
    ("series", "query", "value"),
    [
        ("queue_depth", f"sum(queue_depth{{{ALL}}} offset 90s) {BY}", "7"),
        ("queue_depth", f"sum(queue_depth{{{ALL}}} offset 30m) {BY}", "7"),
        ("queue_depth", f"max(max_over_time(queue_depth{{{ALL}}}[10m:1m] offset 5m)) {BY}", "7"),
        ("cloud_depth", f"max(max_over_time(cloud_depth{{{ALL}}}[15m])) {BY}", "5"),
        ("cloud_depth", f"avg(avg_over_time(cloud_depth{{{ALL}}}[10m:30s])) {BY}", "5"),
        ("cloud_depth", f"sum(last_over_time(cloud_depth{{{ALL}}}[15m])) {BY} * 2", "10"),
        ("cloud_bytes_total", f"sum(rate(cloud_bytes_total{{{ALL}}}[10m] offset {OLD:g}s)) {BY}", "10"),
    ],
)
async def test_a_rule_that_asks_for_old_samples_is_served(
    prometheus: RunningPrometheus, series: str, query: str, value: str
) -> None:
    async with collecting(prometheus, rules(series, query), "web-1") as world:
        values = await pod_values(world, "metric")
        assert set(values) == {"web-1"}
        assert float(values["web-1"].removesuffix("m")) == pytest.approx(
            float(value) * (1000 if values["web-1"].endswith("m") else 1), rel=0.01
        )


async def test_a_rate_over_15_minutes_admits_a_newest_sample_of_a_quarter_of_them(
    prometheus: RunningPrometheus,
) -> None:
    """150 s < 900 s / 4. It is a sixth too low, as in prometheus-adapter: Prometheus divides by the whole window."""
    query = f"sum(rate(cloud_bytes_total{{{ALL}}}[15m])) {BY}"
    async with collecting(prometheus, rules("cloud_bytes_total", query), "web-1") as world:
        assert 8 <= float((await pod_values(world, "metric"))["web-1"].removesuffix("m")) / 1000 <= 9


async def test_a_rule_that_does_not_ask_for_old_samples_gets_none(prometheus: RunningPrometheus) -> None:
    """Of 150 s with a sample each 60 s: twice the interval, as far as a count of samples tells it, and a refresh."""
    async with collecting(prometheus, rules("cloud_depth", f"sum(cloud_depth{{{ALL}}}) {BY}"), "web-1") as world:
        with pytest.raises(Unavailable, match=r"its sample is 15\d s old, the limit is (9\d|1[0-2]\d) s"):
            await pod_values(world, "metric")


async def test_a_value_is_as_old_as_its_sample_though_prometheus_does_not_show_it_any_more(
    prometheus: RunningPrometheus,
) -> None:
    """800 s: beyond the 5 minutes that Prometheus looks back, within the 15 that the rule asks for."""
    query = f"max(max_over_time(cloud_depth{{{ALL}}}[15m])) {BY}"
    async with collecting(prometheus, rules("cloud_depth", query), "web-1", "dead") as world:
        assert await pod_values(world, "metric") == {"dead": "6", "web-1": "5"}
        [held] = world.collector.held.values()
        assert held.table is not None
        age = held.table.evaluated - held.table.readings["shop", "dead"].time
        assert 795 <= age <= 830


@pytest.mark.parametrize(("policy", "value"), [("", "-3"), (", negative: serve", "-3"), (", negative: zero", "0")])
async def test_a_difference_of_rates_is_served_below_zero(
    prometheus: RunningPrometheus, policy: str, value: str
) -> None:
    query = f"sum(rate(in_total{{{ALL}}}[2m])) {BY} - sum(rate(out_total{{{ALL}}}[2m])) {BY}"
    async with collecting(prometheus, rules("in_total", query, policy), "web-1") as world:
        answer = (await pod_values(world, "metric"))["web-1"]
        assert answer in (value, f"{value}000m", "-2999m", "-3001m")


async def test_a_scrape_each_2_minutes_leaves_out_no_pod_from_the_first_answer_on(
    prometheus: RunningPrometheus,
) -> None:
    """Six pods at six phases: their samples are up to 101 s old, and nobody has seen two of them yet."""
    pods = [f"web-{number}" for number in range(len(PHASES))]
    async with collecting(prometheus, rules("slow_depth", f"sum(slow_depth{{{ALL}}}) {BY}"), *pods) as world:
        world.demand.declare("shop", "web", [CustomWant(PODS, "shop", "metric")])
        await asyncio.gather(*world.collector.start_due())
        assert sorted(await pod_values(world, "metric")) == pods
        world.demand.declare("bank", "web", [CustomWant(PODS, "bank", "metric")])  # the query's text is another one
        await refresh(world)
        assert sorted(await pod_values(world, "metric")) == pods


async def test_a_rate_over_less_than_two_samples_says_so(prometheus: RunningPrometheus) -> None:
    """A sample each 120 s: never two of them in 1 m."""
    query = f"sum(rate(slow_depth{{{ALL}}}[1m])) {BY}"
    async with collecting(prometheus, rules("slow_depth", query), "web-0") as world:
        with pytest.raises(
            Unavailable, match=r"over 60 s, which needs two samples, and there is one each (99|1\d\d) s"
        ):
            await pod_values(world, "metric")


RATE = f"sum(rate(requests_total{{{ALL}}}[2m])) {BY}"
WEB = ["old", "young"]


def requests(rate: float, *, oldest: float, newest: float = -60) -> list[tuple[float, float]]:
    return every(5, lambda age: rate * (3600 - age), newest=newest, oldest=oldest)


async def test_a_query_that_failed_takes_no_value_from_a_pod_that_is_younger_than_its_window(folder: Path) -> None:
    past = {
        of("requests_total", "old"): requests(10, oldest=3000),
        of("requests_total", "young"): requests(10, oldest=40),
    }
    with prometheus_with(folder / "failed", past) as prometheus:
        async with collecting(prometheus, rules("requests_total", RATE), *WEB) as world:
            world.demand.declare("shop", "web", [CustomWant(PODS, "shop", "metric")])
            await asyncio.gather(*world.collector.start_due())
            assert sorted(await pod_values(world, "metric")) == WEB
            prometheus.want_password(True)
            await refresh(world)
            assert [held.error is not None for held in world.collector.held.values()] == [True]
            prometheus.want_password(False)
            await refresh(world)
            [held] = world.collector.held.values()
            assert held.table is not None
            assert held.error is None
            assert sorted(name for _, name in held.table.readings) == WEB
            assert sorted(await pod_values(world, "metric")) == WEB
            evaluated = held.table.evaluated
            assert min(one.time for one in held.table.readings.values()) > evaluated - 30  # of now, not of before


async def test_who_was_not_scraped_during_a_failure_is_told_from_who_was(folder: Path) -> None:
    """A failure of 60 s, a scrape each 5 s: 12 samples before it, and in it 12, or none where Prometheus was away too.

    Scrapes go on for a minute after the start, so that nothing hangs on how quickly it is asked.
    """
    past = {
        of("requests_total", "old"): requests(10, oldest=300),
        of("requests_total", "young"): requests(10, oldest=90),
        of("requests_total", "hole"): requests(10, oldest=300, newest=62),
    }
    coverage = coverage_query("sum by (pod) (rate(requests_total{pod!=''}[2m]))", ["pod"])
    assert coverage is not None
    with prometheus_with(folder / "holes", past) as prometheus:
        source = PrometheusSource(Connection(urls=[prometheus.url]))
        try:
            holes = await source.query(Query(coverage.holes(60)), steady())
            oldest = await source.query(Query(coverage.oldest(), of_times=True), steady())
        finally:
            await source.close()
    assert [sample.labels["pod"] for sample in holes] == ["hole"]
    ages = {sample.labels["pod"]: steady() - sample.value for sample in oldest}
    assert 85 <= ages["young"] <= 126  # as it is, to the 6 s at which it is looked for
    assert 114 <= ages["old"] <= 135  # the window of 2 m


async def test_lost_data_are_no_failed_query(folder: Path) -> None:
    """After the failure Prometheus has few seconds of a window of 20 s: a part of the rate is nobody's rate."""
    past = {of("requests_total", "old"): requests(10, oldest=3000)}
    with prometheus_with(folder / "lost", past) as prometheus:
        async with collecting(prometheus, rules("requests_total", RATE.replace("2m", "20s")), "old") as world:
            world.demand.declare("shop", "web", [CustomWant(PODS, "shop", "metric")])
            await asyncio.gather(*world.collector.start_due())
            before = await pod_values(world, "metric")
            await asyncio.sleep(4)
            prometheus.end()
            await refresh(world)
            anew = every(0.2, lambda age: 10 * (3600 - age), newest=0, oldest=0.6)
            with prometheus_with(folder / "found", {of("requests_total", "old"): anew}) as other:
                source: Any = world.collector.source
                source._endpoints[0].url = other.url
                await refresh(world)
                [held] = world.collector.held.values()
                assert held.error is None
                assert await pod_values(world, "metric") == before
