"""OTLP over gRPC: MetricsService/Export.

The library holds whatever comes of a head and lets in whoever connects: 300 connections whose heads went on without end
took 570 MB. So it listens on a socket of this machine alone, and what comes by the port is handed on to it.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from adapter.inbound.places import Bounds
from adapter.inbound.relay import listen
from adapter.metrics.otlp.measure import OtlpError
from adapter.metrics.otlp.receive import Busy, Intake

PORT = 4317
SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
STREAMS = 4
"""Requests of one connection at once."""
RECEIVING = 8
"""Requests whose message is being received at once, each up to the limit on bodies, as gRPC tells of it when whole."""
HURRY_S = 1.0
"""For a message to be received while others wait for that."""
WINDOW = 16 * 1024
"""Bytes that a client may send of a request before anybody reads it."""
METADATA = 16 * 1024
"""Bytes of a request's headers."""
GRACE_S = 1.0
"""For requests in hand to end at the end."""
IDLE_MS = 120_000
"""For which a connection without requests is kept."""


@asynccontextmanager
async def serve_grpc(
    intake: Intake,
    host: str,
    port: int = PORT,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008 - immutable
) -> AsyncIterator[int]:
    """The OTLP/gRPC door while the context lasts; gives the port, chosen by the system where `port` is 0.

    Raises OSError where the address cannot be bound.
    """
    server = grpc.aio.server(
        maximum_concurrent_rpcs=2 * intake.limits.concurrent,
        options=[
            ("grpc.max_receive_message_length", intake.limits.body_bytes),
            ("grpc.max_concurrent_streams", STREAMS),
            ("grpc.max_metadata_size", METADATA),
            ("grpc.absolute_max_metadata_size", METADATA),
            ("grpc.max_connection_idle_ms", IDLE_MS),
            ("grpc.http2.lookahead_bytes", WINDOW),
            ("grpc.http2.bdp_probe", 0),
        ],
    )
    # As a stream of one message, which is the same on the wire: only so can its reading be given a time.
    method = grpc.stream_unary_rpc_method_handler(
        _export(intake), response_serializer=ExportMetricsServiceResponse.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),))
    behind = f"streamgate-otlp-{secrets.token_hex(16)}"
    server.add_insecure_port(f"unix-abstract:{behind}")
    await server.start()
    try:
        within = {"request_s": intake.limits.read_s + bounds.answer_s, "end": server.stop}
        listener = await listen(f"\0{behind}", host, port, tls=tls, bounds=bounds, **within)
        try:
            yield listener.port
        finally:
            await listener.close(GRACE_S)
    finally:
        await server.stop(grace=0)


class _Receiving:
    """Turns to receive a message."""

    def __init__(self, read_s: float) -> None:
        self._read_s = read_s
        self._turns = asyncio.Semaphore(RECEIVING)
        self._ends: dict[asyncio.Timeout, float] = {}

    async def message(self, messages: AsyncIterator[bytes]) -> bytes:
        """The first of `messages`. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        if self._turns.locked():
            for limit, began in self._ends.items():
                limit.reschedule(min(began + HURRY_S, limit.when() or 0.0))
        async with self._turns, asyncio.timeout(self._read_s) as limit:
            self._ends[limit] = loop.time()
            try:
                return await anext(aiter(messages), b"")
            finally:
                del self._ends[limit]


def _export(intake: Intake) -> Callable[[AsyncIterator[bytes], Any], Awaitable[Any]]:
    receiving = _Receiving(intake.limits.read_s)

    async def export(messages: AsyncIterator[bytes], context: Any) -> Any:
        try:
            async with intake.place():
                return await intake.take(await receiving.message(messages))
        except OtlpError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Busy as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except TimeoutError:
            why = f"the message must arrive within {intake.limits.read_s:g} s"
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, why)

    return export
