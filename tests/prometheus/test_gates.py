"""Gates by PromQL on a real Prometheus: what is bound to a namespace reads no other one."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.metrics.source import Query
from adapter.rollout.model.window import Arm
from adapter.rollout.queries import Subject, bind
from tests.cluster.prometheus import RunningPrometheus
from tests.prometheus.conftest import Samples, every, prometheus_with

MINE = Subject("shop", Arm.CANARY, ("web-1", "web-2"), "5d4f8c7b9", 60)
NAMED = '{namespace="%s",pod="%s"}'


def rising(rate: float) -> Callable[[float], float]:
    return lambda age: rate * (600 - age)


def level(value: float) -> Callable[[float], float]:
    return lambda age: value


@pytest.fixture(scope="module")
def past(folder: Path) -> Iterator[RunningPrometheus]:
    """Pods of the same names in two namespaces: 1 request a second in shop, 1,000 in secret; one gauge is stale."""
    samples: dict[str, Samples] = {}
    for namespace, rate, queue in (("shop", 1.0, 3.0), ("secret", 1000.0, 7000.0)):
        for pod in ("web-1", "web-2", "other"):
            where = NAMED % (namespace, pod)
            samples[f"requests_total{where}"] = every(5, rising(rate), newest=1, oldest=600)
            samples[f"queue{where}"] = every(5, level(queue), newest=1, oldest=600)
            samples[f"old{where}"] = every(5, level(queue), newest=120, oldest=600)
    with prometheus_with(folder / "gates", samples) as prometheus:
        yield prometheus


@pytest.fixture
async def source(past: RunningPrometheus) -> AsyncIterator[PrometheusSource]:
    prometheus_source = PrometheusSource(Connection(urls=[past.url]))
    yield prometheus_source
    await prometheus_source.close()


async def values(source: PrometheusSource, query: str) -> list[float]:
    return [sample.value for sample in await source.query(Query(query), time.time())]


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ('sum(increase(requests_total{pod=~"{{pods}}"}[{{window}}]))', 120.0),  # 2 pods, 60 s
        ('sum(queue{pod=~"{{pods}}"})', 6.0),
        ('sum(queue{pod=~"{{pods}}"} or queue{namespace="secret"})', 6.0),
        ('sum(queue{pod=~"{{pods}}"}) + sum({__name__=~"que.*",namespace!="shop"} or queue{pod="other"})', 9.0),
        ('max_over_time(sum(queue{pod=~"{{pods}}|.*"})[5m:30s])', 9.0),
        ('sum(label_replace(queue{pod=~"{{pods}}"}, "namespace", "secret", "", ""))', 6.0),
        ('sum(queue{pod=~"{{pods}}"} and on () queue{pod="other"})', 6.0),
    ],
)
async def test_the_value_is_of_the_namespace_alone(source: PrometheusSource, template: str, wanted: float) -> None:
    bound = bind(template, MINE, "namespace")
    (value,) = await values(source, bound.promql)
    assert value == pytest.approx(wanted, rel=0.15)  # increase() extrapolates to the ends of its window


@pytest.mark.parametrize(
    "template", ['sum(queue{namespace="secret",pod=~"{{pods}}"})', 'sum(queue{namespace=~"secret|x",pod=~"{{pods}}"})']
)
async def test_a_query_about_another_namespace_finds_nothing(source: PrometheusSource, template: str) -> None:
    assert await values(source, bind(template, MINE, "namespace").promql) == []


async def test_the_time_of_a_stale_sample_is_told(source: PrometheusSource) -> None:
    for name, age in (("queue", 1.0), ("old", 120.0)):
        (times,) = bind(f'sum({name}{{pod=~"{{{{pods}}}}"}})', MINE, "namespace").times
        (stamp,) = [sample.value for sample in await source.query(Query(times, of_times=True), time.time())]
        assert time.time() - stamp >= age - 0.5  # the past was written when Prometheus started
