"""What to do with one pod: nothing, resize it in place, or evict it; as VPA's updater decides (updater/priority). Pure.

docs/recommender.md has the table of what happens to a resize that is not done; `_while_resizing` is that table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from recommender.objects import EvictionRequirement
from recommender.updater.facts import Advice, InPlace, PodFacts, Quantities, Refusal, ResizeState, Running
from recommender.updater.limits import UNIT
from recommender.updater.terms import Group, Rules, Terms


class Action(StrEnum):
    """What happens to the pod."""

    NONE = "none"
    IN_PLACE = "in place"
    EVICT = "evict"


class Cause(StrEnum):
    """Why a pod is to change."""

    QUICK_OOM = "killed for want of memory soon after its start"
    OUTSIDE = "a request is outside the recommended range"
    DIFFERENCE = "far off its target for long"


@dataclass(frozen=True)
class Decision:
    """What to do, why, and how urgent it is: pods that want to grow go first, then larger differences."""

    action: Action
    reason: str
    cause: Cause | None = None
    """None where nothing is to change."""
    grows: bool = False
    difference: float = 0.0
    """Sum over resources of |request − target| / request"""
    refusal: Refusal | None = None
    """What the namespace has against it, or against a resize where this is an eviction"""

    @property
    def urgency(self) -> tuple[bool, float]:
        """For sorting, most urgent last."""
        return self.grows, self.difference


@dataclass(frozen=True)
class _Due:
    """Whether a pod should change, and why (or why not)."""

    cause: Cause | None
    reason: str


class _Step(NamedTuple):
    """What to do, and why that and nothing more."""

    action: Action
    why: str = ""
    """'' where the cause says it"""
    refusal: Refusal | None = None


_STEPPED: Final = ("InPlace", "InPlaceOrRecreate")
"""Modes that resize first."""
ACTING: Final = ("Recreate", *_STEPPED)
"""Modes that touch running pods."""


def decide(pod: PodFacts, advice: Mapping[str, Advice], now: float, terms: Terms) -> Decision:
    """What VPA's updater would do with the pod at Unix time `now`, s."""
    watched = [c for c in pod.containers if c.name in advice and (pod.observed is None or c.name in pod.observed)]
    if terms.mode == "InPlace":
        advice = {container.name: advice[container.name].part(container.requests) for container in watched}
    outside, grows = _outside(watched, advice, lambda container: container.requests)
    difference = _difference(watched, advice)
    due = _due(pod, watched, outside, difference, now, rules=terms.rules)
    pending = pod.resize_state is not ResizeState.NONE
    if pending and due.cause is None and _is_another(watched, advice, terms.rules):
        due = _Due(Cause.OUTSIDE, "the resize under way asks for what is no longer recommended")
    if terms.mode not in ACTING:
        step = _Step(Action.NONE, f"update mode {terms.mode} never touches a running pod")
    elif due.cause is None:
        step = _Step(Action.NONE, due.reason)
    elif terms.mode in _STEPPED:
        step = _in_place(pod, watched, advice, now, terms)
    else:
        step = _evict(pod, watched, advice, terms)
    return Decision(step.action, step.why or due.reason, due.cause, grows, difference, step.refusal)


def _outside(
    watched: Sequence[Running], advice: Mapping[str, Advice], of: Callable[[Running], Quantities]
) -> tuple[bool, bool]:
    """(whether some request is out of its bounds or missing, whether some target is above its request)"""
    outside = grows = False
    for container in watched:
        own, requests = advice[container.name], of(container)
        for resource, target in own.target.items():
            request = requests.get(resource)
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


def _due(
    pod: PodFacts, watched: Sequence[Running], outside: bool, difference: float, now: float, *, rules: Rules
) -> _Due:
    if not watched:
        return _Due(None, "no container of the pod has a recommendation")
    if any(_quick_oom(container, now, rules) for container in watched):
        return _Due(Cause.QUICK_OOM, Cause.QUICK_OOM) if difference else _Due(None, "killed, but nothing would change")
    if outside:
        return _Due(Cause.OUTSIDE, Cause.OUTSIDE)
    if pod.started is None:
        return _Due(None, "the pod has not started")
    if now < pod.started + rules.lifetime:
        return _Due(None, f"inside the recommended range and younger than {rules.lifetime / 3600:g} h")
    if difference < rules.threshold:
        return _Due(None, f"inside the recommended range and only {difference:.1%} off, under {rules.threshold:.0%}")
    return _Due(Cause.DIFFERENCE, f"{difference:.1%} off after {rules.lifetime / 3600:g} h")


