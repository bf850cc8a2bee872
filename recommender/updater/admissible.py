"""What the API server would refuse of a pod as it shall be: by itself, or by LimitRanges and ResourceQuotas. Pure.

`limits` fits a recommendation into its namespace as far as that goes. What still does not fit is refused where it is a
resize; where it is a new pod, nothing comes in place of the one that was evicted. The rules are Kubernetes' own (1.37):
plugin/pkg/admission/limitranger and, with what a pod takes of it, pkg/quota/v1/evaluator/core/pods.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from adapter.units.quantity import NANO, Quantity
from recommender.objects import Pod, quantities
from recommender.updater.facts import Quantities, Refusal, Wanted
from recommender.updater.limits import UNIT
from recommender.updater.objects import LimitRange, LimitRangeItem, ResourceQuota, ScopeRequirement
from recommender.updater.shape import Shape, effective_total, is_infeasible, larger, shape, shape_for_quota

COUNTED: Final = ("pods", "count/pods")
MUST_BE_SAID: Final = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
"""What each container must say where a quota counts it."""


@dataclass(frozen=True)
class Namespace:
    """What holds for all pods of a namespace."""

    ranges: Sequence[LimitRange] = ()
    quotas: Sequence[ResourceQuota] = ()
    taken: Mapping[str, int] = field(default_factory=dict)
    """resource of a quota -> nano-units that were asked for since the quotas' use was read"""


def resize_refusal(pod: Pod, wanted: Mapping[str, Wanted], namespace: Namespace) -> Refusal | None:
    """Why the server would refuse this resize of the pod; None: nothing is known against it."""
    after = shape(pod, wanted)
    return _by_ranges(after, namespace.ranges) or _by_quotas(pod, after, namespace, is_new=False)


def new_pod_refusal(pod: Pod, wanted: Mapping[str, Wanted], namespace: Namespace) -> Refusal | None:
    """Why no pod with these changes could come instead of the pod; None: nothing is known against it."""
    after = shape(pod, wanted)
    return _by_itself(after) or _by_ranges(after, namespace.ranges) or _by_quotas(pod, after, namespace, is_new=True)


def quota_charges(pod: Pod, wanted: Mapping[str, Wanted], namespace: Namespace) -> dict[str, int]:
    """What the namespace's quotas are charged beyond what was read, with these changes: resource -> nano-units."""
    if not namespace.quotas:
        return dict(namespace.taken)
    before, after = _pod_charges(shape_for_quota(pod)), _pod_charges(shape(pod, wanted))
    more = {name: max(amount - before.get(name, 0), 0) for name, amount in after.items()}
    return {name: namespace.taken.get(name, 0) + amount for name, amount in more.items()}


def defaults(ranges: Iterable[LimitRange]) -> Wanted:
    """The requests and limits that LimitRanges give to a new container that has none."""
    made = Wanted({}, {})
    for item in chain.from_iterable(limit_range.spec.limits for limit_range in ranges):
        if item.type == "Container":
            made.requests.update(quantities(item.default_request))
            made.limits.update(quantities(item.default))
    return made


def _by_itself(after: Shape) -> Refusal | None:
    """What containers may not have beyond the pod as a whole (KEP-2837)."""
    by = "the pod's own resources"
    for resource, amount in effective_total(after.parts, [part.requests for part in after.parts]).items():
        if amount > (most := after.requests[resource]):
            return Refusal(by, resource, f"requests.{resource} of its containers would be {amount}, it requests {most}")
    for part in after.parts:
        for resource, amount in part.limits.items():
            if amount > (most := after.limits.get(resource, amount)):
                return Refusal(by, resource, f"limits.{resource} of {part.name} would be {amount}, its limit is {most}")
    return None


def _by_ranges(after: Shape, ranges: Iterable[LimitRange]) -> Refusal | None:
    for limit_range in ranges:
        by = f"LimitRange {limit_range.metadata.name}"
        for item in limit_range.spec.limits:
            if item.type == "Container":
                checked = [(f"container {part.name}", part.requests, part.limits) for part in after.parts]
            else:
                checked = [("the pod", after.requests, after.limits)] if item.type == "Pod" else []
            for who, requests, limits in checked:
                if refused := _outside(item, requests, limits, who):
                    return Refusal(by, *refused)
    return None


