"""Work for releases beside their turns, so that what is slow delays no turn: one job per key, picked up when done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Beside(Generic[T]):
    """Jobs by key; each is given at most `seconds`."""

    def __init__(self, seconds: float, most: int) -> None:
        """`most`: jobs at a time; where there are so many, a new one waits for the next turn."""
        self._seconds, self._most = seconds, most
        self._jobs: dict[str, asyncio.Task[T | None]] = {}

    def busy(self, key: str) -> bool:
        """Whether the key's job is under way, or its result was not taken yet."""
        return key in self._jobs

    def is_done(self, key: str) -> bool:
        """Whether the key's job has ended and its result was not taken yet."""
        return key in self._jobs and self._jobs[key].done()

    def start(self, key: str, work: Coroutine[Any, Any, T]) -> bool:
        """Begins the key's job; False where there is no room, or one is under way."""
        if len(self._jobs) >= self._most:
            self._tidy()
        if key in self._jobs or len(self._jobs) >= self._most:
            work.close()
            return False
        job = asyncio.create_task(self._run_with_timeout(key, work), name=f"beside {key}")
        job.add_done_callback(lambda _: work.close())  # one that is ended before it began was never awaited
        self._jobs[key] = job
        return True

    def take(self, key: str) -> T | None:
        """The result, once; None while there is none, or where the job failed or ran out of time."""
        job = self._jobs.get(key)
        if job is None or not job.done():
            return None
        del self._jobs[key]
        return None if job.cancelled() else job.result()

    def forget(self, key: str) -> None:
        """Ends the key's job."""
        if job := self._jobs.pop(key, None):
            job.cancel()

    async def close(self) -> None:
        """Ends all jobs."""
        jobs = list(self._jobs.values())
        self._jobs.clear()
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _tidy(self) -> None:
        """Drops results that nobody has taken, such as those of a release that has ended, to make room."""
        self._jobs = {key: job for key, job in self._jobs.items() if not job.done()}

    async def _run_with_timeout(self, key: str, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await work
        except TimeoutError:
            log.info("not done in time", key=key, seconds=self._seconds)
        except Exception:
            log.exception("work failed", key=key)  # and the turns go on
        return None
