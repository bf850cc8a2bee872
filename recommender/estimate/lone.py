"""What lone readings may do to a memory target: each lifts it to 4 times what it would be without, and no further.

For any readings H and one more, x: target(H + x) <= 4 x target(H). So the target is the least of 4 to the power of k
times what the rule asks for when k readings are taken away, over the ways to take them away: whatever the target of H
takes away, that of H + x may take away too, and x besides. It stays monotone and linear, since that rule is.

A day keeps but three numbers, which tell what it is without some readings: without one, what is repeated; without all
that it has, no day. A day of which more is taken but not all counts 4 times less for each, which holds as well, since
one reading lifts what is repeated to at most 4 times (`recommender.model.peaks`).
"""

from functools import partial
from typing import Final, Protocol

import numpy as np

from recommender.estimate.past import Flags, Seen, Weekday, Whole, least
from recommender.model.buckets import Floats
from recommender.model.peaks import DAYS, FOURFOLD, MANY, Days

CHUNK: Final = 1024
WEEK: Final = 7
SLACK: Final = 1024
"""Levels by which a target may be below all days that count: 30 %, nearly three times their spread."""


class Rule(Protocol):
    """What the target is without lone readings taken away."""

    @property
    def most(self) -> float:
        """The largest chance that will do."""
        ...

    def weigh(self, days: Days, far: Floats | None = None, whole: Flags | None = None) -> Seen:
        """The days with the weight that each has in the target."""
        ...

    def above(self, seen: Seen, levels: Whole, at: Whole) -> Floats:
        """(n, days): the chance of being above `at` (n) that each past day gives if it had these `levels`."""
        ...

    def again(self, weekday: Weekday, levels: Whole, at: Whole) -> Floats:
        """(n): the chance of being above `at` that a weekday gives whose days reached `levels`."""
        ...


def lower_targets(rule: Rule, days: Days, targets: Whole) -> Whole:
    """The targets `found`, levels (n), lowered where lone readings lift them to more than 4 times."""
    lowered = targets.copy()
    rows = np.flatnonzero(targets > _lowest(days) + FOURFOLD - SLACK)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        lowered[part] = _newest_away(rule, days.part(part), targets[part])
    return lowered


def _newest_away(rule: Rule, days: Days, targets: Whole) -> Whole:
    """Takes the newest days away one by one: without them the newest that is left is the one to begin from."""
    best, far = targets.copy(), rule.weigh(days).far
    rows, taken, moved = np.arange(len(targets)), np.zeros(len(targets), np.int64), np.zeros(len(targets), np.int64)
    while len(rows):
        seen = rule.weigh(days, far, moved <= WEEK)
        best[rows] = _take_readings(rule, seen, best[rows] - taken * FOURFOLD) + taken * FOURFOLD
        taken = taken + days.readings[:, 0]
        days, gap = _older(days)
        moved = moved + gap
        going = (taken < MANY) & days.highest.any(axis=1)
        going &= best[rows] > _lowest(days) + taken * FOURFOLD - SLACK
        rows, far, taken, moved, days = rows[going], far[going], taken[going], moved[going], days.part(going)
    return best


def _older(days: Days) -> tuple[Days, Whole]:
    """(days from the next older day that has a reading on, how many days that is before the newest)."""
    gap = np.argmax(days.highest[:, 1:] > 0, axis=1) + 1
    columns = np.arange(DAYS) + gap[:, None]
    kept = columns < DAYS
    columns = np.minimum(columns, DAYS - 1)
    rings = (days.highest, days.repeated, days.readings)
    highest, repeated, readings = (np.where(kept, np.take_along_axis(ring, columns, axis=1), 0) for ring in rings)
    killed = np.maximum(days.killed - gap, 0)
    return Days(highest, repeated, readings, np.ones(len(gap)), days.needed, killed), gap


def _lowest(days: Days) -> Whole:
    """(n): the lowest level of all days, as far as it repeats: no target is far below."""
    known = np.where(days.readings > 1, days.repeated, days.highest).astype(np.int64)
    lowest: Whole = np.where(days.readings > 0, known, 65535).min(axis=1)
    return lowest


