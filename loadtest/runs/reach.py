"""What an HPA would have reached on perfect metrics: its formula on the true load, pods there at once. Pure.

No metric is late or noisy and no pod starts slowly: what is missed even then is the HPA's own, by its period, its
tolerance, its scale-down window, and by pods that come in whole numbers. It is no upper bound to the last digit: a rate
that is off by chance may lead an HPA out of its tolerance when that is right.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from adapter.hpa.decide import decide
from adapter.hpa.model import ExternalValues, History, HpaSpec, Metric, Scale, Source
from loadtest.runs.measures import STEP_S, Moment, elasticity, moments
from loadtest.runs.record import Run

PERIOD_S = 15.0
"""The HPA controller's default."""
PHASES = 5
"""Moments at which its first look may fall, spread over a period."""
MOST_LOOKS = 1_500
"""At which the formula is asked for one report, or at those of one phase: the longer a run, the less phases differ."""
EPOCH = 1e9
"""Unix s of a run's beginning, for the formula; any will do."""


class Reach(NamedTuple):
    """Scaling accuracies: the mean over the phases of the HPA's period, and the worst and the best of them."""

    mean: float
    low: float
    high: float


def reach(run: Run) -> Reach | None:
    """Of the HPA that the run had; None where the record does not tell it."""
    spec = run.spec
    if spec is None:
        return None

    def load(elapsed: float) -> float:
        return run.plan.load(elapsed, per_pod=run.per_pod, seconds=run.seconds)

    needs = [one.need for one in moments(run)]
    count = max(1, min(PHASES, int(MOST_LOOKS * PERIOD_S / run.seconds)))
    return over_phases([elasticity(simulate_hpa(load, needs, spec, phase)).accuracy for phase in phases(count)])


def phases(count: int) -> list[float]:
    """The middles of so many equal parts of a period, s."""
    return [(place + 0.5) * PERIOD_S / count for place in range(count)]


def over_phases(accuracies: Sequence[float]) -> Reach:
    """One for each phase."""
    return Reach(math.fsum(accuracies) / len(accuracies), min(accuracies), max(accuracies))


def simulate_hpa(load: Callable[[float], float], needs: Sequence[int], spec: HpaSpec, phase: float) -> list[Moment]:
    """Need and fleet in the middle of each STEP_S, of an HPA that first looks at `phase` s; its fleet begins right.

    `load` is in requests/s, `needs` for each of these moments, and the target that of the first metric of `spec`. The
    formula gets the load as one number for all pods (External), as quick for many pods as for two.
    """
    (metric, *_) = spec.metrics
    spec = replace(spec, metrics=(Metric(Source.EXTERNAL, metric.name, metric.target),))
    have, due, history, moments = needs[0], phase, History(), []
    for place, need in enumerate(needs):
        elapsed = (place + 0.5) * STEP_S
        while due <= elapsed:
            told = ExternalValues([round(1000 * load(due))])
            decision = decide(spec, Scale(have, have), [told], [], history, EPOCH + due)
            have, history, due = decision.desired, decision.history, due + PERIOD_S
        moments.append(Moment(need, have))
    return moments
