"""Our own metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from adapter.program.tracing.export import SpanCounters
from adapter.rollout.model.status import Outcome, Past, Phase, Status
from adapter.rollout.model.verdict import Said
from adapter.spans import OFF

NAMES = ("namespace", "policy")
BUCKETS: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds; a rollback that needs more than 5 is slow."""


RESULTS: Final = ("sent", "failed", "dropped")
"""Of a notification."""


class Telemetry:
    """What can be scraped of the controller."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tracer = OFF
        self.spans = SpanCounters(self.registry)
        self._phase = Gauge(
            "streamgate_rollout_phase", "1 for the phase that a policy is in", [*NAMES, "phase"], registry=self.registry
        )
        self._weight = Gauge(
            "streamgate_rollout_weight_percent", "Traffic given to the new pods", NAMES, registry=self.registry
        )
        self._undecided = Gauge(
            "streamgate_rollout_undecided", "1 while gates or probes are neither for nor against a release's new pods",
            NAMES, registry=self.registry,
        )  # fmt: skip
        self._releases = Counter(
            "streamgate_rollout_releases", "Releases that ended", [*NAMES, "outcome"], registry=self.registry
        )
        self._verdicts = Counter(
            "streamgate_rollout_verdicts", "Windows judged", [*NAMES, "verdict"], registry=self.registry
        )
        self._back = Histogram(
            "streamgate_rollout_return_seconds",
            "From a verdict against the new pods until no EndpointSlice sends new connections there",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._turns = Counter("streamgate_rollout_turns", "Turns taken", ["result"], registry=self.registry)
        self._notified = Counter(
            "streamgate_rollout_notifications", "Notifications: sent, failed or dropped", ["result"],
            registry=self.registry,
        )  # fmt: skip
        for result in RESULTS:
            self._notified.labels(result)
        for result in ("ok", "failed"):
            self._turns.labels(result)
        self._phases: dict[tuple[str, str], str] = {}
        self._last: dict[tuple[str, str], Past | None] = {}
        self._returned: dict[tuple[str, str], str] = {}

    def note_turn(self, namespace: str, policy: str, status: Status | None, *, undecided: bool = False) -> None:
        """Notes a turn and its status; None: it failed or found no policy. `undecided`: gates or probes are."""
        self._turns.labels("ok" if status else "failed").inc()
        if status is None:
            return
        key, phase = (namespace, policy), status.phase.value
        if key not in self._phases:
            self._begin(key)
        if self._phases.get(key) != phase:
            self._drop_phase(key)
            self._phases[key] = phase
            self._phase.labels(*key, phase).set(1)
        self._weight.labels(*key).set(status.release.weight if status.release else 0)
        self._undecided.labels(*key).set(undecided and status.release is not None)
        last = status.history[0] if status.history else None
        if key in self._last and last != self._last[key] and last is not None:
            self._releases.labels(*key, last.outcome.value).inc()
        self._last[key] = last
        self._see_return(key, status)

    def _begin(self, key: tuple[str, str]) -> None:
        """Counters begin at 0: of one that begins at 1 `increase` sees nothing, so the first rollback would be none."""
        for outcome in Outcome:
            self._releases.labels(*key, outcome.value)
        for said in Said:
            self._verdicts.labels(*key, said.value)

    def count_verdict(self, namespace: str, policy: str, said: Said) -> None:
        """Counts the verdict on a window."""
        self._verdicts.labels(namespace, policy, said.value).inc()

    def _see_return(self, key: tuple[str, str], status: Status) -> None:
        """Once per release: traffic is off the new pods."""
        release = status.release
        if release is None or status.phase is not Phase.RETURNING or self._returned.get(key) == release.id:
            return
        if release.since is not None and release.reached is not None:
            self._returned[key] = release.id
            self._back.observe((release.reached - release.since).total_seconds())

    def count_notification(self, result: str) -> None:
        """Counts a notification by what became of it: sent, failed or dropped."""
        self._notified.labels(result).inc()

    def forget(self, namespace: str, policy: str) -> None:
        """The policy is gone."""
        key = (namespace, policy)
        self._drop_phase(key)
        if self._last.pop(key, None) is not None or key in self._phases:
            self._weight.remove(*key)
            self._undecided.remove(*key)
        self._phases.pop(key, None)
        self._returned.pop(key, None)
        for said in Said:
            self._verdicts.remove(*key, said.value)
        for outcome in Outcome:
            self._releases.remove(*key, outcome.value)

    def _drop_phase(self, key: tuple[str, str]) -> None:
        if key in self._phases:
            self._phase.remove(*key, self._phases[key])
