"""Looks up which series the source holds for each rule: what is on offer."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from adapter.collect.catalogue import Catalogue
from adapter.collect.demand import Demand
from adapter.collect.reports import Reports
from adapter.collect.schedule import Schedule
from adapter.collect.telemetry import CollectTelemetry
from adapter.faults import ends_program
from adapter.metrics.slices import run_in_turns
from adapter.metrics.source import Discovery, Part, Source, SourceError, Wanted
from adapter.once import Once
from adapter.rules.model import Rule

log = structlog.get_logger(__name__)

AT_ONCE = 2
"""Look-ups under way at once: the source's time is for values, and a long answer takes memory."""
SELECTORS = 4096
"""Whose failure is remembered, so that it is told once."""
RETRY = 1.0
"""s until a look-up that failed is tried again; twice as long after each further failure, up to the interval."""


class OfferLookup:
    """Keeps `catalogue` at what the source holds."""

    def __init__(
        self,
        source: Source,
        catalogue: Catalogue,
        demand: Demand,
        telemetry: CollectTelemetry,
        reports: Reports,
        *,
        schedule: Schedule,
        clock: Callable[[], float],
        filling: Callable[[], str],
    ) -> None:
        """`filling`: what the source itself waits for before it holds all that it will; '' where it does not."""
        self.done = False
        """Whether there was a first look, though it may have failed."""
        self.settled = False
        """Whether there was a look since the source holds all that it will: what it does not find is not there."""
        self.errors: dict[str, SourceError] = {}
        """Rule by place -> why the look-up of its series failed."""
        self.left_out: dict[str, str] = {}
        """Rule by place -> what of its series is not looked at, one sentence; '' where all is."""
        self._empty: set[str] = set()  # rules, by place, that found no series at the last look
        self._found: set[str] = set()  # rules, by place, that had series
        self._lost: dict[str, float] = {}  # rules, by place, whose series are all gone -> since when, Unix s
        self._failing = Once(most=SELECTORS, again=None)
        self._source = source
        self._catalogue = catalogue
        self._demand = demand
        self._telemetry = telemetry
        self._reports = reports
        self._schedule = schedule
        self._clock = clock
        self._filling = filling
        for rule in catalogue.rules:
            telemetry.relist_errors.labels(rule.place)

    def trouble(self, rules: Iterable[Rule]) -> str:
        """Why the series of some of `rules` are not known now, one sentence; '' where all are."""
        if not self.done:
            return "which series there are is being looked up for the first time"
        failed = {rule.place: error for rule in rules if (error := self.errors.get(rule.place)) is not None}
        if not failed:
            return ""
        first = next(iter(failed))
        more = f" (and of {len(failed) - 1} more)" if len(failed) > 1 else ""
        return f"the series of {first}{more} could not be looked up: {failed[first]}"

    def lacking(self, rules: Iterable[Rule]) -> str:
        """What of the series of some of `rules` is not looked at, one sentence; '' where all is."""
        told = [f"of {rule.place} {sentence}" for rule in rules if (sentence := self.left_out.get(rule.place))]
        return told[0] + (f" (and of {len(told) - 1} more rules)" if len(told) > 1 else "") if told else ""

    async def run(self, looked: Callable[[], None]) -> None:
        """Until cancelled; `looked` is called after each look."""
        pause = RETRY
        while True:
            good = await self.look() and not self._lost
            looked()
            if good:
                pause = self._schedule.relist if self.settled else min(RETRY, self._schedule.relist)
            else:
                pause = min(2 * pause, self._schedule.relist)
            await asyncio.sleep(pause)
            pause = RETRY if good else pause

    async def look(self) -> bool:
        """Look up the series of every rule; whether all look-ups worked. A failed one keeps what it had."""
        settled = not self._filling()
        by_query: dict[str, list[Rule]] = {}
        for rule in self._catalogue.rules:
            by_query.setdefault(rule.series_query, []).append(rule)
        turns = asyncio.Semaphore(AT_ONCE)
        results = await asyncio.gather(*(self._look_up(query, rules, turns) for query, rules in by_query.items()))
        self._reports.problems(self._catalogue.problems)
        self._tell_of_silent_rules(settled=settled)
        self._telemetry.offers.labels("custom.metrics.k8s.io").set(len(self._catalogue.custom))
        self._telemetry.offers.labels("external.metrics.k8s.io").set(len(self._catalogue.external))
        self.done, self.settled = True, self.settled or settled
        return all(results)

    def _tell_of_silent_rules(self, *, settled: bool) -> None:
        """Say once of each rule that offers nothing what became of its series: at once where some were found.

        Where none were found only at the second look since the source holds all that it will, as the first may come
        before the first scrape.
        """
        for rule, known in self._catalogue.accounts(self._catalogue.rules):
            if known.metrics:
                self._reports.about_over(rule.place)
            elif known.found or rule.place in self._empty:
                self._reports.about(rule.place, f"nothing is on offer: {known}", wrong=known.found > 0)
        accounts = self._catalogue.accounts(self._catalogue.rules) if settled else ()
        self._empty = {rule.place for rule, known in accounts if not known.found}

    async def _look_up(self, selector: str, rules: Sequence[Rule], turns: asyncio.Semaphore) -> bool:
        async with turns:
            return await self._discover(selector, rules)

    async def _discover(self, selector: str, rules: Sequence[Rule]) -> bool:
        now = self._clock()
        try:
            wanted, parts = self._label_filter(rules), self._parts(rules)
            discovery = await self._source.discover(selector, now - self._schedule.lookback, now, wanted, parts)
        except SourceError as error:
            for rule in rules:
                self.errors[rule.place] = error
                self._telemetry.relist_errors.labels(rule.place).inc()
            if self._failing.first(selector, type(error).__name__):
                log.warning("series not looked up", rules=[rule.place for rule in rules], cause=str(error))
            return False
        self._failing.over(selector)
        for rule in rules:
            try:
                await run_in_turns(
                    self._catalogue.learn_series_in_slices(rule, discovery.label_sets, by_name=discovery.by_name)
                )
            except BaseException as fault:
                if ends_program(fault):
                    raise
                log.exception("series not read", rule=rule.place)
                self.errors[rule.place] = SourceError("its series could not be read; the log says more")
            else:
                self.errors.pop(rule.place, None)
                self._note(rule, discovery)
        self._look_out(rules, now)
        return True

    def _look_out(self, rules: Sequence[Rule], now: float) -> None:
        """A rule that had series and has none is looked at again soon: a Prometheus may have begun without its data."""
        for rule, known in self._catalogue.accounts(rules):
            if known.found:
                self._lost.pop(rule.place, None)
                self._found.add(rule.place)
            elif rule.place in self._found:
                self._found.discard(rule.place)
                self._lost[rule.place] = now
        self._lost = {place: since for place, since in self._lost.items() if now - since <= self._schedule.lookback}

    def _parts(self, rules: Sequence[Rule]) -> Sequence[Part]:
        """What HPAs ask of these rules."""
        return sorted({part for rule in rules for part in self._catalogue.parts(rule, self._demand.declared)})

    def _label_filter(self, rules: Sequence[Rule]) -> Wanted:
        """Tells whether a label names objects for any of these rules; none does where all are external."""
        bounds = [bound for rule in rules if (bound := self._catalogue.custom_binding(rule)) is not None]
        return lambda label: any(bound.resource(label) is not None for bound in bounds)

    def _note(self, rule: Rule, discovery: Discovery) -> None:
        """Say once what of a rule's series is left out, for as long as that is so."""
        self._telemetry.discovered.labels(rule.place).set(len(discovery.label_sets))
        self._telemetry.left_out_series.labels(rule.place).set(bool(discovery.left_out))
        self.left_out[rule.place] = f"left out is {discovery.left_out}" if discovery.left_out else ""
        self._reports.lasting(rule.place, self.left_out[rule.place])
