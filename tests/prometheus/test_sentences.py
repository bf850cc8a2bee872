"""What a real Prometheus says of rules and questions that it cannot answer, as the client is told."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from adapter.collect.answer import BadQuestion, CustomQuestion, ExternalQuestion, Unanswerable, Unavailable
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.metrics.source import Query
from adapter.rules.resources import PODS
from adapter.units.selector import EVERYTHING, Selector
from tests.prometheus.conftest import collecting, every, prometheus_with

RULES = """
rules:
- seriesQuery: 'depth{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {as: "QUERY"}
  metricsQuery: 'METRICS'
"""
EXTERNAL = """
externalRules:
- seriesQuery: 'depth{'
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>})'
"""
DEPTH = {'depth{namespace="shop",pod="web-1"}': every(15, lambda age: 7.0, newest=5, oldest=120)}
ASKED = CustomQuestion(
    resource=PODS,
    namespace="shop",
    name="*",
    metric="QUERY",
    selector=EVERYTHING,
    metric_selector=EVERYTHING,
)


async def test_what_prometheus_cannot_answer_is_told_by_whether_it_may_pass(tmp_path: Path) -> None:
    with prometheus_with(tmp_path, DEPTH) as prometheus:
        for query, sentence in (
            (
                "sum(<<.Series>>{<<.LabelMatchers>>}) bye (<<.GroupBy>>)",
                "Prometheus answered 400: bad_data: .*parse error",
            ),
            ("<<.Series>>{<<.LabelMatchers>>}[5m]", "the query gives a matrix; a metric needs an instant vector"),
            ("scalar(sum(<<.Series>>{<<.LabelMatchers>>}))", "gives one element without the label 'pod'"),
        ):
            async with collecting(prometheus, RULES.replace("METRICS", query), "web-1") as world:
                with pytest.raises(Unanswerable, match=sentence):
                    await world.answers.custom(ASKED)
        async with collecting(
            prometheus, RULES.replace("METRICS", "<<.Series>>{<<.LabelMatchers>>}"), "web-1"
        ) as world:
            [value] = await world.answers.custom(ASKED)
            assert str(value.value) == "7"
            with pytest.raises(BadQuestion, match="'k8s-app' is no label's name in Prometheus"):  # before 3.0
                await world.answers.custom(replace(ASKED, metric_selector=Selector.parse("k8s-app=a")))
        async with collecting(prometheus, EXTERNAL) as world:
            with pytest.raises(
                Unavailable, match=r"the series of externalRules\[0\], line 3 could not be looked up: .*400"
            ):
                await world.answers.external(ExternalQuestion(namespace="shop", metric="depth", selector=EVERYTHING))


async def test_a_name_that_is_no_word_is_read_in_braces_by_every_prometheus(tmp_path: Path) -> None:
    with prometheus_with(tmp_path, DEPTH) as prometheus:
        source = PrometheusSource(Connection(urls=[prometheus.url]))
        try:
            assert await source.query(Query('sum(rate({__name__="http.requests",pod="a",}[1m])) by (pod)'), 1.0) == []
        finally:
            await source.close()
