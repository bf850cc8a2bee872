"""From a pod and a VPA to the facts of a decision, and to the patch of the pod's `resize` subresource. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from adapter.kube.objects import unix
from adapter.units.quantity import Quantity
from recommender.model.cluster import TrackedVpa
from recommender.objects import (
    OOM_KILLED,
    RESIZE_PENDING,
    ContainerStatus,
    Pod,
    PodContainer,
    ResourcePolicy,
    quantities,
)
from recommender.updater.admissible import Namespace, defaults, new_pod_refusal, resize_refusal
from recommender.updater.facts import (
    Advice,
    InPlace,
    PodFacts,
    Quantities,
    Refusal,
    ResizeState,
    Running,
    Wanted,
)
from recommender.updater.limits import Asked, advice_at_admission, fit_advice, room

OBSERVED: Final = "vpaObservedContainers"
"""The annotation in which VPA's admission controller lists the containers that it saw."""
IN_PROGRESS: Final = "PodResizeInProgress"
RESOURCES: Final = ("cpu", "memory")
Body = Mapping[str, Any]
"""A patch of the `resize` subresource."""


@dataclass(frozen=True)
class Wish:
    """What a pod should have."""

    advice: Mapping[str, Advice]
    """By container, held to what the pod can get."""
    resized: "Resize"
    """What brings it there, as far as a resize may."""
    anew: Mapping[str, Wanted]
    """By container, what a pod that came instead of it would have."""
    refused_resize: Refusal | None = None
    """Why its namespace would refuse the resize, …"""
    refused_new: Refusal | None = None
    """… and the new pod."""


class Resize(NamedTuple):
    """What a resize of a pod would do."""

    body: Body
    in_place: InPlace
    wanted: Mapping[str, Wanted]
    """By container, what it would have."""


def advice_of(tracked: TrackedVpa) -> dict[str, Advice]:
    """The recommendation in the VPA's status, by container."""
    made = tracked.vpa.status.recommendation
    return {
        entry.container_name: Advice(
            quantities(entry.target), quantities(entry.lower_bound), quantities(entry.upper_bound)
        )
        for entry in (made.container_recommendations if made else ())
    }


def wish(pod: Pod, advice: Mapping[str, Advice], policy: ResourcePolicy, namespace: Namespace | None = None) -> Wish:
    """What the pod should have of a VPA's advice, and what its namespace has against that."""
    space = namespace or Namespace()
    asked = [_current_resources(container, policy) for container in pod.running_containers]
    whole = pod.spec.resources
    fitting = fit_advice(
        advice, asked, room(space.ranges, whole.requests if whole else {}, whole.limits if whole else {})
    )
    resized = resize(pod, fitting, policy)
    anew = _anew(pod, advice_at_admission(advice, asked, space.ranges, policy), policy, space)
    if not space.ranges and not space.quotas and whole is None:
        return Wish(fitting, resized, anew)
    return Wish(
        fitting,
        resized,
        anew,
        resize_refusal(pod, resized.wanted, space) if resized.in_place is InPlace.POSSIBLE else None,
        new_pod_refusal(pod, anew, space),
    )


def facts(
    pod: Pod, wished: Wish | None = None, *, in_place: InPlace = InPlace.POSSIBLE, failing: float | None = None
) -> PodFacts:
    """What the decision reads of a pod; `failing` is the Unix time, s, since when its resize has been failing."""
    note = pod.metadata.annotations.get(OBSERVED)
    statuses = {status.name: status for status in pod.all_statuses}
    sidecars = {container.name for container in pod.spec.sidecars}
    containers = [
        _running(container, statuses.get(container.name), is_sidecar=container.name in sidecars)
        for container in pod.running_containers
    ]
    since, state = resizing(pod)
    policies = [policy.restart_policy for container in pod.running_containers for policy in container.resize_policy]
    return PodFacts(
        name=pod.metadata.name,
        containers=containers,
        started=unix(pod.status.start_time),
        observed=frozenset(part.strip() for part in note.split(",")) if note is not None else None,
        resizing=failing if state is ResizeState.ERROR and failing is not None else since,
        resize_state=state,
        in_place=in_place,
        restarts="RestartContainer" in policies,
        refused_resize=wished.refused_resize if wished else None,
        refused_new=wished.refused_new if wished else None,
    )


def resizing(pod: Pod) -> tuple[float | None, ResizeState]:
    """(since when, state) of a resize that is not done."""
    for condition in pod.status.conditions:
        if condition.status == "True" and condition.type in (RESIZE_PENDING, IN_PROGRESS):
            default = ResizeState.DEFERRED if condition.type == RESIZE_PENDING else ResizeState.IN_PROGRESS
            known = condition.reason in set(ResizeState) - {ResizeState.NONE}
            return unix(condition.last_transition_time), ResizeState(condition.reason) if known else default
    return None, ResizeState.NONE


