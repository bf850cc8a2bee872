"""Slow scrapes and slow queries in fast time: what is well is never missing from an answer."""

import asyncio

import pytest

from adapter.collect.answer import ExternalQuestion, Unavailable
from adapter.collect.demand import CustomWant, ExternalWant
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALWAYS, Query, Since
from adapter.rules.resources import PODS
from adapter.units.selector import EVERYTHING
from tests.collect.conftest import ToldSource, World
from tests.collect.test_answers import RATE, question, values

pytestmark = pytest.mark.looptime

PODS_NAMED = [f"web-{number}" for number in range(6)]
LOOK_BACK = 300.0


class Scraping(ToldSource):
    """A Prometheus that scrapes each pod at its own phase, and takes `seconds()` to answer."""

    def __init__(self, interval: float) -> None:
        super().__init__()
        self.knows_sample_times = False
        self.world: World
        self.interval = interval
        self.stopped: float | None = None
        """Unix time, s, from which nothing is scraped any more."""

    def seconds(self) -> float:
        return 0.01

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        self.queries.append(query)
        now = self.world.now
        self.world.now += self.seconds()
        if "jobs_waiting" in query.promql:
            return [Sample({"namespace": "shop", "queue": "mail"}, 4.0, now)]
        newest = {pod: self._newest(number, now) for number, pod in enumerate(PODS_NAMED)}
        recent = {pod: time for pod, time in newest.items() if now - time <= LOOK_BACK}
        if "timestamp(" in query.promql:
            return self._samples(recent, now)
        if "count_over_time(" in query.promql:
            return self._samples(
                {pod: (LOOK_BACK - now + time) // self.interval + 1 for pod, time in recent.items()}, now
            )
        return self._samples(dict.fromkeys(recent, 1.0), now)

    def _newest(self, number: int, now: float) -> float:
        phase = number * self.interval / len(PODS_NAMED)
        last = now if self.stopped is None else min(now, self.stopped)
        return (last - phase) // self.interval * self.interval + phase

    def _samples(self, values: dict[str, float], now: float) -> list[Sample]:
        return [Sample({"namespace": "shop", "pod": pod}, value, now) for pod, value in values.items()]


async def make_world(source: Scraping) -> World:
    world = source.world = World(source=source)
    world.now = 100_000.0
    await world.collector.offers.look()
    for name in PODS_NAMED:
        world.pod(name, app="web")
    world.demand.declare("shop", "web", [CustomWant(PODS, "shop", RATE)])
    return world


@pytest.mark.parametrize("interval", [15.0, 30.0, 60.0, 120.0])
async def test_no_answer_lacks_a_pod_however_slow_the_scrape_and_though_an_hpa_joins_in(interval: float) -> None:
    """From the first answer on, for 10 minutes; a further namespace is another text of the merged query."""
    world = await make_world(Scraping(interval))
    for second in range(600):
        if second == 200:
            world.demand.declare("bank", "web", [CustomWant(PODS, "bank", RATE)])
        await asyncio.gather(*world.collector.start_due())
        assert list(await values(world, question())) == PODS_NAMED, f"after {second} s"
        world.now += 1
    assert len({query.promql for query in world.source.queries if "rate(" in query.promql}) == 2
    assert sum("count_over_time(" in query.promql for query in world.source.queries) == 1  # what is known stays known


@pytest.mark.parametrize("interval", [15.0, 60.0])
async def test_pods_that_are_scraped_no_more_are_left_out_within_the_limit(interval: float) -> None:
    source = Scraping(interval)
    world = await make_world(source)
    for _ in range(300):
        await asyncio.gather(*world.collector.start_due())
        world.now += 1
    source.stopped = world.now
    for _ in range(int(max(60, 2 * interval + 5) + 1)):
        world.now += 1
        await asyncio.gather(*world.collector.start_due())
    with pytest.raises(Unavailable, match="old, the limit is"):
        await values(world, question())


class Slow(Scraping):
    """Answers slowly for some seconds."""

    until = 0.0
    takes = 5.0

    def seconds(self) -> float:
        return self.takes if self.world.now < self.until else 0.001


async def test_seven_seconds_of_slowness_cost_no_value_and_are_over_at_once() -> None:
    """5 s an answer: what was asked last in that time is asked again within 20 s, and every 5 s from then on."""
    source = Slow(15.0)
    world = await make_world(source)
    for second in range(200):
        if second == 30:
            source.until = world.now + 7
        await asyncio.gather(*world.collector.start_due())
        assert list(await values(world, question())) == PODS_NAMED, f"after {second} s"
        [held] = world.collector.held.values()
        assert held.table is not None
        assert world.now - held.table.evaluated <= 25
        world.now += 1
    late = [query for query in world.source.queries[-20:] if "timestamp(" not in query.promql]
    assert len(late) >= 10  # every 5 s again


async def test_an_external_query_of_4_s_never_flaps() -> None:
    source = Slow(15.0)
    source.takes, source.until = 4.0, 1e9
    world = source.world = World(source=source)
    world.now = 100_000.0
    await world.collector.offers.look()
    world.demand.declare("shop", "web", [ExternalWant("shop", "jobs_waiting")])
    asked = ExternalQuestion(namespace="shop", metric="jobs_waiting", selector=EVERYTHING)
    for second in range(600):
        await asyncio.gather(*world.collector.start_due())
        assert len(await world.answers.external(asked)) == 1, f"after {second} s"
        world.now += 1
    assert len(world.source.queries) <= 600 / 80 + 6  # 20 times 4 s, after a beginning at 5, 10, 20 and 40 s
