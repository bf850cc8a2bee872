"""A port on loopback within tight bounds: what it lets in, what it cuts, and when. No time is asserted."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from adapter.inbound.connection import Connection
from adapter.inbound.listener import Listener, _listening, listen
from adapter.inbound.places import Bounds

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = 10.0
BOUNDS = Bounds(
    connections=8,
    strangers=6,
    fresh=1,
    handshakes=2,
    head_bytes=3000,
    first_s=LONG,
    head_s=LONG,
    idle_s=LONG,
    answer_s=LONG,
)
AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)
SERVING = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
AUTHORITY.issue_cert("localhost").configure_cert(SERVING)
CLIENT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
AUTHORITY.configure_trust(CLIENT)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Door:
    """The port, and what came in."""

    def __init__(self, listener: Listener, tls: bool) -> None:
        self.listener = listener
        self._tls = CLIENT if tls else None
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self, *, shake: bool = True) -> Stream:
        tls = self._tls if shake else None
        name = "localhost" if tls else None
        stream = await asyncio.open_connection("127.0.0.1", self.listener.port, ssl=tls, server_hostname=name)
        self.writers.append(stream[1])
        return stream

    async def ask(self, stream: Stream, path: bytes = b"") -> bytes:
        stream[1].write(GET % path)
        return await stream[0].readuntil(b"\r\n\r\n")


async def until_closed(stream: Stream) -> bytes:
    """What comes until the other side has hung up."""
    with suppress(ConnectionError):
        return await stream[0].read()
    return b""


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/known":
        assert isinstance(request.protocol, Connection)
        request.protocol.note_authenticated()
    return web.Response(body=b"x" * (32 * 2**20 if request.path == "/large" else 0))


@asynccontextmanager
async def opened(tls: bool, make: Any = Connection, **bounds: Any) -> AsyncIterator[Door]:
    context = SERVING if tls else None
    listener = await listen(answer, "127.0.0.1", 0, tls=context, bounds=BOUNDS._replace(**bounds), make=make)
    door = Door(listener, tls)
    try:
        yield door
    finally:
        await listener.close(0.1)
        for writer in door.writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@pytest.fixture(params=[True, False], ids=["TLS", "plain"])
def tls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr("adapter.inbound.listener.LOOK_EVERY", 0.01)
    return bool(request.param)


async def test_requests_are_answered_one_after_another_on_one_connection(tls: bool) -> None:
    async with opened(tls) as door:
        stream = await door.connect()
        for _ in range(3):
            assert (await door.ask(stream)).startswith(b"HTTP/1.1 200")


async def test_connections_that_send_nothing_get_no_protocol_and_give_way_to_one_that_speaks(tls: bool) -> None:
    made: list[None] = []

    def make(*arguments: Any, **named: Any) -> Connection:
        made.append(None)
        return Connection(*arguments, **named)

    async with opened(tls, make) as door:
        for _ in range(20):
            await door.connect(shake=False)
        await turns()
        assert (made, door.listener.connections) == ([], BOUNDS.strangers)
        assert (await door.ask(await door.connect())).startswith(b"HTTP/1.1 200")
        assert len(made) == 1
        assert door.listener.turned_away == 20 + 1 - BOUNDS.strangers


async def test_who_is_known_is_never_cut_for_strangers(tls: bool) -> None:
    async with opened(tls) as door:
        friend = await door.connect()
        await door.ask(friend, b"known")
        strangers = [await door.connect() for _ in range(10)]
        for stranger in strangers[-3:]:
            await door.ask(stranger)
        assert (await door.ask(friend)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [1000, 16_000])
async def test_a_head_that_does_not_end_is_refused_at_its_bound(tls: bool, size: int) -> None:
    async with opened(tls) as door:
        stream = await door.connect()
        stream[1].write(GET[:-2] % b"")
        for number in range(4):
            stream[1].write(b"X-%d: %s\r\n" % (number, b"a" * size))
            await turns(3)
        said = await until_closed(stream)
        assert said.startswith(b"HTTP/1.1 431") or (size > 1000 and not said)  # who sends on is hung up on
        assert (await door.ask(await door.connect())).startswith(b"HTTP/1.1 200")


async def test_many_requests_at_once_count_as_one_head(tls: bool) -> None:
    async with opened(tls) as door:
        stream = await door.connect()
        stream[1].write(GET % b"" * 500)  # 14 kB: 3 kB may wait
        answers = (await until_closed(stream)).count(b"HTTP/1.1 200")
        assert answers < 500


async def test_whole_heads_one_after_another_never_add_up(tls: bool) -> None:
    async with opened(tls) as door:
        stream = await door.connect()
        for _ in range(20):  # 20 times 2 kB
            stream[1].write(GET[:-2] % b"" + b"X: " + b"a" * 2000 + b"\r\n\r\n")
            assert (await stream[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"\x16", b"G"], ids=["nothing", "a byte of TLS", "a byte of HTTP"])
async def test_who_sends_no_whole_head_is_cut_in_time(tls: bool, sent: bytes) -> None:
    async with opened(tls, first_s=0.05) as door:
        stream = await door.connect(shake=False)
        stream[1].write(sent)
        await until_closed(stream)
        assert door.listener.connections == 0


async def test_the_time_of_a_head_begins_with_its_first_byte(tls: bool) -> None:
    async with opened(tls, head_s=0.05) as door:
        stream = await door.connect()
        await door.ask(stream, b"known")
        stream[1].write(b"GET")
        assert await until_closed(stream) == b""


async def test_a_stranger_is_not_kept_idle_but_who_is_known_is(tls: bool) -> None:
    async with opened(tls, idle_s=0.05) as door:
        friend, stranger = await door.connect(), await door.connect()
        await door.ask(friend, b"known")
        await door.ask(stranger)
        await until_closed(stranger)
        assert (await door.ask(friend)).startswith(b"HTTP/1.1 200")


async def test_an_answer_that_is_not_taken_is_given_up_in_time(tls: bool) -> None:
    async with opened(tls, answer_s=0.05) as door:
        stream = await door.connect()
        stream[1].transport.pause_reading()  # type: ignore[attr-defined]
        stream[1].write(GET % b"large")
        await turns(3)
        while door.listener.connections:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


async def test_answers_that_are_taken_are_whole_however_long_they_are(tls: bool) -> None:
    async with opened(tls) as door:
        stream = await door.connect()
        await door.ask(stream, b"large")
        assert len(await stream[0].readexactly(32 * 2**20)) == 32 * 2**20


async def test_of_handshakes_that_stall_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(True) as door:
        stalled = [await door.connect(shake=False) for _ in range(4)]
        for _, writer in stalled:
            writer.write(b"\x16\x03\x01")
            await turns(5)
        await asyncio.gather(*map(until_closed, stalled[:2]))  # of four two may shake hands
        assert (await door.ask(await door.connect())).startswith(b"HTTP/1.1 200")


async def test_what_is_no_tls_or_hangs_up_leaves_nothing_behind() -> None:
    async with opened(True) as door:
        for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""):
            stream = await door.connect(shake=False)
            stream[1].write(sent)
            await turns(5)
            stream[1].close()
        while door.listener.connections:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


async def test_a_host_with_several_addresses_listens_on_one_port() -> None:
    async with opened(False) as door:
        with pytest.raises(OSError, match=f"127.0.0.1:{door.listener.port}: address already in use"):
            await listen(answer, "127.0.0.1", door.listener.port)
    listener = await listen(answer, "localhost", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.close()
    await listener.close(0.1)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
async def test_no_address_is_every_one_of_both_families(host: str) -> None:
    listener = await listen(answer, host, 0)
    for place in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
        _, writer = await asyncio.open_connection(place, listener.port)
        writer.close()
    await listener.close(0.1)


async def test_a_family_of_addresses_that_the_machine_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = _listening, []

    def without_ipv6(family: int, address: tuple[Any, ...]) -> socket.socket:
        asked.append(family)
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "not supported")
        return real(family, address)

    monkeypatch.setattr("adapter.inbound.listener._listening", without_ipv6)
    listener = await listen(answer, "", 0)
    assert socket.AF_INET in asked
    await listener.close(0.1)
    monkeypatch.setattr("adapter.inbound.listener._listening", lambda *_: without_ipv6(socket.AF_INET6, ()))
    with pytest.raises(OSError, match="not supported"):
        await listen(answer, "", 0)


async def test_what_is_no_http_is_answered_and_is_no_news() -> None:
    async with opened(tls=False) as here:
        with capture_logs() as logs:
            for bad in (b"\0\xff<script>\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"):
                reader, writer = await here.connect()
                writer.write(bad)
                assert b" 400 Bad Request" in (await reader.read()).partition(b"\r\n")[0]
    assert logs == []
