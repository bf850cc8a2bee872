"""Which pods count: ready, not ready, without a value, or not at all; and what they request."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from adapter.hpa.model import PodState, PodValue, Settings


class UnusableError(ValueError):
    """A metric cannot be computed; the text says why."""


class Groups(NamedTuple):
    """The target's pods by the part they play for one metric."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group(
    pods: Iterable[PodState], values: Mapping[str, PodValue], cpu: bool, now: float, settings: Settings
) -> Groups:
    """Sort `pods` for a metric with `values`; `cpu` says that the metric is the cpu resource.

    Pods being deleted and failed pods are ignored; pending pods are unready whatever the metric; a pod without a value
    is missing. Readiness itself is asked for CPU alone, since only CPU runs high while a process starts.
    """
    ready, unready, missing, ignored = 0, set(), set(), set()
    for pod in pods:
        if pod.deleted or pod.phase == "Failed":
            ignored.add(pod.name)
        elif pod.phase == "Pending":
            unready.add(pod.name)
        elif pod.name not in values:
            missing.add(pod.name)
        elif cpu and _starting(pod, values[pod.name], now, settings):
            unready.add(pod.name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _starting(pod: PodState, value: PodValue, now: float, settings: Settings) -> bool:
    """Whether `pod`'s CPU value still shows its start.

    Within the initialization period a value counts once the pod is ready and a whole window lies after that; later
    only a pod that has never been ready is left out: its Ready condition last changed within the readiness delay.
    """
    if pod.ready is None or pod.start is None:
        return True
    if now < pod.start + settings.cpu_initialization_period:
        return pod.ready == "False" or value.time < pod.ready_since + value.window
    return pod.ready == "False" and pod.ready_since < pod.start + settings.initial_readiness_delay


def ready_count(pods: Iterable[PodState]) -> int:
    """Running pods whose Ready condition is True: what a Value target of an Object or External metric multiplies."""
    return sum(pod.phase == "Running" and pod.ready == "True" for pod in pods)


def requests(pods: Sequence[PodState], container: str, resource: str) -> dict[str, int]:
    """Pod name -> request of `resource`, milli: of one container, of the pod itself, or of all its containers.

    One pod without the request spoils the metric, whatever its state: UnusableError.
    """
    return {pod.name: _request(pod, container, resource) for pod in pods}


def _request(pod: PodState, container: str, resource: str) -> int:
    if not container and pod.pod_requests is not None:
        if resource not in pod.pod_requests:
            raise UnusableError(f"pod {pod.name} has no {resource} request of its own")
        return pod.pod_requests[resource]
    if container and container not in pod.requests:
        raise UnusableError(f"pod {pod.name} has no container {container}")
    names = [container] if container else list(pod.requests)
    for name in names:
        if resource not in pod.requests[name]:
            raise UnusableError(f"container {name} of pod {pod.name} has no {resource} request")
    return sum(pod.requests[name][resource] for name in names)
