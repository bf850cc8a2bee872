"""What an HPA's metrics ask for: the controller's own formula on the values in the HPA's status. Pure.

The status holds one value of each metric, not each pod's. So all pods count as ready and alike: with n replicas a pod's
average v against a target t asks for ceil(n v / t), which is what `adapter.hpa` makes of the total n v shared by n.
What the controller remembers (its windows of stabilization, recent scalings) is not in the status: its conditions tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from adapter.hpa.decide import Decision, decide
from adapter.hpa.fields import Field, HpaError
from adapter.hpa.model import (
    ExternalValues,
    HpaSpec,
    Invalid,
    Metric,
    Observed,
    Scale,
    Source,
    Target,
    TargetType,
)
from adapter.hpa.read import read_history, read_metrics, read_spec
from adapter.hpa.words import MAX_INT32, amount, number
from adapter.hpa.words import target as target_text

_FIELDS: Final[Mapping[Source, str]] = {
    Source.RESOURCE: "resource",
    Source.CONTAINER_RESOURCE: "containerResource",
    Source.PODS: "pods",
    Source.OBJECT: "object",
    Source.EXTERNAL: "external",
}
_VALUES: Final[Mapping[TargetType, str]] = {
    TargetType.UTILIZATION: "averageUtilization",
    TargetType.AVERAGE_VALUE: "averageValue",
    TargetType.VALUE: "value",
}
NO_VALUE: Final = Invalid("the HPA's status holds no value of it")


class Reading(NamedTuple):
    """A metric with its present value, in percent or thousandths as its target is; None where there is none."""

    metric: Metric
    value: int | None
    asks: int | None = None
    """The replicas that it asks for; None where that cannot be told."""

    @property
    def level(self) -> float | None:
        """The value, in percent or in units."""
        return None if self.value is None else self.value / self._unit

    @property
    def goal(self) -> float:
        """The target, likewise."""
        return self.metric.target.value / self._unit

    @property
    def shown(self) -> str:
        """The value for people."""
        return "no value" if self.value is None else _shown(self.metric, self.value)

    @property
    def goal_shown(self) -> str:
        """The target for people."""
        return target_text(self.metric)

    @property
    def _unit(self) -> int:
        return 1 if self.metric.target.type is TargetType.UTILIZATION else 1000


class Wants(NamedTuple):
    """What the values in the status come to."""

    readings: tuple[Reading, ...]
    decision: Decision | None
    """None where the spec cannot be read whole."""
    problem: str = ""
    """What of the HPA cannot be read."""


def wants(raw: Mapping[str, object], *, replicas: int, now: float) -> Wants:
    """Of an HPA as decoded JSON whose target has so many replicas; `now` in Unix s. Never raises."""
    try:
        spec = read_spec(raw)
    except HpaError as error:
        return Wants(_readings(raw, _readable(raw)), None, str(error))
    readings = _readings(raw, spec.metrics)
    decision = _decision(spec, raw, readings, replicas=replicas, now=now)
    if decision is None or len(decision.proposals) != len(readings):  # outside its bounds no metric is asked
        return Wants(readings, decision)
    asked = zip(readings, decision.proposals, strict=True)
    return Wants(tuple(one._replace(asks=proposal.replicas) for one, proposal in asked), decision)


def _readable(raw: Mapping[str, object]) -> Sequence[Metric]:
    try:
        return read_metrics(raw)[0]
    except HpaError:
        return ()


def _decision(
    spec: HpaSpec, raw: Mapping[str, object], readings: Sequence[Reading], *, replicas: int, now: float
) -> Decision | None:
    try:
        history = read_history(raw)
    except HpaError:
        return None
    shared = tuple(_shared(one.metric) for one in readings)
    observed = [_total(one, replicas) for one in readings]
    return decide(replace(spec, metrics=shared), Scale(replicas, replicas), observed, (), history, now)


def _shared(metric: Metric) -> Metric:
    """The same question about a total that all replicas share."""
    unit = 1000 if metric.target.type is TargetType.UTILIZATION else 1
    return Metric(Source.EXTERNAL, metric.name, Target(TargetType.AVERAGE_VALUE, metric.target.value * unit))


def _total(reading: Reading, replicas: int) -> Observed:
    if reading.value is None:
        return NO_VALUE
    unit = 1000 if reading.metric.target.type is TargetType.UTILIZATION else 1
    return ExternalValues((reading.value * unit * max(replicas, 1),))


def _readings(raw: Mapping[str, object], metrics: Sequence[Metric]) -> tuple[Reading, ...]:
    try:
        held = list(Field("", raw).of("status").of("currentMetrics").items())
    except HpaError:
        held = []
    return tuple(Reading(metric, _value(metric, at, held)) for at, metric in enumerate(metrics))


def _value(metric: Metric, at: int, held: Sequence[Field]) -> int | None:
    """The status lists values in the order of the spec; two External metrics may differ in their selectors alone."""
    for one in (*held[at : at + 1], *held):
        try:
            if _is_of(metric, one):
                return _current(metric, one.of(_FIELDS[metric.source]).of("current"))
        except HpaError:
            continue
    return None


def _is_of(metric: Metric, one: Field) -> bool:
    if one.of("type").value != metric.source:
        return False
    own = one.of(_FIELDS[metric.source])
    about = own if metric.source in (Source.RESOURCE, Source.CONTAINER_RESOURCE) else own.of("metric")
    described = own.of("describedObject")
    named = f"{described.of('kind').value} {described.of('name').value}" if described else ""
    container = own.of("container").value or ""
    return (about.of("name").value, container, named) == (metric.name, metric.container, metric.described)


def _current(metric: Metric, current: Field) -> int | None:
    field = current.of(_VALUES[metric.target.type])
    if not field:
        return None
    if metric.target.type is TargetType.UTILIZATION:
        return field.whole(0, MAX_INT32)
    return field.quantity().milli()


def _shown(metric: Metric, value: int) -> str:
    if metric.target.type is TargetType.UTILIZATION:
        return f"{value} %"
    return amount(metric, value) if abs(value) < 10**15 else number(value / 1000)
