"""OTLP over gRPC and HTTP on loopback: what arrives, what is refused and how the sender is told."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack

import aiohttp
import grpc
import pytest
import trustme
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from structlog.testing import capture_logs

from adapter.inbound.places import Bounds
from adapter.metrics.otlp.decode import Decoder
from adapter.metrics.otlp.limits import ReceiveLimits
from adapter.metrics.otlp.over_grpc import SERVICE, serve_grpc
from adapter.metrics.otlp.over_http import PATH as HTTP_PATH
from adapter.metrics.otlp.over_http import serve_http
from adapter.metrics.otlp.receive import Intake
from adapter.metrics.sample import Point
from tests import frames

NOW = 1_700_000_000.0
LIMITS = ReceiveLimits(body_bytes=100_000, concurrent=2, read_s=0.2)
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}


class Doors:
    """Both doors over one intake, and what came through."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.intake = Intake(Decoder(), self.store, LIMITS, clock=lambda: NOW)
        self.grpc_port = self.http_port = 0
        self.session: aiohttp.ClientSession

    def store(self, points: Iterable[Point]) -> None:
        self.points += points

    async def post(self, body: object, headers: dict[str, str]) -> tuple[int, bytes, str]:
        url = f"http://127.0.0.1:{self.http_port}{HTTP_PATH}"
        async with self.session.post(url, data=body, headers=headers) as response:
            return response.status, await response.read(), response.content_type

    async def export(self, body: bytes, **arguments: object) -> ExportMetricsServiceResponse:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            return await call(channel, body, **arguments)


async def call(channel: grpc.aio.Channel, body: bytes, **arguments: object) -> ExportMetricsServiceResponse:
    method = channel.unary_unary(f"/{SERVICE}/Export", response_deserializer=ExportMetricsServiceResponse.FromString)
    return await method(body, timeout=5, **arguments)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    doors = Doors()
    async with AsyncExitStack() as stack:
        doors.grpc_port = await stack.enter_async_context(serve_grpc(doors.intake, "127.0.0.1", 0))
        doors.http_port = await stack.enter_async_context(serve_http(doors.intake, "127.0.0.1", 0))
        doors.session = await stack.enter_async_context(aiohttp.ClientSession())
        yield doors


def request(*values: float | None) -> ExportMetricsServiceRequest:
    """Gauges; None for a data point that has no value and is rejected."""
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="queue.size")
    for value in values:
        point = metric.gauge.data_points.add(time_unix_nano=int(NOW * 1e9))
        if value is not None:
            point.as_double = value
    return message


def values(doors: Doors) -> list[tuple[str, float]]:
    return [(series.name, value) for series, value, _ in doors.points]


# -- what arrives ------------------------------------------------------------------------------------------------------


async def test_both_doors_take_the_same_request(doors: Doors) -> None:
    message = request(1.0, 2.0)

    await doors.export(message.SerializeToString())
    await doors.export(message.SerializeToString(), compression=grpc.Compression.Gzip)
    status, body, kind = await doors.post(message.SerializeToString(), PROTOBUF)
    text = json_format.MessageToJson(message).encode()
    await doors.post(text, JSON | {"Content-Type": "application/json; charset=utf-8"})
    await doors.post(gzip.compress(text), JSON | GZIP)

    assert (status, body, kind) == (200, b"", "application/x-protobuf")
    assert values(doors) == [("queue_size", 1.0), ("queue_size", 2.0)] * 5
    assert (doors.intake.requests, doors.intake.points, doors.intake.rejected) == (5, 10, 0)


async def test_what_is_rejected_is_told_and_the_rest_is_kept(doors: Doors) -> None:
    message = request(1.0, None, None)
    with capture_logs() as logs:
        over_grpc = await doors.export(message.SerializeToString())
        _, protobuf, _ = await doors.post(message.SerializeToString(), PROTOBUF)
        _, text, kind = await doors.post(json_format.MessageToJson(message), JSON)

    assert over_grpc.partial_success.rejected_data_points == 2
    assert over_grpc.partial_success.error_message.startswith("metric 'queue.size': data point 1: it has no value; ")
    assert ExportMetricsServiceResponse.FromString(protobuf) == over_grpc
    assert kind == "application/json"
    assert json.loads(text)["partialSuccess"]["rejectedDataPoints"] == "2"
    assert values(doors) == [("queue_size", 1.0)] * 3
    assert [entry["event"] for entry in logs] == ["OTLP data points rejected"]


