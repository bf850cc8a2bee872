"""What a pod can really get of a recommendation: LimitRanges, pod-level resources, limits that stay. Pure.

A recommendation knows nothing of the namespace that its pods live in. Whoever acts on it as it stands asks for what the
API server refuses, or what VPA's admission controller cuts back when the pod is made again: for ever. So every bound is
held to what is allowed first (as VPA's utils/vpa/capping.go does), and all else is decided from what is left.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

from adapter.units.quantity import Quantity
from recommender.objects import ContainerPolicy, ResourcePolicy, quantities
from recommender.updater.facts import Advice, Quantities
from recommender.updater.objects import LimitRange

Amounts = dict[str, int]
"""container -> nano-units"""
UNIT: Final[Mapping[str, int]] = {"cpu": 10**6, "memory": 10**9}
"""nano-units that cannot be divided: a millicore, a byte"""
NANO: Final = 10**9
BOUNDS: Final = ("target", "lower", "upper")


@dataclass(frozen=True)
class Asked:
    """What a container of a pod asks for now."""

    name: str
    requests: Quantities
    limits: Quantities = field(default_factory=dict)
    keeps_limits: bool = False
    """Whether its policy controls requests only."""


@dataclass(frozen=True)
class Room:
    """What LimitRanges and a pod's own resources allow; a resource that is missing has no limit."""

    least: Quantities = field(default_factory=dict)
    """The least request of a container."""
    most: Quantities = field(default_factory=dict)
    """The largest limit of a container, or request where it has no limit."""
    ratio: Quantities = field(default_factory=dict)
    """The most that a limit may be, as a multiple of its request."""
    pod_least: Quantities = field(default_factory=dict)
    """The least sum of requests."""
    pod_most: Quantities = field(default_factory=dict)
    """The largest sum of limits."""
    pod_ratio: Quantities = field(default_factory=dict)
    """The most that the sum of limits may be, as a multiple of the sum of requests."""
    pod_requests: Quantities = field(default_factory=dict)
    """The largest sum of requests: what the pod as a whole requests."""


def room(ranges: Iterable[LimitRange], requests: Mapping[str, str], limits: Mapping[str, str]) -> Room:
    """The room of a pod with these pod-level requests and limits, in a namespace with these LimitRanges."""
    items = [item for limit_range in ranges for item in limit_range.spec.limits]
    containers = [item for item in items if item.type == "Container"]
    pods = [item for item in items if item.type == "Pod"]
    own = quantities(limits)
    return Room(
        least=_strictest(max, [quantities(item.min) for item in containers]),
        most=_strictest(min, [*(quantities(item.max) for item in containers), own]),
        ratio=_strictest(min, [quantities(item.max_limit_request_ratio) for item in containers]),
        pod_least=_strictest(max, [quantities(item.min) for item in pods]),
        pod_most=_strictest(min, [quantities(item.max) for item in pods]),
        pod_ratio=_strictest(min, [quantities(item.max_limit_request_ratio) for item in pods]),
        pod_requests=quantities(requests),
    )


def fit_advice(advice: Mapping[str, Advice], asked: Sequence[Asked], room: Room) -> dict[str, Advice]:
    """The advice with every bound moved to what the pod can get; of containers that the pod does not have, none."""
    names = [container.name for container in asked if container.name in advice]
    made: dict[str, dict[str, dict[str, Quantity]]] = {name: {bound: {} for bound in BOUNDS} for name in names}
    for resource in UNIT:
        pod = _Pod.of(asked, resource, room)
        for bound in BOUNDS:
            wanted = {name: getattr(advice[name], bound).get(resource) for name in names}
            fitted = pod.fit({name: value.nano for name, value in wanted.items() if value is not None})
            for name, amount in fitted.items():
                made[name][bound][resource] = _round_away(wanted[name], amount, UNIT[resource])
    return {name: Advice(**made[name]) for name in names}


def advice_at_admission(
    advice: Mapping[str, Advice], asked: Sequence[Asked], ranges: Iterable[LimitRange], policy: ResourcePolicy
) -> dict[str, Advice]:
    """The advice as VPA's admission controller writes it into a new pod, which may be more than the pod can get.

    It holds targets to the least and most of LimitRanges and then, whatever those say, to the policy (its capping.go,
    v1.8.1); it knows no ratio, and no resources of a pod as a whole.
    """
    known = replace(room(ranges, {}, {}), ratio={}, pod_ratio={})
    return {
        name: replace(own, target=_within(policy.of(name), own.target))
        for name, own in fit_advice(advice, asked, known).items()
    }


def _within(policy: ContainerPolicy | None, target: Quantities) -> Quantities:
    least, most = (quantities(policy.min_allowed), quantities(policy.max_allowed)) if policy else ({}, {})
    raised = {name: max(amount, least.get(name, amount)) for name, amount in target.items()}
    return {
        name: min(amount, most[name]) if name in most and most[name].nano else amount for name, amount in raised.items()
    }


