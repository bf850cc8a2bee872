"""Shares: the table of pods, the weights of a route, ingress-nginx' annotations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout.model.actions import DEPLOYMENTS, EVENTS, HTTP_ROUTES, INGRESSES, SERVICES
from adapter.rollout.model.policy import POLICIES, RouteRef
from adapter.rollout.model.verdict import FREE
from adapter.rollout.traffic.gateway import Gateway
from adapter.rollout.traffic.replicas import Replicas
from tests.rollout.shop import NAMESPACE, Shop, deployment, rolls_back

TABLE = {  # stable pods -> weight -> new pods: n * w / (100 - w), nearest, at least 1
    1: {1: 1, 10: 1, 25: 1, 50: 1},
    2: {1: 1, 10: 1, 25: 1, 40: 1, 50: 2},  # 2 * 40 / 60 = 1.33
    3: {10: 1, 25: 1, 33: 1, 50: 3},  # 3 * 33 / 67 = 1.48
    10: {1: 1, 5: 1, 10: 1, 20: 3, 25: 3, 50: 10},  # 10 * 20 / 80 = 2.5, 10 * 25 / 75 = 3.33
    100: {1: 1, 2: 2, 10: 11, 50: 100},
}


@pytest.mark.parametrize(("full", "weights"), TABLE.items())
def test_pods_for_a_share(full: int, weights: dict[int, int]) -> None:
    assert {weight: Replicas().pods(full, weight) for weight in weights} == weights


@given(st.integers(0, 500), st.integers(1, 50), st.integers(1, 50))
def test_pods_by_ratio_are_bounded_and_rise_with_the_weight(full: int, one: int, two: int) -> None:
    less, more = sorted((one, two))
    assert Replicas().pods(full, less) <= Replicas().pods(full, more) <= full
    assert (Replicas().pods(full, less) > 0) == (full > 0)


NAMES = ("web", "other", "new")


@st.composite
def rules(draw: Any) -> list[dict[str, Any]]:
    """A rule's backends: the Service once, others beside it, with and without weights."""
    others = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3))
    refs: list[dict[str, Any]] = [{"name": name, "port": 80} for name in ["web", *others]]
    for ref in refs:
        if draw(st.booleans()):
            ref["weight"] = draw(st.integers(0, 10_000))
    return draw(st.permutations(refs))


