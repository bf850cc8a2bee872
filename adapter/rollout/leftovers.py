"""What a policy has changed and not put back: sentences, with the value to put back, for who does it by hand. Pure."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from adapter.rollout.decide.inplace import HOLD, NEVER
from adapter.rollout.model.observation import Deployment, Json, Observation
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.status import Saved
from adapter.rollout.traffic.choose import router
from adapter.rollout.traffic.gateway import Gateway

STEP: Final = {"minReadySeconds": HOLD, "progressDeadlineSeconds": NEVER}
"""What a step of a rolling release holds a Deployment by."""


def leftovers(policy: RolloutPolicy, seen: Observation) -> Iterator[str]:
    """A sentence for each thing that the policy has changed and that is not put back."""
    saved = policy.status.saved or Saved()
    if seen.deployment is not None:
        yield from _of_deployment(seen.deployment, saved)
    for sibling in seen.siblings:
        yield f"Deployment {sibling.name} was added by a release"
    for service in seen.services:
        if service.narrowed:
            yield f"Service {service.name} selects pod-template-hash {service.narrowed} alone"
    yield from _of_route(policy, seen)
    hpa = seen.hpa
    if hpa and saved.hpa == hpa.name and hpa.min_replicas in saved.held and hpa.min_replicas != saved.min_replicas:
        yield _compare(f"HorizontalPodAutoscaler {hpa.name} has minReplicas", hpa.min_replicas, saved.min_replicas)
    for extra in seen.extras:
        yield f"{extra.raw.get('kind') or 'object'} {extra.name} was added by a release"


def _of_deployment(deployment: Deployment, saved: Saved) -> Iterator[str]:
    has = f"Deployment {deployment.name} has"
    if deployment.paused:
        yield f"Deployment {deployment.name} is paused"
    for key, value in STEP.items():
        if deployment.spec.get(key) != value:
            continue
        if saved.timing is None:  # the status was lost
            yield f"{has} {key} {value}, of a step that holds it; what it had before is not known"
        elif saved.timing.get(key) != value:
            yield _compare(f"{has} {key}", value, saved.timing.get(key))
    strategy = deployment.spec.get("strategy")
    if saved.strategy is not None and strategy != saved.strategy:
        yield _compare(f"{has} strategy", strategy, saved.strategy)
    if saved.revision_history_limit is not None and deployment.spec.get("revisionHistoryLimit") == 1:
        yield _compare(f"{has} revisionHistoryLimit", 1, saved.revision_history_limit)


def _of_route(policy: RolloutPolicy, seen: Observation) -> Iterator[str]:
    """The backends of each rule of an HTTPRoute that gives a sibling a weight."""
    by, route, release = router(policy), seen.route, policy.status.release
    if route is None or not isinstance(by, Gateway):
        return
    siblings = {each.name for each in (*seen.siblings, *seen.extras)} | ({release.sibling} if release else set())
    for sibling in sorted(siblings):
        for index, held, before in by.changes(route, sibling, 0):
            yield f"HTTPRoute {route.name} has in rules[{index}] {_weights(held)}; put back {_weights(before)}"


def _compare(has: str, now: Any, before: Any) -> str:
    back = "it had none" if before is None else f"put back {_text(before)}"
    return f"{has} {_text(now)}; {back}"


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _weights(backends: list[Json]) -> str:
    return ", ".join(f"{each.get('name')} with weight {each.get('weight', 1)}" for each in backends)
