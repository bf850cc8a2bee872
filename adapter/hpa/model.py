"""The words of the formula: what an HPA asks for, what was seen of pods and metrics, what the controller remembers.

Quantities are integers in thousandths of the unit ("milli"), as the controller itself takes them (Quantity.MilliValue);
times are Unix seconds. Names are those of autoscaling/v2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Source(StrEnum):
    """Where an HPA's metric comes from: `spec.metrics[].type`."""

    RESOURCE = "Resource"
    CONTAINER_RESOURCE = "ContainerResource"
    PODS = "Pods"
    OBJECT = "Object"
    EXTERNAL = "External"


class TargetType(StrEnum):
    """What a target is compared with: `target.type`."""

    UTILIZATION = "Utilization"
    AVERAGE_VALUE = "AverageValue"
    VALUE = "Value"


ALLOWED_TARGETS: Mapping[Source, tuple[TargetType, ...]] = {
    Source.RESOURCE: (TargetType.UTILIZATION, TargetType.AVERAGE_VALUE),
    Source.CONTAINER_RESOURCE: (TargetType.UTILIZATION, TargetType.AVERAGE_VALUE),
    Source.PODS: (TargetType.AVERAGE_VALUE,),
    Source.OBJECT: (TargetType.VALUE, TargetType.AVERAGE_VALUE),
    Source.EXTERNAL: (TargetType.VALUE, TargetType.AVERAGE_VALUE),
}


class Target(NamedTuple):
    """A metric's target: `value` is a percentage for Utilization and milli-units for the other two."""

    type: TargetType
    value: int


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of `spec.metrics`.

    `name` is the metric's, or the resource's for Resource and ContainerResource. `described` is an Object metric's
    object for people to read ("Service web"). Raises ValueError for a target that the API server would refuse.
    """

    source: Source
    name: str
    target: Target
    container: str = ""
    described: str = ""

    def __post_init__(self) -> None:
        allowed = ALLOWED_TARGETS[self.source]
        if self.target.type not in allowed:
            raise ValueError(
                f"metric {self.name!r}: a {self.source} metric cannot have a target of type {self.target.type}, "
                f"only {' or '.join(allowed)}"
            )
        if self.target.value <= 0:
            raise ValueError(f"metric {self.name!r}: the target must be greater than 0, not {self.target.value}")
        if (self.source is Source.CONTAINER_RESOURCE) != bool(self.container):
            raise ValueError(f"metric {self.name!r}: a container belongs to a ContainerResource metric, and only to it")


class PolicyType(StrEnum):
    """What a scaling policy counts: `policies[].type`."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several policies holds: the largest change, the smallest, or no change at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class Policy(NamedTuple):
    """At most `value` pods (or percent of the pods at the period's start) within any `period` seconds."""

    type: PolicyType
    value: int
    period: int


@dataclass(frozen=True, slots=True)
class Rules:
    """`behavior.scaleUp` or `behavior.scaleDown`; None and () mean "not written" (see `apply_defaults`).

    `window` is stabilizationWindowSeconds; `tolerance` a fraction of 1 (0.05 is 5 %).
    """

    window: int | None = None
    select: SelectPolicy | None = None
    policies: tuple[Policy, ...] = ()
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Behavior:
    """`spec.behavior`: how fast and how far at once. An absent one means the rules of before autoscaling/v2beta2."""

    up: Rules = Rules()
    down: Rules = Rules()


CPU_80 = Metric(Source.RESOURCE, "cpu", Target(TargetType.UTILIZATION, 80))
"""What an HPA without metrics scales on."""
_UP = Rules(0, SelectPolicy.MAX, (Policy(PolicyType.PODS, 4, 15), Policy(PolicyType.PERCENT, 100, 15)))
_DOWN = Rules(None, SelectPolicy.MAX, (Policy(PolicyType.PERCENT, 100, 15),))


