"""What a decision reads of a pod and of its recommendation: values, no API objects. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from adapter.units.quantity import Quantity

Quantities = Mapping[str, Quantity]


class ResizeState(StrEnum):
    """How a resize stands that the pod's spec asks for, as its conditions say."""

    NONE = ""
    """None is asked for, or it is done."""
    DEFERRED = "Deferred"
    """The node has no room now; the kubelet tries again."""
    IN_PROGRESS = "InProgress"
    INFEASIBLE = "Infeasible"
    """The node can never have room."""
    ERROR = "Error"
    """It failed; the kubelet tries again."""


class InPlace(StrEnum):
    """Whether the pod can be brought to its recommendation by a resize."""

    POSSIBLE = "possible"
    NOTHING = "a resize would change nothing"
    REFUSED = "the server has refused this resize"
    QOS = "requests apart from limits would change the QoS class Guaranteed, which no resize may"


class Refusal(NamedTuple):
    """Why the API server would not take a pod as it shall be."""

    by: str
    """kind and name of what is against it"""
    resource: str
    why: str

    def __str__(self) -> str:
        return f"{self.by}: {self.why}"


@dataclass(frozen=True)
class Wanted:
    """New requests and limits of a container; what is not in them stays."""

    requests: dict[str, Quantity]
    limits: dict[str, Quantity]


@dataclass(frozen=True)
class Advice:
    """One container's recommendation, already within policy limits and what the pod can get."""

    target: Quantities
    lower: Quantities = field(default_factory=dict)
    upper: Quantities = field(default_factory=dict)

    def part(self, resources: Collection[str]) -> "Advice":
        """Only of these resources: a resize gives no request where there is none, so such a one is no cause for it."""
        bounds = (self.target, self.lower, self.upper)
        return Advice(*({name: amount for name, amount in bound.items() if name in resources} for bound in bounds))


@dataclass(frozen=True)
class Running:
    """One container of a pod."""

    name: str
    requests: Quantities
    """What it has: as the kubelet says, which a resize that is not done does not change."""
    killed: tuple[float, float] | None = None
    """(started, finished), Unix s, of its last run, if that ended in an OOM kill"""
    asked: Quantities | None = None
    """What the pod's spec asks for; None: what it has"""
    is_sidecar: bool = False
    """Whether it is an init container, which VPA's admission controller leaves as it is in a new pod."""

    @property
    def spec(self) -> Quantities:
        """What the pod's spec asks for."""
        return self.requests if self.asked is None else self.asked


@dataclass(frozen=True)
class PodFacts:
    """What the decision reads of a pod."""

    name: str
    containers: Sequence[Running]
    started: float | None
    """Unix s; None: not yet"""
    observed: frozenset[str] | None = None
    """The containers that VPA's admission controller saw (its annotation); None: no annotation, so all."""
    resizing: float | None = None
    """Unix s since when the resize is as `resize_state` says"""
    resize_state: ResizeState = ResizeState.NONE
    in_place: InPlace = InPlace.POSSIBLE
    restarts: bool = False
    """Whether a resize restarts a container, so that it disrupts like an eviction."""
    refused_resize: Refusal | None = None
    """Why its namespace would refuse the resize to its recommendation"""
    refused_new: Refusal | None = None
    """Why its namespace would refuse the pod that came instead of it"""
