"""What people ask for: undo, restart, pause, promote, abort."""

from typing import Any

import pytest

from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.verdict import FREE
from tests.rollout.shop import BLUE_GREEN, CANARY, Shop, rolls_back

STRATEGIES = pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])


@STRATEGIES
async def test_undo_puts_the_stable_template_back_and_then_the_one_before(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    shop.command("undo", key="a")
    await shop.until_outcome("Promoted")
    shop.clean("web:1")
    shop.ears.say = lambda phase: rolls_back() if phase in ("Verifying", "Stepping") else FREE
    shop.release("web:3")
    await shop.until_outcome("RolledBack")
    shop.command("undo", key="b")
    await shop.some(10)
    assert shop.template["spec"]["containers"][0]["image"] == "web:1"
    assert shop.phase == "Idle"


@STRATEGIES
async def test_restart_is_a_gated_release_of_the_same_image(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    before = set(shop.pods())
    shop.command("restart")
    await shop.until_outcome("Promoted")
    assert not before & set(shop.pods())
    shop.clean("web:1")


async def test_a_person_holds_a_step_and_lets_it_go() -> None:
    shop = await Shop(CANARY).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Stepping 0")
    shop.command("pause", key="a")
    await shop.some(60)
    assert shop.mark == "Stepping 0"
    shop.command("resume", key="b")
    await shop.until_outcome("Promoted")


@pytest.mark.parametrize("mark", ["Preparing", "Starting", "Previewing", "Verifying"])
async def test_a_person_holds_a_release_in_each_phase_of_blue_green(mark: str) -> None:
    await pause_and_resume(await Shop(BLUE_GREEN).ready(), mark)


@pytest.mark.parametrize("mark", ["Preparing", "Stepping 1", "Filling"])
async def test_a_person_holds_a_release_in_each_phase_of_a_canary(mark: str) -> None:
    await pause_and_resume(
        await Shop({"canary": {"steps": [{"weight": 10}, {"weight": 20}]}}, replicas=8).ready(), mark
    )


async def pause_and_resume(shop: Shop, mark: str) -> None:
    shop.release("web:2")
    await shop.until(lambda: shop.mark == mark)
    shop.command("pause", key="a")
    await shop.some(60)
    assert shop.mark == mark
    assert "resume" in shop.status["message"]
    shop.command("resume", key="b")
    await shop.until_outcome("Promoted")


async def test_a_policy_that_is_deleted_while_a_person_holds_its_release_goes() -> None:
    shop = await Shop({"canary": {"steps": [{"weight": 10}, {"weight": 20}]}}, replicas=8).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Filling")  # the verdict is in: it finishes forwards
    shop.command("pause")
    await shop.some(10)
    assert shop.phase == "Filling"
    shop.delete_policy()
    await shop.until(lambda: shop.get(POLICIES) is None)
    assert shop.template["spec"]["containers"][0]["image"] == "web:2"


async def test_what_the_deployment_itself_completes_cannot_be_held_and_it_is_said() -> None:
    shop = await Shop({"rolling": {"steps": [{"weight": 34}]}}).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Completing")
    shop.command("pause")
    await shop.until_outcome("Promoted")
    assert "Ignored" in shop.events


async def test_promote_full_waits_for_no_soak_but_for_every_pod() -> None:
    shop = await Shop(
        {"canary": {"steps": [{"weight": 25, "pauseSeconds": 9000}, {"weight": 50, "manual": True}]}}
    ).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Stepping 0")
    shop.command("promote", full=True)
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


async def test_a_manual_step_waits_for_promote() -> None:
    shop = await Shop({"canary": {"steps": [{"weight": 25, "manual": True, "pauseSeconds": 1}]}}).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Stepping 0")
    await shop.some(50)
    assert shop.mark == "Stepping 0"
    shop.command("promote")
    await shop.until_outcome("Promoted")


@STRATEGIES
async def test_abort_is_heard_until_the_sibling_is_orphaned(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Verifying")
    shop.simulator.health = lambda pod: "ok" if pod["metadata"]["name"] in known else "never"
    known = set(shop.pods())
    shop.scale(4)  # the fourth pod never comes: nothing is adopted
    shop.edit(POLICIES, lambda raw: raw["status"].update(phase="Adopting"))
    await shop.some(5)
    assert shop.phase == "Adopting"
    shop.command("abort")
    await shop.until(lambda: shop.outcomes, steps=40)
    assert shop.outcomes == ["Aborted"]
    assert set(shop.pods("web:1")) >= known & set(shop.pods("web:1"))
    assert not shop.blackouts
