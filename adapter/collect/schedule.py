"""When what is asked, and when a plan is made anew. Pure: time is an argument."""

import enum
import math
from collections.abc import Collection, Iterable
from typing import NamedTuple

from adapter.collect.demand import Want
from adapter.collect.planned import Planned
from adapter.metrics.source import Query

REPLAN_EVERY = 10.0
"""s after which a plan is made anew though demand and offers are the same: pods come and go."""
PASSING_CHARACTERS = 2**20
"""Of wants outside the plan that were asked for since it was made; then it is made anew, which forgets their values."""
PASSING_LEAST = 512
"""Characters that each counts beside its own."""
SHARE = 20
"""A query that takes t seconds is asked every SHARE * t at most: at most 5 % of the source's time is ours."""
GROWTH = 2
"""By which the pause grows at most from one answer to the next."""
AFTER_FAILURE = 15.0
"""s at most until a query that failed is asked again: what it gave last is growing old."""


REST = 60.0
"""s until a query that can never work is asked again: the server may have become another one. As long rests one that
no HPA asks for and that takes too much."""


class Schedule(NamedTuple):
    """How often what is asked; s."""

    relist: float = 60.0
    lookback: float = 300.0
    """How far back a series must have been seen to be on offer."""
    tick: float = 0.25
    fetch_timeout: float = 1.0
    """How long a request that the plan does not cover waits."""


class Outcome(enum.Enum):
    """What came of a query."""

    ANSWERED = "answered"
    FAILED = "failed"
    HOPELESS = "hopeless"
    """It can never be answered."""


class _Asked(NamedTuple):
    """The last time that a query was asked."""

    queued: float
    """Unix time, s, since when it wants a turn."""
    began: float | None = None
    """Unix time, s, at which it had its turn; None while it waits."""
    took: float | None = None
    """s from then to the answer; None while it is under way."""
    pause: float = 0.0
    """s from its beginning to the next."""

    @property
    def again(self) -> float:
        """Unix time, s, at which it is due."""
        return -math.inf if self.began is None or self.took is None else self.began + self.pause


_NEVER = _Asked(0.0)


class Timetable:
    """When each query is due again; one that was never asked is due at once.

    A slow query is asked less often, up to SHARE times what it takes. The pause only doubles from one answer to the
    next, and a quick answer ends it: a source that was slow for seconds is not left alone for minutes.
    """

    def __init__(self) -> None:
        self._asked: dict[Query, _Asked] = {}

    def due(self, planned: Iterable[Planned], now: float) -> list[Planned]:
        """Those of `planned` whose time has come, those under way among them."""
        return [one for one in planned if self._asked.get(one.query, _NEVER).again <= now]

    def note_queued(self, query: Query, now: float) -> None:
        """`query` is to be asked, and waits for its turn from `now` on."""
        self._asked[query] = self._asked.get(query, _Asked(now))._replace(queued=now, began=None, took=None)

    def note_began(self, query: Query, now: float) -> None:
        """`query` has its turn at `now`."""
        self._asked[query] = self._asked.get(query, _Asked(now))._replace(began=now, took=None)

    def note_ended(self, planned: Planned, now: float, outcome: Outcome, *, rest: float = 0.0) -> float:
        """It was answered, well or not, and rests for `rest` s; gives the s from its beginning to the next."""
        asked = self._asked.get(planned.query, _Asked(now))
        began = now if asked.began is None else asked.began
        refresh, took = planned.limits.refresh, max(now - began, 0.0)
        pause = max(refresh, min(SHARE * took, GROWTH * max(asked.pause, refresh)))
        if outcome is Outcome.FAILED:
            pause = min(pause, max(refresh, AFTER_FAILURE))
        if outcome is Outcome.HOPELESS:
            rest = REST
        pause = max(pause, rest)
        self._asked[planned.query] = _Asked(asked.queued, began, took, pause)
        return pause

    def describe_wait(self, query: Query, now: float) -> str:
        """What `query` waits for, one sentence without a full stop: why its values are as old as they are."""
        asked = self._asked.get(query)
        if asked is None:
            return "it is not asked on schedule"
        if asked.began is None:
            return f"it has waited {now - asked.queued:.1f} s for its turn, as other queries are under way"
        if asked.took is None:
            return f"it has been asked, and not answered for {now - asked.began:.1f} s"
        again = max(asked.began + asked.pause - now, 0.0)
        return f"it took {asked.took:.3g} s and is asked again in {again:.1f} s"

    def keep(self, queries: Collection[Query]) -> None:
        """Forget all but `queries`."""
        self._asked = {query: asked for query, asked in self._asked.items() if query in queries}


class Replanning:
    """Whether a new plan is wanted: for new demand or offers, for the passage of time, or because somebody asked."""

    def __init__(self) -> None:
        self._made_for: tuple[frozenset[Want], int] | None = None
        self._made_at = 0.0
        self._asked = False
        self._passing = 0

    def count_passing(self, characters: int) -> bool:
        """A want of so many characters was asked for outside the plan; whether that makes a new plan due."""
        self._passing += PASSING_LEAST + characters
        self._asked = self._asked or self._passing >= PASSING_CHARACTERS
        return self._asked

    def ask(self) -> None:
        """Make a plan anew though demand and offers are the same."""
        self._asked = True

    def is_due(self, wants: frozenset[Want], revision: int, now: float) -> bool:
        """Whether the last plan does not serve any more for `wants` and the offers' `revision`."""
        return self._asked or self._made_for != (wants, revision) or now - self._made_at >= REPLAN_EVERY

    def note_plan(self, wants: frozenset[Want], revision: int, now: float) -> None:
        """A plan for these wants and offers is made at `now`."""
        self._made_for, self._made_at, self._asked, self._passing = (wants, revision), now, False, 0
