"""How much more must be seen, at the rates seen so far, until a bar is reached.

The course ahead is walked with windows like the average one, through the very functions that hear a real one: so what
slows a verdict down (bursts that are believed in until windows show otherwise, a limit lifted to stable's rate) slows
the estimate down as well.
"""

import math
from typing import Final

import numpy as np

from adapter.rollout.evidence import dispersion, events, mixture
from adapter.rollout.evidence.dispersion import Dispersion
from adapter.rollout.evidence.events import Bar, Events, Gains, Interval
from adapter.rollout.evidence.gauges import Gauges, as_one
from adapter.rollout.evidence.likelihood import SIGNS, Floats
from adapter.rollout.evidence.mixture import average

FARTHEST: Final = 1e9
"""More requests (or windows) than this is never."""
AHEAD: Final[Floats] = np.unique(np.geomspace(1, 1e6, 60).astype(np.int64)).astype(float)
"""The numbers of windows ahead at which the course is looked at."""
BETWEEN: Final[Floats] = np.diff(AHEAD, prepend=0.0)


def requests(heard: Events, bar: Bar, *, windows: int, against: float, favour: float) -> float | None:
    """About how many more requests of the canary until the first of both bars (logs of e-values); None: never so.

    `windows`: in how many what was seen so far was seen.
    """
    if windows <= 0 or heard.seen[0] <= 0:
        return None
    mean = heard.seen / windows
    step = _step(heard, bar, mean)
    grown = heard._replace(
        against=_against_ahead(heard, step.against),
        below_limit=heard.below_limit + _sums(step.below_limit),
        below_stable=heard.below_stable + _sums(step.below_stable),
    )
    speaks_against = events.against(grown)
    fails = _until(speaks_against, float(events.against(heard)), against)
    speaks_for = np.where(speaks_against < against / 2, events.in_favour(grown, bar), -math.inf)
    passes = _until(speaks_for, float(events.in_favour(heard, bar)), favour)
    return _sane(min(fails, passes) * float(mean[0]))


def _step(heard: Events, bar: Bar, mean: Floats) -> Gains:
    """What one window adds at each point ahead, (len(AHEAD), ...): the mean of one with bad requests of the canary and
    of one without, by how often they come. The spread is what is known by then."""
    canary, bad, stable, bad_stable = (float(part) for part in mean)
    burst = float(dispersion.estimate(heard.spread).plain)
    often, beside = (-math.expm1(-some / burst) for some in (bad, bad_stable))
    compared = bar.margin is not None and bar.concurrent and stable > 0
    alone = (1 - often) * (beside if compared else 1.0)  # where no request was bad, arms cannot be compared
    counts = (np.full((2, 1), count) for count in (canary, 0.0, stable, bad_stable))
    now = Interval(*counts)._replace(bad=np.array([[min(bad / often, canary) if often else 0.0], [0.0]]))
    spread = _spread(heard, bad_requests=bad + bad_stable, burst=burst)
    gained = events.gains(spread, events.update_recent(heard.recent, now), bar, now)
    return Gains(
        against=often * gained.against[0] + alone * gained.against[1],
        below_limit=often * gained.below_limit[0] + (1 - often) * gained.below_limit[1],
        below_stable=often * gained.below_stable[0] + alone * gained.below_stable[1],
    )


def _spread(heard: Events, *, bad_requests: float, burst: float) -> Dispersion:
    """The spread at each point ahead, with `bad_requests` of both arms in each window, in bursts of `burst`."""
    known, arms = heard.spread, 2 * (AHEAD - BETWEEN / 2)[:, None]
    return known._replace(
        off=known.off + arms * bad_requests * burst,
        events=known.events + arms * bad_requests,
        pairs=known.pairs + arms / dispersion.SCALES,
    )


def _against_ahead(heard: Events, step: Floats) -> mixture.Mixture:
    """The evidence against at each point ahead; alternatives that begin later are taken to begin now."""
    sums, (whole, late, age) = _sums(step), heard.against
    return mixture.Mixture(whole + sums, np.logaddexp(late, -np.log(age + 1)) + sums, age + AHEAD[:, None])


def _sums(each: Floats) -> Floats:
    return np.asarray(np.cumsum(each * BETWEEN[:, None], axis=0))


def _until(course: Floats, now: float, goal: float) -> float:
    """Windows until `course`, the logs at AHEAD, is at `goal` first, straight between two points."""
    reached = np.flatnonzero(course >= goal)
    if not len(reached):
        return math.inf
    index = int(reached[0])
    before, start = (float(course[index - 1]), float(AHEAD[index - 1])) if index else (now, 0.0)
    rise = float(course[index]) - before
    part = (goal - before) / rise if math.isfinite(rise) and rise > 0 else 1.0
    return start + float(BETWEEN[index]) * min(max(part, 0.0), 1.0)


def windows(gauges: Gauges, against: float, favour: float) -> float | None:
    """About how many more windows; None: neither bar comes nearer."""
    seen, worse = float(gauges.seen[0]), float(gauges.seen[1])
    part = worse / max(seen, 1)
    up, down = np.log(2 * SIGNS) / as_one(gauges), np.log(2 * (1 - SIGNS)) / as_one(gauges)
    bad = _least(against + math.log(2), gauges.against.whole, part * up + (1 - part) * down)
    good = _least(favour, gauges.fine, part * down + (1 - part) * up)
    return _sane(min(bad, good))


def _least(goal: float, logs: Floats, gain: Floats) -> float:
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
