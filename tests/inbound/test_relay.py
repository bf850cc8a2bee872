"""HTTP/2 that is handed on to a Unix socket: what goes through, what is cut, and when. No time is asserted."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from adapter.inbound.http2 import HEAD_BYTES
from adapter.inbound.relay import listen
from tests import frames
from tests.frames import PREFACE, RST_STREAM, frame
from tests.inbound.test_listener import BOUNDS, LONG, SERVING, Door, Stream, turns, until_closed

HEAD = frames.head(1, frames.block())
ANSWER = frames.head(1, b"h") + frames.data(1, bytes(5)) + frames.head(1, b"t")
REFUSAL = frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, b"t")


class Behind:
    """The server that is handed on to: what it got of each connection."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.got: list[bytes] = []
        self.reads = True
        self.hung_up = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.streams)
        self.streams.append((reader, writer))
        self.got.append(b"")
        while self.reads and (data := await reader.read(65_536)):
            self.got[number] += data
        self.hung_up += self.reads

    async def has(self, data: bytes, number: int = 0) -> None:
        await until(lambda: len(self.got) > number and len(self.got[number]) >= len(data))
        assert self.got[number] == data


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await turns(1)


@asynccontextmanager
async def opened(tls: bool, *, reachable: bool = True, **bounds: Any) -> AsyncIterator[tuple[Door, Behind]]:
    name, behind = f"\0streamgate-test-{secrets.token_hex(8)}", Behind()
    server = await asyncio.start_unix_server(behind.serve, name) if reachable else None

    async def end(_: float) -> None:
        pass

    context = SERVING if tls else None
    of = BOUNDS._replace(**bounds)
    listener = await listen(name, "127.0.0.1", 0, request_s=LONG, end=end, tls=context, bounds=of)
    door = Door(listener, tls)
    try:
        yield door, behind
    finally:
        await listener.close(0.1)
        for writer in [*door.writers, *(writer for _, writer in behind.streams)]:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        if server is not None:
            server.close()


@pytest.fixture(params=[True, False], ids=["TLS", "plain"])
def tls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr("adapter.inbound.listener.LOOK_EVERY", 0.01)
    return bool(request.param)


async def test_bytes_go_through_both_ways_as_they_were(tls: bool) -> None:
    async with opened(tls) as (door, behind):
        stream = await door.connect()
        sent = PREFACE + HEAD + b"".join(frames.data(1, bytes([number]) * 16_000) for number in range(100))
        stream[1].write(sent)
        await behind.has(sent)
        behind.streams[0][1].write(ANSWER * 10_000)
        assert await stream[0].readexactly(len(ANSWER) * 10_000) == ANSWER * 10_000


async def test_who_hangs_up_ends_it_on_the_other_side(tls: bool) -> None:
    async with opened(tls) as (door, behind):
        first, second = await door.connect(), await door.connect()
        for number, stream in enumerate((first, second)):
            stream[1].write(PREFACE)
            await behind.has(PREFACE, number)
        first[1].close()
        await until(lambda: behind.hung_up == 1)
        behind.streams[1][1].close()
        await until_closed(second)
        await until(lambda: not door.listener.connections)


async def test_of_a_head_that_is_not_whole_nothing_goes_through(tls: bool) -> None:
    async with opened(tls) as (door, behind):
        stream = await door.connect()
        stream[1].write(PREFACE + HEAD[:-1])
        await behind.has(PREFACE)
        await turns()
        await behind.has(PREFACE)
        stream[1].write(HEAD[-1:])
        await behind.has(PREFACE + HEAD)


async def test_nobody_behind_hears_of_a_connection_without_its_preface(tls: bool) -> None:
    async with opened(tls, first_s=0.1) as (door, behind):
        stream = await door.connect()
        stream[1].write(PREFACE[:23])
        await until_closed(stream)
        assert behind.streams == []


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (frames.head(1, b"h" * HEAD_BYTES, ends=False), f"a head has more than {HEAD_BYTES} bytes"),
        ((HEAD + frame(RST_STREAM, 0, 1, frames.CANCEL)) * 200, "too many requests or other frames without an answer"),
    ],
    ids=["a head without end", "streams that are reset"],
)
async def test_what_is_refused_is_told_in_a_goodbye(tls: bool, sent: bytes, why: str) -> None:
    async with opened(tls) as (door, _):
        stream = await door.connect()
        stream[1].write(PREFACE)
        await turns(5)
        stream[1].write(sent)
        assert why.encode() in await until_closed(stream)


