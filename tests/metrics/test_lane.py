"""Costly matching goes on in a lane: one query at a time, and a quarter of the time for all."""

import asyncio

import pytest

from adapter.metrics.sample import Series
from adapter.metrics.slices import Lane, Slices, run_in_turns
from adapter.metrics.source import Query
from adapter.metrics.store.source import EmbeddedSource
from adapter.metrics.store.store import Store


class Told(Lane):
    """Remembers the rests instead of resting."""

    def __init__(self) -> None:
        super().__init__(lambda: self.work)
        self.work = 0
        self.rests: list[float] = []

    async def rest(self, worked: float) -> None:
        self.rests.append(round(worked, 3))


class Work:
    """Slices that take 10 ms each of the loop's clock, which stands still else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)

    def slices(self, lane: Told, costs: list[int]) -> Slices[str]:
        for cost in costs:
            lane.work += cost
            self.now += 0.01
            yield
        return "done"


async def test_costly_work_rests_for_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    work, lane = Work(monkeypatch), Told()
    assert await run_in_turns(work.slices(lane, [Lane.FREE, 1, 1, 1]), lane) == "done"
    assert lane.rests == [0.01] * 3  # the first slice was free


async def test_work_that_is_not_the_lanes_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    work, lane = Work(monkeypatch), Told()
    await run_in_turns(work.slices(lane, [Lane.FREE + 1, 0, 0, 0]), lane)
    assert lane.rests == [0.01]


async def test_each_call_has_its_free_work(monkeypatch: pytest.MonkeyPatch) -> None:
    work, lane = Work(monkeypatch), Told()
    for _ in range(5):
        await run_in_turns(work.slices(lane, [Lane.FREE // 2, Lane.FREE // 2]), lane)
    assert lane.rests == []


@pytest.mark.looptime
async def test_rests_follow_each_other() -> None:
    """Three queries that worked for 10 ms each: nine times that is over before the last goes on."""
    lane = Lane(int)
    await asyncio.gather(*(lane.rest(0.01) for _ in range(3)))
    assert asyncio.get_running_loop().time() == pytest.approx(3 * 0.01 * Lane.REST)
    await lane.rest(100.0)  # somebody stopped the process meanwhile
    assert asyncio.get_running_loop().time() == pytest.approx((3 * 0.01 + Lane.LONGEST) * Lane.REST)


async def test_the_store_counts_what_its_expressions_look_at() -> None:
    store = Store()
    labels = ({"path": f"{number:05}" + "ab" * 1000, "pod": "web-0"} for number in range(200))
    store.extend((Series.of("depth", one), 1.0, 100.0) for one in labels)
    source = EmbeddedSource(store)
    for expected in (200 * 2005, 0):
        before = store.looked_at
        samples = await source.query(Query('count(depth{path!~".*b.*a.*x"})'), 100.0)
        assert samples[0].value == 200.0
        assert expected <= store.looked_at - before <= expected + 100
