"""One planned query put to the source, and its result as a table: values, their samples' times, which are believed."""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

from adapter.collect.cadence import Cadences, since_ever
from adapter.collect.demand import CustomWant, Want
from adapter.collect.doubt import Doubts, Known, reaches_back, replace_doubted
from adapter.collect.memory import Memory
from adapter.collect.planned import Planned
from adapter.collect.reports import Reports
from adapter.collect.shorter import since_changes
from adapter.collect.snapshot import Reading, Table, elements_for, merge_times, tabulate
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.transition import Settled, Transitions
from adapter.collect.unison import Key, Readings
from adapter.metrics.sample import Sample
from adapter.metrics.source import ALWAYS, Query, Since, Source, SourceError
from adapter.rules.samples import COUNTED, over
from adapter.spans import span

TIMES_EVERY = 15.0
"""s between two questions for the samples' own times, where the source does not give them with the values."""


ALL: Key = ("", "")
"""Stands for an external metric as a whole."""


class Last(NamedTuple):
    """What came of the evaluation before."""

    table: Table | None = None
    """The last good result."""
    failed: bool = False


class _Times(NamedTuple):
    """What the last look at the samples' own times told."""

    asked: float = -math.inf
    """Unix time, s, of the look."""
    times: Mapping[Key, float] = {}
    intervals: Mapping[Key, float] = {}


