"""Scrapes targets, each on its own phase of its interval, so that none waits for another.

Everything is bounded: time, size, how many run at once, and how many of them are of one namespace: many pods of one
that never answer do not keep others waiting. Whoever failed or was slow last time waits in a lane of its own, so that
dead pods cannot use up the places of healthy ones. Bodies are read in slices, one body at a time, so that the event
loop is never held for long.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Self

import aiohttp
import structlog

from adapter.clock import steady
from adapter.faults import ends_program
from adapter.metrics.sample import Point, Series
from adapter.metrics.scrape.exposition import Limits, Parser
from adapter.metrics.scrape.fetch import ScrapeLimits, fetch
from adapter.metrics.scrape.health import Failure, Health, ScrapeError
from adapter.metrics.scrape.lines import Allowance
from adapter.metrics.scrape.phase import until_between, until_next
from adapter.metrics.scrape.reports import Reports
from adapter.metrics.scrape.target import Target
from adapter.metrics.slices import run_in_turns
from adapter.turns import Turns

ACCEPT = "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"
SLOW_S = 1.0
"""Whoever took longer waits in the lane of the slow."""
FIRST_S = 1.0
"""s after which a target that is new among others is scraped, out of turn: by then what begins to take traffic has had
some, and has the counters that come with a first request."""
SMALL = 5000
"""Samples of a page up to which it is scraped between its turns, too."""

log = structlog.get_logger(__name__)


class Scraper:
    """Keeps scraping what `set_targets` was last given; use as `async with Scraper(store.extend) as scraper`.

    `store` gets points slice by slice and returns the series for which it has no room; each scrape also gives it `up`
    (1 or 0) with the target's labels. `on_gone` hears of targets that are no longer wanted, or have other labels now.
    `clock` tells Unix s and never steps, `wall` what other machines' clocks say at such a moment.

    `often` says how many s are to pass from scrape to scrape of a target while somebody waits for its newest values
    (inf: its own interval). What is scraped between a target's own turns goes to `passing`; a target that fails, is
    slow or has a large page has its own turns alone.
    """

    def __init__(
        self,
        store: Callable[[Iterable[Point]], Iterable[Series]],
        on_gone: Callable[[Target], None] | None = None,
        limits: ScrapeLimits = ScrapeLimits(),  # noqa: B008 - immutable
        clock: Callable[[], float] = steady,
        wall: Callable[[float], float] = float,
        *,
        passing: Callable[[Iterable[Point]], Iterable[Series]] = lambda _: (),
        often: Callable[[Target], float] = lambda _: math.inf,
    ) -> None:
        self._store = store
        self._passing = passing
        self._often = often
        self._on_gone = on_gone
        self._limits = limits
        self._clock = clock
        self._wall = wall
        self._lanes = tuple(Turns(places, time.monotonic) for places in (limits.concurrent, limits.concurrent_slow))
        self._reading = asyncio.Lock()
        self._allowance = Allowance()
        self._reports = Reports()
        self._session: aiohttp.ClientSession | None = None
        self._targets: dict[str, Target] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._health: dict[str, Health] = {}
        self._begun = False
        """Whether there were targets before: the first ones all wait for their turns."""

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept": ACCEPT, "Accept-Encoding": "gzip", "User-Agent": "streamgate"},
        )
        self._start(self._targets.values())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def health(self) -> Mapping[str, Health]:
        """By target id."""
        return self._health

    def set_targets(self, targets: Iterable[Target]) -> None:
        """Scrape these from now on; whoever stays as it was is not disturbed. Those over the limit are left out."""
        wanted = {target.id: target for target in targets}
        if len(wanted) > self._limits.targets:
            log.warning("too many scrape targets", targets=len(wanted), limit=self._limits.targets)
            wanted = {key: wanted[key] for key in sorted(wanted)[: self._limits.targets]}
        before, self._targets = self._targets, wanted
        for key, target in before.items():
            new = wanted.get(key)
            if new == target:
                continue
            if task := self._tasks.pop(key, None):
                task.cancel()
            if new is None:
                self._health.pop(key, None)
                self._wakes.pop(key, None)
            if self._on_gone is not None and (new is None or new.labels != target.labels):
                self._on_gone(target)
        self._start((target for key, target in wanted.items() if before.get(key) != target), soon=self._begun)
        self._begun = self._begun or bool(wanted)

    def look_again(self, target_id: str) -> None:
        """`often` says otherwise of this target from now on: it does not sleep until its next turn."""
        if wake := self._wakes.get(target_id):
            wake.set()

    def _start(self, targets: Iterable[Target], *, soon: bool = False) -> None:
        for target in targets:
            self._health.setdefault(target.id, Health())
            if self._session is not None:
                scrapes = self._keep_scraping(target, soon=soon)
                self._tasks[target.id] = asyncio.create_task(scrapes, name=f"scrape {target.id}")

    async def _keep_scraping(self, target: Target, *, soon: bool) -> None:
        limits, self._wakes[target.id] = Limits(samples=self._limits.samples), asyncio.Event()
        parser = Parser(target.labels, names=target.names, limits=limits, allowance=self._allowance)
        try:
            await self._keep_reading(target, parser, soon=soon)
        finally:
            parser.close()

    async def _keep_reading(self, target: Target, parser: Parser, *, soon: bool) -> None:
        loop = asyncio.get_running_loop()
        health = self._health[target.id]
        wait = min(FIRST_S, until_next(target, loop.time())) if soon else until_next(target, loop.time())
        least = target.interval_s / 2 if soon else 0.0
        while True:
            await self._scrape_between(target, parser, health, loop.time() + wait)
            slow = bool(health.error) or health.duration_s > SLOW_S
            try:
                async with self._lanes[slow].turn(target.tenant):
                    await self._scrape(target, parser, health)
            except BaseException as error:
                if ends_program(error):
                    raise
                # A fault of ours with one target's values must not end its scrapes.
                health.error, health.failure = "its points could not be stored", Failure.STORING
                log.exception("scrape could not be stored", target=target.id)
            wait, least = until_next(target, loop.time(), least), 0.0

    async def _scrape_between(self, target: Target, parser: Parser, health: Health, turn: float) -> None:
        """Until its next turn, at `turn` of the loop's clock, s: as often as somebody wants its newest values."""
        loop, wake = asyncio.get_running_loop(), self._wakes[target.id]
        while (left := turn - loop.time()) > 0:
            wake.clear()
            often = self._often(target) if not health.error and health.samples <= SMALL else math.inf
            wait = until_between(left, often if health.duration_s <= often / 2 else math.inf)
            if wait == left:
                try:
                    async with asyncio.timeout(left):
                        await wake.wait()
                    continue
                except TimeoutError:
                    return
            await asyncio.sleep(wait)
            try:
                async with self._lanes[0].turn(target.tenant):
                    await self._look(target, parser, health, within=often)
            except BaseException as error:
                if ends_program(error):
                    raise
                log.exception("scrape could not be stored", target=target.id)

    async def _look(self, target: Target, parser: Parser, health: Health, *, within: float) -> None:
        """A scrape of which only the newest values are kept; one that fails is for the next turn to tell of."""
        now, started = self._clock(), time.perf_counter()
        try:
            body, openmetrics = await fetch(self._open(), target, self._limits, within)
        except ScrapeError:
            return
        finally:
            health.duration_s = time.perf_counter() - started
        async with self._reading:
            for part in parser.parse_chunks(body, now, openmetrics=openmetrics, wall=self._wall(now)):
                parser.leave_out(self._passing(part.points))
                await asyncio.sleep(0)

    async def _scrape(self, target: Target, parser: Parser, health: Health) -> None:
        now, started = self._clock(), time.perf_counter()
        error: ScrapeError | None = None
        body, openmetrics = b"", False
        try:
            body, openmetrics = await fetch(self._open(), target, self._limits, target.interval_s)
        except ScrapeError as failure:
            error = failure
        health.duration_s = time.perf_counter() - started
        if error is None:
            await self._keep(target, parser, health, body, openmetrics=openmetrics, now=now)
        self._note(target, health, error, now)

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def _keep(
        self, target: Target, parser: Parser, health: Health, body: bytes, *, openmetrics: bool, now: float
    ) -> None:
        whole: list[Point] = []
        samples, before, health.problems = 0, health.problems, []
        async with self._reading:
            for part in parser.parse_chunks(body, now, openmetrics=openmetrics, wall=self._wall(now)):
                samples += len(part.points) + part.left_out
                health.problems += part.problems
                if target.on_points is None:
                    parser.leave_out(self._store(part.points))
                else:
                    whole += part.points
                await asyncio.sleep(0)
        if target.on_points is not None:
            await run_in_turns(target.on_points(whole))
        health.samples = samples
        if health.problems and not before:
            self._reports.bad_lines(target, health.problems, now)

    def _note(self, target: Target, health: Health, failed: ScrapeError | None, now: float) -> None:
        error = str(failed) if failed else ""
        if error and not health.error:
            self._reports.note_failure(target, error, now)
        elif health.error and not error:
            self._reports.works(target, health.failures, now)
        health.scrapes += 1
        health.failures = health.failures + 1 if error else 0
        health.error, health.failure = error, failed.failure if failed else None
        if not error:
            health.last_success = now
        self._store([(Series.of("up", target.labels), 0.0 if error else 1.0, now)])
