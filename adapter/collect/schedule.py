"""When what is asked, and when a plan is made anew. Pure: time is an argument."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from adapter.collect.demand import Want
from adapter.collect.plan import Planned
from adapter.metrics.source import Query

REPLAN_EVERY = 10.0
"""s after which a plan is made anew though demand and offers are the same: pods come and go."""
SHARE = 20
"""A query that took t seconds is not asked again before SHARE * t: at most 5 % of the source's time is ours."""


REST = 60.0
"""s until a query that can never work is asked again: the server may have become another one."""


class Schedule(NamedTuple):
    """How often what is asked; s."""

    relist: float = 60.0
    lookback: float = 300.0
    """How far back a series must have been seen to be on offer."""
    tick: float = 0.25
    fetch_timeout: float = 1.0
    """How long a request that the plan does not cover waits."""


class Timetable:
    """When each query is due again; one that was never asked is due at once."""

    def __init__(self) -> None:
        self._due: dict[Query, float] = {}

    def due(self, planned: Iterable[Planned], now: float) -> list[Planned]:
        """Those of `planned` whose time has come."""
        return [one for one in planned if self._due.get(one.query, 0.0) <= now]

    def asked(self, planned: Planned, *, started: float, took: float, hopeless: bool = False) -> None:
        """It was asked at `started`, Unix s, and answered after `took` s, well or not; `hopeless`: it never can be."""
        self._due[planned.query] = started + max(planned.limits.refresh, SHARE * took, REST if hopeless else 0.0)

    def keep(self, queries: Collection[Query]) -> None:
        """Forget all but `queries`."""
        self._due = {query: due for query, due in self._due.items() if query in queries}


class Replanning:
    """Whether a new plan is wanted: for new demand or offers, for the passage of time, or because somebody asked."""

    def __init__(self) -> None:
        self._made_for: tuple[frozenset[Want], int] | None = None
        self._made_at = 0.0
        self._asked = False

    def ask(self) -> None:
        """Make a plan anew though demand and offers are the same."""
        self._asked = True

    def is_due(self, wants: frozenset[Want], revision: int, now: float) -> bool:
        """Whether the last plan does not serve any more for `wants` and the offers' `revision`."""
        return self._asked or self._made_for != (wants, revision) or now - self._made_at >= REPLAN_EVERY

    def made(self, wants: frozenset[Want], revision: int, now: float) -> None:
        """There is a plan for these."""
        self._made_for, self._made_at, self._asked = (wants, revision), now, False
