"""Our own metrics: names and meanings are VPA's where it has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Telemetry:
    """The metrics of one recommender."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._latency = Histogram(
            "vpa_recommender_execution_latency_seconds",
            "Time spent in each step of a loop",
            ["step"],
            buckets=(0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300),
            registry=self.registry,
        )
        self.vpas = Gauge("vpa_recommender_vpa_objects_count", "VPAs that are served", registry=self.registry)
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
        self.ended = 0.0
        """Unix s of the end of the last whole loop."""
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

    def lead(self, acting: bool, now: float) -> None:
        """This replica begins, or ends, to act; `now` in Unix s."""
        self.acting = acting
        self.changed = now
        self._leading.set(acting)

    def end(self, now: float) -> None:
        """A whole loop has ended."""
        self.ended = now
        self._last_loop.set(now)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times one step."""
        started = perf_counter()
        try:
            yield
        finally:
            self._latency.labels(name).observe(perf_counter() - started)
