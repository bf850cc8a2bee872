"""Others on the same objects: the HPA, GitOps, people with kubectl, and the policy's own deletion."""

from typing import Any

import pytest

from adapter.kube.resources import CONFIG_MAPS, HORIZONTAL_POD_AUTOSCALERS, PODS
from adapter.rollout.model.actions import DEPLOYMENTS, REPLICA_SETS, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.model.verdict import FREE
from tests.rollout.shop import BLUE_GREEN, CANARY, Shop, autoscaler, image_of, rolls_back, service

BOTH = {"blue-green": BLUE_GREEN, "canary": CANARY}
STRATEGIES = pytest.mark.parametrize("strategy", BOTH.values(), ids=BOTH)
FORWARDS = {
    "blue-green": ["Preparing", "Starting", "Previewing", "Switching", "Verifying", "Adopting", "Finishing"],
    "canary": ["Preparing", "Stepping 0", "Stepping 1", "Filling", "Switching", "Verifying", "Adopting", "Finishing"],
}
STRATEGY_KEYS = ("blueGreen", "canary")
BACKWARDS = ["Returning", "Removing", "Restoring"]
PHASES = [(name, phase) for name, phases in FORWARDS.items() for phase in [*phases, *BACKWARDS]]


async def release_at(strategy: str, phase: str, **options: Any) -> Shop:
    """A shop whose release has just come to `phase`; a verdict leads to the phases of a rollback."""
    shop = await Shop(BOTH[strategy], **options).ready()
    bad = "Verifying" if strategy == "blue-green" else "Stepping 1"
    if phase in BACKWARDS:
        shop.ears.say = lambda _: rolls_back() if shop.mark == bad else FREE
    shop.phases.clear()
    shop.release("web:2")
    await shop.until(lambda: phase in shop.phases)
    return shop


@pytest.mark.parametrize(("strategy", "phase"), PHASES)
@pytest.mark.parametrize("replicas", [2, 7])
async def test_the_hpa_scales_in_every_phase(strategy: Any, phase: Any, replicas: Any) -> None:
    shop = await release_at(strategy, phase)
    shop.scale(replicas)
    await shop.until(lambda: shop.outcomes)
    await shop.some(12)
    shop.clean("web:1" if phase in BACKWARDS else "web:2", replicas=replicas)


@STRATEGIES
@pytest.mark.parametrize("least", [1, None, 2])
async def test_the_hpas_floor_is_held_at_the_size_before_and_put_back(strategy: Any, least: Any) -> None:
    shop = Shop(strategy, replicas=4)
    shop.put(HORIZONTAL_POD_AUTOSCALERS, autoscaler(least))
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Previewing", "Stepping"))
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 4
    await shop.until_outcome("Promoted")
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"].get("minReplicas") == least


async def test_a_floor_that_somebody_else_sets_in_mid_release_is_theirs() -> None:
    shop = Shop(BLUE_GREEN, replicas=4, hpa=True)
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Previewing")
    shop.edit(HORIZONTAL_POD_AUTOSCALERS, lambda raw: raw["spec"].update(minReplicas=6))
    await shop.until_outcome("Promoted")
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 6


async def test_an_hpa_of_another_controller_is_not_written() -> None:
    shop = Shop(BLUE_GREEN, replicas=4)
    owned = autoscaler()
    owned["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "name": "web", "uid": "k", "controller": True}]
    shop.put(HORIZONTAL_POD_AUTOSCALERS, owned)
    await shop.ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    assert not [path for verb, path in shop.client.calls if verb != "GET" and "autoscalers" in path]


@pytest.mark.parametrize(("strategy", "phase"), PHASES)
async def test_somebody_unpauses_the_deployment_in_any_phase(strategy: Any, phase: Any) -> None:
    shop = await release_at(strategy, phase)
    fewest = []
    shop.every_step.append(lambda: fewest.append(len(shop.pods())))
    shop.edit(DEPLOYMENTS, lambda workload: workload["spec"].update(paused=False))
    shop.simulator.step()  # the Deployment controller is quicker than we are
    await shop.until(lambda: shop.phase == "Idle" and shop.get(DEPLOYMENTS)["spec"]["paused"], steps=200)
    await shop.some(5)
    await shop.until(lambda: shop.phase == "Idle", steps=200)
    await shop.some(10)
    assert min(fewest) >= 2  # of 3 by the strategy's own 25 %, rounded down: 3; the controller's first step counts
    images = {
        workload["spec"]["template"]["spec"]["containers"][0]["image"]
        for workload in shop.all(REPLICA_SETS)
        if workload["spec"]["replicas"]
    }
    assert len(images) == 1
    shop.clean(images.pop())
    assert shop.get(DEPLOYMENTS)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}


