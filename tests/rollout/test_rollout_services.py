"""Services that do not select just a Deployment's pods: those of another one too, or those of one template alone."""

from typing import Any

import pytest

from adapter.kube.errors import KubeError
from adapter.rollout.model.actions import DEPLOYMENTS, ENDPOINT_SLICES, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.verdict import FREE
from adapter.rollout.turns import Turns
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, ROLLING, Shop, deployment, rolls_back, service

MARK = "streamgate.io/release"


def shard(name: str) -> dict[str, Any]:
    """A Deployment whose pods have a label of their own beside the one that all shards have."""
    body = deployment(3)
    body["metadata"]["name"] = name
    labels = {"app": "shop", "shard": name}
    body["spec"]["selector"] = {"matchLabels": labels}
    body["spec"]["template"]["metadata"]["labels"] = labels
    return body


def service_over(name: str, **selector: str) -> dict[str, Any]:
    body = service(name)
    body["spec"]["selector"] = selector
    return body


class Shards:
    """Deployments `web` and `b`, each behind a Service and a policy of its own, and a controller for either."""

    def __init__(self, strategy: Any = BLUE_GREEN) -> None:
        self.shop = Shop(strategy)
        for name in ("web", "b"):
            self.shop.put(DEPLOYMENTS, shard(name))
            self.shop.put(SERVICES, service_over(name, shard=name))
        body = {**self.shop.policy, "metadata": {"name": "b", "namespace": NAMESPACE}}
        self.shop.put(POLICIES, {**body, "spec": {**body["spec"], "targetRef": {"name": "b"}}})
        self._turns = Turns(self.shop.client, self.shop.ears)

    async def step(self) -> None:
        for _ in range(6):
            try:
                if (await self._turns.turn(NAMESPACE, "b", self.shop.now)).again > 0.5:
                    break
            except KubeError:
                break
        await self.shop.step()

    async def until(self, true: Any, *, steps: int = 300) -> None:
        for _ in range(steps):
            if true():
                return
            await self.step()
        raise AssertionError(f"never; the statuses are {self.shop.status} and {self.status_of('b')}")

    async def ready(self) -> "Shards":
        await self.until(lambda: self.phases == ["Idle", "Idle"])
        return self

    def status_of(self, name: str) -> Any:
        return self.shop.get(POLICIES, name).get("status", {})

    @property
    def phases(self) -> list[str]:
        return [self.status_of(name).get("phase", "") for name in ("web", "b")]

    @property
    def outcomes(self) -> list[list[str]]:
        return [[past["outcome"] for past in self.status_of(name).get("history", ())] for name in ("web", "b")]

    def release(self, name: str) -> None:
        def change(raw: Any) -> None:
            raw["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"

        self.shop.edit(DEPLOYMENTS, change, name)


@pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])
async def test_two_releases_under_way_both_end_where_a_service_over_the_pods_of_both_comes(strategy: Any) -> None:
    """Neither writes what the other has marked, so that no write is answered by another one for ever."""
    shards = await Shards(strategy).ready()
    for name in ("web", "b"):
        shards.release(name)
    await shards.until(lambda: not {"Idle", "Preparing"} & set(shards.phases))
    shards.shop.put(SERVICES, service_over("all", app="shop"))
    await shards.until(lambda: shards.outcomes == [["Promoted"], ["Promoted"]])
    for _ in range(10):
        await shards.step()
    assert shards.shop.get(SERVICES, "all")["spec"]["selector"] == {"app": "shop"}
    patches = [path for verb, path in shards.shop.client.calls if verb == "PATCH" and path.endswith("/services/all")]
    assert len(patches) <= 10  # narrowed, switched and widened by either, and a write that came too late
    refused = shards.status_of("web")["message"], shards.status_of("b")["message"]
    assert "Service all selects pods of Deployment b too" in refused[0]
    assert "Service all selects pods of Deployment web too" in refused[1]


