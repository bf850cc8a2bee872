"""A rolling update whose steps the Deployment controller itself holds, and whose gates undo it."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.rollout.decide.inplace import HOLD, NEVER
from adapter.rollout.model.actions import DEPLOYMENTS, REPLICA_SETS, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.verdict import FREE, Said, Verdict
from tests.rollout.shop import ROLLING, Shop, image_of, rolls_back

TIMING = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}


def timing(shop: Shop) -> dict[str, Any]:
    """The fields of the Deployment that a rolling release changes."""
    spec = shop.get(DEPLOYMENTS)["spec"]
    return {key: spec[key] for key in ("strategy", "minReadySeconds", "progressDeadlineSeconds") if key in spec}


def sizes(shop: Shop) -> dict[str, int]:
    """Image -> replicas wanted by its ReplicaSets."""
    replicas: dict[str, int] = {}
    for each in shop.all(REPLICA_SETS):
        image = image_of(each["spec"]["template"])
        replicas[image] = replicas.get(image, 0) + each["spec"]["replicas"]
    return replicas


async def release_at_step(mark: str = "Stepping 0", **options: Any) -> Shop:
    """A shop in a release that stands at the step `mark`, all pods of which are ready."""
    shop = await Shop(ROLLING, **options).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == mark and shop.status["release"].get("reached"))
    return shop


async def test_a_good_release_goes_through_its_steps_beside_all_stable_pods() -> None:
    shop = await Shop(ROLLING).ready()
    seen: list[tuple[str, int, int]] = []
    shop.every_step.append(lambda: seen.append((shop.mark, len(shop.pods("web:1")), len(shop.pods("web:2")))))
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    # 3 * 25 / 75 = 1 new pod beside 3, then 3 * 50 / 50 = 3 beside 3; the rest by the controller, losing none.
    assert {(old, new) for mark, old, new in seen if mark == "Stepping 0"} <= {(3, 0), (3, 1)}
    assert {(old, new) for mark, old, new in seen if mark == "Stepping 1"} <= {(3, 1), (3, 3)}
    assert min(old + new for _, old, new in seen) == 3
    assert [mark for mark in shop.phases if mark not in ("Idle", "Pending")] == [
        "Preparing", "Stepping 0", "Stepping 1", "Completing", "Rolling", "Finishing",
    ]  # fmt: skip
    shop.clean("web:2")
    assert timing(shop) == TIMING


async def test_the_first_step_makes_no_other_deployment_and_moves_no_service() -> None:
    shop = await release_at_step()
    assert [each["metadata"]["name"] for each in shop.all(DEPLOYMENTS)] == ["web"]
    assert shop.get(SERVICES)["spec"]["selector"] == {"app": "web"}
    assert timing(shop)["minReadySeconds"] == HOLD < timing(shop)["progressDeadlineSeconds"] == NEVER


@pytest.mark.parametrize("mark", ["Stepping 0", "Stepping 1"])
async def test_a_step_holds_while_no_controller_of_ours_is_there(mark: str) -> None:
    shop = await release_at_step(mark)
    before = sizes(shop)
    for _ in range(1000):  # the cluster's own controllers alone
        shop.simulator.step()
    assert sizes(shop) == before == {"web:1": 3, "web:2": 1 if mark == "Stepping 0" else 3}


@pytest.mark.parametrize("phase", ["Stepping 0", "Stepping 1", "Completing"])
async def test_a_gate_that_fails_undoes_it(phase: str) -> None:
    shop = await Shop(ROLLING).ready()
    before, fewest = set(shop.pods()), list[int]()
    shop.every_step.append(lambda: fewest.append(len(shop.pods())))
    shop.ears.say = lambda _: rolls_back() if shop.mark == phase else FREE
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    shop.clean("web:1")
    assert min(fewest) == 3
    assert phase == "Completing" or set(shop.pods()) == before  # not one stable pod had to be started again
    assert timing(shop) == TIMING
    assert image_of(shop.template) == "web:2"  # left in place for GitOps
    await shop.some(30)
    assert shop.status["number"] == 1


async def test_timing_of_ones_own_is_put_back() -> None:
    shop = Shop(ROLLING)
    own = {"minReadySeconds": 2, "progressDeadlineSeconds": 99}
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(own))
    await shop.ready()
    for image, end in (("web:2", "Promoted"), ("web:3", "RolledBack")):
        shop.ears.say = lambda phase, end=end: rolls_back() if end == "RolledBack" and phase == "Stepping" else FREE  # type: ignore[misc]
        shop.release(image)
        await shop.until_outcome(end)
        assert timing(shop) == {**TIMING, **own}


@pytest.mark.parametrize("replicas", [2, 7])
@pytest.mark.parametrize("mark", ["Preparing", "Stepping 0", "Stepping 1", "Completing"])
@pytest.mark.parametrize("end", ["Promoted", "Aborted"])
async def test_the_hpa_scales_in_every_phase(mark: str, replicas: int, end: str) -> None:
    shop = await Shop(ROLLING).ready()
    shop.release("web:2")
    await shop.until(lambda: mark in shop.phases)
    fewest = list[int]()
    shop.every_step.append(lambda: fewest.append(len(shop.pods())))
    shop.scale(replicas)
    await shop.some(2)
    if end == "Aborted":
        shop.command("abort")
    await shop.until(lambda: shop.outcomes)
    await shop.some(12)
    assert shop.outcomes == [end]
    assert min(fewest) >= min(3, replicas)
    shop.clean("web:2" if end == "Promoted" else "web:1", replicas=replicas)


async def test_the_share_stays_right_after_the_hpa_has_doubled_the_pods() -> None:
    """Kubernetes scales both ReplicaSets in proportion; the surge makes up for the stable pods that it left out."""
    shop = await Shop({"rolling": {"steps": [{"weight": 25, "pauseSeconds": 60}]}}, replicas=9).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Stepping" and shop.status["release"].get("reached"))
    shop.scale(18)
    await shop.some(10)
    replicas = sizes(shop)
    # of 18, 25 % are 6 beside 18; the stable ReplicaSet has what the proportion gave it.
    assert replicas["web:2"] == 6
    assert sum(replicas.values()) >= 18


@settings(max_examples=10, deadline=None)
@given(
    start=st.integers(1, 12),
    scales=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 8)), max_size=4),
    end=st.sampled_from(["Promoted", "Aborted"]),
)
def test_whatever_the_hpa_does_no_pod_is_missing_and_the_timing_comes_back(
    start: int, scales: list[tuple[int, int]], end: str
) -> None:
    """`scales`: replicas, and for how many seconds they last; there is always the least of old and new size."""

    async def run() -> None:
        shop = await Shop(ROLLING, replicas=start).ready()
        wanted = [start]
        shop.every_step.append(lambda: missing.append(min(wanted[-2:]) - len(shop.pods())))
        missing = list[int]()
        shop.release("web:2")
        for replicas, seconds in scales:
            shop.scale(replicas)
            wanted.append(replicas)
            await shop.some(seconds)
        if end == "Aborted" and not shop.outcomes:
            shop.command("abort")
        await shop.until(lambda: shop.outcomes)
        await shop.some(12)
        assert max(missing) <= 0
        assert timing(shop) == TIMING
        promoted = shop.outcomes == ["Promoted"]
        shop.blackouts.clear()  # Kubernetes scales both ReplicaSets in proportion, whichever pods are ready
        assert promoted or end == "Aborted"
        shop.clean("web:2" if promoted else "web:1", replicas=wanted[-1])

    asyncio.run(run())


async def test_the_hpas_floor_is_held_and_put_back() -> None:
    shop = Shop(ROLLING, replicas=4, hpa=True)
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Stepping")
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 4
    await shop.until_outcome("Promoted")
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 2


async def test_an_edit_in_mid_step_goes_no_further_than_the_step_and_begins_the_next_release() -> None:
    shop = await release_at_step()
    most = list[int]()
    shop.every_step.append(lambda: most.append(len(shop.pods("web:3"))))
    shop.release("web:3")
    for _ in range(100):  # while nobody of ours looks
        shop.simulator.step()
    assert sizes(shop) == {"web:1": 3, "web:2": 0, "web:3": 1}
    await shop.until(lambda: len(shop.outcomes) == 2)
    await shop.some(5)
    assert shop.outcomes == ["Promoted", "Superseded"]
    shop.clean("web:3")


@pytest.mark.parametrize("verb", ["undo", "restart"])
async def test_undo_and_restart_in_mid_step(verb: str) -> None:
    shop = await release_at_step()
    shop.command(verb)
    if verb == "undo":  # as `kubectl rollout undo` does: the stable template again
        await shop.until_outcome("Reverted")
        shop.clean("web:1")
        assert timing(shop) == TIMING
    else:
        await shop.until(lambda: len(shop.outcomes) == 2)
        await shop.some(5)
        shop.clean("web:2")


@pytest.mark.parametrize("phase", ["Preparing", "Stepping 0", "Stepping 1", "Completing", "Finishing", "Rolling"])
async def test_the_policy_is_deleted_in_any_phase(phase: str) -> None:
    shop = await Shop(ROLLING, hpa=True).ready()
    shop.phases.clear()
    shop.release("web:2")
    await shop.until(lambda: phase in shop.phases)
    shop.delete_policy()
    await shop.until(lambda: shop.get(POLICIES) is None)
    await shop.some(10)
    shop.clean("web:2" if phase in ("Completing", "Finishing", "Rolling") else "web:1")
    assert not shop.get(DEPLOYMENTS)["spec"].get("paused")
    assert timing(shop) == TIMING


async def test_gitops_that_puts_the_strategy_back_in_mid_step_is_undone_at_once_and_said() -> None:
    shop = await release_at_step("Stepping 1")

    def apply(deployment: Any) -> None:
        deployment["spec"]["strategy"] = TIMING["strategy"]
        deployment["spec"].pop("minReadySeconds")

    shop.edit(DEPLOYMENTS, apply)
    await shop.some(2)
    assert timing(shop)["minReadySeconds"] == HOLD
    assert "Interfered" in [each["type"] for each in shop.status["conditions"] if each["status"] == "True"]
    await shop.until_outcome("Promoted")
    shop.clean("web:2")
    assert timing(shop) == TIMING
    assert shop.interfered
    shop.release("web:3")
    await shop.until_outcome("Promoted")
    assert not shop.interfered  # of this release nothing was undone


async def test_pods_that_are_never_ready_are_taken_back_at_the_deadline() -> None:
    shop = await Shop({**ROLLING, "progressDeadlineSeconds": 20}).ready()
    shop.simulator.health = lambda pod: "never" if "web:2" in str(pod["spec"]) else "ok"
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    assert "no progress for 20 s" in shop.status["history"][0]["reason"]
    shop.clean("web:1")


async def test_a_completion_that_goes_on_is_no_lack_of_progress() -> None:
    """10 pods, 2 at a time, of which each boots for 6 s: 30 s in all with a deadline of 20 s."""
    shop = await Shop({"rolling": {"steps": [{"weight": 10, "pauseSeconds": 1}]}, "progressDeadlineSeconds": 12},
                      replicas=10).ready()  # fmt: skip
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"]["strategy"]["rollingUpdate"].update(maxSurge=2))
    shop.simulator.boot = 5
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    assert shop.since["Rolling"] - shop.since["Completing"] > 20
    shop.clean("web:2", replicas=10)


async def test_pods_that_crash_loop_are_taken_back() -> None:
    shop = await Shop(ROLLING).ready()
    shop.simulator.health = lambda pod: "crash" if "web:2" in str(pod["spec"]) else "ok"
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    assert "crash-loop" in shop.status["history"][0]["reason"]
    shop.clean("web:1")


async def test_back_and_forth_between_templates() -> None:
    """Here Kubernetes takes up the retained ReplicaSet, whose pods are new all the same."""
    shop = await Shop(ROLLING).ready()
    for image in ("web:2", "web:1", "web:2"):
        shop.release(image)
        await shop.until_outcome("Promoted")
        shop.clean(image)


async def test_a_deployment_without_a_service_can_roll() -> None:
    shop = Shop(ROLLING)
    shop.simulator.remove(SERVICES, shop.get(SERVICES))
    await shop.ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    assert len(shop.pods("web:2")) == len(shop.pods()) == 3


async def test_undecided_gates_hold_the_last_step() -> None:
    shop = await Shop(ROLLING).ready()
    shop.ears.say = lambda phase: Verdict(Said.HOLD, "not enough requests")
    shop.release("web:2")
    await shop.some(100)
    assert shop.mark == "Stepping 1"
    shop.command("promote", full=True)
    await shop.until_outcome("Promoted")