async def test_a_large_request_is_taken_in_slices(doors: Doors) -> None:
    message = request(*map(float, range(3000)))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await doors.intake.take(message.SerializeToString())
    counting.cancel()

    assert len(doors.points) == 3000
    assert turns >= 3000 // 250


async def test_doors_may_be_encrypted() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    server_context, client_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    certificate.configure_cert(server_context)
    authority.configure_trust(client_context)
    points: list[Point] = []
    intake = Intake(Decoder(), points.extend, clock=lambda: NOW)
    body = request(1.0).SerializeToString()

    server_context.set_alpn_protocols(["h2"])
    async with serve_grpc(intake, "127.0.0.1", 0, server_context) as port:
        trust = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        async with grpc.aio.secure_channel(f"localhost:{port}", trust) as channel:
            await call(channel, body)
    server_context.set_alpn_protocols(["http/1.1"])
    async with serve_http(intake, "127.0.0.1", 0, server_context) as port, aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{port}{HTTP_PATH}"
        async with session.post(url, data=body, headers=PROTOBUF, ssl=client_context) as response:
            assert response.status == 200

    assert len(points) == 2


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"\xff" * 100, PROTOBUF, 400, "not an ExportMetricsServiceRequest in protobuf"),
        (b"{", JSON, 400, "not an ExportMetricsServiceRequest in JSON"),
        (b"[" * 50_000, JSON, 400, "not an ExportMetricsServiceRequest in JSON"),
        (b"x", {"Content-Type": "text/plain"}, 415, "the content type must be"),
        (b"x" * 200_000, PROTOBUF, 413, "more than 100000 bytes"),
        (gzip.compress(b"\0" * 10**7), PROTOBUF | GZIP, 413, "more than 100000 bytes when inflated"),
        (gzip.compress(b"\0" * 1000)[:-5], PROTOBUF | GZIP, 400, "cut short"),
        (b"\x1f\x8brubbish", PROTOBUF | GZIP, 400, "not gzip"),
        (gzip.compress(b"") * 4000, PROTOBUF | GZIP, 400, "more than 1000 members"),
        (b"x", PROTOBUF | {"Content-Encoding": "br"}, 400, "must be gzip or none"),
    ],
)
async def test_rubbish_over_http_is_refused_with_the_reason(
    doors: Doors, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    got, answer, kind = await doors.post(body, headers)

    assert (got, kind) == (status, "application/json" if headers == JSON else "application/x-protobuf")
    message = json.loads(answer)["message"] if headers == JSON else answer.lstrip(b"\x12")[1:].decode()
    assert reason in message
    assert doors.points == []
    assert (await doors.post(request(1.0).SerializeToString(), PROTOBUF))[0] == 200


async def test_a_refusal_is_a_status_message_of_any_length(doors: Doors) -> None:
    _, answer, _ = await doors.post(b"x", PROTOBUF | {"Content-Encoding": "br"})
    _, long, _ = await doors.post(b"", {"Content-Type": "x/y"})

    assert answer[:2] == bytes([0x12, len(answer) - 2])  # field 2, a text, and its length in one byte
    assert long[:2] == bytes([0x12, len(long) - 2])


async def test_rubbish_over_grpc_is_refused_with_the_reason(doors: Doors) -> None:
    cases = [
        (b"\xff" * 100, {}, grpc.StatusCode.INVALID_ARGUMENT),
        (b"x" * 200_000, {}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (b"\0" * 10**7, {"compression": grpc.Compression.Gzip}, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ]
    for body, arguments, code in cases:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await doors.export(body, **arguments)
        assert caught.value.code() == code

    await doors.export(request(1.0).SerializeToString())
    assert values(doors) == [("queue_size", 1.0)]


async def test_a_body_that_never_ends_is_cut_by_time_and_by_size(doors: Doors) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b"\n"
            await asyncio.sleep(0.01)

    async def pour() -> AsyncIterator[bytes]:
        while True:
            yield b"\n" * 10_000

    assert (await doors.post(drip(), PROTOBUF))[0] == 408
    try:
        status, _, _ = await doors.post(pour(), PROTOBUF)
    except aiohttp.ClientError:  # the connection may go before the answer is read
        status = 413
    assert status == 413
    assert (await doors.post(request(1.0).SerializeToString(), PROTOBUF))[0] == 200


async def test_whoever_finds_no_place_is_told_to_come_back(doors: Doors) -> None:
    body = request(1.0).SerializeToString()
    async with doors.intake.place(), doors.intake.place():
        status, _, _ = await doors.post(body, PROTOBUF)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await doors.export(body)

    assert (status, caught.value.code()) == (503, grpc.StatusCode.UNAVAILABLE)
    assert (await doors.post(body, PROTOBUF))[0] == 200


async def test_who_has_been_sending_for_longest_gives_way_to_the_next(doors: Doors) -> None:
    """Two places: of three bodies that never end the first is told so at once, and a whole one finds a place."""
    doors.intake.limits = LIMITS._replace(read_s=60.0)
    head = f"POST {HTTP_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n"
    streams = []
    for _ in range(3):
        stream = await asyncio.open_connection("127.0.0.1", doors.http_port)
        streams.append(stream)
        stream[1].write(head.encode() + b"x")
        await asyncio.sleep(0.02)
    assert (await streams[0][0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 408")
    assert (await doors.post(request(1.0).SerializeToString(), PROTOBUF))[0] == 200
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()


async def test_bodies_are_bounded_all_together(doors: Doors) -> None:
    doors.intake.limits = LIMITS._replace(pending_bytes=50_000, read_s=60.0)

    async def whole(size: int) -> AsyncIterator[bytes]:
        yield b"x" * size

    async with doors.intake.counting(whole(40_000)) as chunks:
        async for _ in chunks:
            status, answer, _ = await doors.post(b"x" * 20_000, PROTOBUF)
            assert (status, b"bytes of requests are in hand" in answer) == (503, True)
    assert (await doors.post(request(1.0).SerializeToString(), PROTOBUF))[0] == 200


async def test_a_message_over_grpc_that_never_comes_is_given_up_in_time(doors: Doors) -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    async with grpc.aio.insecure_channel(f"127.0.0.1:{doors.grpc_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.stream_unary(f"/{SERVICE}/Export")(never(), timeout=30)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert caught.value.details() == "the message must arrive within 0.2 s"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", HTTP_PATH, 405), ("POST", "/v1/traces", 404)])
async def test_only_metrics_are_taken(doors: Doors, method: str, path: str, status: int) -> None:
    async with doors.session.request(method, f"http://127.0.0.1:{doors.http_port}{path}") as response:
        assert response.status == status


async def test_a_megabyte_of_metadata_is_refused_and_the_next_push_is_taken(doors: Doors) -> None:
    """The refused request's connection goes; the library makes another one."""
    body = request(1.0).SerializeToString()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{doors.grpc_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="a head has more than 65536 bytes"):
            await call(channel, body, metadata=[(f"a{number}", "v" * 8000) for number in range(125)])
        await call(channel, body, wait_for_ready=True)
    assert len(doors.points) == 1


async def test_who_has_pushed_keeps_his_connection_while_strangers_come(doors: Doors) -> None:
    """Three strangers are let in at once; the fourth takes the first one's place, never that of who has pushed."""
    body, bounds = request(1.0).SerializeToString(), Bounds(strangers=3, fresh=0)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serve_grpc(doors.intake, "127.0.0.1", 0, bounds=bounds))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        await call(channel, body)
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        for _, writer in strangers:
            writer.write(frames.PREFACE)
        await strangers[0][0].read()  # it has been cut
        await call(channel, body)
        assert channel.get_state() is grpc.ChannelConnectivity.READY
        for _, writer in strangers:
            writer.transport.abort()
    assert len(doors.points) == 2


async def test_an_address_that_is_taken_gives_an_error() -> None:
    intake = Intake(Decoder(), lambda _: None)
    async with serve_http(intake, "127.0.0.1", 0) as port:
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: address already in use"):
            async with serve_grpc(intake, "127.0.0.1", port):
                pass
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: address already in use"):
            async with serve_http(intake, "127.0.0.1", port):
                pass
