"""Takes what OpenTelemetry pushes: the intake behind the doors for OTLP over gRPC and over HTTP.

Everything is bounded: the size of a request, how many are in hand at once and how large they are together, how long one
may take to arrive. Where places are short, the request that has been arriving for longest gives its place up. Requests
are decoded one at a time, in slices, so that the event loop is never held for long. What was rejected is told in
`partial_success`, as OTLP asks.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from adapter.clock import steady
from adapter.metrics.otlp.decode import Decoder, from_json, from_protobuf
from adapter.metrics.otlp.limits import ReceiveLimits
from adapter.metrics.otlp.measure import measure, measure_json
from adapter.metrics.problems import Problems
from adapter.metrics.sample import Point
from adapter.metrics.slices import run_in_turns

_THREAD_BYTES = 16 * 1024
"""JSON above this size is decoded in a thread: it is slow."""

log = structlog.get_logger(__name__)


class Busy(Exception):  # noqa: N818 - a state, not a fault
    """Too many requests are in hand, or too many bytes of them."""


class Intake:
    """Decodes requests and gives their points to `store`. `clock` and `wall` as for `Scraper`."""

    def __init__(
        self,
        decoder: Decoder,
        store: Callable[[Iterable[Point]], object],
        limits: ReceiveLimits = ReceiveLimits(),  # noqa: B008 - immutable
        clock: Callable[[], float] = steady,
        wall: Callable[[float], float] = float,
    ) -> None:
        self.limits = limits
        self.requests = self.points = self.rejected = 0
        """Totals, for our own metrics."""
        self._decoder = decoder
        self._store = store
        self._clock = clock
        self._wall = wall
        self._in_hand = 0
        self._pending = 0
        self._arriving: dict[asyncio.Timeout, None] = {}
        self._decoding = asyncio.Lock()
        self._complained: set[str] = set()

    async def take(self, body: bytes, is_json: bool = False) -> Any:
        """The ExportMetricsServiceResponse to an inflated body. Raises OtlpError; call it inside `place`."""
        response = ExportMetricsServiceResponse()
        problems, rejected = Problems(), 0
        async with self._decoding:
            request = await self._read(body, is_json)
            self.requests += 1
            now = self._clock()
            for part in self._decoder.decode_chunks(request, now, wall=self._wall(now)):
                self._store(part.points)
                self.points += len(part.points)
                rejected += part.rejected
                for problem in part.problems:
                    problems.add(problem)
                await asyncio.sleep(0)
        if rejected:
            self.rejected += rejected
            response.partial_success.rejected_data_points = rejected
            response.partial_success.error_message = "; ".join(problems.take())
            self._complain(response.partial_success.error_message)
        return response

    async def _read(self, body: bytes, is_json: bool) -> Any:
        """The ExportMetricsServiceRequest in a body. Raises OtlpError."""
        if not is_json:
            await run_in_turns(measure(body))
            return from_protobuf(body)
        measure_json(body)
        return await asyncio.to_thread(from_json, body) if len(body) > _THREAD_BYTES else from_json(body)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among the requests in hand. Raises Busy."""
        if self._in_hand >= self.limits.concurrent:
            if not self._arriving:
                raise Busy(f"{self._in_hand} requests are in hand; come back later")
            oldest = next(iter(self._arriving))
            del self._arriving[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        """Around the reading of a body. Raises TimeoutError where it takes too long, or too long for others to wait."""
        async with asyncio.timeout(self.limits.read_s) as limit:
            self._arriving[limit] = None
            try:
                yield
            finally:
                self._arriving.pop(limit, None)

    @asynccontextmanager
    async def counting(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[AsyncIterable[bytes]]:
        """`chunks` of a body, whose bytes count as pending while the context lasts. Reading may raise Busy."""
        own = 0

        async def count_chunks() -> AsyncIterator[bytes]:
            nonlocal own
            async for chunk in chunks:
                own += len(chunk)
                self._pending += len(chunk)
                if self._pending > self.limits.pending_bytes:
                    raise Busy(f"{self._pending} bytes of requests are in hand; come back later")
                yield chunk

        try:
            yield count_chunks()
        finally:
            self._pending -= own

    def _complain(self, problem: str) -> None:
        """Each kind of problem is logged once; the sender is told every time."""
        if problem not in self._complained and len(self._complained) < 20:
            self._complained.add(problem)
            log.warning("OTLP data points rejected", problem=problem)