def _quick_oom(container: Running, now: float, rules: Rules) -> bool:
    if container.killed is None:
        return False
    started, finished = container.killed
    return finished - started < rules.quick_oom and now - finished < rules.quick_oom


def _in_place(
    pod: PodFacts, watched: Sequence[Running], advice: Mapping[str, Advice], now: float, terms: Terms
) -> _Step:
    """A resize where it is possible; else an eviction where the mode has one."""
    if pod.in_place is InPlace.QOS:
        return _Step(Action.NONE, pod.in_place)
    stuck, refusal = "", None
    if pod.resize_state is not ResizeState.NONE:
        held = _while_resizing(pod, watched, advice, now, terms.rules)
        if held is _Held.WAIT:
            return _Step(Action.NONE, f"a resize is under way ({pod.resize_state})")
        stuck = f"the resize is {pod.resize_state}" if held is _Held.STUCK else ""
    elif pod.in_place is not InPlace.POSSIBLE:
        stuck = pod.in_place
    if not stuck and pod.refused_resize is not None:
        refusal = pod.refused_resize
        stuck = str(refusal)
    if not stuck:
        full = _no_room(terms.group, terms.rules) if pod.restarts else ""
        return _Step(Action.NONE, full) if full else _Step(Action.IN_PLACE)
    if terms.mode == "InPlace":
        return _Step(Action.NONE, f"{stuck}, and this mode never evicts", refusal)
    step = _evict(pod, watched, advice, terms)
    return step._replace(refusal=step.refusal or refusal)


class _Held(StrEnum):
    """What a resize that is not done means for the next step."""

    ANEW = "ask for another"
    WAIT = "wait"
    STUCK = "stuck"


def _while_resizing(
    pod: PodFacts, watched: Sequence[Running], advice: Mapping[str, Advice], now: float, rules: Rules
) -> _Held:
    """Another target replaces the one under way, for the kubelet heeds only the newest. The same one is waited for.

    Where the node can never have room, only one that asks for less of something is worth a try.
    """
    possible = pod.in_place is InPlace.POSSIBLE
    if pod.resize_state is ResizeState.INFEASIBLE:
        return _Held.ANEW if possible and _asks_less(watched, advice) else _Held.STUCK
    if possible and _is_another(watched, advice, rules):
        return _Held.ANEW
    waited = now - pod.resizing if pod.resizing is not None else 0.0
    patience = rules.in_progress if pod.resize_state is ResizeState.IN_PROGRESS else rules.deferred
    return _Held.STUCK if waited > patience else _Held.WAIT


def _is_another(watched: Sequence[Running], advice: Mapping[str, Advice], rules: Rules) -> bool:
    """Whether what the spec asks for is out of bounds or a threshold off: less is not worth a new resize."""
    if _outside(watched, advice, lambda container: container.spec)[0]:
        return True
    return any(
        abs(container.spec[resource].milli() - target.milli()) > rules.threshold * container.spec[resource].milli()
        for container in watched
        for resource, target in advice[container.name].target.items()
    )


def _asks_less(watched: Sequence[Running], advice: Mapping[str, Advice]) -> bool:
    """Whether some target is below what the spec asks for, in vain: that may fit."""
    return any(
        asked > advice[container.name].target.get(resource, asked)
        for container in watched
        for resource, asked in container.spec.items()
    )


def _evict(pod: PodFacts, watched: Sequence[Running], advice: Mapping[str, Advice], terms: Terms) -> _Step:
    """An eviction, where it is allowed and the pod that comes instead would be another one, and would come."""
    if all(container.is_sidecar or _is_same(container, advice[container.name]) for container in watched):
        return _Step(Action.NONE, "a new pod would ask for the same")
    for requirement in terms.requirements:
        if not _is_met(requirement, watched, advice):
            moved = requirement.change_requirement
            return _Step(Action.NONE, f"evictionRequirements: none of {', '.join(requirement.resources)} is {moved}")
    if pod.refused_new is not None:
        return _Step(Action.NONE, f"no new pod would come: {pod.refused_new}", pod.refused_new)
    full = _no_room(terms.group, terms.rules)
    return _Step(Action.NONE, full) if full else _Step(Action.EVICT)


def _is_same(container: Running, own: Advice) -> bool:
    """To a millicore or a byte, which is what a resize stays below a limit, and what the kubelet may round."""
    return all(
        resource in container.requests and abs(container.requests[resource].nano - target.nano) <= UNIT[resource]
        for resource, target in own.target.items()
    )


def _is_met(requirement: EvictionRequirement, watched: Sequence[Running], advice: Mapping[str, Advice]) -> bool:
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
