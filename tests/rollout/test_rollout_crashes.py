"""Crashes count within the release, per arm: what an old pod went through hides no new pod that crash-loops."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout.hear import health
from adapter.rollout.model.observation import Pod
from tests.rollout.shop import BLUE_GREEN, CANARY, Shop

STRATEGIES = pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])


def pod(name: str, restarts: int, *, waits: bool = False, init: bool = False) -> Pod:
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if waits else {"running": {}}
    status = [{"name": "c", "restartCount": restarts, "state": state}]
    field = "initContainerStatuses" if init else "containerStatuses"
    return Pod({"metadata": {"name": name}, "status": {"phase": "Running", field: status}})


async def release_with_restarts(strategy: Any, old: Sequence[int], new: int) -> Shop:
    """A release before which the stable pods had `old` restarts each, and whose new pods restart `new` times."""
    shop = await Shop(strategy).ready()
    shop.simulator.restarts = dict(zip(shop.pods(), old, strict=True))
    await shop.some(2)
    shop.release("web:2")
    await shop.until(lambda: len(shop.pods("web:2")) > 0)
    shop.simulator.restarts |= dict.fromkeys(shop.pods("web:2"), new)
    return shop


@STRATEGIES
async def test_restarts_of_long_ago_hide_no_new_pod_that_crash_loops(strategy: Any) -> None:
    shop = await release_with_restarts(strategy, [7, 3, 40], 3)
    await shop.until_outcome("RolledBack")
    assert "crash-loop" in shop.status["history"][0]["reason"]
    shop.clean("web:1")


@STRATEGIES
async def test_restarts_of_long_ago_are_no_crash_loop_of_now(strategy: Any) -> None:
    shop = await release_with_restarts(strategy, [7, 3, 40], 2)
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


async def test_stable_pods_that_crash_as_much_in_the_same_time_roll_nothing_back() -> None:
    shop = await release_with_restarts({"canary": {"steps": [{"weight": 50, "pauseSeconds": 20}]}}, [7, 3, 40], 2)
    await shop.until(lambda: shop.mark == "Stepping 0" and shop.status["release"].get("reached"))
    before = dict(shop.simulator.restarts)
    for name in shop.pods("web:1"):  # 10, 6 and 43: three more each; of the new ones 3 each
        shop.simulator.restarts[name] = before.get(name, 0) + 3
    for name in shop.pods("web:2"):
        shop.simulator.restarts[name] = 3
    await shop.until_outcome("Promoted")


async def test_one_of_three_stable_pods_that_crashes_too_is_no_outage_of_both() -> None:
    """1 of 3 is less than half of 3 of 3: the new pods are worse."""
    shop = await release_with_restarts({"canary": {"steps": [{"weight": 50, "pauseSeconds": 20}]}}, [0, 0, 0], 0)
    await shop.until(lambda: len(shop.pods("web:2")) == 3)
    await shop.some(4)
    shop.simulator.restarts |= {shop.pods("web:1")[0]: 3} | dict.fromkeys(shop.pods("web:2"), 3)
    await shop.until_outcome("RolledBack")
    assert "3 of 3 new pods crash-loop" in shop.status["history"][0]["reason"]
    assert "1 of 3 stable ones do" in shop.status["history"][0]["reason"]


async def test_a_restart_of_the_controller_forgets_no_restart_of_a_pod() -> None:
    shop = await release_with_restarts(BLUE_GREEN, [5, 0, 0], 0)
    assert shop.status["release"]["restarts"] == {shop.pods("web:1")[0]: 5}


@given(before=st.integers(0, 1000), more=st.integers(0, 10))
def test_a_pod_crash_loops_by_three_restarts_more_than_before(before: int, more: int) -> None:
    state = health([pod("a", before + more)], {"a": before})
    assert state.crash_looping == (more >= 3)


@pytest.mark.parametrize("init", [False, True])
def test_a_pod_that_waits_after_a_crash_crash_loops_whatever_it_did_before(init: bool) -> None:
    assert pod("a", 9, waits=True, init=init).crash_loops(9)
    assert pod("a", 12, init=init).crash_loops(9)
    assert not pod("a", 11, init=init).crash_loops(9)