@pytest.mark.parametrize("phase", FORWARDS["blue-green"][:5])
async def test_gitops_puts_the_selector_back_in_mid_release(phase: Any) -> None:
    shop = await release_at("blue-green", phase)

    def apply(service: Any) -> None:
        service["spec"]["selector"] = {"app": "web"}
        service["metadata"].pop("labels", None)

    shop.edit(SERVICES, apply)
    await shop.until_outcome("Promoted")
    shop.clean("web:2")
    if phase in ("Starting", "Previewing", "Verifying"):  # the others had not reached what they want
        assert "services web" in shop.interfered or phase == "Starting"


@pytest.mark.parametrize(("strategy", "phase"), PHASES)
async def test_the_policy_is_deleted_in_any_phase(strategy: Any, phase: Any) -> None:
    shop = await release_at(strategy, phase, hpa=True)
    shop.delete_policy()
    await shop.until(lambda: shop.get(POLICIES) is None)
    await shop.some(10)
    forwards = phase in ("Adopting", "Finishing") or (
        strategy == "canary" and phase in ("Filling", "Switching", "Verifying")
    )
    image = "web:2" if forwards else "web:1"
    shop.clean(image)
    deployment = shop.get(DEPLOYMENTS)
    assert not deployment["spec"].get("paused")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 2
    shop.release("web:9")  # an ordinary Deployment: it rolls by itself
    await shop.some(30)
    assert shop.pods() == shop.pods("web:9")


async def test_the_policy_is_deleted_after_a_rollback_the_stable_template_is_put_back_before_the_pause_is_lifted() -> (
    None
):
    shop = await Shop(BLUE_GREEN).ready()
    shop.ears.say = lambda phase: rolls_back() if phase == "Verifying" else FREE
    shop.release("web:2")
    await shop.until_outcome("RolledBack")
    before = shop.pods()
    shop.delete_policy()
    await shop.until(lambda: shop.get(POLICIES) is None)
    await shop.some(10)
    assert shop.pods() == before
    shop.clean("web:1")


