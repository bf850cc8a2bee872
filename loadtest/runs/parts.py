"""Each change of need: how long until the fleet had followed it, and where that time went. Pure."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from loadtest.runs.record import Event, Kind, Run, Slice

GRID_S = 0.1
WINDOW_S = 1.0
"""s over which clients' answers are counted: two slices."""
REQUESTS = 5
"""That a pod should have had until its silence says that it is not there: where it bears few, that is over a second."""
NAMES = (
    "load to the pods' counters",
    "counters to the scrape that shows it",
    "scrape to served",
    "served to the HPA's decision",
    "decision to pods created",
    "created to ready",
    "ready to in endpoints",
    "in endpoints to the load fits",
)
"""Parts of a scale-up, in their order."""


class Need(NamedTuple):
    """From `time` to `until` so many replicas are needed, `before` it another number."""

    time: float
    until: float
    before: int
    replicas: int


class Followed(NamedTuple):
    """A change of need and when the fleet had followed it: s after it; None where the need changed or the run ended."""

    need: Need
    seconds: float | None
    parts: tuple[float, ...] | None = None
    """By NAMES, in s; they add up to `seconds`. None where it was not followed, or a part is not known."""
    overshoot: int = 0
    """By how many replicas desiredReplicas was above the need at most, before the need changed again."""
    offered: float | None = None
    """s until enough pods were in endpoints, of a scale-up; the load may still not have come to them."""


def needs(run: Run) -> list[Need]:
    """Every change of need, to within GRID_S."""
    count = round(run.seconds / GRID_S)
    wanted = [run.needs(place * GRID_S) for place in range(count)]
    edges = [place for place in range(1, count) if wanted[place] != wanted[place - 1]]
    ends = [*edges, count][1:]
    return [
        Need(place * GRID_S, end * GRID_S, wanted[place - 1], wanted[place])
        for place, end in zip(edges, ends, strict=True)
    ]


def ups(run: Run) -> list[Followed]:
    """The rises of need, each with its parts."""
    return [_up(run, need) for need in needs(run) if need.replicas > need.before]


def downs(run: Run) -> list[Followed]:
    """The falls of need: followed when no more pods are in endpoints than are needed."""
    return [_down(run.counts(Kind.ENDPOINTS), need) for need in needs(run) if need.replicas < need.before]


def _down(changes: Sequence[Event], need: Need) -> Followed:
    moment = _time_reached(changes, need, lambda count: count <= need.replicas)
    return Followed(need, None if moment is None else moment - need.time)


def _up(run: Run, need: Need) -> Followed:
    moments = [
        _time_answered(run, need),
        *_times_served(run, need),
        *(_at_least(run.counts(kind), need) for kind in (Kind.DESIRED, Kind.CREATED, Kind.READY, Kind.ENDPOINTS)),
        _fits(run, need),
    ]
    desired = [event.count for event in run.counts(Kind.DESIRED) if need.time < event.time <= need.until]
    over = max((count - need.replicas for count in desired), default=0)
    *known, last = moments
    if last is None and not run.answering:
        last = known[-1]  # the service does not say which pod answered: in endpoints is the end that is seen
    seconds = None if last is None else last - need.time
    there = moments[-2]
    parts = None
    if last is not None and all(moment is not None for moment in known):
        parts = _chain(need.time, [*(moment for moment in known if moment is not None), last])
    return Followed(need, seconds, parts, max(0, over), None if there is None else there - need.time)


def _chain(start: float, moments: Sequence[float]) -> tuple[float, ...]:
    """The time between each two of them. One that comes late hides those before it that came later still: what is
    seen of one thing from several places is not seen in order. The sum is the time to the last."""
    last = moments[-1]
    ordered = list(itertools.accumulate((min(moment, last) for moment in moments), max, initial=start))
    return tuple(after - before for before, after in itertools.pairwise(ordered))


def _time_reached(changes: Sequence[Event], need: Need, enough: Callable[[int], bool]) -> float | None:
    """The first time from the change of need to its end at which `enough` holds of the count."""
    for change, following in itertools.zip_longest(changes, changes[1:]):
        end = following.time if following else float("inf")
        moment = max(change.time, need.time)
        if end > need.time and moment < need.until and enough(change.count):
            return moment
    return None


def _at_least(changes: Sequence[Event], need: Need) -> float | None:
    return _time_reached(changes, need, lambda count: count >= need.replicas)


def _windows(run: Run, need: Need) -> Iterator[tuple[float, int, int]]:
    """For each slice after the change of need: its end, the answers of the last WINDOW_S, and how many pods answered in
    it or in the time in which each should have had REQUESTS."""
    longer = max(WINDOW_S, REQUESTS / run.per_pod)
    for place, part in enumerate(run.slices):
        if need.time < part.time <= need.until:
            answers = sum(one.answered for one in _back(run, place, WINDOW_S))
            yield part.time, answers, len({name for one in _back(run, place, longer) for name in one.pods})


def _back(run: Run, place: int, seconds: float) -> list[Slice]:
    window: list[Slice] = []
    for part in reversed(run.slices[: place + 1]):
        if part.time <= run.slices[place].time - seconds + 1e-6:
            break
        window.append(part)
    return window


def _time_answered(run: Run, need: Need) -> float | None:
    """When clients first got more answers than one pod less should give at the target; None if never."""
    enough = (need.replicas - 1) * run.target * WINDOW_S
    return next((time for time, answers, _ in _windows(run, need) if answers > enough), None)


def _times_served(run: Run, need: Need) -> tuple[float | None, float | None]:
    """When the metrics API first served a load that needs so many pods: its newest sample, and our look."""
    enough = (need.replicas - 1) * run.target
    for look in run.looks:
        if need.time < look.time <= need.until and look.total > enough:
            return look.sampled, look.time
    return None, None


def _fits(run: Run, need: Need) -> float | None:
    """When as many pods answered as are needed."""
    return next((time for time, _, pods in _windows(run, need) if pods >= need.replicas), None)


def known_seconds(changes: Iterable[Followed]) -> list[float]:
    """The durations, s, of the changes of need that the fleet followed."""
    return [one.seconds for one in changes if one.seconds is not None]


def slowest(changes: Sequence[Followed]) -> float:
    """The longest duration, s; NaN where none is known, or where a need that lasted longer was not followed."""
    longest = max(known_seconds(changes), default=math.nan)
    missed = [one.need.until - one.need.time for one in changes if one.seconds is None]
    return math.nan if any(lasted > longest for lasted in missed) else longest
