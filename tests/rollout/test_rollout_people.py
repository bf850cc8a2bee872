"""What people ask for: undo, restart, pause, promote, abort."""

from typing import Any

import pytest

from adapter.rollout.cli.wait import exit_code
from adapter.rollout.model.actions import CONTROLLER_REVISIONS, DEPLOYMENTS, EVENTS, REPLICA_SETS
from adapter.rollout.model.observation import Deployment
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.verdict import FREE
from adapter.rollout.observe import Reader
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, ROLLING, Shop, deployment, image_of, rolls_back

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


async def wait_code(shop: Shop) -> int | None:
    """What `wait` would end with now."""
    read = await Reader(shop.client).policy(NAMESPACE, "web")
    assert read is not None
    return exit_code(read[0], Deployment(shop.get(DEPLOYMENTS)))


def reasons_to_ignore(shop: Shop) -> list[str]:
    return [event["message"] for event in shop.all(EVENTS) if event["reason"] == "Ignored"]


async def roll_ungated(shop: Shop, seconds: int = 60) -> None:
    """Somebody un-pauses the Deployment with a new image, and we look again after so long; in 60 s the roll is over."""
    shop.release("web:2")
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(paused=False))
    for _ in range(seconds):
        shop.now += 1.0
        shop.simulator.now = shop.now
        shop.simulator.step()
    await shop.step()


@STRATEGIES
async def test_a_template_that_is_taken_at_no_replicas_is_promoted_for_wait_after_a_rollback(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.ears.say = lambda phase: rolls_back() if phase in ("Verifying", "Stepping") else FREE
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    assert await wait_code(shop) == 1
    shop.scale(0)
    await shop.some(10)
    shop.release("web:3")
    assert await wait_code(shop) is None
    await shop.some(30)
    assert await wait_code(shop) == 0
    newest = shop.status["history"][0]
    assert (newest["number"], newest["outcome"], newest["reason"]) == (2, "Promoted", "there were no pods to judge")


async def test_undo_goes_back_to_the_template_before_one_that_was_taken_at_no_replicas() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.scale(0)
    await shop.some(10)
    shop.release("web:2")
    await shop.some(30)
    shop.scale(3)
    await shop.some(10)
    shop.blackouts.clear()  # while the first pods started
    shop.command("undo")
    await shop.until(lambda: len(shop.outcomes) == 2)
    await shop.some(5)
    assert shop.outcomes == ["Promoted", "Promoted"]
    shop.clean("web:1")


async def test_undo_goes_back_to_the_template_before_an_ungated_roll() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    await roll_ungated(shop)
    assert shop.outcomes == ["Promoted"]
    assert "no gate judged it" in shop.status["history"][0]["reason"]
    assert await wait_code(shop) == 0
    shop.command("undo")
    await shop.until(lambda: len(shop.outcomes) == 2)
    await shop.some(5)
    shop.clean("web:1")


async def test_a_roll_back_to_the_stable_template_is_no_release_of_its_own() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    await roll_ungated(shop, seconds=2)
    assert shop.phase == "Rolling"
    await shop.until(lambda: shop.phase == "Preparing")  # the edit begins again as a release
    assert shop.outcomes == []
    assert not shop.status.get("previous")


@pytest.mark.parametrize("lost", [False, True])
async def test_undo_without_a_template_to_go_back_to_says_so(lost: bool) -> None:
    shop = await Shop(BLUE_GREEN).ready()
    if lost:
        await roll_ungated(shop)
        for resource in (CONTROLLER_REVISIONS, REPLICA_SETS):
            for each in shop.all(resource):
                if resource == CONTROLLER_REVISIONS or image_of(each["spec"]["template"]) == "web:1":
                    shop.simulator.remove(resource, each)
    shop.command("undo")
    await shop.some(5)
    (why,) = reasons_to_ignore(shop)
    assert ("is not stored" if lost else "there is no template before this one") in why
    assert shop.phase == "Idle"


@pytest.mark.parametrize("verb", ["undo", "restart"])
async def test_a_command_while_the_deployment_is_gone_is_heard_once_there_is_one_again(verb: str) -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.delete(DEPLOYMENTS, shop.get(DEPLOYMENTS))
    shop.command(verb)
    await shop.some(5)
    assert shop.phase == "Pending"
    shop.put(DEPLOYMENTS, deployment(3))
    await shop.until(lambda: shop.status.get("command") and (shop.outcomes or verb == "undo"))
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


@pytest.mark.parametrize(
    ("spec", "mark"),
    [
        ({"blueGreen": {"previewSeconds": 3, "verifySeconds": 8, "manual": True}}, mark)
        for mark in ("Preparing", "Starting")
    ]
    + [({"canary": {"steps": [{"weight": 25, "manual": True, "pauseSeconds": 1}]}}, "Preparing")],
)
async def test_promote_that_is_said_early_is_kept_until_the_first_manual_stop(spec: Any, mark: str) -> None:
    shop = await Shop(spec).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == mark)
    shop.command("promote")
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


async def test_promote_of_one_manual_step_does_not_promote_the_next() -> None:
    manual = {"manual": True, "pauseSeconds": 1}
    shop = await Shop({"canary": {"steps": [{"weight": 25, **manual}, {"weight": 50, **manual}]}}).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Preparing")
    shop.command("promote")
    await shop.some(60)
    assert shop.mark == "Stepping 1"


async def test_promote_where_nobody_is_waited_for_is_ignored() -> None:
    """Kept, it would let a manual stop pass that the person may never have thought of."""
    shop = await Shop(
        {"canary": {"steps": [{"weight": 25, "pauseSeconds": 9}, {"weight": 50, "manual": True, "pauseSeconds": 1}]}}
    ).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Stepping 0")
    shop.command("promote")
    await shop.some(60)
    (why,) = reasons_to_ignore(shop)
    assert "--full" in why
    assert (shop.mark, shop.status["message"]) == ("Stepping 1", "waits for a person to say promote")


async def test_resume_of_a_release_that_nobody_holds_is_ignored() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Previewing")
    shop.command("resume")
    await shop.step()
    (why,) = reasons_to_ignore(shop)
    assert "nobody said pause" in why


@pytest.mark.parametrize(
    ("strategy", "mark"),
    [(BLUE_GREEN, mark) for mark in ("Returning", "Removing", "Restoring")] + [(ROLLING, "Rolling")],
)
async def test_retry_that_is_said_on_the_way_back_begins_anew_at_its_end(strategy: Any, mark: str) -> None:
    shop = await Shop(strategy).ready()
    shop.ears.say = lambda _: rolls_back() if shop.mark in ("Verifying", "Stepping 1") else FREE
    shop.release("web:2")
    await shop.until(lambda: shop.phase == mark)
    shop.command("retry")
    shop.ears.say = lambda phase: FREE
    await shop.until(lambda: len(shop.outcomes) == 2)
    await shop.some(5)
    assert shop.outcomes == ["Promoted", "RolledBack"]
    shop.clean("web:2")


async def test_retry_is_ignored_where_no_template_was_rolled_back() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.command("retry", key="a")
    await shop.some(2)
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Previewing")
    shop.command("retry", key="b")
    await shop.some(2)
    shop.release("web:3")  # supersedes it: that is released by itself
    await shop.until(lambda: "Returning" in shop.phases)
    shop.command("retry", key="c")
    await shop.until(lambda: len(shop.outcomes) == 2)
    whys = reasons_to_ignore(shop)
    assert len(whys) == 3
    assert all("no template was rolled back" in why for why in whys)
    assert shop.outcomes == ["Promoted", "Superseded"]


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