@STRATEGIES
async def test_the_deployment_is_deleted_in_mid_release(strategy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Previewing", "Stepping"))
    shop.simulator.remove(DEPLOYMENTS, shop.get(DEPLOYMENTS))
    monkeypatch.setattr(shop, "_look", lambda: None)  # nobody is there to answer
    await shop.until(lambda: shop.phase == "Pending")
    assert shop.all(DEPLOYMENTS) == []
    assert shop.get(SERVICES)["spec"]["selector"] == {"app": "web"}


async def test_scaling_and_annotations_begin_no_release() -> None:
    shop = await Shop().ready()
    shop.scale(5)
    shop.edit(DEPLOYMENTS, lambda raw: raw["metadata"].setdefault("annotations", {}).update(team="shop"))
    await shop.some(20)
    assert shop.status.get("number", 0) == 0
    assert len(shop.pods()) == 5


@STRATEGIES
@pytest.mark.parametrize("late", [0, 1])
async def test_a_template_that_is_written_while_the_judged_pods_are_adopted_waits_for_its_own_release(
    strategy: Any, late: int
) -> None:
    """Then the Deployment is pointed at neither of its ReplicaSets; it must not scale both down, nor roll ungated."""
    shop = await Shop(strategy).ready()
    fewest: list[int] = []
    shop.every_step.append(lambda: fewest.append(len(shop.pods())))
    shop.release("web:2")
    await shop.until(lambda: len(shop.all(DEPLOYMENTS)) == 2)
    await shop.until(lambda: len(shop.all(DEPLOYMENTS)) == 1 or shop.all(DEPLOYMENTS)[1]["metadata"].get("finalizers"))
    await shop.some(late)
    shop.release("web:3")
    await shop.until(lambda: len(shop.outcomes) == 2, steps=200)
    await shop.some(10)
    assert shop.outcomes == ["Promoted", "Promoted"]
    assert min(fewest) >= 3
    shop.clean("web:3")


async def test_the_preview_service_shows_the_new_pods_before_the_switch_and_only_then() -> None:
    preview = {"blueGreen": {**BLUE_GREEN["blueGreen"], "previewService": "preview"}}
    shop = Shop(preview)
    shop.put(SERVICES, service("preview"))
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Previewing" and (shop.status["release"].get("reached")))
    chosen = {each["metadata"]["name"]: each["spec"]["selector"]["pod-template-hash"] for each in shop.all(SERVICES)}
    hashes = {image: pod.rsplit("-", 2)[1] for image in ("web:1", "web:2") for pod in shop.pods(image)}
    assert chosen == {"web": hashes["web:1"], "preview": hashes["web:2"]}
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


async def test_a_changed_config_map_is_a_release_and_an_unchanged_one_is_none() -> None:
    shop = Shop(BLUE_GREEN, triggers={"configMaps": ["web"]})
    shop.put(CONFIG_MAPS, {"metadata": {"name": "web", "namespace": "shop"}, "data": {"colour": "blue"}})
    await shop.ready()
    await shop.some(5)
    shop.edit(CONFIG_MAPS, lambda raw: raw["metadata"].update(labels={"touched": "yes"}))
    await shop.some(5)
    assert shop.status.get("number", 0) == 0
    shop.edit(CONFIG_MAPS, lambda raw: raw["data"].update(colour="green"))
    await shop.until_outcome("Promoted")
    shop.clean("web:1")
    assert shop.status["number"] == 1
    await shop.some(10)
    assert shop.status["number"] == 1


async def test_another_list_of_config_maps_is_no_release_and_a_change_of_one_that_was_known_is() -> None:
    shop = Shop(BLUE_GREEN, triggers={"configMaps": ["a"]})
    for name in ("a", "b"):
        shop.put(CONFIG_MAPS, {"metadata": {"name": name, "namespace": "shop"}, "data": {"colour": "blue"}})
    await shop.ready()
    await shop.some(5)
    for names in (["a", "b"], ["b", "a"], ["b"]):
        shop.edit(POLICIES, lambda raw, names=names: raw["spec"].update(triggers={"configMaps": names}))  # type: ignore[misc]
        await shop.some(5)
    assert shop.status.get("number", 0) == 0
    shop.edit(POLICIES, lambda raw: raw["spec"].update(triggers={"configMaps": ["a", "b"]}))
    shop.edit(CONFIG_MAPS, lambda raw: raw["data"].update(colour="green"), name="b")
    await shop.until_outcome("Promoted")
    assert shop.status["number"] == 1


async def test_a_drained_node_takes_a_new_pod_and_the_release_goes_on() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Verifying")
    (victim, *_) = [pod for pod in shop.all(PODS) if pod["metadata"]["name"] in shop.pods("web:2")]
    shop.simulator.end(victim)
    await shop.until_outcome("Promoted")
    shop.clean("web:2")


@STRATEGIES
async def test_a_lost_node_never_says_that_a_new_pod_has_ended_and_the_next_release_does_not_wait_for_it(
    strategy: Any,
) -> None:
    shop = await Shop(strategy).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Previewing", "Stepping") and shop.pods("web:2"))
    shop.simulator.ends = lambda pod: image_of(pod) != "web:2"
    shop.command("abort")
    await shop.until_outcome("Aborted")
    # deleted a second after the sibling, its grace is 3 s, settleSeconds 2, and those are over a second later
    assert shop.since["Restoring"] - shop.since["Removing"] == 1 + 3 + 2 + 1
    shop.release("web:3")
    await shop.until_outcome("Promoted")
    shop.clean("web:3")


async def test_abort_works_while_stable_is_short_of_a_pod() -> None:
    shop = await Shop(BLUE_GREEN).ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase == "Verifying")
    (victim, *_) = [pod for pod in shop.all(PODS) if pod["metadata"]["name"] in shop.pods("web:1")]
    known = set(shop.pods())
    shop.simulator.health = lambda pod: "ok" if pod["metadata"]["name"] in known else "never"
    shop.simulator.end(victim)
    shop.command("abort")
    await shop.until(lambda: shop.phase == "Removing", steps=15)
    assert shop.seen[-1] == {"web:1"}


@STRATEGIES
async def test_a_namespace_that_goes_is_not_held_up(strategy: Any) -> None:
    shop = await Shop(strategy).ready()
    meta = {"name": "shop", "deletionTimestamp": "2026-11-26T08:00:00Z"}
    shop.cluster.store.collection("", "namespaces").put({"metadata": meta})
    shop.delete_policy()
    await shop.some(2)
    assert shop.get(POLICIES) is None
    assert shop.get(DEPLOYMENTS)["spec"]["paused"]  # nothing was put back: it goes anyway


@pytest.mark.parametrize(("strategy", "phase"), PHASES)
async def test_an_edit_of_the_strategy_is_for_the_next_release(strategy: Any, phase: Any) -> None:
    shop = await release_at(strategy, phase)
    other = CANARY if strategy == "blue-green" else BLUE_GREEN

    def edit(policy: Any) -> None:
        policy["spec"] = {**{key: value for key, value in policy["spec"].items() if key not in STRATEGY_KEYS}, **other}

    shop.edit(POLICIES, edit)
    await shop.until(lambda: shop.outcomes)
    await shop.some(5)
    backwards = phase in BACKWARDS
    assert shop.outcomes == ["RolledBack" if backwards else "Promoted"]
    done = [mark for mark in shop.phases if mark in FORWARDS[strategy]]
    assert backwards or done == FORWARDS[strategy]
    shop.clean("web:1" if backwards else "web:2")
    shop.ears.say = lambda _: FREE
    shop.phases.clear()
    shop.release("web:3")
    await shop.until_outcome("Promoted")
    assert ("Stepping 0" in shop.phases) == (other is CANARY)
