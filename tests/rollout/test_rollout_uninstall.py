"""`uninstall`: policies go without a controller, at every moment of a release, and nothing of them is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapter.kube.errors import Forbidden
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.rollout.leftovers import leftovers
from adapter.rollout.model.actions import DEPLOYMENTS, HTTP_ROUTES, SERVICES
from adapter.rollout.model.observation import Deployment, Observation
from adapter.rollout.model.policy import FINALIZER, POLICIES, RolloutPolicy
from adapter.rollout.uninstall import Uninstaller, policies
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, ROLLING, Shop, add_route_and_ingress

pytestmark = pytest.mark.looptime
KEY = (NAMESPACE, "web")


class Alone:
    """The shop after its controller is gone: Kubernetes' own controllers look once per second of virtual time."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.said = shop, list[str]()

    async def let_go(self, *, patience: float = 120, force: bool = False) -> bool:
        one = Uninstaller(self.shop.client, say=self.said.append, patience=patience, wall=lambda: self.shop.now)
        return await one.let_go(*KEY, force=force)


@asynccontextmanager
async def alone(shop: Shop) -> AsyncIterator[Alone]:
    async def live() -> None:
        while True:
            shop.simulator.step()
            shop._look()
            shop.now += 1.0
            await asyncio.sleep(1.0)

    task = asyncio.create_task(live())
    try:
        yield Alone(shop)
    finally:
        task.cancel()
        await asyncio.wait([task])


MOMENTS = {
    "idle": (BLUE_GREEN, "Idle", "web:1"),
    "preparing": (BLUE_GREEN, "Preparing", "web:1"),
    "previewing": (BLUE_GREEN, "Previewing", "web:1"),
    "switching": (BLUE_GREEN, "Switching", "web:1"),
    "verifying": (BLUE_GREEN, "Verifying", "web:1"),
    "stepping": (CANARY, "Stepping 1", "web:1"),
    "verified": (CANARY, "Verifying", "web:2"),  # the final verdict is in: it finishes forwards
    "rolling": (ROLLING, "Stepping 1", "web:1"),
    "completing": (ROLLING, "Completing", "web:2"),  # by the next look the Deployment has rolled to its end
    "adopting": (BLUE_GREEN, "Adopting", "web:2"),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_nothing_of_a_policy_is_left_whenever_its_controller_ended(moment: str) -> None:
    spec, mark, image = MOMENTS[moment]
    shop = await Shop(spec, hpa=True).ready()
    if moment != "idle":
        shop.release("web:2")
        await shop.until(lambda: shop.mark == mark)
    async with alone(shop) as left:
        assert await left.let_go()
        await shop.some(8)  # the last of the ReplicaSets settle
    shop.clean(image)
    deployment = shop.get(DEPLOYMENTS)
    assert not deployment["spec"].get("paused")
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 2
    assert shop.get(POLICIES) is None
    assert left.said[0].startswith("shop/web: deleted, phase ")
    assert left.said[-1] == "shop/web: gone"
    assert any("patch deployments web: " in line for line in left.said)


async def test_a_policy_that_took_nothing_over_is_just_deleted() -> None:
    shop = Shop()
    async with alone(shop) as left:
        assert await left.let_go()
    assert (left.said, shop.get(POLICIES)) == (["shop/web: deleted, phase Pending", "shop/web: gone"], None)
    assert not shop.get(DEPLOYMENTS)["spec"].get("paused")


async def test_one_whose_finalizer_was_taken_away_by_hand_still_makes_its_deployment_ordinary() -> None:
    shop = await Shop().ready()
    shop.edit(POLICIES, lambda raw: raw["metadata"].pop("finalizers"))
    async with alone(shop) as left:
        assert await left.let_go()
    assert not shop.get(DEPLOYMENTS)["spec"].get("paused")


async def test_one_that_hangs_in_its_deletion_is_let_go_too() -> None:
    shop = await Shop().ready()
    shop.delete_policy()
    async with alone(shop) as left:
        assert await left.let_go()
    assert left.said[0] == "shop/web: is being deleted, phase Idle"


async def test_a_controller_that_runs_after_all_is_no_danger() -> None:
    shop = await Shop().ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Previewing")

    async with alone(shop) as left:

        async def other() -> None:
            while shop.get(POLICIES):
                await shop.turns.turn(*KEY, shop.now)
                await asyncio.sleep(0.3)

        task = asyncio.create_task(other())
        assert await left.let_go()
        await task
        await shop.some(8)
    shop.clean("web:1")


async def stuck_release() -> Shop:
    """A shop in mid-release whose stable pods became ill: after a rollback nobody would be answered."""
    shop = await Shop().ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Verifying")
    shop.simulator.health = lambda pod: "ok" if pod["spec"]["containers"][0]["image"] == "web:2" else "never"
    await shop.some(1)
    return shop


async def test_one_that_cannot_be_let_go_says_what_it_waits_for() -> None:
    shop = await stuck_release()
    async with alone(shop) as left:
        assert not await left.let_go(patience=30)
    assert "not gone in time, phase Returning: waits for a stable pod to be ready" in left.said[-1]
    assert FINALIZER in shop.get(POLICIES)["metadata"]["finalizers"]


async def test_a_forced_one_goes_and_what_is_left_is_said() -> None:
    shop = await stuck_release()
    before = shop.get(SERVICES)["spec"]["selector"]
    async with alone(shop) as left:
        assert not await left.let_go(patience=30, force=True)
    assert shop.get(POLICIES) is None
    assert shop.get(SERVICES)["spec"]["selector"] == before  # who serves goes on serving
    assert any(line.endswith("finalizer removed") for line in left.said)
    assert "shop/web: left: Deployment web is paused" in left.said
    assert any("left: Service web selects pod-template-hash " in line for line in left.said)


def forbid_patches(shop: Shop) -> None:
    """Nothing but the policy may be written from now on."""

    def hook(verb: str, path: str) -> None:
        if verb == "PATCH" and "/rolloutpolicies/" not in path:
            raise Forbidden(403, "Forbidden", "no right to patch")

    shop.client.before.append(hook)


async def test_a_forced_one_in_a_step_of_a_rolling_release_says_what_holds_the_deployment_and_what_it_had() -> None:
    shop = Shop(ROLLING)
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(minReadySeconds=7))
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Stepping 0" and len(shop.pods("web:2")) == 1)
    forbid_patches(shop)
    async with alone(shop) as left:
        assert not await left.let_go(patience=20, force=True)
    assert [line.removeprefix("shop/web: left: ") for line in left.said if ": left: " in line] == [
        "Deployment web has minReadySeconds 1000000000; put back 7",
        "Deployment web has progressDeadlineSeconds 2147483647; it had none",
        'Deployment web has strategy {"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":0,"maxSurge":1}}; '
        'put back {"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}',
    ]


