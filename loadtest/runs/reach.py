"""What an HPA would have reached on perfect metrics: its formula on the true load, pods there at once. Pure.

No metric is late or noisy and no pod starts slowly: what is missed even then is the HPA's own, by its period, its
tolerance, its scale-down window, and by pods that come in whole numbers. It is no upper bound to the last digit: a rate
that is off by chance may lead an HPA out of its tolerance when that is right.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from adapter.hpa.decide import decide
from adapter.hpa.model import History, HpaSpec, PodState, PodValue, PodValues, Scale
from loadtest.runs.measures import STEP_S, Moment, elasticity
from loadtest.runs.record import Run

PERIOD_S = 15.0
"""The HPA controller's default."""
PHASES = 5
"""Moments at which its first look may fall, spread over a period."""
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

    return over_phases(
        [elasticity(followed(load, run.needs, spec, run.seconds, phase)).accuracy for phase in phases(PHASES)]
    )


def phases(count: int) -> list[float]:
    """The middles of so many equal parts of a period, s."""
    return [(place + 0.5) * PERIOD_S / count for place in range(count)]


def over_phases(accuracies: Sequence[float]) -> Reach:
    """One for each phase."""
    return Reach(math.fsum(accuracies) / len(accuracies), min(accuracies), max(accuracies))


def followed(
    load: Callable[[float], float], needs: Callable[[float], int], spec: HpaSpec, seconds: float, phase: float
) -> list[Moment]:
    """Need and fleet in the middle of each STEP_S, of an HPA whose first look is at `phase` s. `load` is in requests/s.

    The fleet begins at what is needed.
    """
    have, due, history, found = needs(0.0), phase, History(), []
    for place in range(int(seconds / STEP_S)):
        elapsed = (place + 0.5) * STEP_S
        while due <= elapsed:
            pods = [PodState(f"pod-{number}") for number in range(have)]
            values = PodValues({pod.name: PodValue(round(1000 * load(due) / have)) for pod in pods})
            decision = decide(spec, Scale(have, have), [values], pods, history, EPOCH + due)
            have, history, due = decision.desired, decision.history, due + PERIOD_S
        found.append(Moment(needs(elapsed), have))
    return found
