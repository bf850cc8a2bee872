"""What the server tells of itself, for /metrics. The names shared with Kubernetes' API servers fit their dashboards."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adapter import rooms

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_AGES = tuple(round(1.364**step, 3) for step in range(20))
"""s; the peer's buckets: 20 steps of factor 1.364 from 1."""
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "head", "post", "options")
_MINUTE = 60.0


class Telemetry:
    """The server's metrics, registered once in `registry`. Labels come from small fixed sets, never from a stranger."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        registry.register(Memories())
        labels = ("group", "version", "verb", "code")
        self._seconds = Histogram(
            "apiserver_request_duration_seconds", "Time of a request.", labels, buckets=_SECONDS, registry=registry
        )
        self.in_flight = Gauge("apiserver_current_inflight_requests", "Requests in progress.", registry=registry)
        self.connections = Gauge("streamgate_connections", "Open connections.", registry=registry)
        self.turned_away = Gauge(
            "streamgate_connections_turned_away",
            "Connections that had to give way, or were not let in, for want of places or bytes, since the start.",
            registry=registry,
        )
        self.refused = Counter("streamgate_requests_refused", "Requests refused for load.", registry=registry)
        self._authentications = _by_result(
            registry,
            "streamgate_authentications",
            "Callers by how they were found.",
            ("known", "anonymous", "refused", "error"),
        )
        self._authorizations = _by_result(
            registry, "streamgate_authorizations", "Requests by the verdict on them.", ("allowed", "denied", "error")
        )
        self._age = Histogram(
            "metrics_apiserver_metric_freshness_seconds",
            "Age of the oldest value of an answer.",
            ("group",),
            buckets=_AGES,
            registry=registry,
        )
        self._ages: dict[str, Histogram] = {}
        self._requests: dict[tuple[str, str, str, str], Histogram] = {}

    def request(self, *, group: str, version: str, verb: str, code: int, seconds: float) -> None:
        """Count a request that has been answered."""
        key = (group, version, verb if verb in _VERBS else "other", str(code))
        child = self._requests.get(key)
        if child is None:
            child = self._requests[key] = self._seconds.labels(*key)
        child.observe(seconds)

    def count_authentication(self, result: str) -> None:
        """Count a caller: 'known', 'anonymous', 'refused', 'error'."""
        self._authentications[result].inc()

    def count_authorization(self, result: str) -> None:
        """Count a verdict: 'allowed', 'denied', 'error'."""
        self._authorizations[result].inc()

    def note_age(self, group: str, age: float) -> None:
        """Note the age, s, of the oldest value of an answer."""
        child = self._ages.get(group)
        if child is None:
            child = self._ages[group] = self._age.labels(group)
        child.observe(max(age, 0.0))


def _by_result(registry: CollectorRegistry, name: str, text: str, results: tuple[str, ...]) -> dict[str, Counter]:
    """A counter for each result: found once, since looking a label up costs more than counting."""
    counter = Counter(name, text, ("result",), registry=registry)
    return {result: counter.labels(result) for result in results}


class Memories(Collector):
    """How full the memories are that are bounded in bytes."""

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        held = GaugeMetricFamily("streamgate_memory_bytes", "Bytes held, by estimate.", labels=["memory"])
        most = GaugeMetricFamily("streamgate_memory_limit_bytes", "Bytes that may be held.", labels=["memory"])
        for name, weight, limit in rooms.fill_levels():
            held.add_metric([name], weight)
            most.add_metric([name], limit)
        yield held
        yield most


class LoopWatch:
    """How long the event loop is held: a heartbeat that measures by how much it comes late."""

    def __init__(self, registry: CollectorRegistry, beat: float = 0.05) -> None:
        """`beat`: s between heartbeats; a turn shorter than that may go unseen."""
        self._beat = beat
        self._late: deque[tuple[float, float]] = deque()
        gauge = Gauge(
            "streamgate_event_loop_lateness_seconds",
            "By how much a heartbeat came late at most in the last minute: the longest turn of the event loop.",
            registry=registry,
        )
        gauge.set_function(lambda: self.longest(time.monotonic()))

    def longest(self, now: float) -> float:
        """s, of the last minute; `now` in monotonic seconds."""
        while self._late and self._late[0][0] < now - _MINUTE:
            self._late.popleft()
        return self._late[0][1] if self._late else 0.0

    def note(self, now: float, late: float) -> None:
        """A heartbeat came `late` seconds late. Only those that no later one exceeds are kept."""
        while self._late and self._late[-1][1] <= late:
            self._late.pop()
        self._late.append((now, late))
        self.longest(now)

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._beat
        while True:
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            self.note(now, max(now - due, 0.0))
            due = now + self._beat
