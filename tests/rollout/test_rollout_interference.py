"""Others change anything at any time: what a release promises holds all the same."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.kube.errors import Forbidden
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, NAMESPACES, PODS, Resource
from adapter.rollout.model.actions import CONTROLLER_REVISIONS, DEPLOYMENTS, ENDPOINT_SLICES, REPLICA_SETS, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.verdict import FREE
from tests.rollout.objects import is_ready
from tests.rollout.shop import BLUE_GREEN, CANARY, DELETED, NAMESPACE, ROLLING, Shop, image_of, rolls_back, service

STRATEGIES: Final = {"blueGreen": BLUE_GREEN, "canary": CANARY, "rolling": ROLLING}
FLOOR: Final = 2
"""The HPA's minReplicas."""


def unpause(shop: Shop, _: int) -> None:
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(paused=False))


def widen(shop: Shop, _: int) -> None:
    def apply(service: Any) -> None:
        service["spec"]["selector"] = {"app": "web"}
        service["metadata"].pop("labels", None)

    shop.edit(SERVICES, apply)


def scale(shop: Shop, number: int) -> None:
    shop.scale(FLOOR + number % 5)


def template(shop: Shop, number: int) -> None:
    shop.release(f"web:{1 + number % 4}")


def floor(shop: Shop, number: int) -> None:
    if shop.get(HORIZONTAL_POD_AUTOSCALERS):
        shop.edit(HORIZONTAL_POD_AUTOSCALERS, lambda raw: raw["spec"].update(minReplicas=FLOOR + number % 2))


def no_hpa(shop: Shop, _: int) -> None:
    if hpa := shop.get(HORIZONTAL_POD_AUTOSCALERS):
        shop.simulator.remove(HORIZONTAL_POD_AUTOSCALERS, hpa)


def strategy(shop: Shop, number: int) -> None:
    def edit(policy: Any) -> None:
        kept = {key: value for key, value in policy["spec"].items() if key not in STRATEGIES}
        policy["spec"] = {**kept, **list(STRATEGIES.values())[number % 3]}

    if shop.get(POLICIES):
        shop.edit(POLICIES, edit)


def no_policy(shop: Shop, _: int) -> None:
    if shop.get(POLICIES):
        shop.delete_policy()


def another_policy(shop: Shop, _: int) -> None:
    """Creates the same policy anew where it is gone."""
    if shop.get(POLICIES) is None:
        shop.put(POLICIES, shop.policy)


def another_service(shop: Shop, _: int) -> None:
    if shop.get(SERVICES, "other") is None:
        shop.put(SERVICES, service("other"))


def no_other_service(shop: Shop, _: int) -> None:
    if service := shop.get(SERVICES, "other"):
        shop.simulator.remove(SERVICES, service)


def bad(shop: Shop, number: int) -> None:
    """The judge finds it bad for the next two looks."""
    left = [2]

    def say(phase: str) -> Any:
        left[0] -= 1
        return rolls_back() if left[0] >= 0 else FREE

    shop.ears.say = say


ACTS: Final[tuple[Callable[[Shop, int], None], ...]] = (
    unpause, widen, scale, template, floor, no_hpa, strategy, no_policy, another_policy, another_service,
    no_other_service, bad,
)  # fmt: skip


class Watched:
    """What must hold, second by second."""

    def __init__(self, shop: Shop) -> None:
        self._shop, self._calm = shop, 0
        shop.every_step.append(self.look)

    def look(self) -> None:
        shop = self._shop
        siblings = [deployment for deployment in shop.all(DEPLOYMENTS) if deployment["metadata"]["name"] != "web"]
        assert len(siblings) <= 1, (shop.mark, [deployment["metadata"]["name"] for deployment in siblings])
        assert not shop.blackouts, shop.blackouts
        ready = [pod for pod in shop.all(PODS) if is_ready(pod)]
        assert len(ready) >= FLOOR, (shop.mark, len(ready))
        self._on_stable()

    def _on_stable(self) -> None:
        """While the Service names pods of one template alone, there are not fewer than the HPA's floor of them."""
        shop = self._shop
        pods = {pod["metadata"]["name"]: pod for pod in shop.all(PODS)}
        for endpoint_slice in shop.all(ENDPOINT_SLICES):
            names = [end["targetRef"]["name"] for end in endpoint_slice["endpoints"] if end["conditions"]["ready"]]
            images = {image_of(pods[name]) for name in names if name in pods}
            assert len(images) != 1 or len(names) >= FLOOR, (shop.mark, images, names)


