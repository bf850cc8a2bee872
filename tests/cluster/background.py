"""Asynchronous work beside tests that are not: loads, recorders, lists of targets."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from adapter.kube import config
from adapter.kube.client import Client

CLOSING = 0.3
"""s that connections get to close before their loop ends."""


class Runs(Protocol):
    """Something that works until it is cancelled."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Its work."""
        ...


@contextmanager
def in_background(kubeconfig: Path, make: Callable[[Client], Sequence[Runs]]) -> Iterator[list[Any]]:
    """What `make` builds, each with its `run` in one thread of their own; for programs that are not asynchronous."""
    made: list[Runs] = []
    started, loop = threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        async with Client(await config.connect(str(kubeconfig))) as client, asyncio.TaskGroup() as group:
            made.extend(make(client))
            for one in made:
                group.create_task(one.run())
            started.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            started.set()
            loop.run_until_complete(asyncio.sleep(CLOSING))
            loop.close()

    task = loop.create_task(run())
    thread = threading.Thread(target=serve, name="background", daemon=True)
    thread.start()
    started.wait(30)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
