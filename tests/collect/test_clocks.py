"""Clocks that are set, ours and Prometheus': values stay, and none is served as younger than it is.

Over HTTP, as the source's own clock shows in its answers and nowhere else. Each value is the moment of its sample.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from adapter.clock import SteadyClock
from adapter.collect.catalogue import Catalogue
from adapter.collect.collector import Collector
from adapter.collect.demand import CustomWant, Demand
from adapter.collect.plan import Planner
from adapter.collect.snapshot import Limits
from adapter.collect.telemetry import CollectTelemetry
from adapter.kube.known import KNOWN
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.rules.config import load
from adapter.rules.resources import PODS, ResourceMapper
from tests.collect.conftest import SERIES

START = 1_731_200_000.0
SCRAPED_EVERY = 5.0
ASKED_EVERY = 5.0
TIMES_EVERY = 15.0
WANT = CustomWant(PODS, "shop", "queue_depth_per_pod")
ONE_RULE = """
rules:
- seriesQuery: 'queue_depth{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {as: queue_depth_per_pod}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
"""


class Machines:
    """Time that passes, and by how much the clocks of the two machines are wrong."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.ours = self.theirs = 0.0

    @property
    def sampled(self) -> float:
        """What has passed when the newest sample was taken."""
        return self.passed // SCRAPED_EVERY * SCRAPED_EVERY

    async def answer(self, request: web.Request) -> web.Response:
        now, form = START + self.passed + self.theirs, await request.post()
        if request.path.endswith("/series"):
            inside = float(str(form["start"])) <= now <= float(str(form["end"])) + 10
            series = [SERIES["queue_depth"]] if inside else []
            return web.json_response({"status": "success", "data": series}, headers=_date(now))
        assert "time" not in form
        value = self.sampled
        if "timestamp(" in str(form["query"]):
            value += START + self.theirs  # its samples bear the time of its clock
        result = [{"metric": {"namespace": "shop", "pod": "web-1"}, "value": [now, str(value)]}]
        data = {"resultType": "vector", "result": result}
        return web.json_response({"status": "success", "data": data}, headers=_date(now))


def _date(now: float) -> dict[str, str]:
    return {"Date": formatdate(now, usegmt=True)}


@asynccontextmanager
async def collecting(machines: Machines, clock: SteadyClock) -> AsyncIterator[Collector]:
    """A collector over a Prometheus on another machine, with an HPA's want."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", machines.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    source = PrometheusSource(Connection(urls=[f"http://127.0.0.1:{runner.addresses[0][1]}"]), clock)
    demand = Demand()
    demand.declare("shop", "web", [WANT])
    collector = Collector(
        source,
        Catalogue(load(ONE_RULE, "rules.yaml"), ResourceMapper(KNOWN)),
        demand,
        Planner(Limits(refresh=ASKED_EVERY), lambda _: (), lambda *_: 1),
        CollectTelemetry(CollectorRegistry()),
        clock=clock,
    )
    try:
        yield collector
    finally:
        await source.close()
        await runner.cleanup()


async def step_clocks(steps: list[tuple[float, float]]) -> None:
    """Every 20 s the clocks are set by the next of `steps` (ours, theirs); what is held is looked at each second."""
    machines = Machines()
    clock = SteadyClock(lambda: START + machines.passed + machines.ours, lambda: machines.passed)
    async with collecting(machines, clock) as collector:
        await collector.offers.look()
        for second in range(20 * (len(steps) + 1)):
            if second and second % 20 == 0:
                machines.ours, machines.theirs = steps[second // 20 - 1]
                await collector.offers.look()
            await asyncio.gather(*collector.start_due())
            held = collector.held[WANT]
            assert not held.error
            assert held.table is not None
            [reading] = held.table.readings.values()
            age, true_age = clock() - reading.time, machines.passed - reading.value
            assert true_age - 1e-3 <= age <= true_age + SCRAPED_EVERY + TIMES_EVERY
            assert true_age <= SCRAPED_EVERY + ASKED_EVERY
            machines.passed += 1


@pytest.mark.parametrize("hour", [3600.0, -3600.0])
async def test_a_clock_set_by_an_hour_loses_no_value_and_makes_none_younger(hour: float) -> None:
    await step_clocks([(hour, 0.0), (0.0, 0.0), (0.0, hour), (0.0, 0.0), (hour, hour), (hour, -hour)])


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=3))
def test_clocks_set_by_anything_do_neither(steps: list[tuple[float, float]]) -> None:
    asyncio.run(step_clocks(steps))