BEFORE: Final = {
    "Starting": {"Preparing"},
    "Previewing": {"Starting"},
    "Stepping 0": {"Preparing"},
    "Stepping 1": {"Stepping 0"},
    "Filling": {"Stepping 1"},
    "Completing": {"Stepping 1"},
    "Switching": {"Filling", "Previewing"},
    "Verifying": {"Switching"},
    "Adopting": {"Verifying"},
}
"""Phase -> those from which alone it is reached: no step is skipped."""
EVENTS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from(ACTS), st.integers(0, 9)), max_size=6)


@given(name=st.sampled_from(list(STRATEGIES)), events=EVENTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
async def test_whatever_others_do_clients_are_answered_and_the_policy_can_go(name: str, events: Any) -> None:
    shop = await Shop(STRATEGIES[name], hpa=True).ready()
    Watched(shop)
    shop.release("web:2")
    for after, act, number in events:
        await shop.some(after)
        act(shop, number)
    await shop.until(lambda: shop.phase == "Idle" or shop.get(POLICIES) is None, steps=200)
    for before, mark in pairwise(shop.phases):
        assert before in BEFORE.get(mark, {before}), shop.phases
    no_policy(shop, 0)
    await shop.until(lambda: shop.get(POLICIES) is None, steps=200)
    await shop.some(15)
    assert len(shop.all(DEPLOYMENTS)) == 1
    assert not shop.get(DEPLOYMENTS)["spec"].get("paused")
    assert all(service["spec"]["selector"] == {"app": "web"} for service in shop.all(SERVICES))


KINDS: Final = (
    POLICIES, DEPLOYMENTS, REPLICA_SETS, PODS, SERVICES, ENDPOINT_SLICES, HORIZONTAL_POD_AUTOSCALERS,
    CONTROLLER_REVISIONS,
)  # fmt: skip


class Ending:
    """The namespace is deleted: nothing is created in it any more, and second by second all of one more kind goes."""

    def __init__(self, shop: Shop, order: Sequence[Resource]) -> None:
        self._shop, self._order, self._kinds = shop, order, 0
        self.late: list[tuple[str, str]] = []
        """What we wrote although the policy was going too."""
        shop.put(NAMESPACES, {"metadata": {"name": NAMESPACE, "deletionTimestamp": DELETED}})
        shop.simulator.room = 0
        shop.client.before.append(self.refuse)
        shop.every_step.append(self.step)

    def refuse(self, verb: str, path: str) -> None:
        if verb == "POST":
            raise Forbidden(403, "Forbidden", "the namespace is being terminated")
        policy = self._shop.get(POLICIES)
        going = policy is None or policy["metadata"].get("deletionTimestamp")
        if verb != "GET" and going and POLICIES.plural not in path:
            self.late.append((verb, path))

    def step(self) -> None:
        self._kinds += 1
        for resource in self._order[: self._kinds]:
            for body in self._shop.all(resource):
                if resource != PODS:
                    self._shop.delete(resource, body)
                elif not body["metadata"].get("deletionTimestamp"):
                    self._shop.simulator.end(body)


@given(name=st.sampled_from(list(STRATEGIES)), events=EVENTS, after=st.integers(0, 30), order=st.permutations(KINDS))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
async def test_a_namespace_that_goes_at_any_moment_is_not_held_up_and_nothing_is_put_back(
    name: str, events: Any, after: int, order: Sequence[Resource]
) -> None:
    """A finalizer is all that it could wait for: a second after the policies' turn they are gone."""
    shop = await Shop(STRATEGIES[name], hpa=True).ready()
    shop.release("web:2")
    for wait, act, number in events:
        await shop.some(wait)
        act(shop, number)
    await shop.some(after)
    ending = Ending(shop, order)
    await shop.until(lambda: shop.get(POLICIES) is None, steps=order.index(POLICIES) + 3)
    await shop.some(len(KINDS) + 5)
    assert not ending.late
    assert not [body for resource in KINDS for body in shop.all(resource)]
