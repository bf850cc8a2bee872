"""What the HPA's formula reads of a pod, from the object. Pure."""

from collections.abc import Iterable, Mapping

from adapter.hpa.model import PodState
from adapter.kube.objects import Container, Pod, condition, unix
from adapter.units.quantity import Quantity, QuantityError

Requests = dict[str, int]
"""Resource -> milli."""


def pod_state(pod: Pod) -> PodState:
    """`pod` as the formula sees it; a request that is no quantity counts as none."""
    ready = condition(pod.status.conditions, "Ready")
    sidecars = [one for one in pod.spec.init_containers if one.restart_policy == "Always"]
    own = _milli(pod.spec.resources.requests) if pod.spec.resources else {}
    return PodState(
        name=pod.metadata.name,
        phase=pod.status.phase,
        deleted=pod.metadata.deletion_timestamp is not None,
        start=unix(pod.status.start_time),
        ready=ready.status if ready else None,
        ready_since=(unix(ready.last_transition_time) if ready else None) or 0.0,
        requests={one.name: _milli(one.resources.requests) for one in (*pod.spec.containers, *sidecars)},
        pod_requests=_effective(pod) | own if own else None,
    )


def _effective(pod: Pod) -> Requests:
    """What the scheduler sets aside for the containers (k8s.io/component-helpers, PodRequests): what runs, or, if that
    is more, what an init container needs beside the sidecars that started before it."""
    running, starting, largest = _total(pod.spec.containers), Requests(), Requests()
    for one in pod.spec.init_containers:
        requests = _milli(one.resources.requests)
        if one.restart_policy == "Always":
            running, starting = _sum(running, requests), _sum(starting, requests)
            largest = _largest(largest, starting)
        else:
            largest = _largest(largest, _sum(starting, requests))
    return _largest(running, largest)


def _total(containers: Iterable[Container]) -> Requests:
    total = Requests()
    for one in containers:
        total = _sum(total, _milli(one.resources.requests))
    return total


def _sum(left: Requests, right: Requests) -> Requests:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def _largest(left: Requests, right: Requests) -> Requests:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}


def _milli(requests: Mapping[str, str]) -> Requests:
    amounts = Requests()
    for name, text in requests.items():
        try:
            amounts[name] = Quantity.parse(text).milli()
        except QuantityError:
            continue
    return amounts
