"""Running a program: exit codes, signals, and jobs that are supervised.

A job that fails where nobody expected it is logged with its traceback, counted and started again, at first after a
second and later after up to a minute. Nothing that an input can set off ends the program, not even what derives from
BaseException (a panic in a Rust extension) or a RecursionError. What must end it does: a signal, SystemExit, and
StartError from what runs the program.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter

from adapter.faults import ends_program
from adapter.program import logs, tables
from adapter.program.flags import Flags, HelpWanted, SettingsError

log = structlog.get_logger(__name__)

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""s before a failed job is started again: doubled each time, and the first again once it ran as long as the longest."""


class Exit(IntEnum):
    """The exit codes of every program and verb."""

    GOOD = 0
    FAILED = 1
    WRONG_ARGUMENTS = 2


class StartError(Exception):
    """The program cannot start; one sentence for the operator."""


class Job(NamedTuple):
    """Something that runs until the program ends."""

    name: str
    run: Callable[[], Awaitable[Any]]
    ends_program: bool = False
    """Whether its failure, or its end, is the program's."""


class HasVerbosity(Protocol):
    """Settings of a program."""

    @property
    def verbosity(self) -> int:
        """klog's -v."""
        ...


S = TypeVar("S", bound=HasVerbosity)


class Failures:
    """The metric of jobs that failed and were started again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "streamgate_job_failures",
            "Failures of a job that nobody expected; it was started again.",
            ["job"],
            registry=registry,
        )

    def expect(self, jobs: Iterable[Job]) -> None:
        """These run. Their counters begin at 0: of one that begins at 1 nobody sees the first failure as a rise."""
        for job in jobs:
            self._failures.labels(job.name)

    def add(self, job: str) -> None:
        """One more."""
        self._failures.labels(job).inc()


def main(
    flags: Flags[S], serve: Callable[[S, asyncio.Event], Awaitable[None]], arguments: Sequence[str] | None = None
) -> int:
    """Flags -> settings -> `serve`, which ends when its event is set by SIGTERM or SIGINT; returns the exit code."""
    try:
        parsed = flags.parse(sys.argv[1:] if arguments is None else arguments)
    except HelpWanted as wanted:
        tables.lines([str(wanted)])
        return Exit.GOOD
    except SettingsError as error:
        return fail(flags.program, error, Exit.WRONG_ARGUMENTS)
    logs.set_up(parsed.settings.verbosity)
    if parsed.ignored:
        log.info("flags without effect here", flags=list(parsed.ignored))
    try:
        asyncio.run(_serve_until_signal(lambda stop: serve(parsed.settings, stop)))
    except SettingsError as error:
        return fail(flags.program, error, Exit.WRONG_ARGUMENTS)
    except StartError as error:
        return fail(flags.program, error, Exit.FAILED)
    except Exception:
        log.exception("the program failed")
        return Exit.FAILED
    return Exit.GOOD


def fail(program: str, error: object, code: int) -> int:
    """One sentence on stderr; returns the code."""
    tables.say(f"{program}: {error}")
    return code


async def _serve_until_signal(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def on_signal() -> None:
        log.info("stopping")
        stop.set()
        for number in signals:  # a second signal ends the program at once
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, on_signal)
    await serve(stop)


async def supervise(jobs: Iterable[Job], stop: asyncio.Event, failures: Failures | None = None) -> None:
    """Run `jobs` until `stop` is set, or one that `ends_program` ended; all are over when this returns.

    Raises what a job that `ends_program` raised.
    """
    failed = failures.add if failures is not None else lambda _: None
    tasks = {asyncio.ensure_future(_keep_running(job, failed)): job for job in jobs}
    if failures is not None:
        failures.expect(tasks.values())
    stopping = asyncio.ensure_future(stop.wait())
    ending = [task for task, job in tasks.items() if job.ends_program]
    try:
        await asyncio.wait((stopping, *ending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.wait((stopping, *tasks))  # what winds up must not outlive what it works with
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _keep_running(job: Job, failed: Callable[[str], None]) -> None:
    """Run a job, again after each failure; a job that returns is over."""
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    while True:
        began = loop.time()
        try:
            await job.run()
            return
        except BaseException as error:
            if job.ends_program or ends_program(error):
                raise
            log.error("a job failed and is started again", job=job.name, pause_seconds=pause, exc_info=error)
        failed(job.name)
        if loop.time() - began >= LONGEST_PAUSE:
            pause = FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