@dataclass(frozen=True)
class _Pod:
    """One resource of a pod's containers and what is allowed of it, in nano-units."""

    requests: Amounts
    limits: Amounts
    keeping: frozenset[str]
    """Containers whose limit stays as it is."""
    room: Mapping[str, int]
    """Of each field of Room that says something of the resource."""

    @classmethod
    def of(cls, asked: Sequence[Asked], resource: str, room: Room) -> "_Pod":
        bounds = {part.name: getattr(room, part.name).get(resource) for part in fields(room)}
        return cls(
            requests={one.name: one.requests[resource].nano for one in asked if resource in one.requests},
            limits={one.name: one.limits[resource].nano for one in asked if resource in one.limits},
            keeping=frozenset(one.name for one in asked if one.keeps_limits and resource in one.limits),
            room={name: bound.nano for name, bound in bounds.items() if bound is not None and bound.nano > 0},
        )

    def fit(self, amounts: Amounts) -> Amounts:
        """Requests as wanted -> requests as they can be: first each container's own room, then the pod's."""
        fitted = {name: self._of_container(name, amount) for name, amount in amounts.items()}
        others = sum(amount for name, amount in self.requests.items() if name not in fitted)
        if (least := self.room.get("pod_least", 0)) > others + sum(fitted.values()):
            grown = _to_sum(fitted, fitted, least - others)
            fitted = {name: self._of_container(name, amount) for name, amount in grown.items()}
        if (most := self.room.get("pod_most")) is not None:
            fitted = self._under_sum_of_limits(fitted, most)
        if (ratio := self.room.get("pod_ratio")) is not None:
            fitted = self._within_ratio(fitted, ratio)
        if (most := self.room.get("pod_requests")) is not None and others + sum(fitted.values()) > most:
            fitted = _to_sum(fitted, fitted, max(most - others, 0))
        return fitted

    def _of_container(self, name: str, amount: int) -> int:
        request, limit = self.requests.get(name, 0), self.limits.get(name, 0)
        least, most = self.room.get("least", 0), self.room.get("most")
        if name in self.keeping:
            ratio = self.room.get("ratio")
            least = max(least, -(-limit * NANO // ratio) if ratio else 0)
            most = limit
        elif most is not None and limit and request:
            most = most * request // limit
        return max(amount, least) if most is None else min(max(amount, least), most)

    def _under_sum_of_limits(self, fitted: Amounts, most: int) -> Amounts:
        moving = {name: self._limit(name, amount) for name, amount in fitted.items() if name not in self.keeping}
        present = {**self.requests, **self.limits}
        others = sum(amount for name, amount in present.items() if name not in moving)
        if others + sum(moving.values()) <= most:
            return fitted
        return {**fitted, **_to_sum({name: fitted[name] for name in moving}, moving, max(most - others, 0))}

    def _within_ratio(self, fitted: Amounts, ratio: int) -> Amounts:
        """Requests whose limits stay, raised toward these, until the sum of limits is within the ratio of requests.

        A limit that goes with its request is not moved for it: what still does not fit is refused (`admissible`).
        """
        asked = {**self.requests, **fitted}
        kept, moving = self.limits.keys() & self.keeping, self.limits.keys() - self.keeping
        limits = sum(self.limits[name] for name in kept) + sum(self._limit(name, asked.get(name, 0)) for name in moving)
        missing = -(-limits * NANO // ratio) - sum(asked.values())
        room = {name: self.limits[name] - fitted[name] for name in fitted if name in self.keeping}
        total = sum(room.values())
        if missing <= 0 or not total:
            return fitted
        missing = min(missing, total)
        return fitted | {name: fitted[name] - (-missing * own // total) for name, own in room.items()}

    def _limit(self, name: str, amount: int) -> int:
        """The limit that goes with a request: in the same ratio as now, else the request itself."""
        request, limit = self.requests.get(name, 0), self.limits.get(name, 0)
        return amount * limit // request if limit and request else amount


def _to_sum(amounts: Amounts, counted: Amounts, wanted: int) -> Amounts:
    """The amounts, all changed in one ratio, so that what is `counted` of them sums up to `wanted`."""
    total = sum(counted.values())
    return {name: amount * wanted // total for name, amount in amounts.items()} if total else amounts


def _round_away(wanted: Quantity | None, amount: int, unit: int) -> Quantity:
    """The amount in whole units, rounded away from `wanted`, so that a bound holds; in the format of that."""
    assert wanted is not None
    whole = -(-amount // unit) if amount > wanted.nano else amount // unit
    return wanted if amount == wanted.nano else Quantity(whole * unit, wanted.format)


def _strictest(
    choose: Callable[[Quantity, Quantity], Quantity], bounds: Iterable[Mapping[str, Quantity]]
) -> dict[str, Quantity]:
    strictest: dict[str, Quantity] = {}
    for bound in bounds:
        for resource, value in bound.items():
            if value.nano > 0:
                strictest[resource] = choose(strictest[resource], value) if resource in strictest else value
    return strictest
