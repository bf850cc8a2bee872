"""How many replicas one metric asks for, and why, to the last bit as the controller computes it.

The rules are those of Kubernetes 1.37 (pkg/controller/podautoscaler/replica_calculator.go), checked case by case
against that code: tests/golden/hpa-replicas.json. Integers wrap and truncate, and ratios are float64, where Go's do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adapter.hpa import pods as pods_
from adapter.hpa.model import (
    ExternalValues,
    Invalid,
    Metric,
    ObjectValue,
    Observed,
    PodState,
    PodValue,
    PodValues,
    Scale,
    Settings,
    Source,
    TargetType,
)
from adapter.hpa.pods import Groups, UnusableError
from adapter.hpa.words import (
    MAX_INT32,
    MAX_INT64,
    amount,
    ceil32,
    count,
    int32,
    int64,
    number,
    quotient,
    ratio,
    remain,
    target,
)


class Tolerances(NamedTuple):
    """How far the ratio of usage to target may stray before anything happens, each way; fractions of 1."""

    down: float
    up: float

    def hold(self, value: float) -> bool:
        """Whether a ratio is too close to 1 to act on; both ends belong to the range."""
        return (1.0 - self.down) <= value <= (1.0 + self.up)

    def __str__(self) -> str:
        return f"the tolerance of {number(1 - self.down)} to {number(1 + self.up)}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one metric asks for: `replicas`, or None where it is invalid; `why` is a sentence without its full stop.

    `usage` is what the HPA's status shows as the current value, milli (a per-pod average unless the target is a
    Value), `utilization` the percentage where the target is one; None where there is nothing to show.
    """

    metric: Metric
    replicas: int | None
    why: str
    usage: int | None = None
    utilization: int | None = None

    @property
    def reason(self) -> str:
        """The reason of the condition ScalingActive=False where the metric is invalid."""
        return f"FailedGet{self.metric.source}Metric"


class _Case(NamedTuple):
    """One metric of one HPA at one time."""

    metric: Metric
    pods: Sequence[PodState]
    scale: Scale
    tolerances: Tolerances
    now: float
    settings: Settings


class _Level(NamedTuple):
    """How a set of per-pod values compares with the target."""

    ratio: float
    usage: int
    utilization: int | None = None


def propose(
    metric: Metric,
    observed: Observed,
    pods: Sequence[PodState],
    scale: Scale,
    tolerances: Tolerances,
    now: float,
    settings: Settings,
) -> Proposal:
    """What `metric` asks for; an unusable metric is a Proposal without replicas, never an exception.

    Raises TypeError where `observed` is of another kind than the metric's source has.
    """
    case = _Case(metric, pods, scale, tolerances, now, settings)
    try:
        match observed:
            case Invalid(reason):
                raise UnusableError(reason)
            case PodValues(values) if metric.source not in (Source.OBJECT, Source.EXTERNAL):
                return _per_pod(case, values)
            case ObjectValue(value) if metric.source is Source.OBJECT:
                return _whole(case, value, value)
            case ExternalValues(values) if metric.source is Source.EXTERNAL:
                return _external(case, values)
    except UnusableError as problem:
        return Proposal(metric, None, str(problem))
    raise TypeError(f"metric {metric.name!r}: {type(observed).__name__} is no answer for a {metric.source} metric")


def _per_pod(case: _Case, values: Mapping[str, PodValue]) -> Proposal:
    """Resource, ContainerResource and Pods metrics: every pod has a value of its own, or lacks one."""
    if not values:
        raise UnusableError("the metrics API returned no values")
    if not case.pods:
        raise UnusableError("the target's selector finds no pods")
    cpu = case.metric.name == "cpu" and case.metric.source is not Source.PODS
    groups = pods_.group(case.pods, values, cpu, case.now, case.settings)
    left_out = groups.ignored | groups.unready
    known = {name: value.value for name, value in values.items() if name not in left_out}
    if not known:
        raise UnusableError("no pod that counts has a value (the pods might not be ready)")
    requests = _requests(case)
    level = _level(case.metric, known, requests)
    raised = level.ratio > 1.0 and bool(groups.unready)
    said = _describe_level(case.metric, known, level)
    if raised or groups.missing:
        replicas, why = _assume_missing(case, known, requests, groups, level)
    elif case.tolerances.hold(level.ratio):
        replicas, why = case.scale.spec, _stays(case, level.ratio)
    else:
        replicas = ceil32(level.ratio * groups.ready)
        why = _product(groups.ready, level.ratio, replicas)
    return Proposal(case.metric, replicas, said + why, level.usage, level.utilization)


def _requests(case: _Case) -> dict[str, int]:
    """The pods' requests, which only a Utilization target needs."""
    if case.metric.target.type is not TargetType.UTILIZATION:
        return {}
    return pods_.requests(case.pods, case.metric.container, case.metric.name)


def _level(metric: Metric, values: dict[str, int], requests: dict[str, int]) -> _Level:
    if metric.target.type is TargetType.UTILIZATION:
        return _utilization(metric.target.value, values, requests)
    usage = quotient(int64(sum(values.values())), len(values))
    return _Level(ratio(usage, metric.target.value), usage)


def _utilization(percent: int, values: dict[str, int], requests: dict[str, int]) -> _Level:
    """The percentage is of all requests together and loses its fraction before it is compared with the target."""
    known = [name for name in values if name in requests]
    used = int64(sum(values[name] for name in known))
    asked = int64(sum(requests[name] for name in known))
    if asked == 0:
        raise UnusableError("the values belong to no known pod, or nothing is requested")
    utilization = int32(quotient(int64(used * 100), asked))
    return _Level(ratio(utilization, percent), quotient(used, len(known)), utilization)