def resize(pod: Pod, advice: Mapping[str, Advice], policy: ResourcePolicy) -> Resize:
    """The patch of the `resize` subresource: new requests; limits keep their ratio unless only requests are controlled.

    A container that has no request of a resource gets none, and a pod keeps its QoS class: a resize may not change
    it. Containers of which nothing would change are left out.
    """
    wanted = {c.name: _new_resources(c, advice[c.name], policy) for c in pod.running_containers if c.name in advice}
    in_place = InPlace.POSSIBLE
    guaranteed = is_guaranteed(pod, {})
    if guaranteed and not is_guaranteed(pod, wanted):
        wanted = {name: change for name, change in wanted.items() if change.requests == change.limits}
        in_place = InPlace.QOS
    elif not guaranteed and is_guaranteed(pod, wanted):
        wanted = _one_less(wanted)
    body: dict[str, list[dict[str, Any]]] = {}
    for kind, containers in (("containers", pod.spec.containers), ("initContainers", pod.spec.sidecars)):
        entries = [_entry(container, wanted[container.name]) for container in containers if container.name in wanted]
        body[kind] = [entry for entry in entries if entry]
    if any(body.values()):
        in_place = InPlace.POSSIBLE
    elif in_place is InPlace.POSSIBLE:
        in_place = InPlace.NOTHING
    return Resize({"spec": {kind: entries for kind, entries in body.items() if entries}}, in_place, wanted)


def scale(requests: Quantities, limits: Quantities, target: Quantities, *, keep_limits: bool) -> Wanted:
    """New requests and limits: limit × new request / old request, or, limits kept, requests held to them."""
    wanted, capped = {}, {}
    for name, amount in target.items():
        request, limit = requests.get(name), limits.get(name)
        if request is None or not request.nano:
            continue
        wanted[name] = amount if limit is None or not keep_limits else min(amount, limit)
        if limit is not None and not keep_limits:
            unit = 10**6 if name == "cpu" else 10**9
            capped[name] = Quantity(limit.nano * amount.nano // request.nano // unit * unit, limit.format)
    return Wanted(wanted, capped)


def is_guaranteed(pod: Pod, wanted: Mapping[str, Wanted]) -> bool:
    """Whether the pod would be of QoS class Guaranteed with these changes: every request is its limit."""
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        change = wanted.get(container.name, Wanted({}, {}))
        requests = quantities(container.resources.requests) | change.requests
        limits = quantities(container.resources.limits) | change.limits
        if any(resource not in limits or requests.get(resource) != limits[resource] for resource in RESOURCES):
            return False
    return bool(pod.spec.containers)


def _current_resources(container: PodContainer, policy: ResourcePolicy) -> Asked:
    resources = container.resources
    return Asked(
        container.name,
        quantities(resources.requests),
        quantities(resources.limits),
        keeps_limits=policy.keeps_limits(container.name),
    )


def _new_resources(container: PodContainer, own: Advice, policy: ResourcePolicy) -> Wanted:
    resources = container.resources
    keep = policy.keeps_limits(container.name)
    return scale(quantities(resources.requests), quantities(resources.limits), own.target, keep_limits=keep)


def _anew(pod: Pod, advice: Mapping[str, Advice], policy: ResourcePolicy, namespace: Namespace) -> dict[str, Wanted]:
    """What a new pod has: what LimitRanges give to who has nothing, then the advice, by VPA's admission controller.

    That leaves init containers as they are, and so sidecars (v1.8.1).
    """
    given, made = defaults(namespace.ranges), dict[str, Wanted]()
    advice = {container.name: advice[container.name] for container in pod.spec.containers if container.name in advice}
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        limits = given.limits | quantities(container.resources.limits)
        requests = given.requests | quantities(container.resources.requests)
        made[container.name] = Wanted(requests, limits)
        if container.name in advice:
            target, keep = advice[container.name].target, policy.keeps_limits(container.name)
            change = scale({**target, **requests}, limits, target, keep_limits=keep)
            made[container.name] = Wanted(requests | change.requests, limits | change.limits)
    return made


def _one_less(wanted: Mapping[str, Wanted]) -> dict[str, Wanted]:
    """The changes with one request a millicore or a byte lower, so that not every request is its limit."""
    made = dict(wanted)
    for name, change in wanted.items():
        for resource, amount in change.requests.items():
            unit = 10**6 if resource == "cpu" else 10**9
            less = Quantity(amount.nano - unit, amount.format)
            made[name] = replace(change, requests={**change.requests, resource: less})
            return made
    return made


def _entry(container: PodContainer, wanted: Wanted) -> dict[str, Any]:
    """The container's part of the patch; empty where nothing would change."""
    requests, limits = quantities(container.resources.requests), quantities(container.resources.limits)
    if {**requests, **wanted.requests} == requests and {**limits, **wanted.limits} == limits:
        return {}
    resources = {"requests": _texts(wanted.requests)} | ({"limits": _texts(wanted.limits)} if wanted.limits else {})
    return {"name": container.name, "resources": resources}


def _running(container: PodContainer, status: ContainerStatus | None, *, is_sidecar: bool) -> Running:
    asked = quantities(container.resources.requests)
    actual = status.resources.requests if status is not None and status.resources is not None else {}
    has = quantities(actual) if actual else asked
    killed = _last_oom_run(status) if status else None
    return Running(container.name, has, killed=killed, asked=asked, is_sidecar=is_sidecar)


def _last_oom_run(status: ContainerStatus) -> tuple[float, float] | None:
    last = status.last_state.terminated
    if last is None or last.reason != OOM_KILLED or last.started_at is None or last.finished_at is None:
        return None
    return unix(last.started_at) or 0.0, unix(last.finished_at) or 0.0


def _texts(amounts: Quantities) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}
