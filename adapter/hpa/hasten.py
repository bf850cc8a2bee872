"""When the HPA controller should look at an HPA now, and the change of its spec that makes it look. Pure.

It looks every 15 s; from Kubernetes 1.37 on (feature gate HPAGeneration) also as soon as a spec has changed
(`updateHPA` of its horizontal.go). The order of one direction's policies means nothing: selectPolicy takes the largest
change of all, or the smallest. So where two that differ change places, the controller looks, and nothing else follows.
"""

import math
from collections.abc import Collection, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from adapter.hpa.decide import Decision
from adapter.hpa.model import HpaSpec, PodState, Policy

LEAST = 5.0
"""s between two times that the controller is asked to look at one HPA, and after any change of its spec."""
MOST = 60.0
"""s to which that grows while asking changes nothing."""


class Obstacle(StrEnum):
    """Why the controller is never asked to look at an HPA."""

    GENERATION = "the cluster does not count changes of its spec: Kubernetes 1.37 does (feature gate HPAGeneration)"
    POLICIES = (
        "neither spec.behavior.scaleUp.policies nor scaleDown.policies has two that differ, which could change places; "
        "Pods 4 and Percent 100, each for 15 s, are those that an HPA has without any"
    )
    WINDOW = "spec.behavior.scaleUp.stabilizationWindowSeconds is above 0, so that no look alone scales up"


class Swap(NamedTuple):
    """A list of policies with two that changed places. `path`: its field, below the HPA."""

    path: tuple[str, ...]
    before: tuple[Policy, ...]
    after: tuple[Policy, ...]


class Asked(NamedTuple):
    """The last time that the controller was asked to look at one HPA."""

    time: float = -math.inf
    """s, of any clock that never steps."""
    replicas: int = -1
    """How many there were."""
    pause: float = LEAST
    """s until it may be asked again."""


def obstacle(spec: HpaSpec, observed_generation: int | None) -> Obstacle | None:
    """Why nothing is ever asked for it; None where there is no such reason."""
    if observed_generation is None:
        return Obstacle.GENERATION
    if swap(spec) is None:
        return Obstacle.POLICIES
    assert spec.behavior is not None
    return Obstacle.WINDOW if spec.behavior.up.window else None


def swap(spec: HpaSpec) -> Swap | None:
    """The first two neighbours that differ, of scaleUp's policies or else of scaleDown's."""
    if spec.behavior is None:
        return None
    for name, rules in (("scaleUp", spec.behavior.up), ("scaleDown", spec.behavior.down)):
        after = _swap_neighbours(rules.policies)
        if after is not None:
            return Swap(("spec", "behavior", name, "policies"), rules.policies, after)
    return None


def _swap_neighbours(policies: Sequence[Policy]) -> tuple[Policy, ...] | None:
    for here, (one, other) in enumerate(pairwise(policies)):
        if one != other:
            return (*policies[:here], other, one, *policies[here + 2 :])
    return None


def rises(decision: Decision) -> bool:
    """Whether a look would add pods. From 0 the controller scales by rules of its own, so that it is left alone."""
    return 0 < decision.current < decision.desired


def whole(pods: Collection[PodState], replicas: int) -> bool:
    """Whether the target has all its pods, each ready, and none besides.

    While pods come and go the same requests may count twice or not at all: that is no time for more looks than usual.
    """
    ready = all(pod.phase == "Running" and pod.ready == "True" and not pod.deleted for pod in pods)
    return ready and len(pods) == replicas


def may_ask(asked: Asked, changed: float, now: float) -> bool:
    """Whether enough time has gone by since it was asked last, and since its spec `changed`, which made it look."""
    return now - asked.time >= asked.pause and now - changed >= LEAST


def ask(asked: Asked, replicas: int, now: float) -> Asked:
    """Remember that it is asked now; where asking has changed nothing since the last time, the pause doubles."""
    in_vain = replicas == asked.replicas
    return Asked(now, replicas, min(2 * asked.pause, MOST) if in_vain else LEAST)