def _outside(item: LimitRangeItem, requests: Quantities, limits: Quantities, who: str) -> tuple[str, str] | None:
    """(resource, why) where an entry does not allow these requests and limits."""
    for resource, least in quantities(item.min).items():
        for kind, amount in (("requests", requests.get(resource)), ("limits", limits.get(resource))):
            if amount is None and kind == "requests":
                return resource, f"{who} must request {resource}, {least} at least"
            if amount is not None and amount < least:
                return resource, f"{kind}.{resource} of {who} would be {amount}, {least} at least is wanted"
    for resource, most in quantities(item.max).items():
        for kind, amount in (("limits", limits.get(resource)), ("requests", requests.get(resource))):
            if amount is None and kind == "limits":
                return resource, f"{who} must have a limit of {resource}, {most} at most"
            if amount is not None and amount > most:
                return resource, f"{kind}.{resource} of {who} would be {amount}, {most} at most is allowed"
    for resource, ratio in quantities(item.max_limit_request_ratio).items():
        request, limit = requests.get(resource), limits.get(resource)
        if request is None or limit is None or not request.nano or not limit.nano:
            return resource, f"{who} must have a request and a limit of {resource}, at most {ratio} times as large"
        if limit.nano * NANO > ratio.nano * request.nano:
            times = limit.nano / request.nano
            return resource, f"limits.{resource} of {who} would be {times:.3g} times the requests, {ratio} are allowed"
    return None


def _by_quotas(pod: Pod, after: Shape, namespace: Namespace, *, is_new: bool) -> Refusal | None:
    """A new pod is charged whole, when the one that it follows no longer is; of a resize only what it adds."""
    before = shape_for_quota(pod)
    then = after if is_new else before if is_infeasible(pod) else larger(pod, after)
    for quota in namespace.quotas:
        if not _covers(quota, pod, after):
            continue
        counted = _pod_charges(before) if _covers(quota, pod, before) else {}
        if refused := _beyond(quota, after, counted, _pod_charges(then), namespace.taken, is_new=is_new):
            return Refusal(f"ResourceQuota {quota.metadata.name}", *refused)
    return None


def _beyond(
    quota: ResourceQuota,
    after: Shape,
    counted: Mapping[str, int],
    then: Mapping[str, int],
    others: Mapping[str, int],
    *,
    is_new: bool,
) -> tuple[str, str] | None:
    """(resource, why) where what the pod is `counted` with becoming `then` is more than the quota has room for."""
    hard, used = quantities(quota.status.hard), quantities(quota.status.used)
    if not after.as_a_whole:
        for name in hard.keys() & set(MUST_BE_SAID):
            silent = [part.name for part in after.parts if name not in _charges_of(part.requests, part.limits)]
            if silent:
                return name, f"container {silent[0]} must say {name}"
    for name, most in hard.items():
        if name not in then:
            continue
        if name not in used:
            return name, f"what is used of {name} is not known yet"
        more = then[name] - counted.get(name, 0)
        would = Quantity(used[name].nano + others.get(name, 0) + more, most.format)
        if would > most and (is_new or more > 0):
            return name, f"{name} would be {would} in all, {most} is allowed"
    return None


def _pod_charges(whole: Shape) -> dict[str, int]:
    """What a quota counts of a pod: resource -> nano-units."""
    return _charges_of(whole.requests, whole.limits) | dict.fromkeys(COUNTED, NANO)


def _charges_of(requests: Quantities, limits: Quantities) -> dict[str, int]:
    plain = {name: amount.nano for name, amount in requests.items()}
    return (
        plain
        | {f"requests.{name}": amount for name, amount in plain.items()}
        | {f"limits.{name}": amount.nano for name, amount in limits.items()}
    )


def _covers(quota: ResourceQuota, pod: Pod, asked: Shape) -> bool:
    """Whether the quota counts such a pod. A scope that is not read (affinity to other namespaces) counts as met."""
    spec = quota.spec
    selected = spec.scope_selector.match_expressions if spec.scope_selector else ()
    plain = (ScopeRequirement(scope_name=name, operator="Exists") for name in spec.scopes)
    return all(_meets(one, pod, asked) for one in (*plain, *selected))


def _meets(scope: ScopeRequirement, pod: Pod, asked: Shape) -> bool:
    ends, name = pod.spec.active_deadline_seconds is not None, pod.spec.priority_class_name
    every = [asked.requests, asked.limits, *(own for part in asked.parts for own in (part.requests, part.limits))]
    nothing = not any(own[resource].nano for own in every for resource in UNIT if resource in own)
    match scope.scope_name:
        case "Terminating" | "NotTerminating":
            return ends == (scope.scope_name == "Terminating")
        case "BestEffort" | "NotBestEffort":
            return nothing == (scope.scope_name == "BestEffort")
        case "PriorityClass":
            return {
                "In": name in scope.values,
                "NotIn": name not in scope.values,
                "Exists": bool(name),
                "DoesNotExist": not name,
            }.get(scope.operator, True)
    return True
