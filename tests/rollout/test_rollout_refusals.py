"""Policies that cannot be followed: a sentence that says what to change, and nothing is touched."""

from collections.abc import Callable
from typing import Any

import pytest

from adapter.kube.errors import Forbidden
from adapter.rollout.model.actions import CLAIMS, DEPLOYMENTS, SERVICES
from adapter.rollout.model.policy import POLICIES
from tests.rollout.shop import BLUE_GREEN, CANARY, NAMESPACE, Shop, deployment, service

Change = Callable[[Shop], object]
STEPS = [{"weight": 50}]
TO_ROUTE = {"canary": {"steps": STEPS, "traffic": {"httpRoute": {"name": "web", "service": "web"}}}}
TO_INGRESS = {"canary": {"steps": STEPS, "traffic": {"nginx": {"name": "web", "service": "web"}}}}


def template(shop: Shop, **spec: Any) -> None:
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"]["template"]["spec"].update(spec))
    for _ in range(20):
        shop.simulator.step()


def host_port(shop: Shop) -> None:
    template(shop, containers=[{"name": "web", "image": "web:1", "ports": [{"containerPort": 80, "hostPort": 80}]}])


def claim(shop: Shop) -> None:
    meta = {"name": "data", "namespace": NAMESPACE}
    shop.put(CLAIMS, {"metadata": meta, "spec": {"accessModes": ["ReadWriteOncePod"]}})
    template(shop, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])


def rival(shop: Shop) -> None:
    older = {"name": "older", "namespace": NAMESPACE, "creationTimestamp": "2025-01-01T00:00:00Z"}
    shop.put(POLICIES, {"metadata": older, "spec": {"targetRef": {"name": "web"}}})


def twin(shop: Shop) -> None:
    body = deployment(1)
    body["metadata"]["name"] = "twin"
    shop.put(DEPLOYMENTS, body)


def shared_service(shop: Shop) -> None:
    body = deployment(1)
    body["metadata"]["name"] = "shard-b"
    body["spec"]["selector"]["matchLabels"] = {"shard": "b"}
    body["spec"]["template"]["metadata"]["labels"] = {"app": "web", "shard": "b"}
    shop.put(DEPLOYMENTS, body)


def own_hash(shop: Shop) -> None:
    body = service("odd")
    body["spec"]["selector"]["pod-template-hash"] = "abc"
    shop.put(SERVICES, body)


REFUSED: dict[str, tuple[dict[str, Any], Change, str]] = {
    "no Deployment": ({}, lambda shop: shop.simulator.remove(DEPLOYMENTS, shop.get(DEPLOYMENTS)), "no Deployment web"),
    "no Service": ({}, lambda shop: shop.simulator.remove(SERVICES, shop.get(SERVICES)), "no Service selects"),
    "Recreate": (
        {},
        lambda shop: shop.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(strategy={"type": "Recreate"})),
        "strategy is Recreate",
    ),
    "host port": ({}, host_port, "host port 80"),
    "claim for one pod": ({}, claim, "claim data is ReadWriteOncePod"),
    "two policies": ({}, rival, "RolloutPolicy older releases Deployment web already"),
    "two Deployments": ({}, twin, "Deployment twin selects the same pods"),
    "a Service over two Deployments": ({}, shared_service, "Service web selects pods of Deployment shard-b too"),
    "a Service with a hash": ({}, own_hash, "Service odd selects a pod-template-hash"),
    "no preview": ({"blueGreen": {"previewService": "preview"}}, lambda shop: None, "no Service preview"),
    "no strategy": ({"blueGreen": None}, lambda shop: None, "exactly one of blueGreen, canary and rolling"),
    "both strategies": (CANARY, lambda shop: None, "exactly one of blueGreen, canary and rolling"),
    "weight 101": ({"blueGreen": None, "canary": {"steps": [{"weight": 101}]}}, lambda shop: None, "a weight of 101"),
    "falling": (
        {"blueGreen": None, "canary": {"steps": [{"weight": 20}, {"weight": 10}]}}, lambda shop: None, "must rise"
    ),
    "no step": ({"blueGreen": None, "canary": {"steps": []}}, lambda shop: None, "0 steps"),
    "60 % of the pods": ({"blueGreen": None, "canary": {"steps": [{"weight": 60}]}}, lambda shop: None, "at most 50"),
    "gate without metric": ({"gates": [{"limit": 0.1}]}, lambda shop: None, "spec.gates[0]"),
    "gate without limit": ({"gates": [{"metric": "a", "total": "b"}]}, lambda shop: None, "spec.gates[0]"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_in_a_sentence_and_nothing_is_touched(name: str) -> None:
    spec, change, said = REFUSED[name]
    shop = Shop(BLUE_GREEN)
    shop.edit(POLICIES, lambda each: each["spec"].update(spec))
    change(shop)
    shop._look = lambda: None  # type: ignore[method-assign]  # some of these have no Service or Deployment
    shop.client.calls.clear()
    await shop.some(5)
    (condition,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert condition["status"] == "True"
    assert said in condition["message"]
    written = {path.split("/")[-2] for verb, path in shop.client.calls if verb not in ("GET", "POST")}
    assert written <= {"rolloutpolicies", "web"}  # the finalizer and the status
    assert shop.events == ["Refused"]


async def test_what_must_not_run_side_by_side_may_where_the_policy_says_so() -> None:
    shop = Shop(BLUE_GREEN, allowParallel=True)
    host_port(shop)
    claim(shop)
    await shop.ready()


async def test_a_policy_that_is_put_right_is_followed() -> None:
    shop = Shop(BLUE_GREEN)
    shop.simulator.remove(SERVICES, shop.get(SERVICES))
    await shop.some(3)
    assert shop.phase == "Pending"
    shop.put(SERVICES, service("web"))
    await shop.ready()
    (condition,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert condition["status"] == "False"


async def test_a_template_that_a_service_would_not_select_begins_no_release() -> None:
    shop = Shop(BLUE_GREEN)
    front = service("front")
    front["spec"]["selector"]["tier"] = "front"
    shop.put(SERVICES, front)
    await shop.ready()
    shop.edit(DEPLOYMENTS, lambda raw: raw["spec"]["template"]["metadata"]["labels"].pop("tier"))
    await shop.some(10)
    assert "Service front selects the stable pods but not those of the new template" in shop.status["message"]
    assert shop.status.get("number", 0) == 0


@pytest.mark.parametrize(
    ("strategy", "spec", "path", "component"),
    [
        (BLUE_GREEN, {"triggers": {"secrets": ["a"]}}, "/secrets/", "rollout-triggers"),
        (TO_ROUTE, {}, "/httproutes/", "rollout-gateway"),
        (TO_INGRESS, {}, "/ingresses", "rollout-nginx"),
    ],
    ids=["triggers", "route", "ingress"],
)
async def test_a_component_that_is_not_installed_is_said_and_the_policy_can_go(
    strategy: Any, spec: Any, path: str, component: str
) -> None:
    shop = Shop(strategy, **spec)

    def refuse(_: str, asked: str) -> None:
        if path in asked:
            raise Forbidden(403, "Forbidden", f"{path} is forbidden")

    shop.client.before.append(refuse)
    await shop.some(20)
    (refused,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert refused["status"] == "True"
    assert f"install the component {component}" in refused["message"]
    shop.delete_policy()
    await shop.some(30)
    assert shop.get(POLICIES) is None
    assert not shop.get(DEPLOYMENTS)["spec"].get("paused")
