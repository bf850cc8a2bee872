"""How much more must be seen, at the rates seen so far, until a bar is reached."""

import math
from typing import Final

import numpy as np

from adapter.rollout.evidence import dispersion
from adapter.rollout.evidence.events import Bar, Events
from adapter.rollout.evidence.gauges import Gauges, as_one
from adapter.rollout.evidence.likelihood import BELOW, BELOW_STABLE, RHOS, SIGNS, Floats, rate, share
from adapter.rollout.evidence.mixture import average

FARTHEST: Final = 1e9
"""More requests (or windows) than this is never."""


def requests(events: Events, bar: Bar, *, against: float, favour: float) -> float | None:
    """About how many more requests of the canary until the first of both bars (logs of e-values); None: never so."""
    canary, bad, stable, bad_stable = (float(part) for part in events.seen)
    if canary <= 0:
        return None
    spread, beside = float(dispersion.plain(events.spread)), bar.concurrent and stable > 0
    ways = int(bar.limit is not None) + int(bar.margin is not None)
    found = []
    if bar.limit is not None:
        for goal, logs, rhos in ((favour + math.log(ways), events.below_limit, BELOW), _against(against, events)):
            steps = rate(np.asarray(bar.limit), rhos)
            gain = (bad * steps[:, 0] + (canary - bad) * steps[:, 1]) / (canary * spread)
            found.append(_until(goal, logs, gain) if rhos is BELOW or not beside else math.inf)
    if bar.margin is not None and beside:
        for goal, logs, rhos in (
            (favour + math.log(ways), events.below_stable, BELOW_STABLE),
            _against(against, events),
        ):
            steps = share(canary=np.array([canary]), stable=np.array([stable]), most=1 + bar.margin, rhos=rhos)
            gain = (bad * steps[..., 0] + bad_stable * steps[..., 1]) / (canary * spread)
            found.append(_until(goal, logs, gain))
    return _sane(min(found, default=math.inf))


def windows(gauges: Gauges, against: float, favour: float) -> float | None:
    """About how many more windows; None: neither bar comes nearer."""
    seen, worse = float(gauges.seen[0]), float(gauges.seen[1])
    part = worse / max(seen, 1)
    up, down = np.log(2 * SIGNS) / as_one(gauges), np.log(2 * (1 - SIGNS)) / as_one(gauges)
    bad = _until(against + math.log(2), gauges.against.whole, part * up + (1 - part) * down)
    good = _until(favour, gauges.fine, part * down + (1 - part) * up)
    return _sane(min(bad, good))


def _against(goal: float, events: Events) -> tuple[float, Floats, Floats]:
    """Half of the weight is on what holds from the start."""
    return goal + math.log(2), events.against.whole, RHOS


def _until(goal: float, logs: Floats, gain: Floats) -> float:
    """The least count at which the average of `logs` + count x `gain` is at `goal`: it is convex in the count."""
    low, high = 0.0, FARTHEST
    if average(logs + high * gain) < goal:
        return math.inf
    while high - low > max(0.5, 1e-3 * high):
        middle = (low + high) / 2
        low, high = (low, middle) if average(logs + middle * gain) >= goal else (middle, high)
    return high


def _sane(count: float) -> float | None:
    return None if not count < FARTHEST else max(1.0, math.ceil(count))
