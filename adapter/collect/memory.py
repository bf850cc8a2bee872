"""What the evaluations of queries remember of groups in transition from one to the next. No network, no clock.

A query's text names the namespaces that want its metric. A first HPA in one more namespace makes it another query; what
was remembered of everybody else's groups goes over to it.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

from adapter.collect.groups import GroupKey
from adapter.collect.planned import Planned
from adapter.collect.transition import Settled
from adapter.collect.unison import Total
from adapter.metrics.source import Query


class Remembered(NamedTuple):
    """What is remembered of one query."""

    settled: Settled = Settled({})
    """As it was served last."""
    totals: Mapping[GroupKey, Total] = {}
    """What groups have in all, where the source takes the rates."""


class Memory:
    """By query; of queries that nobody plans any more it forgets all that no other has taken over."""

    def __init__(self) -> None:
        self._of: dict[Query, tuple[Hashable, Remembered]] = {}

    def of(self, planned: Planned) -> Remembered:
        """What came of the evaluation before, of this query or of those that it has taken the place of."""
        known = self._of.get(planned.query)
        return known[1] if known is not None else Remembered()

    def remember_settled(self, planned: Planned, settled: Settled) -> None:
        """`settled` is what is served of the query now."""
        self._of[planned.query] = planned.topic, self.of(planned)._replace(settled=settled)

    def remember_totals(self, planned: Planned, totals: Mapping[GroupKey, Total]) -> None:
        """`totals` is what groups have in all now."""
        self._of[planned.query] = planned.topic, self.of(planned)._replace(totals=totals)

    def keep(self, plan: Iterable[Planned]) -> None:
        """Forget all but the queries of a new plan; those that are new in it take over from others of their topic."""
        before, self._of = self._of, {}
        topics: dict[Hashable, list[Remembered]] = {}
        for topic, remembered in before.values():
            topics.setdefault(topic, []).append(remembered)
        for planned in plan:
            if planned.query in before:
                self._of[planned.query] = before[planned.query]
            elif planned.topic in topics:
                self._of[planned.query] = planned.topic, _together(topics[planned.topic])


def _together(many: Iterable[Remembered]) -> Remembered:
    """As if one query had served all that these did."""
    settled, totals = Settled({}, {}, {}), dict[GroupKey, Total]()
    for one in many:
        settled = Settled(
            {**settled.readings, **one.settled.readings},
            {**settled.past, **one.settled.past},
            {**settled.waits, **one.settled.waits},
        )
        totals.update(one.totals)
    return Remembered(settled, totals)
