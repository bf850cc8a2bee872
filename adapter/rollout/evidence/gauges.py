"""Evidence from a gauge, of one gate: a sign test over windows in which both arms were seen.

A window is *worse* if the canary's value is beyond what is allowed beside stable's (or, where only a limit is given,
beyond the limit while stable's is not), and *fine* if it is within the limit or within what is allowed beside stable's.
For a release like the stable one, worse has a chance of at most one half, whatever the value's distribution.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adapter.rollout.evidence import mixture
from adapter.rollout.evidence.events import CAP, Bar
from adapter.rollout.evidence.likelihood import SIGNS, Floats, sign
from adapter.rollout.evidence.mixture import Mixture


class Gauges(NamedTuple):
    """All that is kept."""

    against: Mixture
    fine: Floats
    """(..., 4) logs."""
    seen: Floats
    """(..., 4): windows, worse ones, the last value of the canary and of stable."""


def begin(shape: tuple[int, ...] = ()) -> Gauges:
    return Gauges(mixture.begin(shape, len(SIGNS)), np.zeros((*shape, len(SIGNS))), np.zeros((*shape, 4)))


def hear(gauges: Gauges, bar: Bar, canary: Floats, stable: Floats, *, lower_is_worse: bool) -> Gauges:
    """A window's values (...); `stable` counts only where the bar is concurrent."""
    worse, fine = compare(bar, canary, stable, lower_is_worse=lower_is_worse)
    seen = np.stack([gauges.seen[..., 0] + 1, gauges.seen[..., 1] + worse, canary, stable], axis=-1)
    return Gauges(
        mixture.hear(gauges.against, sign(worse[..., None])),
        np.minimum(gauges.fine + sign(fine[..., None]), CAP),
        seen,
    )


def compare(
    bar: Bar, canary: Floats, stable: Floats, *, lower_is_worse: bool
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(worse, fine) of a window."""
    way = -1.0 if lower_is_worse else 1.0
    value, beside = way * canary, way * stable
    over = value > way * bar.limit if bar.limit is not None else np.ones(np.shape(value), bool)
    if not bar.concurrent:
        return over, ~over
    if bar.margin is None:
        return over & ~(beside > way * (bar.limit or 0.0)), ~over
    relative = value > beside + bar.margin * np.abs(beside)
    return relative, ~relative | ~over


def anew(gauges: Gauges) -> Gauges:
    """Forget what speaks in favour."""
    return gauges._replace(fine=np.zeros_like(gauges.fine))


def against(gauges: Gauges) -> Floats:
    """The log of the e-value against the release."""
    return mixture.value(gauges.against)


def in_favour(gauges: Gauges) -> Floats:
    """The log of the e-value for it."""
    return mixture.average(gauges.fine)
