"""Short words for the tests of the formula: pods that are long ready, values in plain units, one look."""

import pytest

from adapter.hpa.decide import Decision, decide
from adapter.hpa.model import (
    DEFAULTS,
    Behavior,
    ExternalValues,
    History,
    HpaSpec,
    Metric,
    Observed,
    PodState,
    PodValue,
    PodValues,
    Recommendation,
    Scale,
    Settings,
    Source,
    Target,
    TargetType,
)

NOW = 1_800_000_000.0
FAR_BACK = History(recommendations=(Recommendation(1, NOW - 7200),))


class Bench:
    """Builds what `decide` takes; values and targets in plain units (1.5), CPU requests in m."""

    now = NOW

    @staticmethod
    def pods(number: int, **state: object) -> list[PodState]:
        """`number` pods p0, p1… that started an hour ago and are ready since, unless `state` says otherwise."""
        usual = {"start": NOW - 3600, "ready_since": NOW - 3590, "requests": {"app": {"cpu": 100}}}
        return [PodState(f"p{index}", **(usual | state)) for index in range(number)]  # type: ignore[arg-type]

    @staticmethod
    def values(*values: float | None, time: float = NOW) -> PodValues:
        """p0, p1… with these values; None leaves a pod out."""
        given = {f"p{index}": PodValue(round(v * 1000), time) for index, v in enumerate(values) if v is not None}
        return PodValues(given)

    @staticmethod
    def external(*values: float) -> ExternalValues:
        return ExternalValues([round(value * 1000) for value in values])

    @staticmethod
    def rps(target: float = 10) -> Metric:
        return Metric(Source.PODS, "rps", Target(TargetType.AVERAGE_VALUE, round(target * 1000)))

    @staticmethod
    def queue(target: float = 10, kind: TargetType = TargetType.AVERAGE_VALUE) -> Metric:
        return Metric(Source.EXTERNAL, "queue", Target(kind, round(target * 1000)))

    @staticmethod
    def cpu(percent: int = 50) -> Metric:
        return Metric(Source.RESOURCE, "cpu", Target(TargetType.UTILIZATION, percent))

    def look(
        self,
        metric: Metric | tuple[Metric, ...],
        seen: Observed | list[Observed],
        current: int,
        pods: list[PodState] | None = None,
        *,
        bounds: tuple[int, int] = (1, 100),
        behavior: Behavior | None = None,
        history: History | None = None,
        now: float = NOW,
        settings: Settings = DEFAULTS,
        existing: int | None = None,
    ) -> Decision:
        """One look; without a history at one that lies far back, so that stabilization holds nothing."""
        metrics = metric if isinstance(metric, tuple) else (metric,)
        return decide(
            HpaSpec(max=bounds[1], min=bounds[0], metrics=metrics, behavior=behavior),
            Scale(current, current if existing is None else existing),
            seen if isinstance(seen, list) else [seen],
            self.pods(current) if pods is None else pods,
            FAR_BACK if history is None else history,
            now,
            settings,
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()
