"""`streamgate-adapter`: flags -> settings -> wiring -> run."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from adapter.settings import HelpWanted, Settings, SettingsError, parse
from adapter.wiring.parts import StartError
from adapter.wiring.whole import Adapter, wired

log = structlog.get_logger("streamgate")


async def run(settings: Settings, ignored: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError."""
    if ignored:
        log.info("flags without effect here", flags=sorted(set(ignored)))
    async with AsyncExitStack() as stack:
        adapter = await wired(settings, stack)
        _calm_collections()
        await _until_signalled(adapter)


async def _until_signalled(adapter: Adapter) -> None:
    """Run all jobs until SIGTERM or SIGINT; a job that ends by a fault ends the program."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job.run(), name=job.name) for job in adapter.jobs]
        await stop.wait()
        log.info("stopping")
        adapter.server.stopping = True
        for task in tasks:
            task.cancel()


def _calm_collections() -> None:
    """Full garbage collections held the loop for up to 80 ms; what is wired by now lives as long as the program."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def set_up_logging(verbosity: int) -> None:
    """JSON lines on stderr; at verbosity 4 and above also what is said for debugging."""
    level = logging.DEBUG if verbosity >= 4 else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit status: 0, 1 where it could not start, 2 for wrong flags."""
    try:
        settings, ignored = parse(sys.argv[1:] if arguments is None else arguments)
    except HelpWanted as wanted:
        print(wanted)
        return 0
    except SettingsError as error:
        print(f"streamgate-adapter: {error}", file=sys.stderr)
        return 2
    set_up_logging(settings.verbosity)
    try:
        asyncio.run(run(settings, ignored))
    except StartError as error:
        print(f"streamgate-adapter: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
