"""Evidence from counts of good and bad requests, of one gate.

*Against*: the bad rate is above what is allowed. With stable pods under the same traffic and a margin, allowed is
(1 + margin) times theirs, and the common rate cancels; else it is the limit, lifted to the stable pods' own rate where
that is higher, so that an outage of both speaks against neither. *In favour*: the bad rate is below the limit, or
below (1 + margin) times stable's; this is capped, so that a long good past is soon outweighed.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from adapter.rollout.evidence import dispersion, mixture
from adapter.rollout.evidence.dispersion import Dispersion
from adapter.rollout.evidence.likelihood import BELOW, BELOW_STABLE, RHOS, Floats, mean_of, product_of, rate, share
from adapter.rollout.evidence.mixture import Mixture

CAP: Final = np.log(20) + 6
"""The most that evidence in favour may be ahead of 1."""
LAGGING: Final = 0.7
"""The weight that the past keeps in stable's recent rate, per interval."""
HIGHEST: Final = 0.95
"""A limit is never lifted above this rate."""
STABLE, CANARY = 0, 1


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
    return events._replace(spread=dispersion.hear(events.spread, arm, requests, bad))


def hear(events: Events, bar: Bar, now: Interval) -> Events:
    """An interval in which the canary had traffic, (...) everywhere."""
    recent = LAGGING * events.recent + np.stack([now.stable, now.bad_stable], axis=-1)
    cautious, plain = dispersion.cautious(events.spread), dispersion.plain(events.spread)
    lasting = dispersion.lasting(events.spread)
    ratios = np.zeros_like(events.against.whole)
    compared = np.asarray(now.stable > 0) & bar.concurrent
    if bar.margin is not None and bar.concurrent:
        ratios = np.where(compared[..., None], _share(now, 1 + bar.margin, cautious, lasting, RHOS), ratios)
    if bar.limit is not None:
        lone = compared if bar.margin is None else np.zeros_like(compared)
        limit = np.where(lone, _lifted(bar.limit, now, recent, cautious), bar.limit)
        ratios = np.where((lone | ~compared)[..., None], _rate(now, limit, cautious, lasting), ratios)
    spread = dispersion.hear(events.spread, STABLE, now.stable, now.bad_stable)
    return Events(
        against=mixture.hear(events.against, ratios),
        below_limit=np.minimum(events.below_limit + _below(bar, now, plain), CAP),
        below_stable=np.minimum(events.below_stable + _below_stable(bar, now, cautious, lasting, compared), CAP),
        spread=dispersion.hear(spread, CANARY, now.canary, now.bad),
        recent=recent,
        seen=events.seen + np.stack(now, axis=-1),
    )


def anew(events: Events) -> Events:
    """Forget what speaks in favour: the next step has to show it again."""
    return events._replace(
        below_limit=np.zeros_like(events.below_limit), below_stable=np.zeros_like(events.below_stable)
    )


def against(events: Events) -> Floats:
    """The log of the e-value against the release."""
    return mixture.value(events.against)


def in_favour(events: Events, bar: Bar) -> Floats:
    """The log of the e-value for the release; of both ways to show it the mean."""
    found = []
    if bar.limit is not None:
        found.append(mixture.average(events.below_limit))
    if bar.margin is not None and bar.concurrent:
        found.append(mixture.average(events.below_stable))
    return mixture.average(np.stack(found, axis=-1))


def _column(now: Interval) -> Interval:
    return Interval(*(part[..., None] for part in now))


def _share(now: Interval, most: float, spread: Floats, lasting: Floats, rhos: Floats) -> Floats:
    """One event is counted of an interval with few; `lasting` such intervals, where a burst goes on for so long."""
    canary, bad, stable, bad_stable = _column(now)
    ratios = share(canary=canary, stable=stable, most=most, rhos=rhos)
    few = bad + bad_stable <= spread[..., None]
    return np.where(
        few,
        mean_of(ratios, bad, bad_stable) / lasting[..., None],
        product_of(ratios, bad, bad_stable, spread[..., None]),
    )


def _rate(now: Interval, limit: Floats, spread: Floats, lasting: Floats) -> Floats:
    canary, bad, _, _ = _column(now)
    ratios = rate(limit[..., None], RHOS)
    few = canary * limit[..., None] <= spread[..., None]
    good = canary - bad
    return np.where(
        few, mean_of(ratios, bad, good) / lasting[..., None], product_of(ratios, bad, good, spread[..., None])
    )


def _below(bar: Bar, now: Interval, spread: Floats) -> Floats:
    if bar.limit is None:
        return np.zeros(())
    canary, bad, _, _ = _column(now)
    return product_of(rate(np.asarray(bar.limit), BELOW), bad, canary - bad, spread[..., None])


def _below_stable(bar: Bar, now: Interval, spread: Floats, lasting: Floats, compared: npt.NDArray[np.bool_]) -> Floats:
    if bar.margin is None or not bar.concurrent:
        return np.zeros(())
    return np.where(compared[..., None], _share(now, 1 + bar.margin, spread, lasting, BELOW_STABLE), 0.0)


def _lifted(limit: float, now: Interval, recent: Floats, spread: Floats) -> Floats:
    """The limit; where the stable pods are above it, what their own rate may be at most (two standard errors)."""
    latest = _part(now.bad_stable, now.stable)
    own = np.maximum(latest, _part(recent[..., 1], recent[..., 0]))
    error = np.sqrt(_part(spread * own, now.stable))
    return np.where(own > limit, np.clip(own + 2 * error, limit, HIGHEST), limit)


def _part(some: Floats, of: Floats) -> Floats:
    some, of = np.broadcast_arrays(some, of)
    return np.divide(some, of, out=np.zeros(of.shape), where=of > 0)
