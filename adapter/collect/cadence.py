"""How often each object is sampled, told from its samples' times: a slow scrape is no staleness.

Pure: time is an argument. Every object has its own interval: pods of one rule may be scraped by jobs of different
intervals, each at its own phase. What is known outlives the query that it was learnt from, as a merged query's text
changes with every namespace that wants it.
"""

import statistics
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeAlias

Key: TypeAlias = tuple[str, str]
"""(namespace, object name)."""

KEPT = 600.0
"""s after which an object, or a topic, of which nothing was seen is forgotten."""
SLOWEST = 150.0
"""s: the longest interval that a count of samples may tell. Prometheus itself looks back 5 min, for two samples."""


class Seen(NamedTuple):
    """The samples of one object."""

    newest: float
    """Unix time of the newest, s."""
    at: float
    """Unix time of the last look that found it, s."""
    step: float = 0.0
    """s from one newest sample to the next that was seen; 0 where only one was."""
    interval: float = 0.0
    """s between two samples: the smaller of the last two steps, as an outage does not repeat itself; 0: not known."""


class Cadence:
    """Of the objects of one topic: what one query, or several of one kind, tell of."""

    def __init__(self) -> None:
        self._seen: dict[Key, Seen] = {}
        self.used = 0.0
        """Unix time of the last look, s."""

    def saw(self, times: Mapping[Key, float], at: float) -> None:
        """A look at Unix time `at` found these times of the newest samples."""
        self.used = at
        for key, newest in times.items():
            self._seen[key] = _seen(self._seen.get(key), newest, at)
        self._seen = {key: seen for key, seen in self._seen.items() if at - seen.at <= KEPT}

    def counted(self, counts: Mapping[Key, float], window: float) -> None:
        """So many samples each object had in the last `window` s: a first idea of its interval, for want of a step."""
        for key, count in counts.items():
            seen = self._seen.get(key)
            if seen is not None and not seen.interval and count >= 1:
                self._seen[key] = seen._replace(interval=min(window / count, SLOWEST))

    @property
    def unknown(self) -> bool:
        """Whether no interval of any object is known."""
        return bool(self._seen) and not any(seen.interval for seen in self._seen.values())

    def times(self) -> dict[Key, float]:
        """The newest sample's time of each object; an object that a look did not find keeps its last one."""
        return {key: seen.newest for key, seen in self._seen.items()}

    def intervals(self) -> dict[Key, float]:
        """s between two samples of each object; what is usual among the others where its own is not known yet."""
        known = [seen.interval for seen in self._seen.values() if seen.interval]
        usual = statistics.median_high(known) if known else 0.0
        return {key: seen.interval or usual for key, seen in self._seen.items()}


def _seen(before: Seen | None, newest: float, at: float) -> Seen:
    if before is None:
        return Seen(newest, at)
    if newest <= before.newest:
        return before._replace(at=at)
    step = newest - before.newest
    known = [before.step or before.interval or step, step]
    if step <= at - before.at:  # looks that far apart cannot tell it: it is at most that
        known.append(before.interval or step)
    return Seen(newest, at, step, min(known))


class Cadences:
    """The cadence of each topic."""

    def __init__(self) -> None:
        self._of: dict[Hashable, Cadence] = {}

    def of(self, topic: Hashable) -> Cadence:
        """The cadence of a topic, which may be new."""
        return self._of.setdefault(topic, Cadence())

    def forget(self, now: float) -> None:
        """The topics that nobody has looked at for a while."""
        self._of = {topic: cadence for topic, cadence in self._of.items() if now - cadence.used <= KEPT}
