"""Long work in slices of a few milliseconds, so that the event loop is not held."""

import asyncio
from collections.abc import Generator
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


async def run_in_turns(slices: Slices[T]) -> T:
    """All slices, with a turn for the event loop whenever TURN_S are over."""
    clock = asyncio.get_running_loop().time
    paused = clock()
    while True:
        try:
            next(slices)
        except StopIteration as done:
            result: T = done.value
            return result
        if clock() - paused > TURN_S:
            await asyncio.sleep(0)
            paused = clock()
