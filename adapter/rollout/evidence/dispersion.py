"""How bursty bad events are: the mean size of the burst that an event is in.

Two neighbouring intervals of one arm share their bad events by their requests, whatever the common rate. The square of
what is off, over what independent events would give, is the spread; so a slow change of the rate is no burst. All
intervals are weighted by their events. Learnt from both arms, and used only for intervals that come later.
"""

from typing import Final, NamedTuple

import numpy as np

from adapter.rollout.evidence.likelihood import Floats

FIRST: Final = 20.0
"""The spread that is assumed before any event was seen..."""
WEIGHT: Final = 20.0
"""... as if so many events had shown it."""
SAFETY: Final = 1.5
"""Bursts are larger than their mean."""


class Dispersion(NamedTuple):
    """`off`: sum of squares over what single events would give; `events`: the bad ones among them."""

    off: Floats
    events: Floats
    last: Floats
    """Each arm's last interval, (..., 2, 2): requests, bad."""


def begin(shape: tuple[int, ...]) -> Dispersion:
    return Dispersion(np.zeros(shape), np.zeros(shape), np.zeros((*shape, 2, 2)))


def hear(spread: Dispersion, arm: int, requests: Floats, bad: Floats) -> Dispersion:
    """One interval of one arm (0 stable, 1 canary); one without traffic teaches nothing."""
    before, bad_before = spread.last[..., arm, 0], spread.last[..., arm, 1]
    known = (before > 0) & (requests > 0)
    part = np.divide(requests, before + requests, out=np.full(np.shape(known), 0.5), where=known)
    events = bad + bad_before
    off = (bad - part * events) ** 2 / (part * (1 - part))
    last = spread.last.copy()
    last[..., arm, :] = np.where((requests > 0)[..., None], np.stack([requests, bad], axis=-1), last[..., arm, :])
    return Dispersion(spread.off + np.where(known, off, 0), spread.events + np.where(known, events, 0), last)


def cautious(spread: Dispersion) -> Floats:
    """The spread for evidence against a release: large until events show that it is small."""
    return np.asarray(np.maximum(1, SAFETY * (FIRST * WEIGHT + spread.off) / (WEIGHT + spread.events)))


def plain(spread: Dispersion) -> Floats:
    """The spread for evidence in favour: 1 until events show that it is larger."""
    return np.asarray(np.maximum(1, (WEIGHT + spread.off) / (WEIGHT + spread.events)))