async def test_a_forced_one_in_a_canary_by_route_says_the_weights_and_the_floor_to_put_back() -> None:
    traffic = {"httpRoute": {"name": "web", "service": "web"}}
    shop = Shop({"canary": {"steps": [{"weight": 25, "pauseSeconds": 5}], "traffic": traffic}}, hpa=True)
    add_route_and_ingress(shop)
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: len(shop.get(HTTP_ROUTES)["spec"]["rules"][0]["backendRefs"]) == 2)
    sibling = shop.status["release"]["sibling"]
    forbid_patches(shop)
    async with alone(shop) as left:
        assert not await left.let_go(patience=20, force=True)
    weights = f"web with weight 75, {sibling} with weight 25; put back web with weight 1"
    assert f"shop/web: left: HTTPRoute web has in rules[0] {weights}" in left.said
    assert "shop/web: left: HorizontalPodAutoscaler web has minReplicas 3; put back 2" in left.said


async def test_of_a_held_step_whose_status_was_lost_it_is_said_that_nobody_knows_what_was_before() -> None:
    shop = await Shop(ROLLING).ready()
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(paused=False, minReadySeconds=1_000_000_000))
    seen = Observation(deployment=Deployment(shop.get(DEPLOYMENTS)))
    assert list(leftovers(RolloutPolicy(), seen)) == [
        "Deployment web has minReadySeconds 1000000000, of a step that holds it; what it had before is not known"
    ]


async def test_what_may_not_be_written_is_said_and_tried_again() -> None:
    shop = await Shop().ready()
    refuse = [True]

    def hook(verb: str, path: str) -> None:
        if verb == "PATCH" and path.endswith("/deployments/web") and refuse:
            raise Forbidden(403, "Forbidden", "no right to patch deployments")

    shop.client.before.append(hook)
    async with alone(shop) as left:
        assert not await left.let_go(patience=20)
        assert any("again: patch deployments web: " in line for line in left.said)
        refuse.clear()
        assert await left.let_go()


async def test_policies_are_found_in_one_namespace_or_all() -> None:
    shop = Shop()
    shop.put(POLICIES, {"metadata": {"name": "b", "namespace": "yard"}, "spec": {}})
    assert await policies(shop.client, "shop") == [("shop", "web")]
    assert await policies(shop.client, "") == [("shop", "web"), ("yard", "b")]
