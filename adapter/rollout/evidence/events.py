"""Evidence from counts of good and bad requests, of one gate.

*Against*: the bad rate is above what is allowed. With stable pods under the same traffic and a margin, allowed is
(1 + margin) times theirs, and the common rate cancels; else it is the limit, lifted to the stable pods' own rate where
that is higher, so that an outage of both speaks against neither. *In favour*: the bad rate is below the limit, or
below (1 + margin) times stable's; this is capped, so that a long good past is soon outweighed.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from adapter.rollout.evidence import dispersion, mixture
from adapter.rollout.evidence.dispersion import Believed, Dispersion
from adapter.rollout.evidence.likelihood import (
    BELOW,
    BELOW_STABLE,
    RHOS,
    Floats,
    mean_of,
    product_of,
    rate,
    share,
    stake,
)
from adapter.rollout.evidence.mixture import Mixture

CAP: Final = np.log(20) + 6
"""The most that evidence in favour may be ahead of 1."""
LAGGING: Final = 0.7
"""The weight that the past keeps in stable's recent rate, per interval."""
AT_ONCE: Final = np.log(10)
"""The most that one interval beside stable pods says against a release: arms are not sampled at the same moment, so
that one may show the beginning of an outage of both, or its end, in the canary alone. The next one does not."""
HIGHEST: Final = 0.95
"""A limit is never lifted above this rate."""
STABLE, CANARY = 0, 1
WORSE_AND_BETTER: Final[Floats] = np.concatenate([RHOS, BELOW_STABLE])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What is allowed; `concurrent`: stable pods have part of the same traffic."""

    limit: float | None
    margin: float | None
    concurrent: bool


class Events(NamedTuple):
    """All that is kept; size is fixed, whatever the length of the release."""

    against: Mixture
    below_limit: Floats
    """(..., 4) logs."""
    below_stable: Floats
    """(..., 6) logs."""
    spread: Dispersion
    recent: Floats
    """(..., 2): stable's requests and bad ones, the past fading."""
    seen: Floats
    """(..., 4): canary's requests and bad ones, stable's the same, of intervals that counted."""


class Gains(NamedTuple):
    """The logs that one interval adds to each part of the evidence."""

    against: Floats
    """(..., 8)"""
    below_limit: Floats
    below_stable: Floats


class Interval(NamedTuple):
    """Requests and bad ones of each arm: (...)."""

    canary: Floats
    bad: Floats
    stable: Floats
    bad_stable: Floats


def begin(shape: tuple[int, ...] = ()) -> Events:
    return Events(
        against=mixture.begin(shape, len(RHOS)),
        below_limit=np.zeros((*shape, len(BELOW))),
        below_stable=np.zeros((*shape, len(BELOW_STABLE))),
        spread=dispersion.begin(shape),
        recent=np.zeros((*shape, 2)),
        seen=np.zeros((*shape, 4)),
    )


def learn(events: Events, arm: int, requests: Floats, bad: Floats) -> Events:
    """An interval in which only one arm was seen: it tells how bursty bad events are, and nothing else."""
    here = np.arange(2) == arm
    return events._replace(spread=dispersion.hear(events.spread, requests[..., None] * here, bad[..., None] * here))


def hear(events: Events, bar: Bar, now: Interval) -> Events:
    """An interval in which the canary had traffic, (...) everywhere."""
    recent = update_recent(events.recent, now)
    gained = gains(events.spread, recent, bar, now)
    requests, bad = (np.stack(pair, axis=-1) for pair in ((now.stable, now.canary), (now.bad_stable, now.bad)))
    return Events(
        against=mixture.hear(events.against, gained.against),
        below_limit=np.minimum(events.below_limit + gained.below_limit, CAP),
        below_stable=np.minimum(events.below_stable + gained.below_stable, CAP),
        spread=dispersion.hear(events.spread, requests, bad),
        recent=recent,
        seen=events.seen + np.stack(now, axis=-1),
    )


def update_recent(recent: Floats, now: Interval) -> Floats:
    """Stable's recent requests and bad ones, faded by one interval, plus those of `now`."""
    return np.asarray(LAGGING * recent + np.stack([now.stable, now.bad_stable], axis=-1))


