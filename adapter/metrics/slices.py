"""Long work in slices of a few milliseconds, so that the event loop is not held."""

import asyncio
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Slices: TypeAlias = Generator[None, None, T]
"""Yields where others may run, returns the result."""

TURN_S = 0.004
"""For so long the event loop is held, and one slice longer."""


def run(slices: Slices[T]) -> T:
    """All slices at once."""
    while True:
        try:
            next(slices)
        except StopIteration as done:
            result: T = done.value
            return result


class Lane:
    """Where costly work of many goes on one at a time, and in all for 1 / (1 + REST) of the time at most."""

    FREE = 2**18
    """Work of one call that needs no lane: some 13 ms."""
    REST = 3.0
    """s of rest for each s of work."""
    LONGEST = 0.05
    """s of work that one rest is for: what took longer, took it for others' sake."""

    def __init__(self, done: Callable[[], int]) -> None:
        """`done` counts the work of all calls so far."""
        self.done = done
        self._lock = asyncio.Lock()

    async def rest(self, worked: float) -> None:
        """Wait until others have had their time after `worked` s."""
        async with self._lock:
            await asyncio.sleep(self.REST * min(worked, self.LONGEST))


async def run_in_turns(slices: Slices[T], lane: Lane | None = None) -> T:
    """All slices, with a turn for the event loop whenever TURN_S are over; those of costly work in the `lane`."""
    clock = asyncio.get_running_loop().time
    paused, mine = clock(), 0
    while True:
        before = lane.done() if lane else 0
        try:
            next(slices)
        except StopIteration as done:
            result: T = done.value
            return result
        worked = lane.done() - before if lane else 0
        mine += worked
        if (held := clock() - paused) > TURN_S:
            if lane and worked and mine > lane.FREE:
                await lane.rest(held)
            else:
                await asyncio.sleep(0)
            paused = clock()
