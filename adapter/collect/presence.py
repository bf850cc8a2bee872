"""Which pods take traffic, and since when: what a value of a pod in transition is judged by. No network, no clock.

A pod that starts, ends or has crashed says little about the load: it counts nothing yet, or what it counted before the
others took over. Kubernetes' own sign for "takes traffic" is the Ready condition (a Service's EndpointSlices follow
it), so here a pod's samples count from the moment that it became Ready until it is not.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from adapter.kube.objects import Pod, condition, unix

FINISHED: Final = frozenset({"Succeeded", "Failed"})
COARSE: Final = 1.0
"""s: Kubernetes writes times of transition in whole seconds, rounded down."""


class Presence(NamedTuple):
    """Whether a pod takes traffic, as far as the API server told."""

    takes_traffic: bool
    since: float
    """Unix time, s, by our clock: since when that is so."""
    why: str = ""
    """What it is instead: 'not ready', 'being deleted', …; '' where it takes traffic."""
    created: float = 0.0
    """When the pod was made, Unix s by the API server's clock; 0 where that is not known."""

    def describe(self, now: float) -> str:
        """One sentence without a full stop: 'not ready for 12 s'."""
        return f"{self.why or 'ready'} for {max(now - self.since, 0.0):.0f} s"


def presence(pod: Pod, before: Presence | None, now: float) -> Presence:
    """What `pod` is at Unix time `now`; `before` is what it was at the change before, None where that was not seen.

    A change that we saw happened now; one that happened before we looked has the condition's own time, at most `now`
    (it is another machine's clock). A pod that turned twice between two looks shows in that time.
    """
    takes_traffic, why, told = _state(pod)
    if before is not None and (before.takes_traffic, before.why) == (takes_traffic, why):
        renewed = before.takes_traffic and told is not None and told > before.since + COARSE
        return before._replace(since=now) if renewed and before.since < now else before
    created = unix(pod.metadata.creation_timestamp) or 0.0
    if before is not None or told is None:
        return Presence(takes_traffic, now, why, created)
    return Presence(takes_traffic, min(told + COARSE, now), why, created)


def _state(pod: Pod) -> tuple[bool, str, float | None]:
    """Takes traffic, what it is instead, and the condition's own time of that, Unix s."""
    if pod.metadata.deletion_timestamp is not None:
        return False, "being deleted", None
    if pod.status.phase in FINISHED:
        return False, "finished", None
    ready = condition(pod.status.conditions, "Ready")
    if ready is None:
        return False, "not ready", unix(pod.metadata.creation_timestamp)
    if ready.status == "True":
        return True, "", unix(ready.last_transition_time)
    return False, "not ready", unix(ready.last_transition_time)


class Presences:
    """The presence of every pod; an index of pods calls `note_change` at each change."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._clock = clock
        self._known: dict[tuple[str, str], Presence] = {}
        self._handlers: list[Callable[[Pod, float], object]] = []

    def on_turn(self, handler: Callable[[Pod, float], object]) -> None:
        """Calls `handler(pod, now)` when a pod begins or ceases to take traffic, or its labels change, from now on."""
        self._handlers.append(handler)

    def of(self, namespace: str, name: str) -> Presence | None:
        """The pod's presence; None where no such pod is known."""
        return self._known.get((namespace, name))

    def note_change(self, old: Pod | None, new: Pod | None) -> None:
        """Take over a change of a pod from `old` to `new`; see `Index.on_change`."""
        pod = new or old
        assert pod is not None
        key, now = (pod.metadata.namespace, pod.metadata.name), self._clock()
        before = self._known.get(key)
        if new is None:
            self._known.pop(key, None)
            after = None
        else:
            # A pod that we saw appear is as new to us as it is; one of the first list may be older.
            after = self._known[key] = presence(new, before, now)
        told = [pod] if _has_turned(before, after) else []
        if old is not None and new is not None and old.metadata.labels != new.metadata.labels:
            told = [old, new]
        for each in told:
            for handler in self._handlers:
                handler(each, now)


def _has_turned(before: Presence | None, after: Presence | None) -> bool:
    taking = after is not None and after.takes_traffic
    took = before is not None and before.takes_traffic
    return taking != took or (taking and before is not None and after is not None and after.since > before.since)
