"""What the project's brief asks for, and what a run has to say about each of it. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from loadtest.runs import intervals
from loadtest.runs.measures import ENOUGH_REQUESTS, Answers, answers, moments
from loadtest.runs.parts import Followed, downs, known_seconds, ups
from loadtest.runs.reach import Reach, reach
from loadtest.runs.record import Run

UP_S, DOWN_S = 30.0, 300.0
ACCURACY, SAVED, PERFORMANCE, AVAILABILITY = 0.95, 0.10, 0.05, 0.999
UNWATCHED = "not known: the record does not tell how many pods were in endpoints"


class Verdict(NamedTuple):
    """One target."""

    name: str
    target: str
    measured: str
    met: bool | None
    """None where this run cannot tell."""


def verdicts(run: Run, fixed: Run | None = None) -> list[Verdict]:
    """Every target of the brief; `fixed` is the run of the same load on a fleet fixed at the peak, if there was one."""
    return [
        _judge_changes("scale-up", UP_S, "< 30 s", ups(run), seen=run.watched or run.answering),
        _judge_changes("scale-down", DOWN_S, "< 5 min", downs(run), seen=run.watched),
        *_fleet(run),
        _performance(run, fixed),
        *_clients(run),
    ]


def _judge_changes(name: str, limit: float, target: str, changes: Sequence[Followed], *, seen: bool) -> Verdict:
    """Judge by the slowest change; one not followed fails where its need lasted longer than `limit` s."""
    if not changes:
        return Verdict(name, target, f"there was no {name} to be made", None)
    if not seen:
        return Verdict(name, target, UNWATCHED, None)
    seconds = known_seconds(changes)
    late = [one for one in changes if one.seconds is None and one.need.until - one.need.time > limit]
    short = len(changes) - len(seconds) - len(late)
    said = (
        [f"{max(seconds):.1f} s" + (f", the slowest of {len(seconds)}" if len(seconds) > 1 else "")] if seconds else []
    )
    said += [_late(late, limit)] if late else []
    said += [f"{short} of which the need, or the run, was over before"] if short else []
    met = None if not seconds and not late else not late and max(seconds) < limit
    return Verdict(name, target, "; ".join(said), met)


def _late(late: Sequence[Followed], limit: float) -> str:
    there = [one.offered for one in late if one.offered is not None]
    if len(there) < len(late):
        return f"{len(late)} not within {limit:.0f} s"
    return f"enough pods in endpoints after {max(there):.1f} s, but the load did not come to them"


def _fleet(run: Run) -> list[Verdict]:
    exactly, cheaply = ("scaling accuracy", "> 95 %"), ("cost against a fleet fixed at the peak", "-10 to -20 %")
    if not run.watched:
        return [Verdict(*exactly, UNWATCHED, None), Verdict(*cheaply, UNWATCHED, None)]
    fleet_moments = moments(run)
    exact, cheap = intervals.accuracy(fleet_moments).interval, intervals.cost(fleet_moments, run.peak).interval
    level = len({one.need for one in fleet_moments}) == 1
    said = percent(cheap) + (" (an even load: nothing to be saved)" if level else "")
    return [
        Verdict(*exactly, percent(exact) + _of(reach(run)), exact.value > ACCURACY),
        Verdict(*cheaply, said, None if level else cheap.value <= -SAVED),
    ]


def _of(possible: Reach | None) -> str:
    """What the HPA's own formula reaches when it is told the true load, beside what was measured."""
    if possible is None:
        return ""
    return (
        f"; on the true load, over pods that are there at once, the HPA's formula would have had"
        f" {100 * possible.mean:.1f} % ({100 * possible.low:.1f} to {100 * possible.high:.1f} by its phase)"
    )


def _performance(run: Run, fixed: Run | None) -> Verdict:
    name, target = "p95 latency against that fleet at equal load", "±5 %"
    if fixed is None:
        return Verdict(name, target, "not measured: --fixed runs the same load on that fleet too", None)
    mine, theirs = intervals.latency(run, 0.95), intervals.latency(fixed, 0.95)
    apart = intervals.difference(theirs, mine)
    if not theirs.value > 0 or math.isnan(mine.value):
        return Verdict(name, target, "there were no answers to compare", None)
    relative = intervals.Interval(*(one / theirs.value for one in apart))
    said = f"{percent(relative)}: {mine.value:.0f} ms, fixed {theirs.value:.0f} ms"
    return Verdict(name, target, said, abs(relative.value) <= PERFORMANCE)


def _clients(run: Run) -> list[Verdict]:
    seen = answers(run)
    return [_downtime(run, seen), _availability(seen)]


def _downtime(run: Run, seen: Answers) -> Verdict:
    """None where nobody asked, or a single slice has no beginning: no second is known to have been a good one."""
    if not seen.downtime and (not seen.requests or len(run.slices) < 2):
        return Verdict("downtime", "0", "not known: the record tells of no second with requests", None)
    return Verdict("downtime", "0", f"{seen.downtime:.1f} s", seen.downtime == 0)


def _availability(seen: Answers) -> Verdict:
    """Where some failed, the interval of their share decides; where none did, only their number says something."""
    bad = intervals.wilson(seen.failed, seen.counted)
    good = intervals.Interval(1 - bad.value, 1 - bad.high, 1 - bad.low)
    said = f"{seen.failed} of {seen.counted} requests failed"
    met: bool | None = True if seen.enough else None
    few = f"too few for a word about 99.9 %, which takes {ENOUGH_REQUESTS:,}"
    if seen.failed:
        said += f", {seen.unanswered} of them without an answer"
        met, few = is_at_least(good, AVAILABILITY), "too few to tell"
    if seen.failed or seen.enough:
        said = f"{percent(good, digits=3)}: {said}"
    return Verdict("availability", "99.9 %", said if met is not None else f"{said}; {few}", met)


def is_at_least(interval: intervals.Interval, least: float) -> bool | None:
    """Whether a figure is at least `least`; None where its interval holds `least`."""
    return True if interval.low >= least else False if interval.high < least else None


def percent(interval: intervals.Interval, *, digits: int = 1) -> str:
    """A share of 1 with its bounds, as percent."""
    text = f"{100 * interval.value:.{digits}f} %"
    return f"{text} ({100 * interval.low:.{digits}f} to {100 * interval.high:.{digits}f})" if interval.known else text