def _take_readings(rule: Rule, seen: Seen, most: Whole) -> Whole:
    """The least of `most` (n) and the targets without 0, 1, 2 … readings, each plus `FOURFOLD` per reading."""
    best, useful, readings = most.copy(), _useful(seen), seen.past.readings
    lowest = np.where(readings > 1, seen.past.repeated, np.where(readings > 0, seen.past.highest, 65535)).min(axis=1)
    apart = readings[:, : WEEK - 1].sum(axis=1) + 1
    for count in range(int(useful.max(initial=0)) + 1):
        rows = np.flatnonzero((useful >= count) & (best > lowest + np.minimum(count, apart) * FOURFOLD - SLACK))
        if len(rows):
            part = seen.rows(rows)
            levels = least(partial(_within, rule, part, count), len(rows))
            best[rows] = np.minimum(best[rows], levels + count * FOURFOLD)
    return best


def _useful(seen: Seen) -> Whole:
    """(n): how many readings there are at most that lift a target when they are there."""
    past = seen.past
    apart = (past.readings > 1) & (past.highest - past.repeated > FOURFOLD)
    few = np.where(past.readings < MANY, past.readings, 0)
    useful: Whole = apart.sum(axis=1) + few.sum(axis=1)
    for one in seen.weekdays:
        useful = useful + np.where(one.chance > 0, 1 + np.where(one.readings < MANY, one.readings, 0), 0)
    return np.minimum(useful, MANY - 1)


def _within(rule: Rule, seen: Seen, count: int, at: Whole) -> Flags:
    """(n): whether the chance of a day above `at` will do if the `count` readings that matter most are taken away."""
    good = _recent_within(rule, seen, at, count)
    for one in seen.weekdays:
        levels = one.highest if not count else _less(one.repeated, count - 1)
        good &= (rule.again(one, levels, at) <= rule.most) | (one.readings <= count)
    return good


def _recent_within(rule: Rule, seen: Seen, at: Whole, count: int) -> Flags:
    """The share of weight above `at` is within `most`: for each day, weight x (chance - most), in sum at most 0.

    What is to come of the newest day adds to that, as far as older days stand in for it: by the lesser of their weight
    and 1; so the sum with either will do.
    """
    past = seen.past
    chances = [rule.above(seen, past.highest, at)]
    if count:
        chances.append(rule.above(seen, past.repeated, at))
    older = _older_least(rule, seen, at, count, chances, np.zeros(len(at)))
    good = np.zeros(len(at), dtype=np.bool_)
    for taken, chance in enumerate(chances):
        left = rule.most - chance[:, 0]
        to_come = rule.most * seen.missing * (1 - chance[:, 0])
        fits = older[count - taken] <= left - to_come
        if to_come.any():
            fits |= _older_least(rule, seen, at, count - taken, chances, to_come)[-1] <= left
        good |= fits & ((taken == 0) | (past.readings[:, 0] > 1))
    return good


def _older_least(rule: Rule, seen: Seen, at: Whole, count: int, chances: list[Floats], to_come: Floats) -> list[Floats]:
    """The least sum over the older days, with up to 0, 1, … `count` readings taken away.

    `to_come` (n) is what each adds by its weight.
    """
    gains = [seen.weights * (chance - rule.most + to_come[:, None]) for chance in chances]
    if not count:
        return [gains[0][:, 1:].sum(axis=1)]
    totals = [np.zeros(len(at)) for _ in range(count + 1)]
    for day in range(1, seen.weights.shape[1]):
        options = _options(rule, seen, day, at, count, [gain[:, day] for gain in gains], to_come)
        totals = [
            np.minimum.reduce([totals[upto - taken] + gain for taken, gain in options.items() if taken <= upto])
            for upto in range(count + 1)
        ]
    return totals


def _options(
    rule: Rule, seen: Seen, day: int, at: Whole, count: int, gains: list[Floats], to_come: Floats
) -> dict[int, Floats]:
    """What an older day adds to the sum, by the number of its readings that are taken away; infinite: cannot be."""
    readings = seen.past.readings[:, day]
    many = readings > 1
    options = {0: gains[0], 1: np.where(many, gains[1], np.where(readings == 1, 0.0, np.inf))}
    for taken in range(2, count + 1):
        gone = (readings == taken) & (taken < MANY)
        if day == WEEK - 1 and many.any():
            less = _less(seen.past.repeated, taken - 1)
            gain = seen.weights[:, day] * (rule.above(seen, less, at)[:, day] - rule.most + to_come)
            options[taken] = np.where(many, np.minimum(gain, np.where(gone, 0.0, np.inf)), np.inf)
        elif gone.any():
            options[taken] = np.where(gone, 0.0, np.inf)
    return options


def _less(levels: Whole, times: int) -> Whole:
    less: Whole = np.maximum(levels - times * FOURFOLD, 0)
    return less
