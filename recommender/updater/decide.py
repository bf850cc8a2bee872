"""What to do with one pod: nothing, resize it in place, or evict it; as VPA's updater decides (updater/priority)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from adapter.units.quantity import Quantity
from recommender.objects import EvictionRequirement

Quantities = Mapping[str, Quantity]


class Action(StrEnum):
    """What happens to the pod."""

    NONE = "none"
    IN_PLACE = "in place"
    EVICT = "evict"


@dataclass(frozen=True)
class Advice:
    """One container's recommendation, already within policy limits."""

    target: Quantities
    lower: Quantities = field(default_factory=dict)
    upper: Quantities = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """One container of a pod."""

    name: str
    requests: Quantities
    killed: tuple[float, float] | None = None
    """(started, finished), Unix s, of its last run, if that ended in an OOM kill"""


@dataclass(frozen=True)
class Pod:
    """What the decision reads of a pod."""

    name: str
    containers: Sequence[Running]
    started: float | None
    """Unix s; None: not yet"""
    observed: frozenset[str] | None = None
    """The containers that VPA's admission controller saw (its annotation); None: no annotation, so all."""
    resizing: float | None = None
    """Unix s since when a resize has been under way or deferred"""
    resize_state: str = ""
    """'', Deferred, InProgress, Infeasible or Error"""
    restarts: bool = False
    """Whether a resize restarts a container, so that it disrupts like an eviction."""


@dataclass(frozen=True)
class Rules:
    """The updater's flags, with VPA's defaults."""

    threshold: float = 0.1
    """Least relative change that counts, for pods inside their bounds."""
    lifetime: float = 12 * 3600.0
    """s that a pod inside its bounds is left alone"""
    quick_oom: float = 600.0
    """s: an OOM kill so soon after the start is a quick one, for as long again"""
    min_replicas: int = 2
    tolerance: float = 0.5
    """Share of replicas that may be down."""
    deferred: float = 300.0
    """s that a deferred resize is waited for"""
    in_progress: float = 3600.0
    """s that a running resize is waited for"""


@dataclass(frozen=True)
class Group:
    """The pod's fellows."""

    configured: int
    """Replicas that the controller wants."""
    running: int
    evicted: int = 0
    """Evicted in this round already."""
    budget: int | None = None
    """Disruptions that a PodDisruptionBudget still allows; None: there is none."""


@dataclass(frozen=True)
class Decision:
    """What to do, why, and how urgent it is: pods that want to grow go first, then larger differences."""

    action: Action
    reason: str
    grows: bool = False
    difference: float = 0.0
    """Sum over resources of |request − target| / request"""

    @property
    def urgency(self) -> tuple[bool, float]:
        """For sorting, most urgent last."""
        return self.grows, self.difference


ALWAYS: Final = Group(configured=2, running=2)


def decide(
    pod: Pod,
    advice: Mapping[str, Advice],
    mode: str,
    now: float,
    group: Group = ALWAYS,
    rules: Rules | None = None,
    requirements: Sequence[EvictionRequirement] = (),
) -> Decision:
    """What VPA's updater would do with the pod at Unix time `now`, s, under update mode `mode`."""
    rules = rules or Rules()
    watched = [c for c in pod.containers if c.name in advice and (pod.observed is None or c.name in pod.observed)]
    outside, grows = _outside(watched, advice)
    difference = _difference(watched, advice)
    why = _reason(pod, watched, outside, difference, now, rules)
    if mode in ("Off", "Initial"):
        return Decision(Action.NONE, f"update mode {mode} never touches a running pod", grows, difference)
    if not why.startswith("+"):
        return Decision(Action.NONE, why, grows, difference)
    action, refusal = _means(pod, watched, advice, mode, now, group, rules, requirements)
    return Decision(action, refusal or why[1:], grows, difference)


def _outside(watched: Sequence[Running], advice: Mapping[str, Advice]) -> tuple[bool, bool]:
    """(whether some request is out of its bounds or missing, whether some target is above its request)"""
    outside = grows = False
    for container in watched:
        own = advice[container.name]
        for resource, target in own.target.items():
            request = container.requests.get(resource)
            if request is None:
                outside = grows = True
                continue
            grows |= target.milli() > request.milli()
            lower, upper = own.lower.get(resource), own.upper.get(resource)
            outside |= (lower is not None and request < lower) or (upper is not None and request > upper)
    return outside, grows


