"""Our own metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from adapter.rollout.model.status import Past, Status

NAMES = ("namespace", "policy")


class Telemetry:
    """What can be scraped of the controller."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._phase = Gauge(
            "streamgate_rollout_phase", "1 for the phase that a policy is in", [*NAMES, "phase"], registry=self.registry
        )
        self._weight = Gauge(
            "streamgate_rollout_weight_percent", "Traffic given to the new pods", NAMES, registry=self.registry
        )
        self._releases = Counter(
            "streamgate_rollout_releases", "Releases that ended", [*NAMES, "outcome"], registry=self.registry
        )
        self._turns = Counter("streamgate_rollout_turns", "Turns taken", ["result"], registry=self.registry)
        self._phases: dict[tuple[str, str], str] = {}
        self._last: dict[tuple[str, str], Past | None] = {}

    def turned(self, namespace: str, policy: str, status: Status | None) -> None:
        """A turn ended with this status, or (None) failed or found no policy."""
        self._turns.labels("ok" if status else "failed").inc()
        if status is None:
            return
        key, phase = (namespace, policy), status.phase.value
        if self._phases.get(key) != phase:
            self._drop_phase(key)
            self._phases[key] = phase
            self._phase.labels(*key, phase).set(1)
        self._weight.labels(*key).set(status.release.weight if status.release else 0)
        last = status.history[0] if status.history else None
        if key in self._last and last != self._last[key] and last is not None:
            self._releases.labels(*key, last.outcome.value).inc()
        self._last[key] = last

    def forget(self, namespace: str, policy: str) -> None:
        """The policy is gone."""
        key = (namespace, policy)
        self._drop_phase(key)
        if self._last.pop(key, None) is not None or key in self._phases:
            self._weight.remove(*key)
        self._phases.pop(key, None)

    def _drop_phase(self, key: tuple[str, str]) -> None:
        if key in self._phases:
            self._phase.remove(*key, self._phases[key])
