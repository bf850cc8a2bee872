"""Runs the plan: looks up what is on offer, evaluates each query on its schedule, keeps the last good values."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from adapter.collect.catalogue import Catalogue
from adapter.collect.demand import CustomWant, Demand, Want
from adapter.collect.doubt import Doubts, believed
from adapter.collect.plan import Plan, Planned, Planner
from adapter.collect.snapshot import Reading, Table, elements_for, merge_times, newest, tabulate
from adapter.collect.telemetry import CollectTelemetry
from adapter.metrics.source import Query, RefusedQuery, Source, SourceError
from adapter.rules.model import Rule

log = structlog.get_logger(__name__)

TIMES_EVERY = 15.0
"""s between two questions for the samples' own times, where the source does not give them with the values."""
REPLAN_EVERY = 10.0
"""s after which a plan is made anew though demand and offers are the same: pods come and go."""
SHARE = 20
"""A query that took t seconds is not asked again before SHARE * t: at most 5 % of the source's time is ours."""


class Held(NamedTuple):
    """What is known for one want."""

    planned: Planned
    table: Table | None
    """The last good result."""
    error: str = ""
    """Why the last evaluation failed, '' where it did not."""


class Schedule(NamedTuple):
    """How often what is asked; s."""

    relist: float = 60.0
    lookback: float = 300.0
    """How far back a series must have been seen to be on offer."""
    tick: float = 0.25
    fetch_timeout: float = 1.0
    """How long a request that the plan does not cover waits."""


class _Times(NamedTuple):
    evaluated: float
    times: Mapping[tuple[str, str], float]
    step: float = 0.0
    """s from the newest sample of the evaluation before to a newer one; 0 where none was seen yet."""
    interval: float = 0.0
    """The smaller of the last two steps: a slow scrape repeats itself, an outage does not."""