async def test_an_idle_policy_widens_no_service_that_anothers_release_has_narrowed() -> None:
    shards = await Shards().ready()
    shards.release("b")
    await shards.until(lambda: shards.phases[1] == "Starting")
    shards.shop.put(SERVICES, service_over("all", app="shop"))
    pods: set[str] = set()
    await shards.until(lambda: "pod-template-hash" in shards.shop.get(SERVICES, "all")["spec"]["selector"])
    while shards.phases[1] in ("Starting", "Previewing"):
        pods |= {"web:2"} & images_behind(shards.shop, "all")
        await shards.step()
    assert shards.phases[1] == "Switching"
    assert not pods  # nobody has judged the new ones yet


def images_behind(shop: Shop, name: str) -> set[str]:
    """Images of the pods that get a Service's traffic."""
    body = next(each for each in shop.all(ENDPOINT_SLICES) if each["metadata"]["name"] == name)
    ready = {end["targetRef"]["name"] for end in body["endpoints"] if end["conditions"]["ready"]}
    return {image for image in ("web:1", "web:2") if ready & set(shop.pods(image))}


async def test_a_rolling_release_may_have_a_service_over_other_pods_too() -> None:
    shop = Shop(ROLLING)
    for name in ("web", "b"):
        shop.put(DEPLOYMENTS, shard(name))
    shop.put(SERVICES, service_over("web", app="shop"))
    await shop.ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")


async def test_what_a_policy_of_another_name_has_left_narrowed_is_said_and_one_of_the_same_name_widens_it() -> None:
    def narrow(mark: str) -> None:
        body = service_over("web", app="web")
        body["spec"]["selector"]["pod-template-hash"] = shop.pods()[0].rsplit("-", 2)[1]
        body["metadata"]["labels"] = {MARK: mark}
        shop.put(SERVICES, body)

    shop = await Shop().ready()
    narrow("gone-3-01234-1")
    await shop.some(5)
    assert "Service web is narrowed by a release of another policy (gone-3-01234-1)" in shop.status["message"]
    assert shop.get(SERVICES)["metadata"]["labels"] == {MARK: "gone-3-01234-1"}
    narrow("web-3-01234-1")
    await shop.some(5)
    assert shop.status["message"] == "nothing to release"
    assert shop.get(SERVICES)["spec"]["selector"] == {"app": "web"}


@pytest.mark.parametrize("verdict", [FREE, rolls_back()], ids=["good", "bad"])
@pytest.mark.parametrize(
    ("labels", "waited_for"),
    [({"managed-by": "staff"}, False), ({"managed-by": "endpointslice-controller.k8s.io"}, True), ({}, True)],
    ids=["by hand", "Kubernetes' own", "of nobody"],
)
async def test_a_release_waits_for_no_slice_that_somebody_else_manages(
    verdict: Any, labels: dict[str, str], waited_for: bool
) -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop._look = lambda: None  # type: ignore[method-assign]  # it has no pod at its endpoint
    labels = {f"endpointslice.kubernetes.io/{key}": value for key, value in labels.items()}
    endpoint = {"addresses": ["10.9.9.9"], "conditions": {"ready": True}}
    meta = {"name": "vm", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "web", **labels}}

    def write() -> None:
        shop.put(ENDPOINT_SLICES, {"metadata": meta, "endpoints": [endpoint]})

    shop.every_step.append(write)
    await shop.some(1)
    shop.ears.say = lambda phase: verdict if phase == "Verifying" else FREE
    shop.release("web:2")
    await shop.some(60)
    assert bool(shop.outcomes) is not waited_for
    assert waited_for == (shop.status["message"] == "waits for the EndpointSlices of Service web to show its selector")


