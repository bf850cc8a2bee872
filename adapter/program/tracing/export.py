"""The queue of spans that have ended, and what takes them to the collector."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter

from adapter.once import Once
from adapter.spans import Span

log = structlog.get_logger(__name__)

QUEUED: Final = 2048
"""Spans that wait at most, as in OpenTelemetry's SDKs; further ones are dropped."""
BATCH: Final = 128
"""Spans of a message: some 3 ms of work."""
EVERY: Final = 5.0
"""s until fewer than a batch are sent, and after a message that was not taken."""
LAST: Final = 1.0
"""s at the program's end for what is left."""


class NotSentError(Exception):
    """The collector did not take a message; the text says why, and holds nothing of what was sent."""


class Sender(Protocol):
    """A way to a collector."""

    async def send(self, message: bytes) -> int:
        """Send it; how many of its spans the collector says it rejected. Raises NotSentError."""
        ...

    async def close(self) -> None:
        """Nothing more is sent."""
        ...


class SpanCounters:
    """What became of spans, for /metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter("streamgate_spans_sent", "Spans that the collector took.", registry=registry)
        dropped = Counter(
            "streamgate_spans_dropped",
            "Spans that nobody got: the queue was full, the message was not taken, or the collector rejected them.",
            ["reason"],
            registry=registry,
        )
        self.full, self.failed, self.rejected = map(dropped.labels, ("queue full", "not sent", "rejected"))


class Exporter:
    """Takes spans at any time, and sends them in batches."""

    def __init__(self, sender: Sender, counters: SpanCounters, encode: Callable[[Sequence[Span]], bytes]) -> None:
        """`encode` makes a message of spans."""
        self._sender, self._counters, self._encode = sender, counters, encode
        self._queue: deque[Span] = deque()
        self._enough = asyncio.Event()
        self._troubles = Once()

    def keep(self, span: Span) -> None:
        """A span that has ended."""
        if len(self._queue) >= QUEUED:
            self._counters.full.inc()
            return
        self._queue.append(span)
        if len(self._queue) >= BATCH:
            self._enough.set()

    async def run(self) -> None:
        """Sends until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._enough.wait()
            self._enough.clear()
            while self._queue:
                if not await self._send():
                    await asyncio.sleep(EVERY)
                if len(self._queue) < BATCH:
                    break

    async def close(self) -> None:
        """Sends what is left, for a second at most; the rest is dropped."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST):
                    while self._queue and await self._send():
                        pass
        finally:
            self._counters.failed.inc(len(self._queue))
            self._queue.clear()
            await self._sender.close()

    async def _send(self) -> bool:
        """One batch; whether the collector took it."""
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        try:
            rejected = min(await self._sender.send(self._encode(batch)), len(batch))
        except asyncio.CancelledError:  # the program ends: `close` sends them
            self._queue.extendleft(reversed(batch))
            raise
        except NotSentError as error:
            self._counters.failed.inc(len(batch))
            if self._troubles.first("", str(error)):
                log.warning("spans not sent", cause=str(error))
            return False
        if self._troubles.over(""):
            log.info("spans are sent again")
        self._counters.rejected.inc(rejected)
        self._counters.sent.inc(len(batch) - rejected)
        return True
