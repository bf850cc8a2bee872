"""One address for many pods, by connection, as kube-proxy would: a new connection goes to an endpoint at random."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 64 * 1024
CONNECT_S = 5.0


class Balancer:
    """`endpoints` (ports of loopback by name) may change at any time; connections that are open stay where they are."""

    def __init__(self) -> None:
        self.endpoints: dict[str, int] = {}
        self.port = 0
        self.refused = 0
        """Connections for which there was no endpoint."""
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It listens on `port` of loopback."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._through(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.endpoints:
            self.refused += 1
            return
        port = random.choice(list(self.endpoints.values()))
        try:
            there = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), CONNECT_S)
        except (OSError, TimeoutError):
            return
        back = asyncio.create_task(_pump(there[0], writer))
        try:
            await _pump(reader, there[1])
            await back
        finally:
            back.cancel()
            there[1].close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """All that comes, until it ends; then the other side is told so."""
    with suppress(ConnectionError):
        while chunk := await source.read(CHUNK):
            target.write(chunk)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
