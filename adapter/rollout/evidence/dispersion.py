"""How bursty bad events are: the mean size of the burst that an event is in.

Two neighbouring intervals of one arm share their bad events by their requests, whatever the common rate. The square of
what is off, over what independent events would give, is the spread; so a slow change of the rate is no burst. All
intervals are weighted by their events. Learnt from both arms, and used only for intervals that come later.

A burst that goes on over the end of an interval makes neighbours alike, and so looks smaller than it is. So the same is
asked of blocks of 2, 4 and 8 intervals, and the worst of them counts.
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
SCALES: Final[Floats] = np.array([1.0, 2.0, 4.0, 8.0])
"""Intervals in a block."""
FEW: Final = 3.0
"""Average pairs of blocks that count as much as what single intervals say."""


class Believed(NamedTuple):
    """What follows from what was seen, (...) each."""

    cautious: Floats
    """The spread for evidence against a release: large until events show that it is small."""
    plain: Floats
    """The spread for evidence in favour: 1 until events show that it is larger."""
    lasting: Floats
    """In how many intervals a burst is, for evidence that takes each for itself: 1 until events show more."""


class Dispersion(NamedTuple):
    """`off`: the sum of squares over what single events would give; `events`: the bad ones in so many `pairs`."""

    off: Floats
    """(..., K), as the next two."""
    events: Floats
    pairs: Floats
    last: Floats
    """Each arm's last block of each scale, (..., 2, K, 2): requests, bad."""
    now: Floats
    """The blocks that are not full yet, (..., 2, K, 3): requests, bad, intervals."""


def begin(shape: tuple[int, ...]) -> Dispersion:
    count = len(SCALES)
    off, events, pairs = np.zeros((3, *shape, count))
    return Dispersion(off, events, pairs, np.zeros((*shape, 2, count, 2)), np.zeros((*shape, 2, count, 3)))


def hear(spread: Dispersion, requests: Floats, bad: Floats) -> Dispersion:
    """One interval of both arms, (..., 2): stable, canary; an arm without traffic teaches nothing."""
    heard = np.asarray(requests > 0)
    one = np.stack([requests, bad, heard], axis=-1) * heard[..., None]
    block = spread.now + one[..., None, :]
    full = (block[..., 2] >= SCALES) & heard[..., None]
    told, before = block[..., :2], spread.last
    known = full & (before[..., 0] > 0)
    part = np.divide(told[..., 0], before[..., 0] + told[..., 0], out=np.full(known.shape, 0.5), where=known)
    events = told[..., 1] + before[..., 1]
    off = (told[..., 1] - part * events) ** 2 / (part * (1 - part))
    return Dispersion(
        spread.off + np.where(known, off, 0).sum(axis=-2),
        spread.events + np.where(known, events, 0).sum(axis=-2),
        spread.pairs + (known & (events > 0)).sum(axis=-2),
        np.where(full[..., None], told, before),
        np.where(full[..., None], 0.0, block),
    )


def estimate(spread: Dispersion) -> Believed:
    """How bursty bad events of the next intervals are taken to be, after all that `spread` has heard."""
    careful, plain = _after(spread, FIRST, 1.0)
    longer = _longer(spread, np.maximum(1.0, plain))
    return Believed(np.maximum(1, SAFETY * careful * longer), np.maximum(1, plain * longer), longer**SAFETY)


def _longer(spread: Dispersion, single: Floats) -> Floats:
    """How many times as bursty the burstiest scale is as `single` intervals: 1 and more."""
    single = single[..., None]
    weight = np.maximum(WEIGHT, FEW * spread.events / np.maximum(spread.pairs, 1))
    by_scale = (single * weight + spread.off) / (weight + spread.events)
    return np.asarray(np.maximum(1, (by_scale / single)[..., 1:].max(axis=-1)))


def _after(spread: Dispersion, *first: float) -> tuple[Floats, ...]:
    """What is believed of single intervals after what was seen, for each of what may have been believed `first`."""
    off, events, pairs = (each[..., 0] for each in spread[:3])
    weight = np.maximum(WEIGHT, PAIRS * events / np.maximum(pairs, 1))
    return tuple(np.asarray((each * weight + off) / (weight + events)) for each in first)
