"""What was seen of both arms in one interval: counts, gauges, the pods' health. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class Arm(StrEnum):
    """Whose pods they are."""

    STABLE = "stable"
    CANARY = "canary"
    """The revision under test, whatever the strategy."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one interval; 0 and 0 is no traffic. Prometheus' increases need not be whole numbers."""

    good: float
    bad: float

    @property
    def all(self) -> float:
        return self.good + self.bad


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value of now: the mean over an arm's pods."""

    value: float


Reading: TypeAlias = Counts | Gauge
Arms: TypeAlias = Mapping[Arm, Reading]
"""What is known of each arm; an arm that is missing here is no evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """An arm's pods now; only pods that were ready before count as unready."""

    pods: int
    unready: int = 0
    crash_looping: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """One interval that ends at `time`, s since 1970; metric -> arms. No request is in two windows."""

    time: float
    metrics: Mapping[str, Arms] = field(default_factory=dict)
    health: Mapping[Arm, Health] = field(default_factory=dict)
    step: int | None = None
    """The canary's step; None where there are none."""
    pods: Mapping[Arm, Mapping[str, Mapping[str, Reading]]] = field(default_factory=dict)
    """Arm -> pod -> metric: the same pod by pod, where it is known."""
    asked: frozenset[str] | None = None
    """The metrics that were asked for; None: all. To a gate on another one this window says nothing."""
