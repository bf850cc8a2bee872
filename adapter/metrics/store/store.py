"""The embedded store: the last minutes of every series in memory, for clusters without Prometheus."""

import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
from promql_parser import VectorSelector

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.owners import Owner, Owners, Refusal, describe_owner, owner_of
from adapter.metrics.promql.read import parse
from adapter.metrics.sample import Point, Sample, Series
from adapter.metrics.slices import Slices, run
from adapter.metrics.source import ALWAYS, Query, Since, UnsupportedQuery
from adapter.metrics.store.evaluate import SLICE_ROWS, evaluate
from adapter.metrics.store.family import Family, Work
from adapter.metrics.store.ring import FINEST_S, Ints, Put
from adapter.metrics.store.strings import Strings
from adapter.metrics.store.supported import matchings
from adapter.metrics.store.vector import NAME

AT_ONCE = 200
"""Series that are forgotten in one slice."""
FAMILIES_AT_ONCE = 100
"""Families that are looked through in one slice."""
REFUSED_NAMES = 100
"""Metrics of one namespace that are remembered as those whose series found no room."""
FUTURE_S = 60.0
"""A series whose newest sample is further ahead than this is forgotten: its clock was wrong, and it would never age."""


@dataclass
class Statistics:
    """What the store holds and what it did not take; counts since the start."""

    series: int = 0
    stored: int = 0
    duplicate: int = 0
    """Samples with the time of the one before."""
    late: int = 0
    """Samples older than the newest of their series."""
    dense: int = 0
    """Samples that came too soon after the one before."""
    passing: int = 0
    """Samples that were taken in between, for whoever asks for the newest one."""
    refused: int = 0
    """Samples of series beyond a limit; a scraped one is counted each time that it is asked for again."""
    problem: str = ""
    """One sentence while the limit on series is reached, in all or by one owner; else empty."""


