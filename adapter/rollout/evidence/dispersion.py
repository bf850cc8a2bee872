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
"""... as if so many events had shown it..."""
PAIRS: Final = 1.0
"""... or an average pair of intervals had shown it, if that is more: one pair says little, however many it has."""
SAFETY: Final = 1.5
"""Bursts are larger than their mean."""


class Dispersion(NamedTuple):
    """`off`: sum of squares over what single events would give; `events`: the bad ones in so many `pairs`."""

    off: Floats
    events: Floats
    pairs: Floats
    last: Floats
    """Each arm's last interval, (..., 2, 2): requests, bad."""


def begin(shape: tuple[int, ...]) -> Dispersion:
    return Dispersion(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros((*shape, 2, 2)))


def hear(spread: Dispersion, arm: int, requests: Floats, bad: Floats) -> Dispersion:
    """One interval of one arm (0 stable, 1 canary); one without traffic teaches nothing."""
    before, bad_before = spread.last[..., arm, 0], spread.last[..., arm, 1]
    known = (before > 0) & (requests > 0)
    part = np.divide(requests, before + requests, out=np.full(np.shape(known), 0.5), where=known)
    events = bad + bad_before
    off = (bad - part * events) ** 2 / (part * (1 - part))
    last = spread.last.copy()
    last[..., arm, :] = np.where((requests > 0)[..., None], np.stack([requests, bad], axis=-1), last[..., arm, :])
    return Dispersion(
        spread.off + np.where(known, off, 0),
        spread.events + np.where(known, events, 0),
        spread.pairs + (known & (events > 0)),
        last,
    )


def cautious(spread: Dispersion) -> Floats:
    """The spread for evidence against a release: large until events show that it is small."""
    return np.asarray(np.maximum(1, SAFETY * _after(spread, FIRST)))


def plain(spread: Dispersion) -> Floats:
    """The spread for evidence in favour: 1 until events show that it is larger."""
    return np.asarray(np.maximum(1, _after(spread, 1.0)))


def _after(spread: Dispersion, first: float) -> Floats:
    """What is believed after what was seen, if `first` was before."""
    weight = np.maximum(WEIGHT, PAIRS * spread.events / np.maximum(spread.pairs, 1))
    return np.asarray((first * weight + spread.off) / (weight + spread.events))
