"""`streamgate-adapter`: flags -> settings -> wiring -> run; `streamgate-adapter check` looks at a rules file."""

import asyncio
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module

from adapter.program import run
from adapter.serve.server import Server
from adapter.settings import FLAGS, Settings
from adapter.wiring.whole import build_adapter


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises StartError."""
    async with AsyncExitStack() as stack:
        adapter = await build_adapter(settings, stack)
        _calm_collections()
        leaving = partial(leave, adapter.server, stop, settings.shutdown_delay_duration)
        jobs = [*adapter.jobs, run.Job("leave", leaving, ends_program=True)]
        await run.supervise(jobs, asyncio.Event(), run.Failures(adapter.server.telemetry.registry))


async def leave(server: Server, stop: asyncio.Event, seconds: float) -> None:
    """Return `seconds` after `stop`; meanwhile everything goes on, but that the server is not ready.

    A pod that is deleted is asked to end while the API server still sends requests to it (kube-apiserver's own
    --shutdown-delay-duration).
    """
    await stop.wait()
    server.stopping = True
    await asyncio.sleep(seconds)


def _calm_collections() -> None:
    """Full garbage collections held the loop for up to 80 ms; what is wired by now lives as long as the program."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code: 0, 1 where it could not start or failed, 2 for wrong flags."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["check"]:
        check: Callable[[Sequence[str]], int] = import_module("adapter.check").main  # loaded where it is wanted
        return check(given[1:])
    return run.main(FLAGS, serve, given)


if __name__ == "__main__":
    sys.exit(main())
