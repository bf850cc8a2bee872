"""What stands between the metrics' wish and the scale: stabilization, rates, minReplicas and maxReplicas.

With `behavior` the rules are its own; without, the scale-down window is the controller's and a scale-up may at most
double the replicas, or reach 4. The decisions are those of pkg/controller/podautoscaler/horizontal.go, Kubernetes 1.37.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from adapter.hpa.model import (
    Behavior,
    History,
    Policy,
    PolicyType,
    Recommendation,
    Rules,
    ScaleEvent,
    SelectPolicy,
    Settings,
)
from adapter.hpa.words import MAX_INT32, MIN_INT32, ceil32, count, int32


class Step(NamedTuple):
    """The replicas after one limit, the reason for the condition, and a sentence (empty: nothing was held back)."""

    replicas: int
    reason: str
    why: str = ""


class Range(NamedTuple):
    """The HPA's own bounds."""

    min: int
    max: int


_WITHIN = "DesiredWithinRange"


def window_down(behavior: Behavior | None, settings: Settings) -> float:
    """Seconds over which a scale-down is held to the highest recommendation."""
    written = behavior.down.window if behavior else None
    return settings.downscale_stabilization if written is None else written


def stabilize(
    behavior: Behavior | None, *, current: int, wanted: int, history: History, now: float, settings: Settings
) -> Step:
    """Hold a scale-down to the highest, a scale-up to the lowest recommendation within the window of its direction."""
    down = window_down(behavior, settings)
    if behavior is None:
        # The end of the controller's own window still counts; the ends of a behavior's windows do not.
        held = max([wanted, *(r.replicas for r in history.recommendations if r.time >= now - down)])
    else:
        up = behavior.up.window or 0
        lowest = min([wanted, *(r.replicas for r in history.recommendations if r.time > now - up)])
        highest = max([wanted, *(r.replicas for r in history.recommendations if r.time > now - down)])
        held = min(max(current, lowest), highest)
    if held == wanted:
        return Step(held, "ReadyForNewScale")
    if behavior is not None and wanted >= current:
        why = f"A scale-up keeps to the lowest recommendation of the last {behavior.up.window} s: {held}"
        return Step(held, "ScaleUpStabilized", why)
    why = f"A scale-down keeps to the highest recommendation of the last {down:g} s: {held}"
    return Step(held, "ScaleDownStabilized", why)


def remember(
    behavior: Behavior | None, wanted: int, history: History, now: float, settings: Settings
) -> tuple[Recommendation, ...]:
    """The recommendations that a later look may need, this one the last."""
    windows = window_down(behavior, settings), (behavior.up.window or 0) if behavior else 0
    recent = (r for r in history.recommendations if r.time >= now - max(windows))
    return (*recent, Recommendation(wanted, now))


def record(behavior: Behavior | None, *, before: int, after: int, history: History, now: float) -> History:
    """`history` after a scaling took place; without a behavior nobody will ask for it."""
    if behavior is None:
        return history
    event = ScaleEvent(abs(after - before), now)
    if after > before:
        return replace(history, ups=(*_recent(history.ups, behavior.up, now), event))
    return replace(history, downs=(*_recent(history.downs, behavior.down, now), event))


def _recent(events: Iterable[ScaleEvent], rules: Rules, now: float) -> Iterable[ScaleEvent]:
    longest = max((policy.period for policy in rules.policies), default=0)
    return (event for event in events if event.time >= now - longest)


def limit(behavior: Behavior | None, bounds: Range, *, current: int, wanted: int, history: History, now: float) -> Step:
    """Bring `wanted` within the rate of its direction and the HPA's bounds."""
    if behavior is None:
        return _plain(bounds, current=current, wanted=wanted)
    if wanted > current:
        return _rising(behavior.up, bounds, current=current, wanted=wanted, history=history, now=now)
    if wanted < current:
        return _falling(behavior.down, bounds, current=current, wanted=wanted, history=history, now=now)
    return Step(wanted, _WITHIN)


def _plain(bounds: Range, *, current: int, wanted: int) -> Step:
    fastest = max(2 * current, 4)
    if wanted < bounds.min:
        return Step(bounds.min, "TooFewReplicas", _why_raised(wanted, bounds))
    if wanted > min(bounds.max, fastest):
        if bounds.max <= fastest:
            return Step(bounds.max, "TooManyReplicas", _why_lowered(wanted, bounds))
        why = f"{wanted} is limited to {fastest}: without a behavior one step at most doubles {current}, or reaches 4"
        return Step(fastest, "ScaleUpLimit", why)
    return Step(wanted, _WITHIN)


def _rising(rules: Rules, bounds: Range, *, current: int, wanted: int, history: History, now: float) -> Step:
    allowed, because = _furthest(rules, current, history, now, rising=True)
    allowed = max(allowed, current)
    if wanted <= min(bounds.max, allowed):
        return Step(wanted, _WITHIN)
    if bounds.max > allowed:
        return Step(allowed, "ScaleUpLimit", f"{wanted} is limited to {allowed} by scaleUp: {because}")
    return Step(bounds.max, "TooManyReplicas", _why_lowered(wanted, bounds))


def _falling(rules: Rules, bounds: Range, *, current: int, wanted: int, history: History, now: float) -> Step:
    allowed, because = _furthest(rules, current, history, now, rising=False)
    allowed = min(allowed, current)
    if wanted >= max(bounds.min, allowed):
        return Step(wanted, _WITHIN)
    if bounds.min < allowed:
        return Step(allowed, "ScaleDownLimit", f"{wanted} is raised to {allowed} by scaleDown: {because}")
    return Step(bounds.min, "TooFewReplicas", _why_raised(wanted, bounds))


def _furthest(rules: Rules, current: int, history: History, now: float, *, rising: bool) -> tuple[int, str]:
    """The replica count that `rules` allow at the most (rising) or the least (falling), and which policy says so."""
    if rules.select is SelectPolicy.DISABLED:
        return current, "selectPolicy is Disabled"
    reached = [_reach(policy, current, history, now, rising=rising) for policy in rules.policies]
    largest = rules.select is not SelectPolicy.MIN
    if not reached:
        return (MIN_INT32 if rising == largest else MAX_INT32), "there is no policy"
    return max(reached) if rising == largest else min(reached)


def _reach(policy: Policy, current: int, history: History, now: float, *, rising: bool) -> tuple[int, str]:
    """Both directions' scalings of the last period are undone first: a policy is about the period's start."""
    start = current - _sum_changes(history.ups, policy, now) + _sum_changes(history.downs, policy, now)
    if policy.type is PolicyType.PODS:
        reached = int32(start + policy.value if rising else start - policy.value)
    elif rising:
        reached = ceil32(float(start) * (1 + policy.value / 100))
    else:
        reached = math.trunc(float(start) * (1 - policy.value / 100))
    noun = count(policy.value) if policy.type is PolicyType.PODS else f"{policy.value} %"
    return reached, f"{noun} in {policy.period} s, counted from {start}"


def _sum_changes(events: Iterable[ScaleEvent], policy: Policy, now: float) -> int:
    return sum(event.change for event in events if event.time > now - policy.period)


def _why_lowered(wanted: int, bounds: Range) -> str:
    return f"{wanted} is limited to {bounds.max} by maxReplicas"


def _why_raised(wanted: int, bounds: Range) -> str:
    return f"{wanted} is raised to {bounds.min} by minReplicas"
