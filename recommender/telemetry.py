"""Our own metrics: names, labels and meanings are VPA's where it has them."""

import collections
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from adapter.program.tracing.export import SpanCounters
from adapter.spans import OFF, span
from recommender.objects import Vpa, VpaStatus
from recommender.status import NO_PODS, UNSUPPORTED, has_recommendation

STATE: Final = ("update_mode", "has_recommendation", "api", "matches_pods", "unsupported_config")
WRITES: Final = (
    ("status", "good"), ("status", "failed"), ("checkpoint", "good"), ("checkpoint", "failed"), ("pod", "good"),
)  # fmt: skip
"""What is written, and what becomes of it."""


class Telemetry:
    """The metrics of one recommender."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.tracer = OFF
        self.spans = SpanCounters(self.registry)
        self._latency = Histogram(
            "vpa_recommender_execution_latency_seconds",
            "Time spent in each step of a loop",
            ["step"],
            buckets=(0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self._vpas = Gauge("vpa_recommender_vpa_objects_count", "VPAs that are served", STATE, registry=self.registry)
        self._waited = Histogram(
            "vpa_recommender_recommendation_latency_seconds",
            "Time from the creation of a VPA to its first recommendation",
            buckets=(1, 2, 5, 7.5, 10, 20, 30, 40, 50, 60, 90, 120, 150, 180, 240, 300, 600, 900, 1800),
            registry=self.registry,
        )
        self.states = Gauge(
            "vpa_recommender_aggregate_container_states_count", "Containers with history", registry=self.registry
        )
        self.instances = Gauge(
            "streamgate_recommender_instances", "Running containers followed", registry=self.registry
        )
        self.state_bytes = Gauge("streamgate_recommender_state_bytes", "Memory of all states", registry=self.registry)
        self.samples = Counter(
            "streamgate_recommender_samples", "Samples by what became of them", ["result"], registry=self.registry
        )
        self.kills = Counter("streamgate_recommender_oom_kills", "OOM kills that counted", registry=self.registry)
        self.writes = Counter(
            "streamgate_recommender_writes", "Objects written", ["object", "result"], registry=self.registry
        )
        for written in WRITES:  # at 0: of a counter that begins at 1 nobody sees the first failure as a rise
            self.writes.labels(*written)
        self.ended = 0.0
        """Unix s of the end of the last whole loop."""
        self.is_loading = False
        """Whether the loop under way reads history, which may take longer than a loop should."""
        self.acting = False
        """Whether this replica acts."""
        self.changed = 0.0
        """Unix s since when it acts, or does not."""
        self._leading = Gauge("streamgate_recommender_leading", "1 while this replica acts", registry=self.registry)
        self._last_loop = Gauge(
            "streamgate_recommender_last_loop_timestamp_seconds", "End of the last whole loop", registry=self.registry
        )
        self.fetched = Gauge(
            "streamgate_recommender_last_metrics_timestamp_seconds",
            "When pods' metrics were last had",
            registry=self.registry,
        )

    def count_vpas(self, vpas: Iterable[tuple[Vpa, VpaStatus]]) -> None:
        """Counts VPAs by their mode and their newest status."""
        states = collections.Counter(_state(vpa, status) for vpa, status in vpas)
        self._vpas.clear()
        for state, count in states.items():
            self._vpas.labels(*state).set(count)

    def note_first_recommendation(self, seconds: float) -> None:
        """A VPA that has existed for `seconds` got its first recommendation."""
        self._waited.observe(seconds)

    def lead(self, acting: bool, now: float) -> None:
        """This replica begins, or ends, to act; `now` in Unix s."""
        self.acting = acting
        self.changed = now
        self._leading.set(acting)

    def end(self, now: float) -> None:
        """A whole loop has ended."""
        self.ended = now
        self.is_loading = False
        self._last_loop.set(now)

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Times a whole loop, whose steps are inside."""
        with self.tracer.trace("loop"), self._measure("total"):
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times one step."""
        with span(name), self._measure(name):
            yield

    @contextmanager
    def _measure(self, name: str) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self._latency.labels(name).observe(perf_counter() - started)


def _state(vpa: Vpa, status: VpaStatus) -> tuple[str, ...]:
    policy = vpa.spec.update_policy
    true = {condition.type for condition in status.conditions if condition.status == "True"}
    marks = (has_recommendation(status), NO_PODS not in true, UNSUPPORTED in true)
    provided, matches, unsupported = (str(mark).lower() for mark in marks)
    return (policy and policy.update_mode) or "Recreate", provided, "v1", matches, unsupported