@given(rules(), st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_weights_are_exact_others_keep_their_part_and_all_is_put_back(
    refs: list[dict[str, Any]], steps: list[int]
) -> None:
    gateway, held = Gateway(RouteRef(name="web", service="web")), refs
    before = {ref["name"]: ref.get("weight", 1) for ref in refs}
    for weight in steps:
        held = gateway._weigh_backends(held, "new", weight)
        now = {ref["name"]: ref["weight"] for ref in held}
        assert now["new"] == before["web"] * weight
        assert now["new"] + now["web"] == before["web"] * 100
        assert all(now[name] == before[name] * 100 for name in before.keys() - {"web"})
        assert max(now.values()) <= 1_000_000
        assert gateway._weigh_backends(held, "new", weight) == held  # what was written is what is wanted
    back = gateway._weigh_backends(held, "new", 0)
    assert {ref["name"]: ref["weight"] for ref in back} == before
    assert [ref["name"] for ref in back] == [ref["name"] for ref in refs]
    assert gateway._weigh_backends(back, "new", 0) == back


def test_a_rule_that_does_not_name_the_service_is_not_touched() -> None:
    gateway = Gateway(RouteRef(name="web", service="web"))
    for refs in ([{"name": "other"}], [{"name": "web", "namespace": "far"}], [{"name": "web", "kind": "Bucket"}], []):
        assert gateway._weigh_backends(refs, "new", 10) is refs


def shop_behind_route(weights: tuple[int, ...] = (10, 90), *, resolved: bool = True, **spec: Any) -> Shop:
    """A shop behind an HTTPRoute that also has an unrelated rule; the gateway answers a step later, and where not
    `resolved` it cannot resolve the Service of the new pods, nor any from then on."""
    steps = [{"weight": weight, "pauseSeconds": 3} for weight in weights]
    shop = Shop({"canary": {"steps": steps, "traffic": {"httpRoute": {"name": "web", "service": "web"}}}}, **spec)
    other = {"matches": [{"path": {"value": "/api"}}], "backendRefs": [{"name": "api", "port": 81, "weight": 7}]}
    meta = {"name": "web", "namespace": NAMESPACE, "annotations": {"team": "shop"}}
    mine = {"backendRefs": [{"name": "web", "port": 80}]}
    shop.put(HTTP_ROUTES, {"metadata": meta, "spec": {"rules": [other, mine]}})

    seen = False

    def answer() -> None:
        nonlocal seen
        route = shop.get(HTTP_ROUTES)
        seen = seen or len(refs(shop)) == 2
        held = {"observedGeneration": route["metadata"]["generation"]}
        conditions = [{"type": "Accepted", "status": "True", **held}]
        conditions.append({"type": "ResolvedRefs", "status": str(resolved or not seen), **held})
        status = {"parents": [{"conditions": conditions}]}
        if route.get("status") != status:
            shop.put(HTTP_ROUTES, {**route, "status": status})

    shop.every_step.append(answer)
    return shop


def refs(shop: Shop) -> list[tuple[str, int]]:
    rule = shop.get(HTTP_ROUTES)["spec"]["rules"][1]
    return [(ref["name"], ref.get("weight", 1)) for ref in rule["backendRefs"]]


@pytest.mark.parametrize("end", ["Promoted", "RolledBack"])
async def test_a_canary_by_route_goes_through_its_weights_and_leaves_no_trace(end: str) -> None:
    shop = await shop_behind_route().ready()
    shop.ears.say = lambda _: rolls_back() if end == "RolledBack" and refs(shop)[-1][1] == 90 else FREE
    seen: list[list[tuple[str, int]]] = []
    shop.every_step.append(lambda: seen.append(refs(shop)))
    other = shop.get(HTTP_ROUTES)["spec"]["rules"][0]
    shop.release("web:2")
    await shop.until_outcome(end)
    sibling = next(name for held in seen for name, _ in held if name != "web")
    weights = [dict(held).get(sibling, 0) for held in seen]
    assert list(dict.fromkeys(weights)) == [0, 10, 90]
    assert refs(shop) == [("web", 1)]
    assert shop.get(HTTP_ROUTES)["spec"]["rules"][0] == other
    assert [service["metadata"]["name"] for service in shop.all(SERVICES)] == ["web"]
    shop.clean("web:2" if end == "Promoted" else "web:1")


async def test_the_sibling_is_sized_before_its_weight_moves() -> None:
    shop = await shop_behind_route((10, 90)).ready()
    short: list[str] = []

    def look() -> None:
        weight = sum(weight for name, weight in refs(shop) if name != "web")
        ready = sum(1 for each in shop.all(SERVICES) if each["metadata"]["name"] != "web") and len(shop.pods("web:2"))
        if ready * 100 < 3 * weight:  # 3 stable pods: 3 * w / 100 new ones, rounded up
            short.append(f"{ready} pods for {weight} %")

    shop.every_step.append(look)
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Verifying")
    assert short == []


async def test_a_backend_that_the_gateway_cannot_resolve_goes_no_further() -> None:
    shop = await shop_behind_route(resolved=False).ready()
    shop.release("web:2")
    await shop.some(40)
    assert shop.mark == "Stepping 0"
    assert "ResolvedRefs" in shop.status["message"]


@pytest.mark.parametrize("deleted", [True, False])
async def test_going_back_waits_for_a_gateway_no_longer_than_the_progress_deadline(deleted: bool) -> None:
    shop = await shop_behind_route(resolved=False, progressDeadlineSeconds=20).ready()
    shop.release("web:2")
    await shop.until(lambda: len(refs(shop)) == 2)
    if deleted:
        shop.delete_policy()
    await shop.until(lambda: shop.phase == "Returning")
    began = shop.now
    await shop.until(lambda: shop.phase == "Removing")
    assert refs(shop) == [("web", 1)]
    assert 20 + 2 <= shop.now - began <= 20 + 2 + 3  # the deadline, settleSeconds, and a turn for each
    said = [event["message"] for event in shop.all(EVENTS) if event["reason"] == "Unconfirmed"]
    assert len(said) == 1
    assert "waited 20 s for HTTPRoute web to be ResolvedRefs at generation 3" in said[0]
    await shop.until(lambda: shop.get(POLICIES) is None if deleted else shop.phase == "Idle")
    shop.clean("web:1")


def parent(name: str, *conditions: tuple[str, str, str]) -> dict[str, Any]:
    held = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in conditions]
    return {"parentRef": {"name": name}, "conditions": held}


TAKEN = (("Accepted", "True", "Accepted"), ("ResolvedRefs", "True", "ResolvedRefs"))
OBJECTIONS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no gateway": ([], "HTTPRoute web: no gateway has taken it"),
    "one of two": (
        [parent("front", *TAKEN), parent("back", ("Accepted", "False", "NoMatchingParent"), TAKEN[1])],
        "HTTPRoute web: of parent back the condition Accepted is False (NoMatchingParent)",
    ),
    "not resolved": (
        [parent("front", TAKEN[0], ("ResolvedRefs", "False", "BackendNotFound"))],
        "of parent front the condition ResolvedRefs is False (BackendNotFound)",
    ),
    "says nothing of it": ([parent("front", TAKEN[0])], "of parent front the condition ResolvedRefs is absent"),
}


