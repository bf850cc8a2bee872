"""A client that sends no more than it may, in virtual time."""

import asyncio

import pytest

from adapter.kube.throttle import Bucket

pytestmark = pytest.mark.looptime


async def token_times(bucket: Bucket, count: int) -> list[float]:
    """Seconds from now at which each of `count` that ask at once gets its token."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one() -> float:
        await bucket.take()
        return round(loop.time() - began, 6)

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def test_a_burst_goes_at_once_and_the_rest_one_by_one() -> None:
    """5 per second, 10 saved up: ten at 0, then one each 1/5 s."""
    assert await token_times(Bucket(5.0, 10.0), 13) == [0.0] * 10 + [0.2, 0.4, 0.6]


async def test_what_is_saved_up_is_never_more_than_the_burst() -> None:
    """After 100 s of rest there are 3 tokens, not 500; a second of rest after that brings them back."""
    bucket = Bucket(5.0, 3.0)
    await asyncio.sleep(100)
    assert await token_times(bucket, 4) == [0.0] * 3 + [0.2]
    await asyncio.sleep(0.4)  # 0.4 s x 5 per second = 2 tokens
    assert await token_times(bucket, 3) == [0.0] * 2 + [0.2]


async def test_a_burst_of_nothing_still_lets_calls_through() -> None:
    assert await token_times(Bucket(2.0, 0.0), 3) == [0.0, 0.5, 1.0]
