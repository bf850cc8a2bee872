"""Whole releases on simulated controllers: from a new template to promotion and to rollback."""

from typing import Any

import pytest

from adapter.rollout.model.actions import DEPLOYMENTS, REPLICA_SETS, SERVICES
from adapter.rollout.model.verdict import FREE, Said, Verdict
from tests.rollout.shop import BLUE_GREEN, CANARY, Shop, rolls_back, service

STRATEGIES = pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])


async def test_taking_over_touches_no_pod_and_pauses() -> None:
    shop = Shop()
    before = shop.pods()
    await shop.ready()
    assert shop.pods() == before
    assert shop.events == ["TakenOver"]
    assert shop.status["stable"]["fingerprint"]


@STRATEGIES
async def test_a_good_release_is_promoted_and_its_judged_pods_stay(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Adopting")
    judged = set(shop.pods("web:2"))
    await shop.until_outcome("Promoted")
    assert set(shop.pods()) == judged
    assert len(judged) == 3
    shop.clean("web:2")


async def test_blue_green_sends_nothing_to_the_new_pods_before_the_switch_and_nothing_to_the_old_ones_after() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    served = [images for images in shop.seen if images]
    first = served.index({"web:2"})
    assert all(images == {"web:1"} for images in served[:first])
    assert all(images == {"web:2"} for images in served[first:])


async def test_a_canary_by_ratio_goes_through_its_steps() -> None:
    shop = await Shop(CANARY).ready()
    shop.release("web:2")
    counts = []
    shop.every_step.append(lambda: counts.append((shop.mark, len(shop.pods("web:2")))))
    await shop.until_outcome("Promoted")
    # 3 * 25 / 75 = 1 pod beside 3 (25 %), then 3 * 50 / 50 = 3 beside 3 (50 %).
    assert max(count for mark, count in counts if mark == "Stepping 0") == 1
    assert max(count for mark, count in counts if mark == "Stepping 1") == 3
    assert [mark for mark in shop.phases if mark.startswith("Stepping")] == ["Stepping 0", "Stepping 1"]


@STRATEGIES
async def test_a_bad_release_is_rolled_back_and_not_tried_again(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    before = set(shop.pods())
    bad = "Verifying" if strategy is BLUE_GREEN else "Stepping"
    shop.ears.say = lambda phase: rolls_back() if phase == bad else FREE
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    shop.clean("web:1")
    assert set(shop.pods()) == before
    assert shop.template["spec"]["containers"][0]["image"] == "web:2"  # left in place for GitOps
    await shop.some(30)
    assert shop.status["number"] == 1
    assert shop.get(DEPLOYMENTS)["spec"]["paused"]


@STRATEGIES
async def test_retry_tries_the_refused_template_again(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.ears.say = lambda phase: rolls_back() if phase in ("Verifying", "Stepping") else FREE
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    shop.ears.say = lambda phase: FREE
    shop.command("retry")
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


@STRATEGIES
async def test_abort_goes_back(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Verifying", "Stepping"))
    shop.command("abort")
    await shop.until_outcome("Aborted")
    shop.clean("web:1")


@STRATEGIES
async def test_back_to_a_template_of_before_takes_the_judged_pods_not_a_retained_replica_set(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    for image in ("web:2", "web:3", "web:2", "web:1"):
        shop.release(image)
        await shop.until(lambda: shop.phase == "Adopting")
        judged = set(shop.pods(image))
        await shop.until_outcome("Promoted")
        shop.clean(image)
        assert set(shop.pods()) == judged


@STRATEGIES
async def test_an_edit_in_mid_release_begins_the_next_one(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Previewing", "Stepping"))
    shop.release("web:3")
    await shop.until(lambda: len(shop.outcomes) == 2)
    assert shop.outcomes == ["Promoted", "Superseded"]
    await shop.some(5)
    shop.clean("web:3")


@STRATEGIES
async def test_putting_the_stable_template_back_ends_the_release(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Previewing", "Stepping"))
    shop.release("web:1")
    await shop.until_outcome("Reverted")
    shop.clean("web:1")
    assert shop.status["number"] == 1


@STRATEGIES
async def test_pods_that_crash_loop_roll_back_at_once(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.simulator.health = lambda pod: "crash" if "web:2" in str(pod["spec"]) else "ok"
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    assert "crash-loop" in shop.status["history"][0]["reason"]
    shop.clean("web:1")


@STRATEGIES
async def test_pods_that_are_never_ready_roll_back_at_the_deadline(strategy: Any) -> None:
    shop = await Shop(strategy, progressDeadlineSeconds=20).ready()
    shop.simulator.health = lambda pod: "never" if "web:2" in str(pod["spec"]) else "ok"
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    assert "no progress for 20 s" in shop.status["history"][0]["reason"]
    shop.clean("web:1")


async def test_green_that_crash_loops_after_the_switch_is_switched_back() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    sick: list[Any] = []
    shop.simulator.health = lambda pod: "crash" if sick and "web:2" in str(pod["spec"]) else "ok"
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Verifying")
    sick.append(True)
    before = len(shop.blackouts)
    await shop.until_outcome("RolledBack")
    assert len(shop.blackouts) - before <= 3  # crashed pods answer nobody until the switch back
    shop.blackouts.clear()
    shop.clean("web:1")


@STRATEGIES
async def test_undecided_gates_hold_the_last_step_for_ever(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.ears.say = lambda phase: Verdict(Said.HOLD, "not enough requests")
    shop.release("web:2")
    await shop.some(100)
    assert shop.mark == ("Previewing" if strategy is BLUE_GREEN else "Stepping 1")
    shop.ears.say = lambda phase: FREE
    await shop.until_outcome("Promoted")


async def test_without_evidence_not_even_the_first_step_ends() -> None:
    shop = await Shop(CANARY).ready()
    shop.ears.say = lambda phase: Verdict(Said.HOLD, "nothing is heard", blind=True)
    shop.release("web:2")
    await shop.some(100)
    assert shop.mark == "Stepping 0"


@STRATEGIES
async def test_a_second_service_on_the_same_pods_is_moved_too(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Previewing", "Stepping"))
    shop.put(SERVICES, service("late"))  # even one that comes in mid-release
    await shop.until(lambda: shop.phase == "Verifying")
    chosen = {each["metadata"]["name"]: each["spec"]["selector"]["pod-template-hash"] for each in shop.all(SERVICES)}
    assert chosen.keys() == {"web", "late"}
    assert len(set(chosen.values())) == 1
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


@STRATEGIES
async def test_a_release_at_no_replicas_is_taken_at_once(strategy: Any) -> None:
    shop = await Shop(strategy, replicas=0).ready()
    shop.release("web:2")
    await shop.some(20)
    assert shop.phase == "Idle"
    assert shop.get(DEPLOYMENTS)["spec"]["paused"]
    assert shop.get(DEPLOYMENTS)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    shop.scale(2)
    await shop.some(10)
    assert len(shop.pods("web:2")) == len(shop.pods()) == 2


@STRATEGIES
async def test_where_adoption_does_not_come_the_deployment_rolls_without_losing_a_pod(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.simulator.adopts = False
    fewest = []
    shop.every_step.append(lambda: fewest.append(len(shop.pods())))
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Rolling")
    shop.simulator.adopts = True
    await shop.until_outcome("Promoted")
    assert min(fewest) >= 3
    shop.clean("web:2")
    assert shop.get(DEPLOYMENTS)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    assert shop.get(DEPLOYMENTS)["spec"]["paused"]


@STRATEGIES
async def test_what_a_typed_view_would_drop_reaches_the_pods(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    (active,) = [each for each in shop.all(REPLICA_SETS) if each["spec"]["replicas"]]
    assert active["spec"]["template"]["spec"]["odd"] == {"kept": [1]}


async def test_no_new_pod_starts_before_the_slices_have_seen_the_narrowed_selector() -> None:
    """They list the right pods already: only the mark says that they will go on to."""
    shop = await Shop(BLUE_GREEN).ready()
    endpoints, shop.simulator._endpoints = shop.simulator._endpoints, lambda: None  # type: ignore[method-assign]
    shop.release("web:2")
    await shop.some(20)
    assert shop.phase == "Preparing"
    assert shop.pods("web:2") == []
    assert "EndpointSlices of Service web" in shop.status["message"]
    shop.simulator._endpoints = endpoints  # type: ignore[method-assign]
    await shop.until_outcome("Promoted")


@STRATEGIES
@pytest.mark.parametrize("settle", [0, 9])
async def test_pods_without_traffic_are_kept_for_settle_seconds(strategy: Any, settle: int) -> None:
    shop = await Shop({**strategy, "settleSeconds": settle}).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Verifying", "Stepping"))
    shop.command("abort")
    await shop.until_outcome("Aborted")
    assert shop.since["Removing"] - shop.since["Returning"] >= settle
    shop.release("web:3")
    await shop.until_outcome("Promoted")
    assert shop.since["Adopting"] - shop.since["Verifying"] >= settle


async def test_a_soak_goes_on_while_the_hpa_scales() -> None:
    shop = await Shop({"blueGreen": {"previewSeconds": 0, "verifySeconds": 30}}).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Verifying")
    await shop.some(20)
    shop.scale(5)
    await shop.until_outcome("Promoted")
    # 30 s from the first second in which all was there, whatever was scaled on the way, and some turns.
    assert 30 <= shop.since["Adopting"] - shop.since["Verifying"] <= 34
    shop.clean("web:2", replicas=5)


async def test_going_back_waits_for_slices_that_have_seen_its_own_write() -> None:
    """They still list the stable pods as before the switch, whose selector they may yet follow."""
    shop = await Shop(BLUE_GREEN).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Previewing")
    endpoints, shop.simulator._endpoints = shop.simulator._endpoints, lambda: None  # type: ignore[method-assign]
    await shop.until(lambda: shop.phase == "Switching")
    await shop.some(3)
    shop.command("abort")
    await shop.some(10)
    assert shop.phase == "Returning"
    shop.simulator._endpoints = endpoints  # type: ignore[method-assign]
    await shop.until_outcome("Aborted")
    shop.clean("web:1")
