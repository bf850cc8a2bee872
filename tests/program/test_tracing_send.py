"""Spans over the wire, to receivers on loopback: by HTTP and by gRPC, whatever these answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from adapter.program.tracing import send
from adapter.program.tracing.config import read
from adapter.program.tracing.encode import encode
from adapter.program.tracing.export import NotSentError, Sender
from adapter.spans import MILLION, Kind, Parent, Span, Tracer, span
from tests.program.test_tracing_config import HEAD

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
PARTIAL = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=2)).SerializeToString()


class Received:
    """What a collector got, and what it says."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.headers: Any = {}
        self.status, self.body, self.more = 200, b"", {"Content-Type": "application/x-protobuf"}
        self.hangs = False
        self.port = 0

    async def by_http(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.path == "/v1/traces"
        self.headers = request.headers
        self.messages.append(await request.read())
        if self.hangs:
            await asyncio.sleep(30)
        return web.Response(status=self.status, body=self.body, headers=self.more)

    async def by_grpc(self, message: bytes, context: Any) -> bytes:
        self.messages.append(message)
        if self.hangs:
            await asyncio.sleep(30)
        if self.status != 200:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "x" * 10_000)
        return self.body


@asynccontextmanager
async def http(received: Received) -> AsyncIterator[Sender]:
    runner = web.ServerRunner(web.Server(received.by_http), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    received.port = runner.addresses[0][1]
    made = send.sender(read(f"{HEAD}endpoint: http://127.0.0.1:{received.port}\n"))
    try:
        yield made
    finally:
        await made.close()
        await runner.cleanup()


@asynccontextmanager
async def over_grpc(received: Received) -> AsyncIterator[Sender]:
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(received.by_grpc)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    made = send.sender(read(f"{HEAD}endpoint: 127.0.0.1:{port}\n"))
    try:
        yield made
    finally:
        await made.close()
        await server.stop(grace=0)


BOTH = pytest.mark.parametrize("receiving", [http, over_grpc])


def message() -> bytes:
    """A request with a query inside, begun at 1,000 s by a clock that is 5 s behind the wall's."""
    spans: list[Span] = []
    now = 1000.0
    tracer = Tracer(spans.append, MILLION, clock=lambda: now)
    with tracer.trace("GET /apis/custom.metrics.k8s.io", kind=Kind.SERVER, parent=Parent(3, 4, True)):
        now = 1000.25
        try:
            with span("query", {"db.query.text": "up\udcff", "retry": True, "http.response.status_code": 503}):
                now = 1000.5
                raise ValueError
        except ValueError:
            pass
    return encode(spans, {"service.name": "streamgate-adapter"}, lambda moment: moment + 5)


@BOTH
async def test_spans_arrive_as_they_were(receiving: Any) -> None:
    received = Received()
    async with receiving(received) as sender:
        assert await sender.send(message()) == 0
    (resource,) = ExportTraceServiceRequest.FromString(received.messages[0]).resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes} == {
        "service.name": "streamgate-adapter"
    }
    query, request = resource.scope_spans[0].spans
    assert request.name == "GET /apis/custom.metrics.k8s.io"
    assert (request.trace_id, request.parent_span_id) == ((3).to_bytes(16, "big"), (4).to_bytes(8, "big"))
    assert (request.kind, request.status.code) == (2, 0)
    assert (request.start_time_unix_nano, request.end_time_unix_nano) == (1005_000000000, 1005_500000000)
    assert (query.trace_id, query.parent_span_id) == (request.trace_id, request.span_id)
    assert (query.start_time_unix_nano, query.end_time_unix_nano) == (1005_250000000, 1005_500000000)
    assert query.status.code == 2
    known = {one.key: one.value for one in query.attributes}
    assert known["db.query.text"].string_value == "up?"
    assert (known["retry"].bool_value, known["http.response.status_code"].int_value) == (True, 503)
    assert known["error.type"].string_value == "ValueError"


async def test_a_message_over_http_says_what_it_is() -> None:
    received = Received()
    async with http(received) as sender:
        await sender.send(message())
    assert received.headers["Content-Type"] == "application/x-protobuf"
    assert "Authorization" not in received.headers


@BOTH
async def test_what_the_collector_rejected_is_told(receiving: Any) -> None:
    received = Received()
    received.body = PARTIAL
    async with receiving(received) as sender:
        assert await sender.send(message()) == 2


@BOTH
@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"<html>"])
async def test_an_answer_that_says_nothing_readable_is_taken_for_a_yes(receiving: Any, body: bytes) -> None:
    received = Received()
    received.body = body
    async with receiving(received) as sender:
        assert await sender.send(message()) == 0


@BOTH
async def test_an_answer_that_is_too_long_is_none(receiving: Any) -> None:
    received = Received()
    received.body = bytes(send.MOST_ANSWERED + 1)
    async with receiving(received) as sender:
        with pytest.raises(NotSentError):
            await sender.send(message())


@BOTH
async def test_a_refusal_is_told_in_a_line(receiving: Any) -> None:
    received = Received()
    received.status = 429
    async with receiving(received) as sender:
        with pytest.raises(NotSentError) as told:
            await sender.send(message())
    assert len(str(told.value)) <= 300


@BOTH
async def test_a_collector_that_hangs_is_left(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "TIMEOUT", 0.2)
    received = Received()
    received.hangs = True
    async with receiving(received) as sender:
        with pytest.raises(NotSentError):
            await sender.send(message())


async def test_a_redirect_is_not_followed() -> None:
    received = Received()
    async with http(received) as sender:
        received.status, received.more = 307, {"Location": f"http://127.0.0.1:{received.port}/v1/traces"}
        with pytest.raises(NotSentError, match="it answered 307"):
            await sender.send(message())
    assert len(received.messages) == 1


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "127.0.0.1:1"])
async def test_nobody_there_is_told(endpoint: str) -> None:
    made = send.sender(read(f"{HEAD}endpoint: '{endpoint}'\n"))
    try:
        with pytest.raises(NotSentError):
            await made.send(message())
    finally:
        await made.close()
