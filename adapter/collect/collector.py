"""Runs the plan: evaluates each query on its schedule and keeps the last good values.

What is on offer is `offers`' to look up, when what is asked `schedule`'s to say, what a result means `evaluate`'s.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext

import structlog

from adapter import spans
from adapter.clock import steady
from adapter.collect.catalogue import Catalogue
from adapter.collect.demand import Demand, Want, weight
from adapter.collect.evaluate import Evaluator, Last, share_of
from adapter.collect.held import Held, NotYetError
from adapter.collect.offers import OfferLookup
from adapter.collect.plan import Planner
from adapter.collect.planned import Plan, Planned, UnplannedError
from adapter.collect.reports import Reports
from adapter.collect.schedule import REST, Outcome, Replanning, Schedule, Timetable
from adapter.collect.snapshot import Table
from adapter.collect.starving import failing, starving
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.transition import Transitions
from adapter.faults import ends_program
from adapter.metrics.slices import Slices, run, run_in_turns
from adapter.metrics.source import CostlyQuery, Query, RefusedQuery, Source, SourceError, UnsupportedQuery
from adapter.turns import MemberTurns, Turns

log = structlog.get_logger(__name__)

PLACES = 8
STARTED_AT_ONCE = 50
"""Queries that begin to wait for their turns in one turn of the event loop: about 5 ms."""


class Collector:
    """Holds a table per want; `run` keeps them fresh. `wake` it when there is new demand."""

    def __init__(
        self,
        source: Source,
        catalogue: Catalogue,
        demand: Demand,
        planner: Planner,
        telemetry: CollectTelemetry,
        *,
        transitions: Transitions | None = None,
        schedule: Schedule = Schedule(),  # noqa: B008 - immutable
        places: int = PLACES,
        filling: Callable[[], str] = str,
        clock: Callable[[], float] = steady,
    ) -> None:
        """`places`: how many queries are under way at once. `filling`: see `OfferLookup`."""
        self.source = source
        self.catalogue = catalogue
        self.demand = demand
        self.held: dict[Want, Held] = {}
        self.plan = Plan((), {})
        self.collected = False
        """Whether there was a collection, though it may have failed, since the source holds all that it will."""
        self._planner = planner
        self._telemetry = telemetry
        self._schedule = schedule
        self._clock = clock
        self._reports = Reports()
        self.offers = OfferLookup(
            source, catalogue, demand, telemetry, self._reports, schedule=schedule, clock=clock, filling=filling
        )
        self.transitions = transitions
        self._evaluator = Evaluator(source, telemetry, self._reports, clock, transitions)
        self._replanning = Replanning()
        self._timetable = Timetable()
        self._turns, self._requests = Turns(places, clock), MemberTurns(max(1, places // 2), clock)
        self._running: dict[Query, asyncio.Task[Held]] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.offers.run(self.wake), name="offers")
            group.create_task(self._refresh_forever(), name="refresh")

    def wake(self) -> None:
        """There is new demand: plan now instead of at the next tick."""
        self._wake.set()

    def waiting(self) -> str:
        """'' once a first collection was done, or failed; else what is waited for."""
        return "" if self.collected else "the first collection has neither worked nor failed yet"

    def trouble(self) -> list[str]:
        """What is wrong with the source now, sentences fit for strangers; none where all is well."""
        unknown = self.offers.trouble(self.catalogue.rules) if self.offers.done else ""
        return [*filter(None, [unknown]), *failing(self.held.values())]

    def starving(self) -> dict[tuple[str, str], str]:
        """(namespace, name) of each HPA whose metric has no value for the source's sake -> one sentence."""

        def trouble(external: bool) -> str:
            return self.offers.trouble(self.catalogue.rules_of(external=external)) if self.offers.done else ""

        return starving(self.demand, self.held, self.plan.unserved, trouble, self._clock())

    async def _refresh_forever(self) -> None:
        while True:
            await run_in_turns(self._replan(self._clock()))
            tasks = await self._start_due_in_turns()
            if self.offers.settled and not self.collected:
                await asyncio.gather(*tasks)
                self.collected = True
            try:
                async with asyncio.timeout(self._schedule.tick):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def start_due(self) -> list[asyncio.Task[Held]]:
        """Plan anew where that is wanted and start what is due and not under way; the tasks never raise."""
        run(self._replan(self._clock()))
        return [self._start(planned) for planned in self._due() if planned.query not in self._running]

    def _due(self) -> list[Planned]:
        return self._timetable.due(self.plan.planned, self._clock())

    async def _start_due_in_turns(self) -> list[asyncio.Task[Held]]:
        """As `start_due`, a few at a time: what begins at once runs in one turn of the event loop."""
        tasks = []
        for planned in self._due():
            if planned.query not in self._running:
                tasks.append(self._start(planned))
                if len(tasks) % STARTED_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return tasks

    def waits_for(self, planned: Planned) -> str:
        """What the next evaluation waits for, one sentence without a full stop."""
        return self._timetable.describe_wait(planned.query, self._clock())

    async def fetch(self, want: Want) -> Held:
        """The result for a want that is not held: one query that all askers share.

        Raises LookupError or QueryError where no query can serve it, NotYetError where it takes too long.
        """
        plan = self._planner.plan([want], self.catalogue)
        if not plan.planned:
            raise plan.unserved[want]
        planned = plan.planned[0]
        running = self._running.get(planned.query)
        task = running or self._start(planned)
        done, _ = await asyncio.wait([task], timeout=self._schedule.fetch_timeout)
        if not done:
            raise NotYetError(began=running is None)
        if self._replanning.count_passing(weight(want)):
            self.wake()
        return task.result()

    # ---- the plan

    def _replan(self, now: float) -> Slices[None]:
        """A new plan where one is wanted; the one before holds until it is made."""
        wants, revision = self.demand.wants(now), self.catalogue.revision
        if not self._replanning.is_due(wants, revision, now):
            return
        self._replanning.note_plan(wants, revision, now)
        plan = yield from self._planner.anew(wants, self.catalogue, now)
        before, self.plan = self.plan, plan
        yield
        for planned in self.plan.planned:
            if any(want in before.unserved and want in self.held for want in planned.wants):
                self._evaluator.note_return(planned, now)
        queries = {planned.query for planned in self.plan.planned}
        self._timetable.keep(queries)
        self._evaluator.keep(self.plan.planned, now)
        self._reports.keep(queries)
        yield
        self.held = {want: held for want, held in self.held.items() if want in wants}
        yield
        self._tell(wants)

    def _tell(self, wants: frozenset[Want]) -> None:
        merged = sum(planned.merged for planned in self.plan.planned)
        self._telemetry.planned.labels("merged").set(merged)
        self._telemetry.planned.labels("per request").set(len(self.plan.planned) - merged)
        self._telemetry.hpas.set(len(self.demand.declarers))
        self._telemetry.over_share.set(len(self.demand.refused))
        self._telemetry.remembered.set(len(self.demand.remembered))
        if not self.offers.done:
            return  # nobody knows yet which series there are
        for fault in {id(fault): fault for fault in self.plan.unserved.values()}.values():
            if isinstance(fault, UnplannedError) and self._reports.is_news(str(fault)):
                log.error("plan", problem=str(fault), exc_info=fault.cause)
        unserved = {want: error for want, error in self.plan.unserved.items() if want in wants}
        self._reports.report_unserved(unserved, self.demand.declared)

    # ---- values

    def _start(self, planned: Planned) -> asyncio.Task[Held]:
        self._timetable.note_queued(planned.query, self._clock())
        task = asyncio.create_task(self._in_turn(planned), name=f"query of {planned.rule.place}")
        self._running[planned.query] = task
        task.add_done_callback(lambda _: self._running.pop(planned.query, None))
        return task

    async def _in_turn(self, planned: Planned) -> Held:
        """The time until there is a turn is not the query's: its clock begins with the turn.

        What no HPA asks for has one tenant's turns together, so that it keeps no namespace's own HPAs waiting; among
        them namespaces have the same share, and within a namespace users.
        """
        asked, aside = self._clock(), self.demand.aside(planned.wants)
        first = self._requests.turn(planned.tenant, self.demand.asker(planned.wants)) if aside else nullcontext()
        async with first, self._turns.turn("requests" if aside else planned.tenant), self.source.turn():
            self._telemetry.waited.observe(self._clock() - asked)
            with self._telemetry.evaluation(planned.rule.place):
                return await self._evaluate(planned)

    async def _evaluate(self, planned: Planned) -> Held:
        started, place = self._clock(), planned.rule.place
        self._timetable.note_began(planned.query, started)
        error: SourceError | None = None
        table, rest = None, 0.0
        self._telemetry.count_query(place, "value")
        try:
            table = await self._evaluator.table(planned, started, self._last(planned))
        except SourceError as failure:
            error = failure = _bare(_classify_failure(planned, failure))
            if isinstance(failure, RefusedQuery):
                rest = self._react_to_refusal(planned, failure, started)
        except BaseException as failure:
            if ends_program(failure):
                raise
            error = SourceError("the result could not be read; the log says more")
            log.exception("query", rule=place, promql=planned.query.promql[:1024])
        if error:
            self._telemetry.query_errors.labels(place, "value").inc()
            spans.note_failure(type(error).__name__)
        ended = self._clock()
        self._telemetry.query_seconds.labels(place).observe(ended - started)
        every = self._timetable.note_ended(planned, ended, _outcome(error), rest=rest)
        return self._hold(planned, table and table._replace(every=every), error)

    def _react_to_refusal(self, planned: Planned, failure: RefusedQuery, now: float) -> float:
        """Have a refused query's wants asked otherwise; returns the s until this query is asked again."""
        costly = isinstance(failure, CostlyQuery)
        if not (costly and len(planned.wants) == 1) and self._planner.apart.note_refusal(planned.wants, now):
            self._replanning.ask()
            self.wake()
        if costly and self.demand.aside(planned.wants):
            return REST
        return float(self._planner.apart.failing)  # one a second in all

    def refusal(self, want: Want) -> RefusedQuery | None:
        """The refusal of the shared query for `want`, if it was refused even for `want` alone; else None."""
        held = self.held.get(want)
        error = held.error if held is not None and self._planner.apart.alone(want) else None
        return error if isinstance(error, RefusedQuery) else None

    def _last(self, planned: Planned) -> Last:
        held = next((self.held[want] for want in planned.wants if want in self.held), None)
        return Last(held.table, bool(held.error)) if held else Last()

    def _hold(self, planned: Planned, table: Table | None, error: SourceError | None) -> Held:
        """A failed evaluation keeps the last good values."""
        place = planned.rule.place
        if error:
            self._reports.record_failure(place, planned.query, error)
        else:
            self._reports.problems([f"{place}: {planned.unread}"] if planned.unread else [])
            self._reports.record_success(place, planned.query)
            held = len(table.readings) + len(table.external) if table else 0
            self._telemetry.held.labels(place).set(held)
        for want in planned.wants:
            known = self.held.get(want)
            last = share_of(want, planned, table) if table else known and known.table
            self.held[want] = Held(planned, last, error)
        return self.held[planned.wants[0]]


def _bare(error: SourceError) -> SourceError:
    """Without the frames that it came through: they hold the answer, and the error is kept until the next one."""
    error.__context__ = None
    return error.with_traceback(None)


def _classify_failure(planned: Planned, failure: SourceError) -> SourceError:
    """`failure`, or UnsupportedQuery where neither the source nor we can read the query: it can never work then."""
    if isinstance(failure, RefusedQuery) and planned.unread:
        return UnsupportedQuery(str(failure))
    return failure


def _outcome(error: SourceError | None) -> Outcome:
    if error is None:
        return Outcome.ANSWERED
    return Outcome.HOPELESS if isinstance(error, UnsupportedQuery) else Outcome.FAILED
