"""A client that sends no more requests per second than it may."""

import asyncio
from typing import Any

from adapter.kube.client import Client
from adapter.kube.config import Connection


class Bucket:
    """A token bucket over the event loop's clock."""

    def __init__(self, rate: float, burst: float) -> None:
        """`rate` tokens per second, at most `burst` saved up."""
        self._rate, self._burst = rate, max(burst, 1.0)
        self._tokens = self._burst
        self._at: float | None = None

    async def take(self) -> None:
        """Waits for a token; whoever came first goes first."""
        now = asyncio.get_running_loop().time()
        passed = 0.0 if self._at is None else now - self._at
        self._tokens = min(self._burst, self._tokens + passed * self._rate) - 1.0
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)


class Throttled(Client):
    """A Client whose calls (not its watches' lines) pass a token bucket, as client-go's do."""

    def __init__(self, connection: Connection, rate: float, burst: float, *, timeout: float = 30.0) -> None:
        super().__init__(connection, timeout=timeout)
        self._bucket = Bucket(rate, burst)

    async def _call(self, request: Any) -> bytes:
        await self._bucket.take()
        return await super()._call(request)
