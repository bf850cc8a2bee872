"""Takes what OpenTelemetry pushes: OTLP over gRPC and over HTTP, both into one intake.

Everything is bounded: the size of a request, how many are in hand at once, how long one may take to arrive. Requests
are decoded one at a time, in slices, so that the event loop is never held for long. What was rejected is told in
`partial_success`, as OTLP asks.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, NamedTuple

import grpc
import structlog
from aiohttp import hdrs, web
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from adapter.clock import steady
from adapter.metrics.bounded import BodyError, BodySizeError, inflate, read_body
from adapter.metrics.otlp.decode import Decoder, OtlpError, from_json, from_protobuf
from adapter.metrics.problems import Problems
from adapter.metrics.sample import Point

GRPC_PORT = 4317
HTTP_PORT = 4318
HTTP_PATH = "/v1/metrics"
SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_GZIP_MAGIC = b"\x1f\x8b"
_THREAD_BYTES = 16 * 1024
"""JSON above this size is decoded in a thread: it is slow."""

log = structlog.get_logger(__name__)


class ReceiveLimits(NamedTuple):
    """What one request, and all of them, may take."""

    body_bytes: int = 4 * 2**20
    """After inflating; gRPC's own default."""
    concurrent: int = 32
    """Requests in hand over both doors; one more is told to come back."""
    read_s: float = 10.0
    """For a body to arrive."""


class Busy(Exception):  # noqa: N818 - a state, not a fault
    """Too many requests are in hand."""


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
        self._decoding = asyncio.Lock()
        self._complained: set[str] = set()

    async def take(self, body: bytes, is_json: bool = False) -> Any:
        """The ExportMetricsServiceResponse to an inflated body. Raises OtlpError; call it inside `place`."""
        if is_json and len(body) > _THREAD_BYTES:
            request = await asyncio.to_thread(from_json, body)
        else:
            request = from_json(body) if is_json else from_protobuf(body)
        self.requests += 1
        response = ExportMetricsServiceResponse()
        problems, rejected = Problems(), 0
        async with self._decoding:
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

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among the requests in hand. Raises Busy."""
        if self._in_hand >= self.limits.concurrent:
            raise Busy(f"{self._in_hand} requests are in hand; come back later")
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    def _complain(self, problem: str) -> None:
        """Each kind of problem is logged once; the sender is told every time."""
        if problem not in self._complained and len(self._complained) < 20:
            self._complained.add(problem)
            log.warning("OTLP data points rejected", problem=problem)


# -- gRPC --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serve_grpc(
    intake: Intake, host: str, port: int = GRPC_PORT, credentials: "grpc.ServerCredentials | None" = None
) -> AsyncIterator[int]:
    """The OTLP/gRPC door while the context lasts; gives the port, chosen by the system where `port` is 0.

    Raises OSError where the address cannot be bound.
    """
    server = grpc.aio.server(
        maximum_concurrent_rpcs=2 * intake.limits.concurrent,
        options=[
            ("grpc.max_receive_message_length", intake.limits.body_bytes),
            ("grpc.max_concurrent_streams", intake.limits.concurrent),
            ("grpc.max_metadata_size", 16 * 1024),
            ("grpc.so_reuseport", 0),
        ],
    )
    method = grpc.unary_unary_rpc_method_handler(
        _export(intake), response_serializer=ExportMetricsServiceResponse.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address} for OTLP over gRPC: {error}") from error
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(grace=1.0)


def _export(intake: Intake) -> Callable[[bytes, Any], Awaitable[Any]]:
    async def export(body: bytes, context: Any) -> Any:
        try:
            async with intake.place():
                return await intake.take(body)
        except OtlpError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Busy as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    return export


# -- HTTP --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serve_http(
    intake: Intake, host: str, port: int = HTTP_PORT, tls: SSLContext | None = None
) -> AsyncIterator[int]:
    """The OTLP/HTTP door while the context lasts; gives the port, chosen by the system where `port` is 0.

    Raises OSError where the address cannot be bound.
    """
    app = web.Application()
    app.router.add_post(HTTP_PATH, http_handler(intake))
    runner = web.AppRunner(app, auto_decompress=False, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def http_handler(intake: Intake) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of POST /v1/metrics: protobuf or JSON, plain or gzip."""

    async def handle(request: web.Request) -> web.Response:
        is_json = request.content_type == _JSON
        if not is_json and request.content_type != _PROTOBUF:
            return _refusal(415, f"the content type must be {_PROTOBUF} or {_JSON}", is_json)
        try:
            async with intake.place():
                response = await intake.take(await _body(request, intake.limits), is_json)
        except Busy as error:
            return _refusal(503, str(error), is_json, {hdrs.RETRY_AFTER: "1"})
        except TimeoutError:
            return _refusal(408, f"the body must arrive within {intake.limits.read_s:g} s", is_json)
        except BodySizeError as error:
            return _refusal(413, str(error), is_json)
        except (BodyError, OtlpError) as error:
            return _refusal(400, str(error), is_json)
        if is_json:
            return web.Response(text=json_format.MessageToJson(response, indent=None), content_type=_JSON)
        return web.Response(body=response.SerializeToString(), content_type=_PROTOBUF)

    return handle


async def _body(request: web.Request, limits: ReceiveLimits) -> bytes:
    """The body, inflated where it is gzip and the server has not done it. Raises BodyError, TimeoutError."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").lower()
    if encoding not in ("", "identity", "gzip"):
        raise BodyError(f"the content encoding must be gzip or none, not {encoding[:20]!r}")
    async with asyncio.timeout(limits.read_s):
        body = await read_body(request.content.iter_any(), limits.body_bytes)
    if encoding == "gzip" and body.startswith(_GZIP_MAGIC):  # no message and no JSON begins so
        return inflate(body, limits.body_bytes)
    return body


def _refusal(status: int, message: str, is_json: bool, headers: dict[str, str] | None = None) -> web.Response:
    """A google.rpc.Status, in the encoding of the request, with the message alone."""
    if is_json:
        return web.json_response({"message": message}, status=status, headers=headers)
    text = message.encode()[:1000]
    length = bytes([len(text)]) if len(text) < 128 else bytes([len(text) & 127 | 128, len(text) >> 7])
    return web.Response(body=b"\x12" + length + text, status=status, content_type=_PROTOBUF, headers=headers)
