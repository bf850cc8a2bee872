"""Dashboards, alerts and what our programs expose, before a real Prometheus."""

import asyncio
import json
import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import matchers, selectors
from adapter.program.health import Health
from adapter.program.kinds import Address
from loadtest.monitoring.pictures import asking, draw
from tests.cluster.processes import wait_until
from tests.cluster.prometheus import RunningPrometheus
from tests.manifests.exposed import add_recorded, all_of, metrics_of, others, registries, rules
from tests.manifests.test_dashboards import WRITTEN, panels, substitute_variables
from tests.prometheus.conftest import Samples, every, prometheus_with

QUERIES = {
    f"{board}: {panel['title']} {target['refId']}": substitute_variables(target["expr"])
    for board in WRITTEN
    for panel in panels(board)
    for target in panel["targets"]
}
ALERTS = {rule["alert"]: rule["expr"] for rule in rules() if "alert" in rule}


def series_text(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in sorted(labels.items())) + "}"


def series_for(query: str, labels_of: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """For each selector one series with all its labels, by the values that the matchers want."""
    for selector in selectors(parse(query)):
        labels = dict.fromkeys(labels_of[selector.name], "x")
        for label, operator, value in matchers(selector):
            if operator in ("=", "=~") and value != ".*":
                labels[label] = value.partition("|")[0].replace(".*", "-x")
        for le in ("1", "+Inf") if "le" in labels else ("",):
            yield series_text(selector.name, labels | ({"le": le} if le else {}))


def lively(series: str) -> Callable[[float], float]:
    """A value by age: counters rise, each at a pace of its own; what is no counter goes up and down."""
    own = zlib.crc32(series.partition(",le=")[0].encode()) % 1000 / 1000
    if "_total" in series or "_count" in series or "_sum" in series or "_bucket" in series:
        share = 0.9 if 'le="1"' in series else 1.0
        return lambda age: share * ((0.5 + own) * (1e5 - age) + 600 * own * math.sin(age / 900))
    return lambda age: 1.0 + own + 0.3 * math.sin(age / 700 + 6 * own)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    """Two hours of each series that a dashboard asks for, by the names and labels that somebody exposes."""
    folder = tmp_path_factory.mktemp("dashboards")
    known = add_recorded(all_of([*map(metrics_of, asyncio.run(registries(folder))), others()]))
    past: dict[str, Samples] = {
        one: every(60, lively(one), newest=1, oldest=7200)
        for query in QUERIES.values()
        for one in series_for(query, known)
    }
    with prometheus_with(folder, past) as running:
        yield running


@pytest.mark.parametrize("query", QUERIES)
def test_no_panel_is_empty(prometheus: RunningPrometheus, query: str) -> None:
    assert prometheus.query(QUERIES[query])


@pytest.mark.parametrize("name", WRITTEN)
def test_a_dashboard_is_drawn_with_a_line_or_a_number_in_each_panel(prometheus: RunningPrometheus, name: str) -> None:
    figure = draw(WRITTEN[name], asking(prometheus.url, time.time()))
    drawn = {
        axes.get_gid(): len(axes.lines) + sum(bool(text.get_text()) for text in axes.texts) for axes in figure.axes
    }
    assert drawn.keys() == {panel["title"] for panel in panels(name)}
    assert [title for title, count in drawn.items() if not count] == []


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_understood(prometheus: RunningPrometheus, alert: str) -> None:
    """It answers without an error; with what, promtool's tests say."""
    assert isinstance(prometheus.query(ALERTS[alert]), list)


async def test_what_is_scraped_of_the_programs_is_what_their_registries_promise(tmp_path: Path) -> None:
    """Names with their suffixes, and labels: what the tests above take for granted."""
    all_registries = await registries(tmp_path)
    promised = all_of(map(metrics_of, all_registries))
    async with AsyncExitStack() as stack:
        doors = [
            await stack.enter_async_context(Health(Address("127.0.0.1:0"), registry, lambda: ""))
            for registry in all_registries
        ]
        targets = tmp_path / "targets.json"
        targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{door.port}" for door in doors]}]))
        scraping = RunningPrometheus(tmp_path, targets, scrape_s=2)
        stack.callback(scraping.end)
        await asyncio.to_thread(scraping.start)
        ours = '{__name__=~"streamgate_.+|vpa_.+|apiserver_.+|metrics_.+"}'
        everybody = f"count(count by (instance) ({ours})) == {len(doors)}"
        assert await asyncio.to_thread(wait_until, lambda: bool(scraping.query(everybody)), 30, every=0.5)
        scraped = [one["metric"] for one in await asyncio.to_thread(scraping.query, ours)]
    assert len(scraped) > 40
    for metric in scraped:
        name = metric.pop("__name__")
        assert metric.keys() <= promised[name], name
