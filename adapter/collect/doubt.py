"""Which rates may be believed after an outage of Prometheus. Pure.

Prometheus takes a rate over the samples that it has and divides by the whole window. After an outage of its own, or the
loss of its data, it has less than the window, and every rate is too low: an HPA would scale down on it. So for a while
each rate is taken only when its window is full again; until then the last good value stays, and grows old.
"""

import math
from collections.abc import Hashable, Iterable, Mapping

from adapter.collect.planned import Planned
from adapter.collect.snapshot import Reading
from adapter.metrics.source import Query
from adapter.rules.samples import Coverage

WINDOWS = 1.5
"""How long rates are doubted: for a full window, and the time until the first scrape."""
KEPT = 3600.0
"""s after which a query that nobody asked again is forgotten."""

LAPSED = 600.0
"""s after which an object that has no value any more is a new one when it comes again."""

Key = tuple[str, str]
Readings = Mapping[Key, Reading]


class Known:
    """Since when each object is known to have a value: how far back the source's data must reach at least."""

    def __init__(self) -> None:
        self._of: dict[Hashable, dict[Key, tuple[float, float]]] = {}

    def saw(self, topic: Hashable, keys: Iterable[Key], now: float) -> None:
        """These have a value at Unix time `now`, s."""
        held = self._of.setdefault(topic, {})
        for key in keys:
            held[key] = held.get(key, (now, now))[0], now

    def since(self, topic: Hashable) -> Mapping[Key, float]:
        """Object -> Unix time, s, at which it had its first value."""
        return {key: first for key, (first, _) in self._of.get(topic, {}).items()}

    def forget(self, now: float) -> None:
        """Drop the objects that have had no value for LAPSED s."""
        kept = {
            topic: {key: seen for key, seen in held.items() if now - seen[1] <= LAPSED}
            for topic, held in self._of.items()
        }
        self._of = {topic: held for topic, held in kept.items() if held}


def reaches_back(
    since: Mapping[Key, float], oldest: Mapping[Key, float], coverage: Coverage, *, failed: float, now: float
) -> bool:
    """Whether the source still has its data, after queries that failed from Unix time `failed` to `now`, s.

    Whoever had a value before has samples as old as that value, or as its window: `since` when each had one, `oldest`
    its oldest sample. A query that fails, for a second of overload, loses nothing; and what is young has a short window
    then and now.
    """
    known = {key: first for key, first in since.items() if first <= failed}
    return bool(known) and all(
        oldest.get(key, math.inf) <= max(first, now - coverage.window) + coverage.resolution
        for key, first in known.items()
    )


class Doubts:
    """The queries whose rates are doubted, and until when."""

    def __init__(self) -> None:
        self._until: dict[Query, float] = {}

    def begin(self, planned: Planned, now: float) -> None:
        """There was an outage: its series were gone, or all values vanished."""
        if planned.coverage is not None:
            self._until[planned.query] = now + WINDOWS * planned.coverage.window

    def note_failure(self, planned: Planned, now: float) -> None:
        """The query failed: its rates are doubted. A doubt that lasts already is not prolonged by it."""
        if planned.query not in self._until:
            self.begin(planned, now)

    def of(self, planned: Planned, now: float) -> Coverage | None:
        """How to tell which of its rates are over full windows; None where all may be believed."""
        if now < self._until.get(planned.query, now):
            return planned.coverage
        self._until.pop(planned.query, None)
        return None

    def forget(self, now: float) -> None:
        """Drop the doubts about queries that are asked no more."""
        self._until = {query: until for query, until in self._until.items() if until > now - KEPT}


def replace_doubted(new: Readings, full: Iterable[tuple[str, str]], held: Readings) -> Readings:
    """The `new` readings whose windows are `full`; the others give way to what was `held`, or are left out."""
    whole = frozenset(full)
    return {key: new[key] if key in whole else held[key] for key in new if key in whole or key in held}
