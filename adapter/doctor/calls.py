"""Calls to an API server: a few at a time, each within its time and all within theirs; what fails is noted."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from adapter.doctor.finding import Unseen, plain
from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound, Skipped, Unauthorized

T = TypeVar("T")
AT_ONCE: Final = 6
"""Calls under way: a person's look must not weigh on an API server."""
NAMED: Final = 20
"""Objects of one list that are named where they cannot be read; the others are counted."""


class Calls:
    """The calls of one look. Each method raises Unauthorized, and no other KubeError."""

    def __init__(self, client: Client, *, timeout: float) -> None:
        """`timeout`: s for all of them, from `begin` on."""
        self.client = client
        self.unseen: list[Unseen] = []
        self._timeout = timeout
        self._deadline = math.inf
        self._slots = asyncio.Semaphore(AT_ONCE)

    def begin(self) -> None:
        """From now on time runs."""
        self._deadline = asyncio.get_running_loop().time() + self._timeout

    async def attempt(self, what: str, call: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """The result of `call`, or `otherwise` where it fails. All failures but NotFound are noted."""
        try:
            async with self.turn():
                return await call()
        except NotFound:
            return otherwise
        except Unauthorized:
            raise
        except (KubeError, ValueError) as error:  # ValueError: what cannot be a part of a path
            self.unseen.append(Unseen(what, plain(str(error))))
        except TimeoutError:
            self.unseen.append(Unseen(what, f"not done within --timeout={self._timeout:g}s"))
        return otherwise

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For one call. Raises TimeoutError where no time is left for it."""
        async with asyncio.timeout_at(self._deadline), self._slots:
            yield

    async def get(self, what: str, path: Callable[[], str], kind: type[T]) -> T | None:
        """The object, or None where it is absent or cannot be read; also where its name, of another object, is none."""

        async def call() -> T | None:
            return await self.client.get(path(), kind)

        return await self.attempt(what, call, None)

    async def list(self, what: str, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> Sequence[T]:
        """What of the list can be read; each object that cannot is noted."""

        async def call() -> Sequence[T]:
            listing = await self.client.list(path, kind, params=params or {})
            self._note_skipped(what, listing.skipped)
            return listing.items

        return await self.attempt(what, call, ())

    def _note_skipped(self, what: str, skipped: Sequence[Skipped]) -> None:
        self.unseen += [Unseen(f"{what}, {plain(str(one))}", plain(one.why)) for one in skipped[:NAMED]]
        if len(skipped) > NAMED:
            self.unseen.append(Unseen(what, f"{len(skipped) - NAMED} more cannot be read"))