async def test_a_head_that_is_not_whole_in_time_is_cut_though_others_of_the_connection_were(tls: bool) -> None:
    async with opened(tls, head_s=0.1) as (door, behind):
        stream = await door.connect()
        stream[1].write(PREFACE + HEAD)
        await behind.has(PREFACE + HEAD)
        behind.streams[0][1].write(ANSWER)
        stream[1].write(HEAD[:20])
        await until_closed(stream)


async def test_of_too_many_bytes_of_heads_the_one_with_most_goes(tls: bool) -> None:
    async with opened(tls, heads_bytes=3000) as (door, _):
        large, small = await door.connect(), await door.connect()
        large[1].write(PREFACE + frames.head(1, b"h" * 2000, ends=False)[:-1])
        await turns(20)
        small[1].write(PREFACE + frames.head(1, b"h" * 1500)[:-1])
        await until_closed(large)
        small[1].write(b"h")
        await turns(20)
        assert not small[0].at_eof()


async def test_who_was_answered_with_a_message_stays_and_who_was_refused_gives_way(tls: bool) -> None:
    async with opened(tls, strangers=2, fresh=0, idle_s=LONG) as (door, behind):
        known, refused = await door.connect(), await door.connect()
        for number, (stream, answer) in enumerate([(known, ANSWER), (refused, REFUSAL)]):
            stream[1].write(PREFACE + HEAD)
            await behind.has(PREFACE + HEAD, number)
            behind.streams[number][1].write(answer)
            assert await stream[0].readexactly(len(answer)) == answer
        for _ in range(3):
            other = await door.connect()
            other[1].write(PREFACE)
            await turns(20)
        assert REFUSAL not in await until_closed(refused)
        known[1].write(HEAD)
        await behind.has(PREFACE + HEAD + HEAD)


@pytest.mark.parametrize(("answer", "stays"), [(ANSWER + REFUSAL, True), (REFUSAL, False)], ids=["known", "stranger"])
async def test_between_two_requests_who_is_known_has_longer(tls: bool, answer: bytes, stays: bool) -> None:
    async with opened(tls, idle_s=0.05) as (door, behind):
        stream = await door.connect()
        stream[1].write(PREFACE + HEAD)
        await behind.has(PREFACE + HEAD)
        behind.streams[0][1].write(answer)
        await stream[0].readexactly(len(answer))
        if stays:
            await asyncio.sleep(0.2)
            stream[1].write(HEAD)
            await behind.has(PREFACE + HEAD + HEAD)
        else:
            await until_closed(stream)


async def test_a_client_that_takes_no_answers_is_cut_and_they_are_not_heaped_up(tls: bool) -> None:
    async with opened(tls, answer_s=0.1) as (door, behind):
        stream = await door.connect()
        cast(asyncio.Transport, stream[1].transport).pause_reading()
        stream[1].write(PREFACE + HEAD)
        await behind.has(PREFACE + HEAD)
        writer = behind.streams[0][1]
        writer.transport.set_write_buffer_limits(0)

        async def answer() -> None:
            for _ in range(10_000):
                writer.write(ANSWER * 1000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await answer()
        await until(lambda: not door.listener.connections)


async def test_a_server_that_reads_slowly_holds_the_client_back(tls: bool) -> None:
    async with opened(tls) as (door, behind):
        behind.reads = False
        stream = await door.connect()
        stream[1].transport.set_write_buffer_limits(0)
        stream[1].write(PREFACE + HEAD)

        async def send() -> None:
            for _ in range(4000):
                stream[1].write(frames.data(1, b"d" * 16_000))
                await stream[1].drain()

        sending = asyncio.create_task(send())
        await turns(200)
        assert not sending.done()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def test_where_nobody_is_behind_it_is_closed_and_told(tls: bool) -> None:
    with capture_logs() as logs:
        async with opened(tls, reachable=False) as (door, _):
            stream = await door.connect()
            stream[1].write(PREFACE)
            await until_closed(stream)
    assert [entry["event"] for entry in logs] == ["a connection cannot be handed on"]
