"""Many series on a real Prometheus: the offers are whole, whether it lists the series or only their names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from adapter.clock import steady
from adapter.collect.catalogue import Catalogue
from adapter.collect.demand import CustomWant, Want
from adapter.kube.known import KNOWN
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.metrics.source import Discovery
from adapter.rules.config import load
from adapter.rules.resources import PODS as PODS_RESOURCE
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
    """3,000 series of 30 names, a third of which have a node, one of ten is filtered out; one of `late`."""
    past = {}
    for number in range(NAMES):
        name = f"container_{number:02d}" + ("_seconds_total" if number % 10 == 9 else "_bytes")
        node = ',node="n1"' if number % 3 == 0 else ""
        for pod in range(PODS):
            labels = f'namespace="shop",pod="web-{pod}",container="app",id="/kubepods/{pod}/{number}"{node}'
            past[f"{name}{{{labels}}}"] = [(5.0, 1.0)]
    past['container_zzz_own{namespace="late",pod="web",container="app"}'] = [(5.0, 1.0)]
    with prometheus_with(folder / "many", past) as running:
        yield running


async def discover(
    prometheus: RunningPrometheus, max_series: int, max_names: int = 10_000, wants: Sequence[Want] = ()
) -> tuple[Catalogue, Discovery]:
    catalogue = Catalogue(load(RULES, "rules.yaml"), ResourceMapper(KNOWN))
    [rule] = catalogue.rules
    bound = catalogue.custom_binding(rule)
    assert bound is not None
    source = PrometheusSource(Connection(urls=[prometheus.url], max_series=max_series, max_names=max_names))
    try:
        now = steady()
        parts = list(catalogue.parts(rule, wants))
        discovery = await source.discover(
            rule.series_query, now - 300, now, lambda label: bound.resource(label) is not None, parts
        )
    finally:
        await source.close()
    catalogue.learn_series(rule, discovery.label_sets, by_name=discovery.by_name)
    return catalogue, discovery


async def test_names_and_labels_give_the_same_offers_as_the_whole_list(prometheus: RunningPrometheus) -> None:
    whole, discovery = await discover(prometheus, 10_000)
    assert (discovery.by_name, discovery.left_out) == (False, "")
    pieces, discovery = await discover(prometheus, 100)  # this version does not know `limit`
    assert (discovery.by_name, discovery.left_out) == (True, "")
    assert pieces.custom_offers() == whole.custom_offers()
    assert len(whole.custom_offers()) == 2 * 28 + 9  # namespaces and pods of 28 names, nodes of 9 (27 is filtered: 9)


async def test_what_an_hpa_asks_for_is_on_offer_however_many_names_others_have(prometheus: RunningPrometheus) -> None:
    """Of 31 names the first 20 are looked at; zzz_own is the last."""
    without, discovery = await discover(prometheus, 100, 20)
    assert discovery.left_out.startswith("more than the first 20 names")
    assert (PODS_RESOURCE, "zzz_own") not in without.custom
    catalogue, discovery = await discover(prometheus, 100, 20, [CustomWant(PODS_RESOURCE, "late", "zzz_own")])
    assert catalogue.custom[PODS_RESOURCE, "zzz_own"].series == "container_zzz_own"
    assert without.custom.keys() <= catalogue.custom.keys()
