"""Work beside turns: one job per key, bounded in number and in time, picked up once."""

import asyncio

import pytest

from adapter.rollout.beside import Beside

pytestmark = pytest.mark.looptime


async def answer(value: int, seconds: float = 1.0) -> int:
    await asyncio.sleep(seconds)
    return value


async def test_a_result_is_there_when_it_is_done_and_is_taken_once() -> None:
    jobs: Beside[int] = Beside(10.0, 5)
    assert jobs.start("a", answer(1))
    assert not jobs.start("a", answer(2))
    assert jobs.take("a") is None
    assert jobs.busy("a")
    await asyncio.sleep(2)
    assert jobs.is_done("a")
    assert jobs.take("a") == 1
    assert jobs.take("a") is None
    assert not jobs.busy("a")


async def test_what_is_too_slow_or_fails_is_done_without_a_result() -> None:
    async def fails() -> int:
        raise ZeroDivisionError

    jobs: Beside[int] = Beside(10.0, 5)
    jobs.start("slow", answer(1, 11.0))
    jobs.start("wrong", fails())
    await asyncio.sleep(12)
    for key in ("slow", "wrong"):
        assert jobs.is_done(key)
        assert jobs.take(key) is None
        assert not jobs.busy(key)


async def test_results_that_nobody_takes_hold_no_room() -> None:
    """Each is of a release that ended meanwhile."""
    jobs: Beside[int] = Beside(10.0, 3)
    for number in range(20):
        assert jobs.start(str(number), answer(number))
        await asyncio.sleep(2)


async def test_no_more_run_at_a_time_than_there_is_room_for() -> None:
    jobs: Beside[int] = Beside(10.0, 3)
    assert [jobs.start(str(number), answer(number)) for number in range(5)] == [True] * 3 + [False] * 2
    jobs.forget("0")
    assert jobs.start("3", answer(3))
    await jobs.close()
    assert not any(jobs.busy(str(number)) for number in range(5))