def relabel(shop: Shop, **labels: str) -> None:
    """Begins a release whose pods have other labels, too."""

    def change(raw: Any) -> None:
        raw["spec"]["template"]["metadata"]["labels"] |= labels
        raw["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"

    shop.edit(DEPLOYMENTS, change)


def note_gaps(shop: Shop, name: str) -> list[str]:
    """The phases in which a Service that once had a pod had none, as they come."""
    gaps: list[str] = []
    served = [False]

    def look() -> None:
        images = shop.get(SERVICES, name) and images_behind(shop, name)
        served[0] = served[0] or bool(images)
        if served[0] and not images:
            gaps.append(shop.mark)

    shop.every_step.append(look)
    return gaps


@pytest.mark.parametrize(
    ("strategy", "phase"),
    [(BLUE_GREEN, "Previewing"), (BLUE_GREEN, "Verifying"), (CANARY, "Stepping 1"), (ROLLING, "Stepping 0")],
)
async def test_a_service_of_the_stable_pods_alone_that_comes_in_mid_release_is_never_without_a_pod(
    strategy: Any, phase: str
) -> None:
    shop = await Shop(strategy).ready()
    relabel(shop, tier="back")
    await shop.until(lambda: shop.mark == phase and shop.status["release"].get("reached"))
    shop.put(SERVICES, service_over("front", app="web", tier="front"))
    gaps = note_gaps(shop, "front")
    await shop.until(lambda: shop.outcomes, steps=60)
    await shop.some(5)
    (past,) = shop.status["history"]
    assert past["outcome"] == "RolledBack"
    assert "Service front selects the stable pods but not those of the new template" in past["reason"]
    assert images_behind(shop, "front") == {"web:1"}
    assert not gaps
    assert not shop.blackouts


OF_THE_NEW = service_over("two", app="web", version="2")
BEFORE, LATE = "before", "in mid-release"


@pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])
@pytest.mark.parametrize("comes", [BEFORE, LATE])
async def test_a_service_of_the_new_pods_alone_holds_no_promotion_up(strategy: Any, comes: str) -> None:
    shop = await Shop(strategy).ready()
    if comes == BEFORE:
        shop.put(SERVICES, OF_THE_NEW)
    relabel(shop, version="2")
    if comes == LATE:
        await shop.until(lambda: shop.phase == "Verifying")
        shop.put(SERVICES, OF_THE_NEW)
    await shop.until_outcome("Promoted")
    assert images_behind(shop, "two") == {"web:2"}
    assert shop.get(SERVICES, "two")["spec"]["selector"] == {"app": "web", "version": "2"}


async def test_a_service_of_the_new_pods_alone_has_none_of_them_before_the_switch_of_blue_green() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.put(SERVICES, OF_THE_NEW)
    relabel(shop, version="2")
    early: set[str] = set()
    await shop.until(lambda: shop.phase == "Starting")
    while shop.phase != "Switching":
        early |= images_behind(shop, "two")
        await shop.step()
    assert not early
    assert images_behind(shop, "two") == {"web:2"}


@pytest.mark.parametrize(
    ("strategy", "phase"), [(BLUE_GREEN, "Previewing"), (BLUE_GREEN, "Verifying"), (CANARY, "Stepping 1")]
)
@pytest.mark.parametrize("comes", [BEFORE, LATE])
@pytest.mark.parametrize("deleted", [False, True], ids=["abort", "deletion"])
async def test_going_back_waits_for_no_pod_of_a_service_of_the_new_ones(
    strategy: Any, phase: str, comes: str, deleted: bool
) -> None:
    shop = await Shop(strategy).ready()
    if comes == BEFORE:
        shop.put(SERVICES, OF_THE_NEW)
    relabel(shop, version="2")
    await shop.until(lambda: shop.mark == phase and shop.status["release"].get("reached"))
    if comes == LATE:
        shop.put(SERVICES, OF_THE_NEW)
        await shop.some(2)
    if deleted:
        shop.delete_policy()
    else:
        shop.command("abort")
    await shop.until(lambda: shop.outcomes or shop.get(POLICIES) is None, steps=60)
    await shop.some(5)
    assert shop.get(SERVICES, "two")["spec"]["selector"] == {"app": "web", "version": "2"}
    assert shop.pods() == shop.pods("web:1")
    assert not shop.blackouts
