"""Which rates may be believed after an outage of Prometheus. Pure.

Prometheus takes a rate over the samples that it has and divides by the whole window. After an outage of its own, or the
loss of its data, it has less than the window, and every rate is too low: an HPA would scale down on it. So for a while
each rate is taken only when its window is full again; until then the last good value stays, and grows old.
"""

from collections.abc import Iterable, Mapping

from adapter.collect.plan import Planned
from adapter.collect.snapshot import Reading
from adapter.metrics.source import Query
from adapter.rules.samples import Coverage

WINDOWS = 1.5
"""How long rates are doubted: for a full window, and the time until the first scrape."""
KEPT = 3600.0
"""s after which a query that nobody asked again is forgotten."""

Readings = Mapping[tuple[str, str], Reading]


class Doubts:
    """The queries whose rates are doubted, and until when."""

    def __init__(self) -> None:
        self._until: dict[Query, float] = {}

    def begin(self, planned: Planned, now: float) -> None:
        """There was an outage: its series were gone, or all values vanished."""
        if planned.coverage is not None:
            self._until[planned.query] = now + WINDOWS * planned.coverage.window

    def failed(self, planned: Planned, now: float) -> None:
        """Its query failed. Where it is doubted already that ends in time, though the look at its window fails too."""
        if planned.query not in self._until:
            self.begin(planned, now)

    def of(self, planned: Planned, now: float) -> Coverage | None:
        """How to tell which of its rates are over full windows; None where all may be believed."""
        if now < self._until.get(planned.query, now):
            return planned.coverage
        self._until.pop(planned.query, None)
        return None

    def forget(self, now: float) -> None:
        """Those of queries that are asked no more."""
        self._until = {query: until for query, until in self._until.items() if until > now - KEPT}


def believed(new: Readings, full: Iterable[tuple[str, str]], held: Readings) -> Readings:
    """Of the `new` readings those whose windows are `full`; for the others what was `held`, if anything."""
    whole = frozenset(full)
    return {key: new[key] if key in whole else held[key] for key in new if key in whole or key in held}
