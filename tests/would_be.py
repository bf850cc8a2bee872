"""What an HPA would want at one moment if nothing held it back: for tests and benches of what the adapter serves."""

from collections.abc import Mapping, Sequence
from typing import Final

from adapter.hpa.decide import decide
from adapter.hpa.model import (
    Behavior,
    History,
    HpaSpec,
    Metric,
    PodState,
    PodValue,
    PodValues,
    Recommendation,
    Rules,
    Scale,
    Source,
    Target,
    TargetType,
)

FAR_BACK: Final = 7200.0
"""s since the last recommendation: no stabilization window reaches it."""


def size(
    values: Mapping[str, PodValue], pods: Sequence[PodState], *, replicas: int, target: float, now: float
) -> int | None:
    """The size that it would want of `replicas`, at a target per pod; None where it has no value and holds."""
    if not values:
        return None
    metric = Metric(Source.PODS, "rps", Target(TargetType.AVERAGE_VALUE, round(target * 1000)))
    spec = HpaSpec(max=10, min=1, metrics=(metric,), behavior=Behavior(down=Rules(window=0)))
    existing = sum(not pod.deleted for pod in pods)
    past = History(recommendations=(Recommendation(1, now - FAR_BACK),))
    return decide(spec, Scale(replicas, existing), [PodValues(values)], pods, past, now).desired
