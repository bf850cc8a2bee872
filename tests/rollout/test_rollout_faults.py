"""The API server says no, or nothing, at every single write of a release; the lease is lost at each as well."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from adapter.kube.errors import Conflict, Gone, KubeError, ServerError, TooManyRequests, Unreachable
from tests.rollout.shop import Shop
from tests.rollout.test_rollout_kills import CASES, holds, is_write, run_release

ERRORS: dict[str, Callable[[], BaseException]] = {
    "409": lambda: Conflict(409, "Conflict", "the object has been modified"),
    "422": lambda: KubeError(422, "Invalid", "the patch does not apply"),
    "429": lambda: TooManyRequests(429, "TooManyRequests", "slow down", 1.0),
    "500": lambda: ServerError(500, "InternalError", "etcd"),
    "timeout": lambda: Unreachable("no answer within 30 s"),
    "lease lost": asyncio.CancelledError,
}
EVERY = 7
"""Of so many writes one fails, another one in each run: all of them fail in turn, and none twice in a row."""


def failing(error: str, first: int, *, every: int, writes: bool) -> Callable[[Shop], None]:
    """Calls `first`, `first` + `every` and so on fail; a timeout comes after the write was made."""

    def hurt(shop: Shop) -> None:
        count = 0

        def hook(verb: str, path: str) -> None:
            nonlocal count
            if is_write(verb, path) if writes else verb == "GET":
                count += 1
                if count % every == first:
                    raise ERRORS.get(error, lambda: Gone(410, "Expired", "too old resource version"))()

        (shop.client.after if error == "timeout" else shop.client.before).append(hook)

    return hurt


@pytest.mark.timeout(300)
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("strategy", "end"), CASES)
async def test_every_write_fails_in_its_turn(strategy: Any, end: Any, error: str) -> None:
    for first in range(EVERY):
        shop = await run_release(strategy, end, failing(error, first, every=EVERY, writes=True))
        holds(shop, strategy, end)
        assert error != "lease lost" or shop.kills


@pytest.mark.parametrize("error", ["410", "429", "timeout", "lease lost"])
@pytest.mark.parametrize(("strategy", "end"), CASES)
async def test_reads_fail_again_and_again(strategy: Any, end: Any, error: str) -> None:
    """A turn reads some fifteen times; a list whose continuation has expired is a turn that is taken anew."""
    for first in (0, 20):
        shop = await run_release(strategy, end, failing(error, first, every=41, writes=False))
        holds(shop, strategy, end)


async def test_the_server_is_away_for_ten_minutes_in_mid_step_and_no_soak_is_shortened() -> None:
    shop = await run_release("canary", "Promoted", lambda shop: None)
    shop.phases.clear()
    shop.release("web:3")
    await shop.until(lambda: shop.mark == "Stepping 0")
    away = shop.now

    def hook(verb: str, path: str) -> None:
        if shop.now - away < 600:
            raise Unreachable("no route to host")

    shop.client.before.append(hook)
    await shop.until(lambda: len(shop.outcomes) == 2, steps=900)
    assert shop.outcomes == ["Promoted", "Promoted"]
    assert shop.since["Stepping 1"] - away >= 600
    shop.clean("web:3")
