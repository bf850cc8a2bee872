"""Evidence from a gauge, of one gate: a sign test over windows in which both arms were seen.

A window is *worse* if the canary's value is beyond what is allowed beside stable's (or, where only a limit is given,
beyond the limit while stable's is not), and *fine* if it is within the limit or within what is allowed beside stable's.
For a release like the stable one, worse has a chance of at most one half, whatever the value's distribution.

Windows that follow each other are alike: a queue that is long now is long in ten seconds. How much, is learnt from how
much farther the arms' relative difference moves in two windows than in one, so that a release that turns bad, once,
does not count as windows that are alike. k windows that are as good as one count as the k-th root of their product,
whose expectation is at most 1 however they hang together (Hoelder's inequality).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from adapter.rollout.evidence import mixture
from adapter.rollout.evidence.events import CAP, Bar
from adapter.rollout.evidence.likelihood import SIGNS, Floats, sign
from adapter.rollout.evidence.mixture import Mixture

ALIKE: Final = 0.3
"""The correlation of neighbouring windows that is assumed before any was seen..."""
WEIGHT: Final = 4.0
"""... as if so many windows had shown it."""
MOST_ALIKE: Final = 0.95
LARGE: Final = 2.0**256
"""Beyond it a value is made smaller before it is reckoned with."""
STILL: Final = 1e-6
"""A mean square below this is none."""


class Gauges(NamedTuple):
    """All that is kept."""

    against: Mixture
    fine: Floats
    """(..., 4) logs."""
    seen: Floats
    """(..., 4): windows, worse ones, the last value of the canary and of stable."""
    course: Floats
    """(..., 4) of the relative difference: sums of its squared steps over one window and over two; its last two."""


def begin(shape: tuple[int, ...] = ()) -> Gauges:
    return Gauges(mixture.begin(shape, len(SIGNS)), np.zeros((*shape, len(SIGNS))), *np.zeros((2, *shape, 4)))


def hear(gauges: Gauges, bar: Bar, canary: Floats, stable: Floats, *, lower_is_worse: bool) -> Gauges:
    """A window's values (...); `stable` counts only where the bar is concurrent."""
    worse, fine = compare(bar, canary, stable, lower_is_worse=lower_is_worse)
    windows = as_one(gauges)[..., None]
    return Gauges(
        mixture.hear(gauges.against, sign(worse[..., None]) / windows),
        np.minimum(gauges.fine + sign(fine[..., None]) / windows, CAP),
        np.stack([gauges.seen[..., 0] + 1, gauges.seen[..., 1] + worse, canary, stable], axis=-1),
        _course(gauges, canary, stable if bar.concurrent else np.asarray(bar.limit or 0.0)),
    )


def as_one(gauges: Gauges) -> Floats:
    """How many windows say as much as one that stands alone: 1 and more.

    With a correlation r from one window to the next, steps over two windows are 1 + r times those over one.
    """
    count = gauges.seen[..., 0]
    one = gauges.course[..., 0] / np.maximum(count - 1, 1)
    two = gauges.course[..., 1] / np.maximum(count - 2, 1)
    moved = (count >= 3) & (one > STILL)
    alike = np.where(moved, two / np.where(moved, one, 1.0) - 1, ALIKE)
    alike = (WEIGHT * ALIKE + count * np.clip(alike, -1, 1)) / (WEIGHT + count)
    return np.asarray(np.maximum((1 + alike) / (1 - np.minimum(alike, MOST_ALIKE)), 1))


def _course(gauges: Gauges, canary: Floats, beside: Floats) -> Floats:
    canary, beside = _small(canary, beside)
    size = np.abs(canary) + np.abs(beside)
    now = np.divide(canary - beside, size, out=np.zeros(np.shape(size)), where=size > 0)
    count, (one, two, last, before) = gauges.seen[..., 0], np.moveaxis(gauges.course, -1, 0)
    one = one + np.where(count >= 1, (now - last) ** 2, 0.0)
    two = two + np.where(count >= 2, (now - before) ** 2, 0.0)
    return np.stack([one, two, now, last], axis=-1)


def compare(
    bar: Bar, canary: Floats, stable: Floats, *, lower_is_worse: bool
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(worse, fine) of a window."""
    way = -1.0 if lower_is_worse else 1.0
    value, beside = way * canary, way * stable
    near, mark = _small(value, beside)
    over = value > way * bar.limit if bar.limit is not None else np.ones(np.shape(value), bool)
    if not bar.concurrent:
        return over, ~over
    if bar.margin is None:
        return over & ~(beside > way * (bar.limit or 0.0)), ~over
    most = mark + bar.margin * np.abs(mark)
    relative = np.where(most == 0, value, near) > most  # beside 0 the sign counts, which `near` may have lost
    return relative, ~relative | ~over


def _small(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Both by the same power of two, so that no sum and no margin leaves the range of floats: the order is the same."""
    factor = np.where(np.maximum(np.abs(one), np.abs(other)) > LARGE, 1 / LARGE, 1.0)
    return one * factor, other * factor


def anew(gauges: Gauges) -> Gauges:
    """Forget what speaks in favour."""
    return gauges._replace(fine=np.zeros_like(gauges.fine))


def against(gauges: Gauges) -> Floats:
    """The log of the e-value against the release."""
    return mixture.value(gauges.against)


def in_favour(gauges: Gauges) -> Floats:
    """The log of the e-value for it."""
    return mixture.average(gauges.fine)


def only(new: Gauges, old: Gauges, heard: npt.NDArray[np.bool_]) -> Gauges:
    """`new` for those releases that heard something, else `old`."""

    def pick(one: Floats, other: Floats) -> Floats:
        return np.where(heard[..., None], one, other)

    return Gauges(
        Mixture(*(pick(one, other) for one, other in zip(new.against, old.against, strict=True))),
        pick(new.fine, old.fine),
        pick(new.seen, old.seen),
        pick(new.course, old.course),
    )
