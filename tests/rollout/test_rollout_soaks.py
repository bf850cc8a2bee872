"""Soaks count while all new pods are ready; what takes too long goes back, or is said."""

from typing import Any

import pytest

from adapter.rollout.turns import Turns
from tests.rollout.shop import BLUE_GREEN, Shop, image_of

ONE_STEP = {"canary": {"steps": [{"weight": 50, "pauseSeconds": 60}]}}


@pytest.mark.parametrize("strategy", [{"blueGreen": {"previewSeconds": 60}}, ONE_STEP], ids=["preview", "step"])
async def test_a_soak_is_of_pods_that_are_ready_all_the_time(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    phase = "Previewing" if "blueGreen" in strategy else "Stepping"
    await shop.until(lambda: shop.phase == phase and (shop.status["release"] or {}).get("reached"))
    began = shop.now
    shop.simulator.health = lambda pod: "never" if image_of(pod) == "web:2" and 3 < shop.now - began < 8 else "ok"
    shop.turns = Turns(shop.client, shop.ears)
    await shop.until(lambda: shop.phase not in (phase, "Idle"))
    assert shop.now - began >= 8 + 60  # a minute from when they came back


async def test_a_pod_that_starts_in_a_soak_for_the_hpa_makes_it_no_longer() -> None:
    shop = await Shop({"blueGreen": {"previewSeconds": 60}}).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Previewing" and (shop.status["release"] or {}).get("reached"))
    began = shop.now
    await shop.some(30)
    shop.scale(5)
    await shop.until(lambda: shop.phase == "Switching")
    assert shop.now - began <= 65


async def test_new_pods_that_are_unready_again_and_again_are_rolled_back_at_the_deadline() -> None:
    shop = await Shop(ONE_STEP, progressDeadlineSeconds=120).ready()
    shop.release("web:2")
    shop.simulator.health = lambda pod: "never" if image_of(pod) == "web:2" and shop.now % 20 < 5 else "ok"
    await shop.until_outcome("RolledBack")
    assert "no soak without an unready new pod" in shop.status["history"][0]["reason"]


async def test_a_roll_by_the_deployment_that_does_not_go_on_is_stuck() -> None:
    shop = await Shop(BLUE_GREEN, progressDeadlineSeconds=30).ready()
    shop.simulator.adopts = False
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Adopting")
    known = set(shop.pods())
    shop.simulator.health = lambda pod: "ok" if pod["metadata"]["name"] in known else "never"
    await shop.until(lambda: shop.phase == "Rolling")
    shop.command("abort")
    await shop.some(60)
    assert "Ignored" in shop.events
    (stuck,) = [each for each in shop.status["conditions"] if each["type"] == "Stuck"]
    assert (stuck["status"], shop.phase) == ("True", "Rolling")
    shop.simulator.health = lambda _: "ok"
    await shop.until_outcome("Promoted")
