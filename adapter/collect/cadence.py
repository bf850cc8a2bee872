"""How often each object is sampled, told from its samples' times: a slow scrape is no staleness.

Pure: time is an argument. Every object has its own interval: pods of one rule may be scraped by jobs of different
intervals, each at its own phase. What is known outlives the query that it was learnt from, as a merged query's text
changes with every namespace that wants it.
"""

import statistics
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import NamedTuple, TypeAlias

Key: TypeAlias = tuple[str, str]
"""(namespace, object name)."""

PASSING = 64
"""Topics without a query in the plan that are kept: each holds the text of a selector, which may be long."""
KEPT = 600.0
"""s after which an object, or a topic, of which nothing was seen is forgotten."""
ROUNDING = 0.1
"""s by which the time of one sample may differ from look to look at least."""
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
    slack: float = 0.0
    """s by which the newest may be newer than told: a slow answer does not tell the source's clock any better."""
    interval: float = 0.0
    """s between two samples: the smaller of the last two steps, as an outage does not repeat itself; 0: not known."""


def since_ever(_: Key) -> float:
    """0, the creation time (Unix s) of an object whose creation time is not known."""
    return 0.0


class Cadence:
    """How often the objects of one topic are sampled: those of one query, or of several of one kind."""

    def __init__(self) -> None:
        self._seen: dict[Key, Seen] = {}
        self.used = 0.0
        """Unix time of the last look, s."""

    def saw(self, times: Mapping[Key, float], at: float, slack: float = 0.0) -> None:
        """A look at Unix time `at` found these times of the newest samples, each right to `slack` s."""
        self.used = at
        for key, newest in times.items():
            self._seen[key] = _update(self._seen.get(key), newest, at=at, slack=max(slack, ROUNDING))
        self._seen = {key: seen for key, seen in self._seen.items() if at - seen.at <= KEPT}

    def note_counts(
        self, counts: Mapping[Key, float], window: float, created: Callable[[Key], float] = since_ever
    ) -> None:
        """Estimate intervals: `counts` are the objects' samples in the last `window` s before the look.

        `created`, Unix s: when the object was made; it had none before.
        """
        for key, count in counts.items():
            seen = self._seen.get(key)
            covered = seen.newest - max(seen.at - window, created(key)) if seen is not None else 0.0
            if seen is not None and not seen.interval and count >= 1 and covered > 0:
                self._seen[key] = seen._replace(interval=min(covered / count, SLOWEST))

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


def _update(before: Seen | None, newest: float, *, at: float, slack: float) -> Seen:
    if before is None:
        return Seen(newest, at, slack=slack)
    if newest <= before.newest + before.slack:  # the same one
        return before._replace(at=at, newest=max(newest, before.newest))
    step = newest - before.newest
    known = [before.step or before.interval or step, step]
    if step <= at - before.at:  # looks that far apart cannot tell it: it is at most that
        known.append(before.interval or step)
    return Seen(newest, at, step, slack, min(known))


class Cadences:
    """The cadence of each topic."""

    def __init__(self) -> None:
        self._of: dict[Hashable, Cadence] = {}

    def of(self, topic: Hashable) -> Cadence:
        """The cadence of a topic, which may be new."""
        return self._of.setdefault(topic, Cadence())

    def __len__(self) -> int:
        return len(self._of)

    def forget(self, now: float, planned: Collection[Hashable]) -> None:
        """Drop topics not looked at for KEPT s; of those not `planned` only the last PASSING stay."""
        kept = {topic: cadence for topic, cadence in self._of.items() if now - cadence.used <= KEPT}
        passing = sorted((topic for topic in kept if topic not in planned), key=lambda topic: kept[topic].used)
        for topic in passing[:-PASSING]:
            del kept[topic]
        self._of = kept
