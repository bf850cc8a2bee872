"""What a pod asks for, as a whole: by its spec, with changes, and as quotas count it while a resize goes on. Pure.

The rules are Kubernetes' own (1.37): pkg/quota/v1/evaluator/core/pods.go and component-helpers' resource package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapter.units.quantity import Quantity
from recommender.objects import RESIZE_PENDING, Pod, quantities
from recommender.updater.facts import Quantities, ResizeState, Wanted

NOTHING: Final = Wanted({}, {})


@dataclass(frozen=True)
class Part:
    """A container, by what it asks for."""

    name: str
    requests: Quantities
    limits: Quantities
    is_init: bool = False
    is_sidecar: bool = False


@dataclass(frozen=True)
class Shape:
    """What a pod asks for, container by container and as a whole."""

    parts: Sequence[Part]
    requests: Quantities
    limits: Quantities
    as_a_whole: bool = False
    """Whether it has resources of its own, which stand for its containers'."""


def shape(pod: Pod, wanted: Mapping[str, Wanted]) -> Shape:
    """The pod with these changes."""
    parts = []
    for is_init, containers in ((False, pod.spec.containers), (True, pod.spec.init_containers)):
        for one in containers:
            change, own = wanted.get(one.name, NOTHING), one.resources
            requests, limits = quantities(own.requests) | change.requests, quantities(own.limits) | change.limits
            is_sidecar = is_init and one.restart_policy == "Always"
            parts.append(Part(one.name, requests, limits, is_init=is_init, is_sidecar=is_sidecar))
    return _whole(pod, parts)


def shape_for_quota(pod: Pod) -> Shape:
    """What quotas count of the pod today: the larger of what it asks for and what it has, or that alone."""
    asked = shape(pod, {})
    return _had(pod, asked) if is_infeasible(pod) else larger(pod, asked)


def is_infeasible(pod: Pod) -> bool:
    """Whether the kubelet says that the pod's resize can never be done: quotas do not count what it asks for, then."""
    pending = [condition for condition in pod.status.conditions if condition.type == RESIZE_PENDING]
    return any(condition.reason == ResizeState.INFEASIBLE for condition in pending)


def larger(pod: Pod, asked: Shape) -> Shape:
    """The larger of what is asked for and what the pod has; pod-level resources as they are asked for."""
    has = _had(pod, asked)
    return Shape(
        asked.parts, _largest(asked.requests, has.requests), _largest(asked.limits, has.limits), asked.as_a_whole
    )


def _had(pod: Pod, asked: Shape) -> Shape:
    """What the kubelet says the containers have; what they ask for where it says nothing."""
    statuses = {status.name: status.resources for status in pod.all_statuses}
    parts = []
    for part in asked.parts:
        has = statuses.get(part.name)
        requests = quantities(has.requests) if has and has.requests else part.requests
        limits = quantities(has.limits) if has and has.limits else part.limits
        parts.append(Part(part.name, requests, limits, is_init=part.is_init, is_sidecar=part.is_sidecar))
    return _whole(pod, parts)


def _whole(pod: Pod, parts: Sequence[Part]) -> Shape:
    own = pod.spec.resources
    requests, limits = ([part.requests for part in parts], [part.limits for part in parts])
    return Shape(
        parts,
        effective_total(parts, requests) | (quantities(own.requests) if own else {}),
        effective_total(parts, limits) | (quantities(own.limits) if own else {}),
        as_a_whole=own is not None and bool(own.requests or own.limits),
    )


def effective_total(parts: Sequence[Part], amounts: Sequence[Quantities]) -> dict[str, Quantity]:
    """What the pod needs at once: containers and sidecars, or, if more, an init container and earlier sidecars.

    Of each resource that any container names; KEP-753.
    """
    together: dict[str, Quantity] = {}
    before: dict[str, Quantity] = {}
    most: dict[str, Quantity] = {}
    for part, own in zip(parts, amounts, strict=True):
        if not part.is_init or part.is_sidecar:
            together = _add(together, own)
        if part.is_sidecar:
            before = _add(before, own)
        if part.is_init:
            most = _largest(most, before if part.is_sidecar else _add(before, own))
    return _largest(together, most)


def _add(left: Quantities, right: Quantities) -> dict[str, Quantity]:
    return {**left, **{name: _plus(left.get(name), amount) for name, amount in right.items()}}


def _plus(left: Quantity | None, right: Quantity) -> Quantity:
    return right if left is None else Quantity(left.nano + right.nano, left.format)


def _largest(left: Quantities, right: Quantities) -> dict[str, Quantity]:
    return {**left, **{name: max(left.get(name, amount), amount) for name, amount in right.items()}}
