"""The controller is killed before and after every write: the same end, no step skipped, no soak shortened."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest

from adapter.kube.errors import Conflict, KubeError, ServerError, TooManyRequests, Unreachable
from adapter.rollout.model.actions import DEPLOYMENTS
from adapter.rollout.model.verdict import FREE
from adapter.rollout.turns import Turns
from tests.rollout.local import Killed
from tests.rollout.shop import BLUE_GREEN, CANARY, ROLLING, Shop, rolls_back

STRATEGIES = {"blue-green": BLUE_GREEN, "canary": CANARY, "rolling": ROLLING}
ENDS = {"Promoted": ("web:2", 3), "RolledBack": ("web:1", 3)}
CASES = [(strategy, end) for strategy in STRATEGIES for end in ENDS]
FORWARDS = {
    "blue-green": ["Preparing", "Starting", "Previewing", "Switching", "Verifying", "Adopting", "Finishing", "Idle"],
    "canary": [
        "Preparing",
        "Stepping 0",
        "Stepping 1",
        "Filling",
        "Switching",
        "Verifying",
        "Adopting",
        "Finishing",
        "Idle",
    ],
    "rolling": ["Preparing", "Stepping 0", "Stepping 1", "Completing", "Finishing", "Idle"],
}
BACKWARDS = {"rolling": ["Restoring", "Idle"]}
"""Phases at the end of a rollback where they are not Returning, Removing, Restoring, Idle."""
SOAKS = {"Previewing": 3, "Verifying": 2, "Stepping 0": 5, "Stepping 1": 5}
"""Phase -> seconds that it has to last at least (blue-green's Verifying even 8)."""


def is_write(verb: str, path: str) -> bool:
    return verb != "GET" and not path.endswith("/events")


async def run_release(strategy: str, end: str, hurt: Callable[[Shop], None]) -> Shop:
    """Runs a release to the outcome `end`; `hurt` disturbs the shop right after its begin."""
    shop = await Shop(STRATEGIES[strategy], hpa=True).ready()
    bad = "Verifying" if strategy == "blue-green" else "Stepping 1"
    shop.ears.say = lambda phase: rolls_back() if end == "RolledBack" and shop.mark == bad else FREE
    shop.phases.clear()
    shop.release("web:2")
    hurt(shop)
    await shop.until_outcome(end)
    return shop


def holds(shop: Shop, strategy: str, end: str) -> None:
    image, replicas = ENDS[end]
    shop.clean(image, replicas=replicas)
    assert shop.outcomes == [end]
    visited = [mark for mark in shop.phases if mark != "Rolling"]
    if end == "Promoted":
        assert visited[-len(FORWARDS[strategy]) :] == FORWARDS[strategy]
    else:
        back = BACKWARDS.get(strategy, ["Returning", "Removing", "Restoring", "Idle"])
        assert visited[-len(back) :] == back
    spec = shop.get(DEPLOYMENTS)["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    assert "minReadySeconds" not in spec
    for mark, following in pairwise(visited):
        if mark in SOAKS and following not in ("Returning", "Restoring", mark):
            assert shop.since[following] - shop.since[mark] >= SOAKS[mark], mark
    hpa = shop.cluster.store.collection("autoscaling", "horizontalpodautoscalers").objects["shop", "web"]
    assert hpa["spec"]["minReplicas"] == 2


def kill_at(number: int, *, after: bool) -> Callable[[Shop], None]:
    def hurt(shop: Shop) -> None:
        count = 0

        def hook(verb: str, path: str) -> None:
            nonlocal count
            count += is_write(verb, path)
            if is_write(verb, path) and count == number + 1:
                raise Killed

        (shop.client.after if after else shop.client.before).append(hook)

    return hurt


async def writes_of(strategy: str, end: str) -> int:
    shop = await run_release(strategy, end, lambda shop: shop.client.calls.clear())
    holds(shop, strategy, end)
    return sum(is_write(*call) for call in shop.client.calls)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("strategy", "end"), CASES)
async def test_killed_at_any_single_write(strategy: Any, end: Any, after: Any) -> None:
    writes = await writes_of(strategy, end)
    assert writes > (10 if strategy == "rolling" else 20)
    for number in range(writes):
        shop = await run_release(strategy, end, kill_at(number, after=after))
        assert shop.kills == 1, f"write {number} was not reached"
        holds(shop, strategy, end)


@pytest.mark.parametrize(("strategy", "end"), CASES)
async def test_killed_before_and_after_every_write_of_one_release(strategy: Any, end: Any) -> None:
    """Each write is first not made, then made by a controller that does not live to know it."""

    def hurt(shop: Shop) -> None:
        turn = {"before": 0, "after": 1}

        def before(verb: str, path: str) -> None:
            if is_write(verb, path):
                turn["before"] += 1
                if turn["before"] % 2:
                    raise Killed

        def after(verb: str, path: str) -> None:
            if is_write(verb, path):
                raise Killed

        shop.client.before.append(before)
        shop.client.after.append(after)

    shop = await run_release(strategy, end, hurt)
    assert shop.kills > (20 if strategy == "rolling" else 40)
    holds(shop, strategy, end)


ERRORS: dict[str, Callable[[], KubeError]] = {
    "409": lambda: Conflict(409, "Conflict", "the object has been modified"),
    "422": lambda: KubeError(422, "Invalid", "the patch does not apply"),
    "429": lambda: TooManyRequests(429, "TooManyRequests", "slow down", 1.0),
    "500": lambda: ServerError(500, "InternalError", "etcd"),
    "timeout": lambda: Unreachable("no answer within 30 s"),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("strategy", "end"), CASES)
async def test_calls_fail_again_and_again(strategy: Any, end: Any, error: Any) -> None:
    """Every third write, or every 23rd call of any kind; a timeout comes after the write was made."""
    guards = error in ("409", "422")

    def hurt(shop: Shop) -> None:
        calls = 0

        def hook(verb: str, path: str) -> None:
            nonlocal calls
            if is_write(verb, path) or not guards:
                calls += 1
                if calls % (3 if guards else 23) == 0:
                    raise ERRORS[error]()

        (shop.client.after if error == "timeout" else shop.client.before).append(hook)

    holds(await run_release(strategy, end, hurt), strategy, end)


@pytest.mark.parametrize(("strategy", "end"), CASES)
async def test_two_controllers_that_both_act_do_no_harm(strategy: Any, end: Any) -> None:
    """Leases may overlap for a moment; guards and the status' version see to the rest."""

    def hurt(shop: Shop) -> None:
        first, other = shop.turns, Turns(shop.client, shop.ears)

        class Both:
            async def turn(self, namespace: str, name: str, now: float) -> Any:
                await other.turn(namespace, name, now)
                return await first.turn(namespace, name, now)

        shop.turns = cast(Turns, Both())

    holds(await run_release(strategy, end, hurt), strategy, end)