@dataclass(frozen=True, slots=True)
class HpaSpec:
    """The part of an HPA's spec that the formula reads; `min` of 0 needs an Object or External metric."""

    max: int
    min: int | None = None
    metrics: tuple[Metric, ...] = ()
    behavior: Behavior | None = None

    @property
    def from_zero(self) -> bool:
        """Whether a metric exists that can be read while no pod runs (the rule of KEP-2021)."""
        return any(metric.source in (Source.OBJECT, Source.EXTERNAL) for metric in self.metrics)


def apply_defaults(spec: HpaSpec) -> HpaSpec:
    """`spec` as the API server stores it: one replica at least, 80 % CPU, both directions' rules filled in.

    The scale-down window stays None: the controller's own flag supplies it (Settings.downscale_stabilization).
    """
    behavior = spec.behavior and Behavior(_fill_in(spec.behavior.up, _UP), _fill_in(spec.behavior.down, _DOWN))
    return replace(spec, min=1 if spec.min is None else spec.min, metrics=spec.metrics or (CPU_80,), behavior=behavior)


def _fill_in(rules: Rules, default: Rules) -> Rules:
    return Rules(
        default.window if rules.window is None else rules.window,
        rules.select or default.select,
        rules.policies or default.policies,
        rules.tolerance,
    )


@dataclass(frozen=True, slots=True)
class PodState:
    """What the formula reads of one pod that the target's selector finds.

    `ready` is the Ready condition's status ("True", "False", "Unknown"), None without such a condition, and
    `ready_since` its lastTransitionTime; `start` is status.startTime. `requests` is container -> resource -> milli
    and holds the containers and the restartable init containers (sidecars), as the controller counts only these.
    `pod_requests` is the pod's effective requests where the pod itself states some (KEP-2837), else None.
    """

    name: str
    phase: str = "Running"
    deleted: bool = False
    start: float | None = None
    ready: str | None = "True"
    ready_since: float = 0.0
    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    pod_requests: Mapping[str, int] | None = None


class PodValue(NamedTuple):
    """One pod's value, milli; `time` and `window` (s) matter for the cpu resource alone."""

    value: int
    time: float = 0.0
    window: float = 60.0


@dataclass(frozen=True, slots=True)
class PodValues:
    """What the metrics API answered for a Resource, ContainerResource or Pods metric: pod name -> value."""

    values: Mapping[str, PodValue]


@dataclass(frozen=True, slots=True)
class ObjectValue:
    """What the metrics API answered for an Object metric, milli."""

    value: int


@dataclass(frozen=True, slots=True)
class ExternalValues:
    """What the metrics API answered for an External metric, milli, in its order; the formula adds them up."""

    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Invalid:
    """The metrics API gave no answer, and why."""

    reason: str


Observed: TypeAlias = PodValues | ObjectValue | ExternalValues | Invalid


class Scale(NamedTuple):
    """The target's /scale: `spec` replicas asked for, `status` replicas that exist.

    AverageValue targets of Object and External metrics are measured against `status`, everything else against `spec`.
    """

    spec: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Flags of kube-controller-manager (--horizontal-pod-autoscaler-…), with their defaults; s, and a fraction of 1.

    `scale_to_zero` is the feature gate HPAScaleToZero: off before Kubernetes 1.37.
    """

    tolerance: float = 0.1
    cpu_initialization_period: float = 300.0
    initial_readiness_delay: float = 30.0
    downscale_stabilization: float = 300.0
    scale_to_zero: bool = True


DEFAULTS = Settings()


class Recommendation(NamedTuple):
    """What the metrics alone asked for at some time, before any limit."""

    replicas: int
    time: float


class ScaleEvent(NamedTuple):
    """A scaling that happened: by how many replicas (never negative), and when."""

    change: int
    time: float


@dataclass(frozen=True, slots=True)
class History:
    """What the controller remembers between two looks at one HPA.

    All but `scaled_to_zero` (the condition ScaledToZero of the HPA's status) lives in the controller's memory, so it
    is lost when the controller restarts: an empty History is what a new leader starts from.
    """

    recommendations: tuple[Recommendation, ...] = ()
    ups: tuple[ScaleEvent, ...] = ()
    downs: tuple[ScaleEvent, ...] = ()
    scaled_to_zero: bool = False