def _assume_missing(
    case: _Case, known: dict[str, int], requests: dict[str, int], groups: Groups, first: _Level
) -> tuple[int, str]:
    """Assume values for the pods that have none, always against the direction of the scaling, and look again.

    A scale-down takes a missing pod as using its target (for a utilization, its whole request if that is more), a
    scale-up takes a missing or unready pod as using nothing. If that leaves no clear direction, nothing happens.
    """
    values, said = dict(known), []
    if groups.missing and first.ratio < 1.0:
        values |= {name: _at_target(case.metric, requests.get(name, 0)) for name in groups.missing}
        said.append(f"{count(len(groups.missing))} without a value counted as {_full(case.metric)}")
    elif groups.missing and first.ratio > 1.0:
        values |= dict.fromkeys(groups.missing, 0)
        said.append(f"{count(len(groups.missing))} without a value counted as 0")
    if groups.unready and first.ratio > 1.0:
        values |= dict.fromkeys(groups.unready, 0)
        said.append(f"{count(len(groups.unready))} not ready counted as 0")
    level = _level(case.metric, values, requests)
    opening = f"; with {' and '.join(said)} the ratio is {number(level.ratio)}" if said else ""
    replicas = ceil32(level.ratio * len(values))
    if case.tolerances.hold(level.ratio):
        return case.scale.spec, opening + _stays(case, level.ratio)
    if _has_turned(first.ratio, level.ratio, replicas, case.scale.spec):
        return case.scale.spec, f"{opening}, which would turn the direction, so {remain(case.scale.spec)}"
    return replicas, opening + _product(len(values), level.ratio, replicas)


def _has_turned(first: float, second: float, replicas: int, current: int) -> bool:
    """Whether the assumed values turned a scale-up into a scale-down or the other way round."""
    if (first < 1.0 < second) or (second < 1.0 < first):
        return True
    return (second < 1.0 and replicas > current) or (second > 1.0 and replicas < current)


def _at_target(metric: Metric, request: int) -> int:
    if metric.target.type is not TargetType.UTILIZATION:
        return metric.target.value
    return quotient(int64(request * max(100, metric.target.value)), 100)


def _external(case: _Case, values: Sequence[int]) -> Proposal:
    if not values:
        raise UnusableError("the metrics API returned no values")
    total, each = 0, case.metric.target.type is TargetType.AVERAGE_VALUE
    for value in values:
        total += value
        if total > MAX_INT64 or (each and total < 0):
            return _whole(case, MAX_INT64, total)
    return _whole(case, total, total)


def _whole(case: _Case, usage: int, shown: int) -> Proposal:
    """Object and External metrics: one number for all pods. `shown` is the number before the controller's repair."""
    said = f"the value is {amount(case.metric, shown)}"
    if usage != shown:
        said += ", which the controller takes for an overflow and so for the largest value there is"
    if case.metric.target.type is TargetType.AVERAGE_VALUE:
        return _per_replica(case, usage, said)
    level = ratio(usage, case.metric.target.value)
    said += f" against a target of {target(case.metric)}"
    if case.scale.spec == 0:
        replicas = ceil32(level)
        return Proposal(case.metric, replicas, f"{said}: from zero, ceil({number(level)}) = {replicas}", usage)
    if case.tolerances.hold(level):
        return Proposal(case.metric, case.scale.spec, said + _stays(case, level), usage)
    if not case.pods:
        raise UnusableError("the target's selector finds no pods")
    ready = pods_.ready_count(case.pods)
    replicas = MAX_INT32 if level * ready > MAX_INT32 else ceil32(level * ready)
    return Proposal(case.metric, replicas, f"{said}, {ready} ready{_product(ready, level, replicas)}", usage)


def _per_replica(case: _Case, usage: int, said: str) -> Proposal:
    """An AverageValue target: the number is divided among the replicas that exist (/scale's status)."""
    goal, exist = case.metric.target.value, case.scale.status
    level = ratio(usage, float(goal) * float(exist))
    said += f" among {count(exist, 'replica')} against a target of {target(case.metric)} each"
    average = _average(usage, exist)
    if case.tolerances.hold(level):
        return Proposal(case.metric, exist, f"{said}: ratio {number(level)} is within {case.tolerances}", average)
    share = ratio(usage, goal)
    # Only the External calculation is guarded against more than an int32 holds.
    guarded = case.metric.source is Source.EXTERNAL and share > MAX_INT32
    replicas = MAX_INT32 if guarded else ceil32(share)
    return Proposal(case.metric, replicas, f"{said}: ceil({number(share)}) = {replicas}", average)


def _average(usage: int, replicas: int) -> int | None:
    if replicas == 0:
        return None
    return MAX_INT64 if float(usage) >= float(MAX_INT64) else math.ceil(float(usage) / replicas)


def _describe_level(metric: Metric, known: dict[str, int], level: _Level) -> str:
    value = amount(metric, level.usage)
    if level.utilization is not None:
        value = f"{level.utilization} % of their requests ({value} each)"
    verb = "averages" if len(known) == 1 else "average"
    return f"{count(len(known))} {verb} {value} against a target of {target(metric)}"


def _product(pods: int, level: float, replicas: int) -> str:
    return f": ceil({pods} x {number(level)}) = {replicas}"


def _stays(case: _Case, level: float) -> str:
    return f": ratio {number(level)} is within {case.tolerances}, so {remain(case.scale.spec)}"


def _full(metric: Metric) -> str:
    if metric.target.type is TargetType.UTILIZATION:
        return f"{max(100, metric.target.value)} % of the request"
    return f"{target(metric)}, the target"
