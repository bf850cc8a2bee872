"""A source's clock by ours, also where somebody sets it. Time is an argument.

Set back, a source evaluates at times that it was at before. One that remembers answers with what it knew then: values
of an hour ago that look fresh. So a time of such a source's is taken for the moment at which its clock can have stood
there first: until the clock has caught up, its values count as old as they may be. (Prometheus itself refuses new
samples of the same series for as long.) What a source remembers is asked of it.
"""

import hashlib
import math
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import structlog

from adapter.once import Few

STEPS = 20
"""Settings of one endpoint's clock in 600 s that the log tells of."""

log = structlog.get_logger(__name__)
_told = Few(STEPS)

AGREE = 2.0
"""s by which two answers may disagree about the source's clock before it counts as set."""
MOST = 8
"""Settings of the clock that are remembered one by one; the oldest are taken together."""


class _Era(NamedTuple):
    """While nobody set the clock: the source's times, s, and our time less the source's."""

    begin: float
    until: float
    least: float
    most: float

    def holds(self, time: float) -> bool:
        return self.begin <= time <= self.until

    def join(self, other: "_Era") -> "_Era":
        """Both eras as one that makes no time younger; the clock is never taken to be in it again."""
        begin, until = min(self.begin, other.begin), max(self.until, other.until)
        return _Era(begin, until, min(self.least, other.least), -math.inf)

    def agrees(self, least: float, most: float) -> bool:
        return least <= self.most + AGREE and most >= self.least - AGREE


class SourceClock:
    """Of one source. `stepped` hears by how many s its clock was found to be ahead of where it should be."""

    def __init__(self, stepped: Callable[[float], None] = lambda _: None) -> None:
        self._stepped = stepped
        self.settings = 0
        """How often the clock was set."""
        self._now: _Era | None = None
        self._past: list[_Era] = []

    def note_evaluation(self, evaluated: float, *, asked: float, answered: float) -> None:
        """The source evaluated a query at `evaluated` by its clock, between `asked` and `answered` by ours."""
        least, most = asked - evaluated, answered - evaluated
        now = self._now
        if now is None:
            self._now = _Era(-math.inf, evaluated, least, most)
        elif now.agrees(least, most):
            low, high = max(now.least, least), min(now.most, most)
            low, high = (low, high) if low <= high else (least, most)  # clocks drift
            self._now = _Era(min(now.begin, evaluated), max(now.until, evaluated), low, high)
        else:
            self._set(now, evaluated, answered=answered, least=least, most=most)
        if len(self._past) > MOST:
            self._past[:2] = [self._past[0].join(self._past[1])]

    def _set(self, now: _Era, evaluated: float, *, answered: float, least: float, most: float) -> None:
        """The clock was set at some time between the last answer and this one."""
        self.settings += 1
        self._past.append(now._replace(until=max(now.until, answered - now.least)))
        begin = evaluated - (answered - (now.until + now.least))
        known = next((era for era in self._past if era.agrees(least, most)), None)
        if known is None:
            self._now = _Era(begin, evaluated, least, most)
            self._stepped(now.least - least)
        else:  # several servers behind one address, or a clock that was put right
            self._past.remove(known)
            self._now = _Era(min(begin, known.begin), max(evaluated, known.until), least, most)

    def latest(self, evaluated: float) -> float | None:
        """The latest time that the clock was at before it was set back to `evaluated`; None where it was not."""
        return max((era.until for era in self._past if era.holds(evaluated)), default=None)

    def ours(self, time: float, *, evaluated: float, asked: float) -> float:
        """A time of the source's by our clock, as early as it may be; told at `evaluated`, when `asked` was ours."""
        told = asked - (evaluated - time)
        earlier = [time + era.least for era in self._past if era.holds(time)]
        if self._now is None or self._now.holds(time) or not earlier:
            earlier.append(told)
        return min(earlier)


class Asked:
    """An answer's times: by the source's clock, and when it was asked and answered by ours."""

    def __init__(self, clock: SourceClock, asked: float, answered: float) -> None:
        self.clock = clock
        self._asked = asked
        self._answered = answered
        self._evaluated = asked
        self.forgotten = False
        """Whether the source is known to remember nothing of a time that its clock was at before."""

    def note_evaluation(self, evaluated: float) -> None:
        """The query was evaluated at `evaluated`, s by the source's clock."""
        self._evaluated = evaluated
        self.clock.note_evaluation(evaluated, asked=self._asked, answered=self._answered)

    @property
    def again(self) -> float | None:
        """Where the clock stood before it was set back to where it is: the source's time, s; None where it was not."""
        return self.clock.latest(self._evaluated)

    def ours(self, time: float) -> float:
        """A time of the source's by our clock; as early as it may be, where the source remembers."""
        if self.forgotten:
            return self._asked - (self._evaluated - time)
        return self.clock.ours(time, evaluated=self._evaluated, asked=self._asked)


class Past:
    """Whether the source remembers what queries gave at a time that its clock was at before; asked once a setting."""

    MOST = 10_000
    """Queries of which it is known."""

    def __init__(self, ask: Callable[[str, float], Awaitable[bool]]) -> None:
        """`ask` takes a query and a time of the source's, s."""
        self._ask = ask
        self._known: dict[tuple[bytes, int, int], bool] = {}
        """By a digest of the query, which may be long."""

    async def is_remembered(self, promql: str, before: float, clock: SourceClock) -> bool:
        """Whether the source remembers what the query gave at `before`, s by the source's clock."""
        key = (hashlib.blake2b(promql.encode(errors="replace"), digest_size=16).digest(), id(clock), clock.settings)
        if key not in self._known:
            if len(self._known) >= self.MOST:
                self._known.clear()
            self._known[key] = await self._ask(promql, before)
        return self._known[key]


def seconds_ahead(date: str, now: float) -> float:
    """By how much whoever sent this header Date is ahead of `now`, Unix s; 0 where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0


def tell_step(url: str, ahead: float) -> None:
    """Say that the clock of an endpoint was found to be set by so many s: it may say another at each."""
    if not _told.may(url):
        return
    back = "; until it has caught up, its values count as old as they may be" if ahead < 0 else ""
    log.warning(f"the clock of Prometheus was set{back}", endpoint=url, ahead_s=round(ahead, 1))