@pytest.mark.parametrize("name", OBJECTIONS)
async def test_a_route_that_a_gateway_does_not_take_is_refused_before_a_release(name: str) -> None:
    parents, said = OBJECTIONS[name]
    shop = await shop_behind_route().ready()
    shop.every_step.clear()  # the gateway, which from now on says this
    shop.edit(HTTP_ROUTES, lambda raw: raw.update(status={"parents": parents}))
    shop.release("web:2")
    await shop.some(5)
    (condition,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert (condition["status"], shop.phase) == ("True", "Idle")
    assert said in condition["message"]
    assert len(shop.all(DEPLOYMENTS)) == 1
    assert (
        await shop.turns.turn(NAMESPACE, "web", shop.now)
    ).again == 5.0  # no watch tells that a gateway has taken it


async def test_an_edit_of_the_route_that_a_gateway_has_not_looked_at_yet_refuses_nothing() -> None:
    shop = await shop_behind_route().ready()
    shop.every_step.clear()
    shop.edit(HTTP_ROUTES, lambda raw: raw["spec"].update(hostnames=["shop.example"]))  # generation 2, observed 1
    await shop.some(3)
    (condition,) = [each for each in shop.status["conditions"] if each["type"] == "Refused"]
    assert condition["status"] == "False"


async def test_gitops_puts_the_route_back_in_mid_release() -> None:
    shop = await shop_behind_route((10, 90)).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.mark == "Stepping 1" and len(refs(shop)) == 2)
    mine = {"backendRefs": [{"name": "web", "port": 80}]}
    shop.edit(HTTP_ROUTES, lambda raw: raw["spec"]["rules"].__setitem__(1, mine))
    await shop.until_outcome("Promoted")
    assert refs(shop) == [("web", 1)]
    shop.clean("web:2")


@pytest.mark.parametrize("anew", [True, False])
async def test_the_route_is_as_before_when_the_deployment_is_deleted_in_mid_release(
    anew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await shop_behind_route().ready()
    monkeypatch.setattr(shop, "_look", lambda: None)  # nobody is there to answer
    shop.release("web:2")
    await shop.until(lambda: len(refs(shop)) == 2)
    old, lost = shop.get(DEPLOYMENTS), list[str]()

    def look() -> None:
        services = [each["metadata"]["name"] for each in shop.all(SERVICES)]
        lost.extend(name for name, _ in refs(shop) if name not in services)

    shop.every_step.append(look)
    shop.delete(DEPLOYMENTS, old)
    if anew:
        shop.put(DEPLOYMENTS, deployment(3))
    await shop.until_outcome("Deleted")
    assert lost == []  # at no time a backend without its Service
    assert refs(shop) == [("web", 1)]
    assert [service["metadata"]["name"] for service in shop.all(SERVICES)] == ["web"]


@pytest.mark.parametrize("weight", [1, 99, 101, 10_000, 20_050])
async def test_a_backend_that_a_person_adds_in_mid_release_keeps_its_part(weight: int) -> None:
    shop = await shop_behind_route().ready()
    shop.release("web:2")
    await shop.until(lambda: [weight for _, weight in refs(shop)] == [90, 10])
    other = {"name": "other", "port": 80, "weight": weight}
    shop.edit(HTTP_ROUTES, lambda raw: raw["spec"]["rules"][1]["backendRefs"].append(other))
    await shop.until(lambda: [weight for _, weight in refs(shop)][:2] == [10, 90])
    # 100 times what was given, as with each weight; a multiple of 100, and what that would not be allowed for, is taken
    # as it is
    kept = {10_000: 100, 20_050: 200}.get(weight, weight)
    assert refs(shop)[2] == ("other", 100 * kept)
    await shop.until_outcome("Promoted")
    assert refs(shop) == [("web", 1), ("other", kept)]


def test_the_service_itself_keeps_a_weight_whatever_a_person_makes_of_it_in_mid_release() -> None:
    gateway = Gateway(RouteRef(name="web", service="web"))
    held = [{"name": "web", "weight": 1}, {"name": "new", "weight": 25}]  # 26 of 100
    assert gateway._weigh_backends(held, "new", 25) == [{"name": "web", "weight": 75}, {"name": "new", "weight": 25}]
    assert gateway._weigh_backends(held, "new", 0) == [{"name": "web", "weight": 1}]


GOLDEN_INGRESS = {
    "ingressClassName": "nginx",
    "rules": [
        {
            "host": "shop.example",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "SIBLING"}}}]},
        }
    ],
}


async def test_ingress_nginx_gets_a_second_ingress_with_its_annotations() -> None:
    traffic = {"nginx": {"name": "web", "service": "web"}}
    shop = Shop({"canary": {"steps": [{"weight": 20, "pauseSeconds": 3}], "traffic": traffic}})
    paths = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": name}}}
        for path, name in (("/", "web"), ("/api", "api"))
    ]
    spec = {"ingressClassName": "nginx", "rules": [{"host": "shop.example", "http": {"paths": paths}}]}
    shop.put(INGRESSES, {"metadata": {"name": "web", "namespace": NAMESPACE}, "spec": spec})
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: len(shop.all(INGRESSES)) == 2)
    ingress = next(ingress for ingress in shop.all(INGRESSES) if ingress["metadata"]["name"] != "web")
    name = ingress["metadata"]["name"]
    assert ingress["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/canary": "true",
        "nginx.ingress.kubernetes.io/canary-weight": "20",
    }
    golden = str(GOLDEN_INGRESS).replace("SIBLING", name)
    assert str(ingress["spec"]) == golden
    await shop.until_outcome("Promoted")
    assert [each["metadata"]["name"] for each in shop.all(INGRESSES)] == ["web"]
    assert shop.get(INGRESSES)["spec"] == spec
    shop.clean("web:2")