class Collector:
    """Holds a table per want; `run` keeps them fresh. `wake` it when there is new demand."""

    def __init__(
        self,
        source: Source,
        catalogue: Catalogue,
        demand: Demand,
        planner: Planner,
        telemetry: CollectTelemetry,
        schedule: Schedule = Schedule(),  # noqa: B008 - immutable
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self.catalogue = catalogue
        self.demand = demand
        self.held: dict[Want, Held] = {}
        self.plan = Plan((), {})
        self.collected = False
        """Whether a first collection was done, or failed."""
        self.errors: dict[str, str] = {}
        """Rule by place -> why the look-up of its series failed."""
        self._planner = planner
        self._telemetry = telemetry
        self._schedule = schedule
        self._clock = clock
        self._planned_for: tuple[frozenset[Want], int] = (frozenset(), -1)
        self._planned_at = 0.0
        self._due: dict[Query, float] = {}
        self._running: dict[Query, asyncio.Task[Held]] = {}
        self._times: dict[Query, _Times] = {}
        self._doubts = Doubts()
        self._wake = asyncio.Event()
        self._relisted = False
        self._reported: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relist_forever(), name="relist")
            group.create_task(self._refresh_forever(), name="refresh")

    def wake(self) -> None:
        """There is new demand: plan now instead of at the next tick."""
        self._wake.set()

    def waiting(self) -> str:
        """'' once a first collection was done, or failed; else what is waited for."""
        return "" if self.collected else "the first collection has neither worked nor failed yet"

    # ---- what is on offer

    async def relist(self) -> bool:
        """Look up the series of every rule; whether all look-ups worked. A failed one keeps what it had."""
        now = self._clock()
        by_query: dict[str, list[Rule]] = {}
        for rule in self.catalogue.rules:
            by_query.setdefault(rule.series_query, []).append(rule)
        results = await asyncio.gather(*(self._relist_one(query, rules, now) for query, rules in by_query.items()))
        self._report(self.catalogue.problems)
        self._telemetry.offers.labels("custom.metrics.k8s.io").set(len(self.catalogue.custom))
        self._telemetry.offers.labels("external.metrics.k8s.io").set(len(self.catalogue.external))
        self._relisted = True
        self.wake()
        return all(results)

    async def _relist_one(self, selector: str, rules: Sequence[Rule], now: float) -> bool:
        try:
            series = await self.source.series([selector], now - self._schedule.lookback, now)
        except SourceError as error:
            for rule in rules:
                self.errors[rule.place] = str(error)
                self._telemetry.relist_errors.labels(rule.place).inc()
            log.warning("series not looked up", rules=[rule.place for rule in rules], cause=str(error))
            return False
        for rule in rules:
            self.errors.pop(rule.place, None)
            self.catalogue.found(rule, series)
        return True

    async def _relist_forever(self) -> None:
        pause = 1.0
        while True:
            worked = await self.relist()
            pause = self._schedule.relist if worked else min(2 * pause, self._schedule.relist)
            await asyncio.sleep(pause)
            pause = 1.0 if worked else pause

    def _report(self, problems: Sequence[str]) -> None:
        """Each problem once: the log is read by people."""
        for problem in set(problems) - self._reported:
            log.warning("rule", problem=problem)
        self._reported.update(problems)

    # ---- values

    async def _refresh_forever(self) -> None:
        while True:
            tasks = self.start_due()
            if self._relisted and not self.collected:
                await asyncio.gather(*tasks)
                self.collected = True
            try:
                async with asyncio.timeout(self._schedule.tick):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def start_due(self) -> list[asyncio.Task[Held]]:
        """Start what is due and not under way; the tasks never raise."""
        now = self._clock()
        self._replan(now)
        due = [planned for planned in self.plan.planned if self._due.get(planned.query, 0.0) <= now]
        return [self._start(planned) for planned in due if planned.query not in self._running]

    async def fetch(self, want: Want) -> Held | None:
        """The result for a want that is not held: one query that all askers share; None where it takes too long.

        Raises LookupError where no query can serve it.
        """
        plan = self._planner.plan([want], self.catalogue)
        if not plan.planned:
            raise LookupError(plan.unserved[want])
        planned = plan.planned[0]
        task = self._running.get(planned.query) or self._start(planned)
        done, _ = await asyncio.wait([task], timeout=self._schedule.fetch_timeout)
        return task.result() if done else None

    def _replan(self, now: float) -> None:
        wants = self.demand.wants(now)
        known = (wants, self.catalogue.revision)
        if known == self._planned_for and now - self._planned_at < REPLAN_EVERY:
            return
        self._planned_for, self._planned_at = known, now
        before, self.plan = self.plan, self._planner.plan(wants, self.catalogue)
        for planned in self.plan.planned:
            if any(want in before.unserved and want in self.held for want in planned.wants):
                self._doubts.begin(planned, now)  # its series were gone, and are there again
        queries = {planned.query for planned in self.plan.planned}
        self._due = {query: due for query, due in self._due.items() if query in queries}
        self._times = {query: times for query, times in self._times.items() if query in queries}
        self._doubts.forget(now)
        self.held = {want: held for want, held in self.held.items() if want in wants}
        self._tell(wants)

    def _tell(self, wants: frozenset[Want]) -> None:
        merged = sum(planned.merged for planned in self.plan.planned)
        self._telemetry.planned.labels("merged").set(merged)
        self._telemetry.planned.labels("per request").set(len(self.plan.planned) - merged)
        self._telemetry.hpas.set(len(self.demand.declarers))
        self._telemetry.remembered.set(len(self.demand.remembered))
        for want in wants & self.plan.unserved.keys():
            self._note(
                f"{want.metric} in namespace {want.namespace or '(all)'} is wanted, but {self.plan.unserved[want]}"
            )

    def _note(self, sentence: str) -> None:
        """What an operator may want to know, once: it may well be meant so."""
        if sentence not in self._reported:
            self._reported.add(sentence)
            log.info("demand", note=sentence)

    def _start(self, planned: Planned) -> asyncio.Task[Held]:
        task = asyncio.create_task(self._evaluate(planned), name=f"query of {planned.rule.place}")
        self._running[planned.query] = task
        task.add_done_callback(lambda _: self._running.pop(planned.query, None))
        return task

    async def _evaluate(self, planned: Planned) -> Held:
        started = self._clock()
        error, table = "", None
        self._telemetry.queries.labels(planned.rule.place, "value").inc()
        try:
            table = await self._table(planned, started)
        except SourceError as failure:
            error = str(failure)
            if isinstance(failure, RefusedQuery) and self._planner.keep_apart(planned.wants):
                self._planned_at = 0.0
        except Exception:
            error = "the result could not be read; the log says more"
            log.exception("query", rule=planned.rule.place, promql=planned.query.promql[:1024])
        if error:
            self._telemetry.query_errors.labels(planned.rule.place, "value").inc()
        took = self._clock() - started
        self._telemetry.query_seconds.labels(planned.rule.place).observe(took)
        self._due[planned.query] = started + max(planned.limits.refresh, SHARE * took)
        return self._hold(planned, table, error)

    def _hold(self, planned: Planned, table: Table | None, error: str) -> Held:
        """A failed evaluation keeps the last good values."""
        if error:
            self._report([f"{planned.rule.place}: the query failed: {error}"])
        else:
            self._report([f"{planned.rule.place}: {planned.unread}"] if planned.unread else [])
            self._reported.discard(f"{planned.rule.place}: the query failed: {self._last_error(planned)}")
            self._telemetry.held.labels(planned.rule.place).set(
                len(table.readings) + len(table.external) if table else 0
            )
        for want in planned.wants:
            before = self.held.get(want)
            last = share_of(want, planned, table) if table else before and before.table
            self.held[want] = Held(planned, last, error)
        return self.held[planned.wants[0]]

    def _last_error(self, planned: Planned) -> str:
        before = self.held.get(planned.wants[0])
        return before.error if before else ""

    async def _table(self, planned: Planned, at: float) -> Table:
        samples = await self.source.query(planned.query, at)
        if not planned.object_label:
            external = tuple((s.labels, Reading(s.value, s.time, s.window)) for s in samples)
            return await self._believed(planned, Table(at, {}, external))
        readings = tabulate(samples, planned.object_label, planned.namespace_label, planned.namespace)
        table = await self._believed(planned, Table(at, readings))
        if self.source.knows_sample_times or planned.times is None:
            return table
        known = await self._sample_times(planned, planned.times, at)
        return table._replace(readings=merge_times(table.readings, known.times), sample_interval=known.interval)

    async def _believed(self, planned: Planned, table: Table) -> Table:
        """`table` as far as its rates may be believed; see `adapter.collect.doubt`."""
        known = self.held.get(planned.wants[0])
        before = known.table if known and known.table else Table(table.evaluated, {})
        vanished = not (table.readings or table.external) and bool(before.readings or before.external)
        if vanished:
            self._doubts.begin(planned, table.evaluated)
        elif known and known.error:
            self._doubts.failed(planned, table.evaluated)
        coverage = self._doubts.of(planned, table.evaluated)
        if coverage is None or self.source.knows_sample_times:  # the embedded source divides by what it has
            return table
        self._note(f"{planned.rule.place}: after an outage rates are taken when their windows are full again")
        samples = [s for s in await self.source.query(Query(coverage.promql), table.evaluated) if s.value >= 0]
        if not planned.object_label:
            return table if samples else before
        full = tabulate(samples, planned.object_label, planned.namespace_label, planned.namespace)
        return table._replace(readings=believed(table.readings, full, before.readings))

    async def _sample_times(self, planned: Planned, query: Query, at: float) -> _Times:
        """The newest sample's time per object, asked for every TIMES_EVERY; an old answer where that fails."""
        before = self._times.get(planned.query, _Times(0.0, {}))
        if at - before.evaluated < TIMES_EVERY:
            return before
        self._telemetry.queries.labels(planned.rule.place, "time").inc()
        try:
            samples = await self.source.query(query, at)
        except SourceError:
            self._telemetry.query_errors.labels(planned.rule.place, "time").inc()
            return before
        readings = tabulate(samples, planned.object_label, planned.namespace_label, planned.namespace)
        times = {key: reading.value for key, reading in readings.items()}
        step = newest(Reading(0, moment, 0) for moment in times.values()) - max(before.times.values(), default=0.0)
        known = before._replace(evaluated=at, times=times)
        if before.times and step > 0:
            known = known._replace(step=step, interval=min(step, before.step or step))
        self._times[planned.query] = known
        return known


def share_of(want: Want, planned: Planned, table: Table) -> Table:
    """What of a query's result is for `want`: custom wants share the table, merged external ones divide it."""
    if planned.external is None or isinstance(want, CustomWant):
        return table
    mine = elements_for(table.external, want.namespace, want.selector.equals, planned.external)
    return table._replace(external=mine)
