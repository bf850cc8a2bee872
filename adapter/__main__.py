"""`streamgate-adapter`: flags -> settings -> wiring -> run; `streamgate-adapter check` looks at a rules file."""

import asyncio
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib import import_module

from adapter.program import run
from adapter.settings import FLAGS, Settings
from adapter.wiring.whole import wired


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises StartError."""
    async with AsyncExitStack() as stack:
        adapter = await wired(settings, stack)
        _calm_collections()
        try:
            await run.supervise(adapter.jobs, stop, run.Failures(adapter.server.telemetry.registry))
        finally:
            adapter.server.stopping = True


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