def gains(spread: Dispersion, recent: Floats, bar: Bar, now: Interval) -> Gains:
    """What an interval says, where `spread` was heard before it; `recent` is with it. Shapes are broadcast."""
    believed = dispersion.estimate(spread)
    compared = np.asarray(now.stable > 0) & bar.concurrent
    nothing = np.zeros((*compared.shape, 1))
    ratios, fewer = np.zeros((*compared.shape, len(RHOS))), nothing
    if bar.margin is not None and compared.any():
        both = np.where(compared[..., None], _share(now, 1 + bar.margin, believed), 0.0)
        ratios, fewer = both[..., : len(RHOS)], both[..., len(RHOS) :]
    lone = compared if bar.margin is None else np.zeros_like(compared)
    if bar.limit is not None and (lone | ~compared).any():
        limit = np.where(lone, _lift_limit(bar.limit, now, recent, believed.cautious), bar.limit)
        ratios = np.where((lone | ~compared)[..., None], _rate(now, limit, believed), ratios)
    ratios = np.where(compared[..., None], np.minimum(ratios, AT_ONCE), ratios)
    return Gains(ratios, nothing if bar.limit is None else _below(bar.limit, now, believed.plain), fewer)


def anew(events: Events) -> Events:
    """Forget what speaks in favour: the next step has to show it again."""
    return events._replace(
        below_limit=np.zeros_like(events.below_limit), below_stable=np.zeros_like(events.below_stable)
    )


def against(events: Events) -> Floats:
    """The log of the e-value against the release."""
    return mixture.value(events.against)


def in_favour(events: Events, bar: Bar) -> Floats:
    """The log of the e-value for the release: the mean of below the limit and below stable."""
    ways = []
    if bar.limit is not None:
        ways.append(mixture.average(events.below_limit))
    if bar.margin is not None and bar.concurrent:
        ways.append(mixture.average(events.below_stable))
    return mixture.average(np.stack(ways, axis=-1))


def _column(now: Interval) -> Interval:
    return Interval(*(part[..., None] for part in now))


def _share(now: Interval, most: float, believed: Believed) -> Floats:
    """For WORSE_AND_BETTER: one event is counted of an interval with few, or of as many as a burst lasts for."""
    canary, bad, stable, bad_stable = _column(now)
    ratios = share(canary=canary, stable=stable, most=most, rhos=WORSE_AND_BETTER)
    spread, lasting = believed.cautious[..., None], believed.lasting[..., None]
    few = bad + bad_stable <= spread
    return np.where(few, mean_of(ratios, bad, bad_stable) / lasting, product_of(ratios, bad, bad_stable, spread))


def _rate(now: Interval, limit: Floats, believed: Believed) -> Floats:
    """Of an interval with few, what is bad is held against what is allowed, whatever the bursts."""
    canary, bad, _, _ = _column(now)
    spread, lasting = believed.cautious[..., None], believed.lasting[..., None]
    allowed = canary * limit[..., None]
    times = np.divide(bad, allowed, out=np.ones(allowed.shape), where=allowed > 0)
    lasting = np.maximum(lasting, spread / np.maximum(canary, 1))  # a burst of so many goes on for several intervals
    few = stake(times, RHOS) / lasting
    many = product_of(rate(limit[..., None], RHOS), bad, canary - bad, spread)
    return np.where(allowed <= spread, few, many)


def _below(limit: float, now: Interval, spread: Floats) -> Floats:
    canary, bad, _, _ = _column(now)
    return product_of(rate(np.asarray(limit), BELOW), bad, canary - bad, spread[..., None])


def _lift_limit(limit: float, now: Interval, recent: Floats, spread: Floats) -> Floats:
    """The limit; where the stable pods are above it, what their own rate may be at most (two standard errors).

    The first bad request of an interval is no rate: in a short one it alone would be above most limits.
    """
    latest = _part(np.maximum(now.bad_stable - 1, 0), now.stable)
    own = np.maximum(latest, _part(recent[..., 1], recent[..., 0]))
    if not (own > limit).any():
        return np.asarray(limit)
    error = np.sqrt(_part(spread * own, now.stable))
    return np.where(own > limit, np.clip(own + 2 * error, limit, HIGHEST), limit)


def _part(some: Floats, of: Floats) -> Floats:
    some, of = np.broadcast_arrays(some, of)
    return np.divide(some, of, out=np.zeros(of.shape), where=of > 0)
