"""An HPA as the console shows it: where it stands, what it wants, and why it does not scale. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from adapter.console.objects import Hpa
from adapter.console.wants import Reading, Wants, wants
from adapter.hpa.decide import Decision
from adapter.hpa.words import count, describe_metrics
from adapter.kube.autoscaling import HPAStatus
from adapter.kube.objects import Condition, condition, unix

MOST_METRICS: Final = 20
"""Of an HPA, that are shown and remembered."""


class State(StrEnum):
    """Where an HPA stands, in the words of the page; what needs a person stands first."""

    STARVES = "no metric"
    UNABLE = "cannot scale"
    UNREADABLE = "cannot be read"
    MISSING = "a metric is missing"
    AT_MOST = "at its maximum"
    HELD = "held back"
    SCALES = "scaling"
    AT_LEAST = "at its minimum"
    STEADY = "steady"
    OFF = "switched off"
    NEW = "not looked at yet"


BAD: Final = frozenset({State.STARVES, State.UNABLE, State.UNREADABLE, State.MISSING})
LIMITS: Final[Mapping[str, State]] = {
    "TooManyReplicas": State.AT_MOST,
    "TooFewReplicas": State.AT_LEAST,
    "ScaleUpLimit": State.HELD,
    "ScaleDownLimit": State.HELD,
}
"""Reasons of ScalingLimited (pkg/controller/podautoscaler/horizontal.go)."""
LIMITED: Final = frozenset({*LIMITS.values(), State.MISSING})
"""States beside which it is told what limits the HPA."""
STABILIZED: Final = frozenset({"ScaleUpStabilized", "ScaleDownStabilized"})


class Size(NamedTuple):
    """Replicas."""

    least: int
    most: int
    current: int
    desired: int
    """As the controller last said."""


@dataclass(frozen=True, slots=True)
class HpaView:
    """One HPA."""

    key: str
    namespace: str
    name: str
    target: str
    size: Size
    readings: tuple[Reading, ...]
    more: int
    """Metrics that are not shown."""
    state: State
    why: tuple[str, ...]
    """Sentences: why it does not scale, or what it is about to do."""
    conditions: tuple[Condition, ...]
    scaled: float | None
    """When it last scaled, Unix s."""

    @property
    def text(self) -> str:
        """What a search looks at."""
        return " ".join((self.namespace, self.name, self.target, *(one.metric.name for one in self.readings)))

    def series(self) -> dict[str, float | None]:
        """What is remembered of it now: each metric's value, by `series_key`."""
        return {self.series_key(at): one.level for at, one in enumerate(self.readings)}

    def series_key(self, at: int) -> str:
        """Whose values may be drawn as one line: a metric in another place, or with another target, is another."""
        metric = self.readings[at].metric
        return f"{self.key}|{at}|{metric.source}|{metric.name}|{metric.container}|{metric.described}"


def view(hpa: Hpa, now: float) -> HpaView:
    """What is shown of an HPA; `now` in Unix s. Never raises."""
    status = _status(hpa.status)
    least, most = (hpa.spec.get(name) for name in ("minReplicas", "maxReplicas"))
    size = Size(
        least if isinstance(least, int) else 1,
        most if isinstance(most, int) else 0,
        status.current_replicas,
        status.desired_replicas,
    )
    demand = wants(hpa.raw, replicas=size.current, now=now)
    state = _state(status, size, demand)
    meta, ref = hpa.metadata, hpa.spec.get("scaleTargetRef")
    reference: Mapping[str, Any] = ref if isinstance(ref, Mapping) else {}
    return HpaView(
        key=meta.uid or f"{meta.namespace}/{meta.name}",
        namespace=meta.namespace,
        name=meta.name,
        target=f"{reference.get('kind', '')} {reference.get('name', '')}".strip(),
        size=size,
        readings=demand.readings[:MOST_METRICS],
        more=max(len(demand.readings) - MOST_METRICS, 0),
        state=state,
        why=tuple(_why(state, status, size, demand)),
        conditions=status.conditions,
        scaled=unix(status.last_scale_time),
    )


def _status(raw: Mapping[str, Any]) -> HPAStatus:
    try:
        return msgspec.convert({key: value for key, value in raw.items() if value is not None}, HPAStatus)
    except msgspec.ValidationError:
        return HPAStatus()


def _state(status: HPAStatus, size: Size, demand: Wants) -> State:
    active, able, limited = _conditions(status)
    if active is not None and active.status == "False":
        if active.reason == "ScalingDisabled":
            return State.OFF
        return State.MISSING if _lacks(demand) else State.STARVES
    if able is not None and able.status == "False":
        return State.UNABLE
    if not status.conditions:
        return State.UNREADABLE if demand.problem else State.NEW
    if _lacks(demand):
        return State.MISSING
    if limited is not None and limited.status == "True" and limited.reason in LIMITS:
        return LIMITS[limited.reason]
    if able is not None and able.reason in STABILIZED:
        return State.HELD
    return State.SCALES if size.desired != size.current else State.STEADY


def _lacks(demand: Wants) -> bool:
    """Whether metrics have no value and others have one."""
    return bool(demand.missing) and any(one.value is not None for one in demand.readings)


def _conditions(status: HPAStatus) -> tuple[Condition | None, Condition | None, Condition | None]:
    active, able, limited = (
        condition(status.conditions, kind) for kind in ("ScalingActive", "AbleToScale", "ScalingLimited")
    )
    return active, able, limited


def _why(state: State, status: HPAStatus, size: Size, demand: Wants) -> list[str]:
    active, able, limited = _conditions(status)
    said: list[str] = []
    if state is State.MISSING:
        said.append(f"no value of {describe_metrics(demand.missing)}, so the other metrics may scale it up, never down")
    if state in (State.STARVES, State.OFF, State.MISSING) and active and active.status == "False":
        said.append(f"{active.reason}: {active.message}")
    elif state is State.UNABLE and able:
        said.append(f"{able.reason}: {able.message}")
    if state in LIMITED and limited and limited.status == "True" and limited.reason in LIMITS:
        said.append(limited.message)
    if state in (State.HELD, State.MISSING) and able and able.reason in STABILIZED:
        said.append(able.message)
    if demand.problem:
        said.append(f"of its spec: {demand.problem}")
    if demand.decision is not None and state is not State.OFF:
        said += _explain_demand(demand.readings, demand.decision, size)
    return [one for one in said if one]


def _explain_demand(readings: Sequence[Reading], decision: Decision, size: Size) -> list[str]:
    """Sentences: how many replicas the metrics ask for, compared with the current size."""
    asked = [one.asks for one in readings if one.asks is not None]
    if not asked:
        return [] if decision.proposals else [decision.explanation]
    most = max(asked)
    if most == size.current:
        return ["its metrics ask for no other size"]
    said = [f"its metrics ask for {count(most, 'replica')}"]
    if any(one.value is None for one in readings) and most < size.current:
        said[0] += ", and while one has no value nothing scales down"
    elif decision.desired not in (most, size.current):
        said[0] += f", its bounds and rates allow {decision.desired}"
    return said
