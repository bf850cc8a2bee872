"""Rates of Prometheus since a change of a group's pods, over shorter windows than the rule's. No network, no clock.

While a window reaches back to before a pod has left, the others' rates do not add up to the load: what the one had is
gone at once, what its successor has comes over the whole window. Rates over a window that lies behind the last change
do add up. They are of fewer requests; so what all have together is taken over the time before, too (see `unison`).
"""

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple

from adapter.collect.groups import GroupKey
from adapter.collect.snapshot import Reading
from adapter.collect.transition import Transitions
from adapter.collect.unison import PATIENCE, Kept, Key, Readings, Total, in_all

LEAST: Final = 20.0
"""s of a window at least, and two sample intervals."""
SLACK: Final = 1.0
"""s after a change until all clients have heard of it."""
MOST: Final = 4
"""Shorter windows that are asked for at once; of more groups' those that have waited the longest."""


class Change(NamedTuple):
    """A group and its last change."""

    key: GroupKey
    members: Mapping[Key, float]
    """Pods that take traffic -> since when, Unix s."""
    left: float
    """When a pod last ceased to take traffic, Unix s; 0: never seen."""
    moment: float
    """Since when the members are the ones, Unix s."""
    interval: float
    """s between two samples of the member that is sampled most rarely, whole; 0 where that is not known."""


class Since(NamedTuple):
    """What comes of one evaluation."""

    readings: Readings
    """In the place of those over the whole window."""
    begins: Mapping[Key, float] = {}
    """Whose rates these are -> the change that their windows lie behind, Unix s."""
    totals: Mapping[GroupKey, Total] = {}
    """What groups have in all, to be remembered."""


def groups_of(
    transitions: Transitions, namespaces: Collection[str], intervals: Mapping[Key, float], now: float
) -> list[Change]:
    """The groups of these namespaces, changed or not."""
    changes = []
    for key, group in transitions.groups.within(namespaces, now):
        members = {name: transitions.traffic_since(name, now) for name in transitions.groups.taking(key, group)}
        interval = max((intervals.get(name, 0.0) for name in members), default=0.0)
        changes.append(Change(key, members, group.left, max([group.left, *members.values()]), round(interval)))
    return changes


def is_recent(one: Change, whole: float, now: float) -> bool:
    """Whether a window of `whole` s, or a sample that is two intervals old, may reach back to before a pod has left."""
    reach = now - whole - 2 * one.interval
    return one.left > reach and one.moment > reach


def behind(one: Change, whole: float, now: float) -> float:
    """The longest window, s, behind the change: whole sample intervals; 0 where it would be too short."""
    if not one.interval:
        return 0.0
    length = math.floor((now - one.moment - SLACK) / one.interval) * one.interval
    return min(length, whole) if length >= max(LEAST, 2 * one.interval) else 0.0


def _rates(one: Change, whole: Readings, short: Readings, *, length: float, now: float) -> Readings | None:
    """The members' readings over `length` s; None where one lacks it who has had a value, or may yet have one."""
    waited = now - PATIENCE * one.interval
    if any(key not in short and (key in whole or since > waited) for key, since in one.members.items()):
        return None
    return {key: short[key]._replace(window=length) for key in one.members if key in short}


def _pool(one: Change, rates: Readings, total: Total | None) -> Kept:
    """`rates` pooled with the `total` of before, where that is known and no member is missing."""
    if total is None or len(rates) < len(one.members):
        return Kept(rates, ())
    return in_all(rates, total.at(one.moment))


def _together(moment: float, readings: Iterable[Reading], length: float) -> Total:
    """What these have in all over `length` s."""
    value = math.fsum(reading.value for reading in readings)
    return Total(moment, value, length, value, length)


def _whole(one: Change, readings: Readings, length: float) -> Total | None:
    """What a group has in all by the whole window; None where nobody has a value."""
    of_members = [readings[key] for key in one.members if key in readings]
    return _together(one.moment, of_members, length) if of_members else None


async def since_changes(
    transitions: Transitions,
    namespaces: Collection[str],
    whole: Readings,
    known: Mapping[GroupKey, Total],
    *,
    ask: Callable[[float], Awaitable[Readings]],
    window: float,
    intervals: Mapping[Key, float],
    at: float,
) -> Since:
    """What to serve of groups of whose pods one has left, at Unix time `at`, s.

    `whole` are the readings over the rule's `window`, s, `known` the totals of the evaluation before; `ask` gives the
    readings over a window of so many s. `intervals`, s, are those between two samples of a pod.
    """
    if window <= 0:
        return Since(whole)
    groups = groups_of(transitions, namespaces, intervals, at)
    changed = [one for one in groups if is_recent(one, window, at)]
    lengths = {one.key: behind(one, window, at) for one in changed}
    shorter = sorted({length for length in lengths.values() if 0 < length < window}, reverse=True)[:MOST]
    by_length = {length: await ask(length) for length in shorter} | {window: whole}
    steady = {one.key: _whole(one, whole, window) for one in groups if one.key not in lengths}
    totals = {key: total for key, total in steady.items() if total is not None}
    readings, begins = dict(whole), dict[Key, float]()
    for one in changed:
        length, total = lengths[one.key], known.get(one.key)
        short = by_length.get(length)
        rates = _rates(one, whole, short, length=length, now=at) if short is not None else None
        if rates:
            kept = _pool(one, rates, total)
            readings.update((key, reading) for key, reading in kept.readings.items() if reading is not None)
            begins.update(dict.fromkeys(rates, one.moment))
            total = kept.total or _together(one.moment, rates.values(), length)
        if total is not None:
            totals[one.key] = total
    return Since(readings, begins, totals)
