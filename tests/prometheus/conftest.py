"""A real Prometheus, without a cluster: a past that a test writes, and the collector that asks it.

Where Prometheus is not installed and cannot be, these tests fail: nothing here is skipped.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from adapter.clock import steady
from adapter.collect.answer import CustomQuestion
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.rules.resources import PODS
from adapter.units.selector import EVERYTHING
from tests.cluster.prometheus import RunningPrometheus
from tests.collect.conftest import World

Samples: TypeAlias = list[tuple[float, float]]
"""(age in s, value), the oldest first."""
REFRESH_S = 1.0
"""Of the rules in these tests."""


def page(samples: Mapping[str, Samples], now: float) -> str:
    """OpenMetrics with times, by series."""
    lines = [f"{series} {value} {now - age:.3f}" for series, points in samples.items() for age, value in points]
    return "\n".join([*lines, "# EOF\n"])


def every(interval: float, value: Callable[[float], float], *, newest: float, oldest: float) -> Samples:
    """Samples each `interval` s, from `oldest` to `newest` s ago; `value` by age."""
    count = int((oldest - newest) // interval)
    return [(newest + interval * step, value(newest + interval * step)) for step in range(count, -1, -1)]


@contextmanager
def prometheus_with(folder: Path, samples: Mapping[str, Samples]) -> Iterator[RunningPrometheus]:
    """A Prometheus that scrapes nothing and remembers `samples`, by age when it starts."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = folder / "targets.json"
    targets.write_text(json.dumps([]))
    prometheus = RunningPrometheus(folder, targets)
    prometheus.fill(page(samples, time.time()))
    try:
        prometheus.start()
        yield prometheus
    finally:
        prometheus.end()


@asynccontextmanager
async def collecting(prometheus: RunningPrometheus, rules: str, *pods: str) -> AsyncIterator[World]:
    """The collector over that Prometheus, which has looked at what is on offer; these pods of app web exist."""
    source = PrometheusSource(Connection(urls=[prometheus.url]))
    world = World(rules, source=source, clock=steady)
    try:
        await world.collector.offers.look()
        for name in pods:
            world.pod(name, app="web")
        yield world
    finally:
        await source.close()


async def pod_values(world: World, metric: str) -> dict[str, str]:
    """The name of each pod -> its value of `metric`, asked for anew."""
    question = CustomQuestion(
        resource=PODS,
        namespace="shop",
        name="*",
        metric=metric,
        selector=EVERYTHING,
        metric_selector=EVERYTHING,
    )
    return {one.described.name: str(one.value) for one in await world.answers.custom(question)}


async def refresh(world: World) -> None:
    """Waits until all queries of the plan have been asked once more."""
    for _ in range(400):
        if started := world.collector.start_due():
            await asyncio.gather(*started)
            return
        await asyncio.sleep(REFRESH_S / 20)
    raise AssertionError("nothing was due for 20 s")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prometheus")