class Evaluator:
    """Turns planned queries into tables; it remembers samples' times and outages from one evaluation to the next."""

    def __init__(
        self,
        source: Source,
        telemetry: CollectTelemetry,
        reports: Reports,
        clock: Callable[[], float],
        transitions: Transitions | None = None,
    ) -> None:
        """`clock` gives Unix s; without `transitions` all pods are as long there as anybody knows."""
        self._clock = clock
        self._source = source
        self._telemetry = telemetry
        self._reports = reports
        self._transitions = transitions
        self._memory = Memory()
        self._times: dict[Query, _Times] = {}
        self._cadences = Cadences()
        self._doubts, self._known = Doubts(), Known()

    async def table(self, planned: Planned, at: float, last: Last) -> Table:
        """The result at Unix time `at`, s. Raises SourceError."""
        if self._transitions is not None and planned.ready_pods and self._source.knows_sample_times:
            return await self._settle(planned, self._transitions, at)
        samples = await self._ask(planned, planned.query, at)
        if not planned.object_label:
            external = tuple((s.labels, Reading(s.value, s.time, s.window)) for s in samples)
            return await self._replace_doubted(planned, Table(at, {}, external), last)
        readings = self._values(planned, samples)
        unnamed = 0 if readings else len(samples)
        table = await self._replace_doubted(planned, Table(at, readings, unnamed=unnamed), last)
        if self._source.knows_sample_times or planned.times is None:
            return table
        held = last.table.readings.keys() if last.table is not None else ()
        known = await self._sample_times(planned, planned.times, at, fresh=readings.keys() - held)
        table = table._replace(intervals=known.intervals)
        if self._transitions is not None and planned.ready_pods:
            table = await self._since_changes(planned, self._transitions, table)
        return table._replace(readings=merge_times(table.readings, known.times))

    async def _ask(self, planned: Planned, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        """A query about the objects of a planned one. Raises SourceError."""
        with span("query", {"db.system.name": self._source.name, "db.query.text": query.promql}):
            return await self._source.query(query._replace(labels=planned.reads), at, since)

    def _values(self, planned: Planned, samples: list[Sample]) -> Readings:
        """The readings; where an object has several, the last counts, and the log says so once."""
        readings = _readings(planned, samples)
        if len(readings) == len(samples):
            return readings
        named = sum(bool(sample.labels.get(planned.object_label)) for sample in samples)
        if len(readings) < named:
            place = planned.rule.place
            self._reports.problem(
                f"{place}: its query gives {named} values for {len(readings)} objects, of each the last one counts;"
                " right would be one: `by (<<.GroupBy>>)` and no further labels",
                (place, "several values"),
            )
        return readings

    async def _since_changes(self, planned: Planned, transitions: Transitions, table: Table) -> Table:
        """`table`, with rates since then for groups that a pod has left; see `adapter.collect.shorter`."""
        at, place = table.evaluated, planned.rule.place

        async def ask(window: float) -> Readings:
            promql = over(planned.query.promql, window)
            if promql is None:
                return {}
            self._telemetry.count_query(place, "since")
            try:
                return _readings(planned, await self._ask(planned, Query(promql), at))
            except SourceError:
                self._telemetry.query_errors.labels(place, "since").inc()
                return {}

        since = await since_changes(
            transitions,
            {want.namespace for want in planned.wants},
            table.readings,
            self._memory.of(planned).totals,
            ask=ask,
            window=planned.coverage.window if planned.coverage is not None else 0.0,
            intervals=table.intervals,
            at=at,
        )
        self._memory.remember_totals(planned, since.totals)
        return table._replace(readings=since.readings, begins=since.begins)

    async def _settle(self, planned: Planned, transitions: Transitions, at: float) -> Table:
        """Values of pods that take traffic, a group's over the same time; see `adapter.collect.transition`."""
        unnamed = 0

        async def ask(since: Since) -> Readings:
            nonlocal unnamed
            samples = await self._ask(planned, planned.query, at, since)
            readings = self._values(planned, samples)
            unnamed = 0 if readings else len(samples)
            return readings

        async def silent(pods: Since) -> Collection[Key]:
            return await self._source.silent(planned.query, at, pods)

        before = self._memory.of(planned).settled
        namespaces = {want.namespace for want in planned.wants}
        settled = await settle(transitions, namespaces, before, ask=ask, silent=silent, at=at)
        self._memory.remember_settled(planned, settled)
        return Table(at, settled.readings, waits=settled.waits, unnamed=unnamed)

    def note_return(self, planned: Planned, now: float) -> None:
        """The series of `planned` were gone and are there again: its rates are doubted for a while."""
        self._doubts.begin(planned, now)

    def keep(self, plan: Collection[Planned], now: float) -> None:
        """Forget what is known of all but the queries of `plan`; doubts hold on for a while, as queries come again."""
        queries = {planned.query for planned in plan}
        self._times = {query: times for query, times in self._times.items() if query in queries}
        self._memory.keep(plan)
        self._doubts.forget(now)
        self._cadences.forget(now, {planned.topic for planned in plan})
        self._known.forget(now)

    async def _replace_doubted(self, planned: Planned, table: Table, last: Last) -> Table:
        """`table` as far as its rates may be believed; see `adapter.collect.doubt`."""
        before = last.table or Table(table.evaluated, {})
        vanished = not (table.readings or table.external) and bool(before.readings or before.external)
        if vanished:
            self._doubts.begin(planned, table.evaluated)
        elif last.failed and not await self._has_kept_data(planned, table, before):
            self._doubts.note_failure(planned, table.evaluated)
        if planned.coverage is not None:
            self._known.saw(planned.topic, _keys_with_values(table), table.evaluated)
        coverage = self._doubts.of(planned, table.evaluated)
        if coverage is None or self._source.knows_sample_times:  # the embedded source divides by what it has
            return table
        self._reports.note(f"{planned.rule.place}: after an outage rates are taken when their windows are full again")
        samples = [s for s in await self._ask(planned, Query(coverage.promql), table.evaluated) if s.value >= 0]
        if not planned.object_label:
            return table if samples else before
        return table._replace(readings=replace_doubted(table.readings, _readings(planned, samples), before.readings))

    async def _has_kept_data(self, planned: Planned, table: Table, before: Table) -> bool:
        """Whether the source still has the data that it had before it failed, and went on to gather more meanwhile."""
        if planned.coverage is None or self._source.knows_sample_times:
            return True
        coverage, at, away = planned.coverage, table.evaluated, table.evaluated - before.evaluated
        try:
            samples = await self._ask(planned, Query(coverage.oldest(), of_times=True), at)
            holes = await self._ask(planned, Query(coverage.holes(away)), at) if away >= 1 else []
        except SourceError:
            return False
        if planned.object_label:
            oldest = {key: one.value for key, one in _readings(planned, samples).items()}
        else:
            oldest = {ALL: samples[0].value} if samples else {}
        keys = _keys_with_values(table)
        since = {key: first for key, first in self._known.since(planned.topic).items() if key in keys}
        whole = not (keys & _readings(planned, holes).keys() if planned.object_label else holes)
        return whole and reaches_back(since, oldest, coverage, failed=before.evaluated, now=at)

    async def _sample_times(self, planned: Planned, query: Query, at: float, *, fresh: Collection[Key]) -> _Times:
        """The newest sample's time per object, asked for every TIMES_EVERY; an old answer where that fails.

        And at once where one of the `fresh`, who had no value before, has a time from then: its series is there again.
        """
        before = self._times.get(planned.query, _Times())
        if at - before.asked < TIMES_EVERY and not any(key in before.times for key in fresh):
            return before
        cadence = self._cadences.of(planned.topic)
        began = self._clock()
        times = await self._numbers(planned, query, "time", at)
        if times is not None:
            cadence.saw(times, at, slack=self._clock() - began)
            if cadence.unknown and planned.counts is not None:
                counts = await self._numbers(planned, planned.counts, "interval", at) or {}
                of_pods = self._transitions if planned.ready_pods else None
                cadence.note_counts(counts, COUNTED, of_pods.creation_time if of_pods is not None else since_ever)
        known = _Times(before.asked if times is None else at, cadence.times(), cadence.intervals())
        self._times[planned.query] = known
        return known

    async def _numbers(self, planned: Planned, query: Query, kind: str, at: float) -> dict[Key, float] | None:
        """What a further query tells of each object; None where it fails."""
        self._telemetry.count_query(planned.rule.place, kind)
        try:
            samples = await self._ask(planned, query, at)
        except SourceError:
            self._telemetry.query_errors.labels(planned.rule.place, kind).inc()
            return None
        readings = _readings(planned, samples)
        return {key: reading.value for key, reading in readings.items() if math.isfinite(reading.value)}


def _keys_with_values(table: Table) -> Collection[Key]:
    """The objects that have a value; ALL stands for an external metric as a whole."""
    return table.readings.keys() if table.readings or not table.external else {ALL}


async def settle(
    transitions: Transitions,
    namespaces: Collection[str],
    before: Settled,
    *,
    ask: Callable[[Since], Awaitable[Readings]],
    silent: Callable[[Since], Awaitable[Collection[Key]]],
    at: float,
) -> Settled:
    """What to serve of a query at Unix time `at`, s; `before` was served last.

    `ask` gives the query's readings, of some pods since a moment; `silent` is `Source.silent` of the query.
    """
    groups = transitions.groups
    if coming := groups.coming(namespaces, at):
        groups.note_samples(coming.keys() - await silent(coming), at)
    moments = transitions.moments(namespaces, at)
    readings = await ask(moments.since(at))
    if (cut := moments.cut(readings)) is not None:
        moments, readings = cut, await ask(cut.since(at))
    groups.note_samples(readings.keys(), at)
    lacking = moments.lacking(readings, at)
    kept = moments.settle(readings, before, await silent(lacking) if lacking else (), at)
    if (recent := moments.recent(kept)) is not None:
        kept = recent.serve_alike(await ask(recent.since(at)), kept)
    if (relaxed := moments.relax(kept, at)) is not None:
        kept = moments.serve_anyway(await ask(relaxed.since(at)), kept, at)
    return moments.serve(readings, kept)


def _readings(planned: Planned, samples: list[Sample]) -> dict[tuple[str, str], Reading]:
    return tabulate(
        samples,
        object_label=planned.object_label,
        namespace_label=planned.namespace_label,
        namespace=planned.namespace,
    )


def share_of(want: Want, planned: Planned, table: Table) -> Table:
    """What of a query's result is for `want`: custom wants share the table, merged external ones divide it."""
    if planned.external is None or isinstance(want, CustomWant):
        return table
    mine = elements_for(table.external, want.namespace, want.selector.equals, planned.external)
    return table._replace(external=mine)
