"""An open-loop HTTP load: Poisson arrivals at a rate that may change at any time, pipelined over one connection each.

Open-loop: a slow server does not slow the arrivals down, as with real clients. Light enough to share two cores with
what it loads. Only for loopback and the test bed's own networks.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

TICK = 0.05
"""s between two batches: 20 a second look steady to whoever scrapes every second or slower."""
MAX_PENDING = 5_000
"""Requests under way on one connection; beyond it arrivals are shed and counted, so that the load stays bounded."""


@dataclass
class Stream:
    """One server and the load on it; `rate` (requests/s) may be set at any time."""

    host: str
    port: int
    rate: float = 0.0
    path: str = "/"
    sent: int = 0
    answered: int = 0
    failed: int = 0
    shed: int = 0
    pending: int = field(default=0, repr=False)

    @property
    def request(self) -> bytes:
        """The bytes of one request."""
        return f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode()


async def drive(stream: Stream, seed: int, clock: Callable[[], float] | None = None) -> None:
    """Load `stream` until cancelled; a lost connection is opened anew after half a second."""
    generator = np.random.default_rng(seed)
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _converse(stream, generator, clock or asyncio.get_running_loop().time)
        stream.failed += stream.pending
        stream.pending = 0
        await asyncio.sleep(0.5)


async def _converse(stream: Stream, generator: np.random.Generator, clock: Callable[[], float]) -> None:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(stream.host, stream.port), 5)
    counting = asyncio.create_task(_count(stream, reader))
    try:
        last = clock()
        while not counting.done():
            await asyncio.sleep(TICK)
            now = clock()
            arrivals = int(generator.poisson(max(0.0, stream.rate) * min(now - last, 1.0)))
            last = now
            room = max(0, MAX_PENDING - stream.pending)
            stream.shed += max(0, arrivals - room)
            arrivals = min(arrivals, room)
            if arrivals:
                stream.sent += arrivals
                stream.pending += arrivals
                writer.write(stream.request * arrivals)
    finally:
        counting.cancel()
        writer.close()


async def _count(stream: Stream, reader: asyncio.StreamReader) -> None:
    """Counts answers by their status lines, which no body of the sample holds."""
    tail = b""
    mark = b"HTTP/1.1 "
    while chunk := await reader.read(65536):
        text = tail + chunk
        answered = text.count(mark)
        stream.answered += answered
        stream.failed += text.count(mark + b"5")
        stream.pending = max(0, stream.pending - answered)
        tail = text[-(len(mark) - 1) :]  # too short to hold a whole mark, so none counts twice