def _difference(watched: Sequence[Running], advice: Mapping[str, Advice]) -> float:
    asked: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for container in watched:
        for resource, target in advice[container.name].target.items():
            wanted[resource] = wanted.get(resource, 0) + target.milli()
            request = container.requests.get(resource)
            asked[resource] = asked.get(resource, 0) + (request.milli() if request is not None else 0)
    return sum(abs(max(asked[name], 1) - wanted[name]) / max(asked[name], 1) for name in wanted)


def _reason(pod: Pod, watched: Sequence[Running], outside: bool, difference: float, now: float, rules: Rules) -> str:
    """Why the pod should change, beginning with '+', or why not."""
    if not watched:
        return "no container of the pod has a recommendation"
    if any(_quick_oom(container, now, rules) for container in watched):
        return "+killed for want of memory soon after its start" if difference else "killed, but nothing would change"
    if outside:
        return "+a request is outside the recommended range"
    if pod.started is None:
        return "the pod has not started"
    if now < pod.started + rules.lifetime:
        return f"inside the recommended range and younger than {rules.lifetime / 3600:g} h"
    if difference < rules.threshold:
        return f"inside the recommended range and only {difference:.1%} off, under {rules.threshold:.0%}"
    return f"+{difference:.1%} off after {rules.lifetime / 3600:g} h"


def _quick_oom(container: Running, now: float, rules: Rules) -> bool:
    if container.killed is None:
        return False
    started, finished = container.killed
    return finished - started < rules.quick_oom and now - finished < rules.quick_oom


def _means(
    pod: Pod,
    watched: Sequence[Running],
    advice: Mapping[str, Advice],
    mode: str,
    now: float,
    group: Group,
    rules: Rules,
    requirements: Sequence[EvictionRequirement],
) -> tuple[Action, str]:
    """How to change the pod, or why it cannot be done now."""
    if mode in ("InPlace", "InPlaceOrRecreate"):
        waited = now - pod.resizing if pod.resizing is not None else 0.0
        stuck = (
            pod.resize_state in ("Infeasible", "Error")
            or (pod.resize_state == "Deferred" and waited > rules.deferred)
            or (pod.resize_state == "InProgress" and waited > rules.in_progress)
        )
        if not stuck and pod.resize_state:
            return Action.NONE, "a resize is under way"
        refusal = _no_room(group, rules) if pod.restarts else ""
        if not stuck or (mode == "InPlace" and pod.resize_state == "Infeasible" and _asks_less(watched, advice)):
            return (Action.NONE, refusal) if refusal else (Action.IN_PLACE, "")
        if mode == "InPlace":
            return Action.NONE, f"the resize is {pod.resize_state.lower()} and this mode never evicts"
    for requirement in requirements:
        if not _met(requirement, watched, advice):
            moved = requirement.change_requirement
            return Action.NONE, f"evictionRequirements: none of {', '.join(requirement.resources)} is {moved}"
    refusal = _no_room(group, rules)
    return (Action.NONE, refusal) if refusal else (Action.EVICT, "")


def _asks_less(watched: Sequence[Running], advice: Mapping[str, Advice]) -> bool:
    """Whether some target is below what the pod asks for now, in vain: that may fit."""
    return any(
        request > advice[container.name].target.get(resource, request)
        for container in watched
        for resource, request in container.requests.items()
    )


def _met(requirement: EvictionRequirement, watched: Sequence[Running], advice: Mapping[str, Advice]) -> bool:
    """Whether any listed resource of any container moves the required way."""
    for container in watched:
        for resource in requirement.resources:
            target, request = advice[container.name].target.get(resource), container.requests.get(resource)
            if target is None or request is None:
                continue
            higher = requirement.change_requirement == "TargetHigherThanRequests"
            if (target > request) if higher else (target < request):
                return True
    return False


def _no_room(group: Group, rules: Rules) -> str:
    """Why no further pod of the group may be evicted now; empty if one may."""
    if group.running < rules.min_replicas:
        return f"{group.running} replicas run, fewer than {rules.min_replicas}"
    if group.budget is not None and group.budget <= 0:
        return "a PodDisruptionBudget allows no disruption now"
    may_be_down = int(group.configured * rules.tolerance)
    if group.running - group.evicted > group.configured - may_be_down:
        return ""
    if may_be_down == 0 and group.running == group.configured and group.evicted == 0:
        return ""
    return f"{group.running - group.evicted} of {group.configured} replicas run and {may_be_down} may be down"
