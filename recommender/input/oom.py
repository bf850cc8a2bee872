"""OOM kills and evictions, as pods and events tell of them (VPA's input/oom/observer.go)."""

from collections import deque
from typing import Final, NamedTuple

from adapter.kube.objects import ResourceRequirements, unix
from adapter.units.quantity import Quantity, QuantityError
from recommender.objects import OOM_KILLED, ContainerStatus, Event, Pod

EVICTED: Final = "Evicted"
QUEUE: Final = 5000
"""Kills that are remembered until the next loop; the oldest go first."""


class Kill(NamedTuple):
    """One container ran out of memory."""

    namespace: str
    pod: str
    container: str
    time: float
    """Unix s"""
    memory: int
    """bytes: the request or limit in force, or what an evicted container used; 0: neither"""


class Observer:
    """Collects kills from changes of pods and from events until the loop drains them."""

    def __init__(self, at_limit: bool = True) -> None:
        """`at_limit`: whether a kill shows that a limit above the request is too little; VPA heeds requests only."""
        self._at_limit = at_limit
        self._kills: deque[Kill] = deque(maxlen=QUEUE)

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """The handler for an index of pods."""
        if old is not None and new is not None:
            self._kills.extend(kills(old, new, self._at_limit))

    def event_changed(self, old: Event | None, new: Event | None) -> None:
        """The handler for an index of events."""
        if old is None and new is not None:
            self._kills.extend(evictions(new))

    def drain(self) -> list[Kill]:
        """All kills since the last call."""
        drained = list(self._kills)
        self._kills.clear()
        return drained


def kills(old: Pod, new: Pod, at_limit: bool = True) -> list[Kill]:
    """Containers that ran out of memory between two states of a pod.

    Either it has just ended so, or it was restarted meanwhile and its last run ended so.
    """
    killed = []
    before = {status.name: status for status in old.all_statuses}
    for status in new.all_statuses:
        was = before.get(status.name)
        ended = _kill_time(was, status) if was is not None and old.metadata.uid == new.metadata.uid else None
        if ended is not None:
            memory = _memory(old, status.name, was, at_limit)
            killed.append(Kill(new.metadata.namespace, new.metadata.name, status.name, ended, memory))
    return killed


def _kill_time(was: ContainerStatus, status: ContainerStatus) -> float | None:
    """Unix time, s, of an OOM kill of the container since `was`; None where there was none."""
    now, last = status.state.terminated, status.last_state.terminated
    restarted = status.restart_count > was.restart_count
    if now is not None and now.reason == OOM_KILLED and (was.state.terminated is None or restarted):
        return unix(now.finished_at)
    if restarted and last is not None and last.reason == OOM_KILLED and was.state.terminated is None:
        return unix(last.finished_at)
    return None


def _memory(pod: Pod, container: str, status: ContainerStatus | None, at_limit: bool) -> int:
    """The memory request in force, or the limit if that counts and is larger; as the kubelet says, else the spec.

    What was killed at its limit has used all of it, however little was requested. A container that is alone in its pod
    has the pod's limit where it has none of its own; of several nobody knows which one used it up.
    """
    spec = next((c.resources for c in pod.running_containers if c.name == container), ResourceRequirements())
    held = status.resources if status is not None and status.resources is not None else ResourceRequirements()
    request = _bytes(held.requests.get("memory") or spec.requests.get("memory") or "0")
    whole = pod.spec.resources if len(pod.running_containers) == 1 else None
    shared = whole.limits.get("memory") if whole is not None else None
    limit = _bytes(held.limits.get("memory") or spec.limits.get("memory") or shared or "0")
    return max(request, limit) if at_limit else request


def evictions(event: Event) -> list[Kill]:
    """What an eviction for want of memory says in its annotations: containers and what they used."""
    notes = event.metadata.annotations
    if event.reason != EVICTED or event.involved_object.kind != "Pod":
        return []
    containers = notes.get("offending_containers", "").split(",")
    usages = notes.get("offending_containers_usage", "").split(",")
    starved = notes.get("starved_resource", "")
    time = unix(event.last_timestamp) or unix(event.metadata.creation_timestamp)
    if starved != "memory" or len(containers) != len(usages) or not containers[0] or time is None:
        return []
    about = event.involved_object
    return [
        Kill(about.namespace, about.name, container, time, _bytes(usage))
        for container, usage in zip(containers, usages, strict=True)
    ]


def _bytes(text: str) -> int:
    try:
        return max(Quantity.parse(text).unit(), 0)
    except QuantityError:
        return 0
