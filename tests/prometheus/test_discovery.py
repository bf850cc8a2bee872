"""Many series on a real Prometheus: the offers are whole, whether it lists the series or only their names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.clock import steady
from adapter.collect.catalogue import Catalogue
from adapter.kube.known import KNOWN
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.rules.config import load
from adapter.rules.resources import ResourceMapper
from tests.cluster.prometheus import RunningPrometheus
from tests.prometheus.conftest import prometheus_with

RULES = """
rules:
- seriesQuery: '{__name__=~"^container_.*",container!="POD",namespace!="",pod!=""}'
  seriesFilters: [{isNot: "^container_.*_seconds_total$"}]
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}, node: {resource: node}}}
  name: {matches: "^container_(.*)$"}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
"""
NAMES, PODS = 30, 100


@pytest.fixture(scope="module")
def prometheus(folder: Path) -> Iterator[RunningPrometheus]:
    """3,000 series of 30 names, a third of which have a node, one of ten is filtered out."""
    past = {}
    for number in range(NAMES):
        name = f"container_{number:02d}" + ("_seconds_total" if number % 10 == 9 else "_bytes")
        node = ',node="n1"' if number % 3 == 0 else ""
        for pod in range(PODS):
            labels = f'namespace="shop",pod="web-{pod}",container="app",id="/kubepods/{pod}/{number}"{node}'
            past[f"{name}{{{labels}}}"] = [(5.0, 1.0)]
    with prometheus_with(folder / "many", past) as running:
        yield running


async def offered(prometheus: RunningPrometheus, max_series: int) -> tuple[Catalogue, bool]:
    catalogue = Catalogue(load(RULES, "rules.yaml"), ResourceMapper(KNOWN))
    [rule] = catalogue.rules
    bound = catalogue.bound_custom(rule)
    assert bound is not None
    source = PrometheusSource(Connection(urls=[prometheus.url], max_series=max_series))
    try:
        now = steady()
        found = await source.discover(
            rule.series_query, now - 300, now, lambda label: bound.resource(label) is not None
        )
    finally:
        await source.close()
    assert not found.left_out
    catalogue.found(rule, found.label_sets, by_name=found.by_name)
    return catalogue, found.by_name


async def test_names_and_labels_give_the_same_offers_as_the_whole_list(prometheus: RunningPrometheus) -> None:
    whole, by_name = await offered(prometheus, 10_000)
    assert not by_name
    pieces, by_name = await offered(prometheus, 100)  # this version does not know `limit`
    assert by_name
    assert pieces.custom_offers() == whole.custom_offers()
    assert len(whole.custom_offers()) == 2 * 27 + 9  # namespaces and pods of 27 names, nodes of 9 (27 is filtered: 9)