class Store:
    """Samples of at most `max_series` series, for `retention_s` seconds each.

    A series costs 16 bytes per sample, rounded up to the pace of the fastest in its ring, and 8 per label: 1.1 KB at
    a scrape every 5 s and 300 s; its labels' texts come on top, about 1 KB for ten.

    A value is served while its newest sample is younger than `lookback_s`, which should be four scrape intervals or
    more. Not thread-safe; no clock: time comes as an argument.
    """

    def __init__(
        self,
        max_series: int = 100_000,
        retention_s: float = 300.0,
        lookback_s: float = 60.0,
        interval_s: float = FINEST_S,
    ) -> None:
        """`interval_s`: between two samples of one series, as expected; denser ones are thinned out (`Ring`)."""
        self.max_series = max_series
        self.retention_s = retention_s
        self.lookback_s = lookback_s
        self._interval_s = interval_s
        self.strings = Strings()
        self.statistics = Statistics()
        self.looked_at = 0
        """Characters of labels' values and of names that matchers had to look at so far, as `Work` counts them."""
        self._families: dict[str, Family] = {}
        self._index: dict[Series, tuple[Family, int]] = {}
        self._serials = count(1)
        self.owners = Owners(max_series)
        self.over_share: dict[str, str] = {}
        """Namespace -> a sentence about who in it asked for more than a share, while that lasts."""
        self.refused_names: dict[str, set[str]] = {}
        """Namespace -> metrics whose series found no room then, at most REFUSED_NAMES; '' where there are more."""

    def __len__(self) -> int:
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes of samples and label columns, without the series' own texts."""
        return sum(family.nbytes for family in self._families.values())

    def extend(self, points: Iterable[Point]) -> list[Series]:
        """Take samples in; the series for which there is no room. About 1 µs each: feed some thousand at a time."""
        outcomes, refused = dict.fromkeys(Put, 0), []
        for series, value, time in points:
            place = self._index.get(series) or self._add(series)
            if place is None:
                refused.append(series)
                continue
            family, row = place
            outcomes[family.put(row, time, value)] += 1
        for outcome, number in outcomes.items():
            setattr(self.statistics, outcome.value, getattr(self.statistics, outcome.value) + number)
        return refused

    def pass_by(self, points: Iterable[Point]) -> list[Series]:
        """Take samples in that only whoever asks for the newest one is to see: rates keep their even steps.

        Of a series that is new this is all that there is until a sample comes by `extend`. Returns the series for which
        there is no room.
        """
        refused = []
        for series, value, time in points:
            place = self._index.get(series) or self._add(series)
            if place is None:
                refused.append(series)
                continue
            family, row = place
            family.pass_by(row, time, value)
            self.statistics.passing += 1
        return refused

    def _add(self, series: Series) -> tuple[Family, int] | None:
        owner = owner_of(series)
        if (refusal := self.owners.refusal(owner, series)) is not None:
            self._refuse(owner, refusal, series.name)
            return None
        self.owners.add(owner, series)
        name = series.name
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Family(name, self.retention_s, self.strings, self._interval_s)
        place = self._index[series] = (family, family.add(series, next(self._serials)))
        self.statistics.series = len(self._index)
        return place

    def _refuse(self, owner: Owner, refusal: Refusal, name: str) -> None:
        self.statistics.refused += 1
        if refusal.scope == "all":
            self.statistics.problem = (
                f"the embedded store holds its limit of {refusal.limit} {refusal.of}, so samples of new ones are"
                " dropped; raise the limit or scrape less"
            )
            return
        who = describe_owner(owner) if refusal.scope == "owner" else f"namespace {owner[0] or '(none)'}"
        sentence = (
            f"{who} has {refusal.limit} {refusal.of}, {'a single one' if refusal.scope == 'owner' else 'a namespace'}'s"
            " limit, so samples of its new ones are dropped; labels with fewer values would be right"
        )
        self.over_share.setdefault(owner[0], sentence)
        names = self.refused_names.setdefault(owner[0], set())
        names.add(name if len(names) < REFUSED_NAMES else "")
        if not self.statistics.problem:
            self.statistics.problem = sentence

    def expire(self, now: float, limit: int = 1000) -> int:
        """Forget series without samples since `retention_s`, and those from the future; returns how many.

        At most `limit` of them at a time, some milliseconds: call again while it returns that many.
        """
        gone = 0
        for family in list(self._families.values()):
            gone += self._expire(family, now, limit - gone)
        self.strings.purge(now)
        return gone

    def expiring(self, now: float) -> Slices[int]:
        """As `expire`, all of them, in slices."""
        gone = 0
        for number, family in enumerate(list(self._families.values()), 1):
            while more := self._expire(family, now, AT_ONCE):
                gone += more
                yield
            if number % FAMILIES_AT_ONCE == 0:
                yield
        self.strings.purge(now)
        return gone

    def _expire(self, family: Family, now: float, limit: int) -> int:
        newest = family.newest()
        expired = (newest <= now - self.retention_s) | (newest > now + FUTURE_S)
        if not expired.any():
            return 0
        return self._remove(family, np.flatnonzero(expired & (family.serial[: len(newest)] != 0))[:limit])

    def forget(self, labels: Mapping[str, str], limit: int = sys.maxsize) -> int:
        """Forget the series that have all of `labels` (those of a gone target); returns how many.

        At most `limit` of them at a time, some microseconds each: call again while it returns that many.
        """
        matches = self.owners.find(labels)
        if matches is not None:
            gone = [series for _, series in islice(matches, limit)]
            for series in gone:
                family, row = self._index[series]
                self._remove(family, np.array([row]))
            return len(gone)
        wanted = [Matching(label, Operator.EQUAL, value) for label, value in labels.items()]
        number = 0
        for family, rows in filter(None, self.select(wanted)):
            number += self._remove(family, rows[: limit - number])
        return number

    def _remove(self, family: Family, rows: Ints) -> int:
        for row in rows.tolist():
            series = family.remove(row)
            del self._index[series]
            owner = owner_of(series)
            self.owners.remove(owner, series, last=not len(family))
            self.over_share.pop(owner[0], None)
            self.refused_names.pop(owner[0], None)
            self.statistics.problem = ""  # if the limit holds still, the next new series says so again
        if not len(family):
            self._families.pop(family.name, None)
        self.statistics.series = len(self._index)
        return len(rows)

    def select(self, wanted: Sequence[Matching]) -> Iterator[tuple[Family, Ints] | None]:
        """The families with rows that match, and these rows, and None where others may run meanwhile.

        The store may change between two of them. Raises CostlyQuery where matching takes too much.
        """
        work = Work(self._look)
        names = [matching for matching in wanted if matching.label == NAME]
        accepts = [matching.matches for matching in names]
        others = [matching for matching in wanted if matching.label != NAME]
        weight = sum(matching.weight for matching in names)
        literal = next((name.equals for name in names if name.equals is not None), None)
        for name in list(self._families) if literal is None else [literal]:
            family = self._families.get(name)
            if work.is_turn_over(weight * len(name)):
                yield None
            if family is None or not all(matches(name) for matches in accepts):
                continue
            rows = yield from self._rows(family, others, work)
            if len(rows):
                yield family, rows

    def _look(self, characters: int) -> None:
        self.looked_at += characters

    def _rows(self, family: Family, wanted: Sequence[Matching], work: Work) -> Generator[None, None, Ints]:
        """The rows that match, without those that were given to other series while others ran."""
        serials = family.serial.copy()
        rows = yield from family.select(wanted, work)
        same: Ints = rows[family.serial[rows] == serials[rows]]
        return same

    def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        """The instant vector of `query` at Unix time `at`, s; see `Source`. Raises SourceError, UnsupportedQuery."""
        return run(evaluate(self, query, at, since))

    def series(self, selectors: Sequence[str], since: float, at: float) -> list[Mapping[str, str]]:
        """The label sets that match any selector and have samples in (since, at]. Raises UnsupportedQuery."""
        return run(self.series_in_slices(selectors, since, at))

    def series_in_slices(self, selectors: Sequence[str], since: float, at: float) -> Slices[list[Mapping[str, str]]]:
        """As `series`."""
        label_sets: dict[int, Mapping[str, str]] = {}
        for selector in selectors:
            wanted = yield from _matchings(selector)
            for selected in self.select(wanted):
                if selected is None:
                    yield
                    continue
                family, rows = selected
                for start in range(0, len(rows), SLICE_ROWS):
                    label_sets.update(family.label_sets(rows[start : start + SLICE_ROWS], since, at))
                    yield
        return list(label_sets.values())


def _matchings(selector: str) -> Slices[list[Matching]]:
    node = parse(selector)
    if not isinstance(node, VectorSelector):
        raise UnsupportedQuery(f"'{selector[:60]}' is no series selector such as http_requests_total{{pod!=\"\"}}")
    return (yield from matchings(node))
