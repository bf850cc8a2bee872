"""What an HPA's metrics ask for: the controller's own formula on the values in the HPA's status. Pure.

The status holds one value of each metric, not each pod's. So all pods count as ready and alike: with n replicas a pod's
average v against a target t asks for ceil(n v / t), which is what `adapter.hpa` makes of the total n v shared by n.
What the controller remembers (its windows of stabilization, recent scalings) is not in the status: its conditions tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from adapter.hpa.current import current_values, without_value
from adapter.hpa.decide import Decision, decide
from adapter.hpa.fields import HpaError
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
from adapter.hpa.words import amount, number
from adapter.hpa.words import target as target_text

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
        return "no value" if self.value is None else _format_value(self.metric, self.value)

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
    missing: Sequence[Metric] = ()
    """Metrics of which the controller's last look found no value."""


def wants(raw: Mapping[str, object], *, replicas: int, now: float) -> Wants:
    """Of an HPA as decoded JSON whose target has so many replicas; `now` in Unix s. Never raises."""
    missing = without_value(raw)
    try:
        spec = read_spec(raw)
    except HpaError as error:
        return Wants(_readings(raw, _readable(raw)), None, str(error), missing)
    readings = _readings(raw, spec.metrics)
    decision = _decision(spec, raw, readings, replicas=replicas, now=now)
    if decision is not None and len(decision.proposals) == len(readings):  # outside its bounds no metric is asked
        asked = zip(readings, decision.proposals, strict=True)
        readings = tuple(one._replace(asks=proposal.replicas) for one, proposal in asked)
    return Wants(readings, decision, missing=missing)


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
    shared = tuple(_as_total_metric(one.metric) for one in readings)
    observed = [_total(one, replicas) for one in readings]
    return decide(replace(spec, metrics=shared), Scale(replicas, replicas), observed, (), history, now)


def _as_total_metric(metric: Metric) -> Metric:
    """The same question as an external metric: one total that all replicas share."""
    unit = 1000 if metric.target.type is TargetType.UTILIZATION else 1
    return Metric(Source.EXTERNAL, metric.name, Target(TargetType.AVERAGE_VALUE, metric.target.value * unit))


def _total(reading: Reading, replicas: int) -> Observed:
    if reading.value is None:
        return NO_VALUE
    unit = 1000 if reading.metric.target.type is TargetType.UTILIZATION else 1
    return ExternalValues((reading.value * unit * max(replicas, 1),))


def _readings(raw: Mapping[str, object], metrics: Sequence[Metric]) -> tuple[Reading, ...]:
    return tuple(map(Reading, metrics, current_values(raw, metrics)))


def _format_value(metric: Metric, value: int) -> str:
    if metric.target.type is TargetType.UTILIZATION:
        return f"{value} %"
    return amount(metric, value) if abs(value) < 10**15 else number(value / 1000)
