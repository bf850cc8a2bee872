"""A connection of HTTP/2 that is handed on, byte by byte, to who serves it, within the bounds of its port."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import structlog

from adapter.inbound.connection import LINGER
from adapter.inbound.http2 import Answers, Gate, RefusedError, goodbye
from adapter.inbound.listener import Listener, bind_sockets
from adapter.inbound.places import Bounds, Guest, Places

PIECE: int = 16 * 1024
"""Bytes that are read at once, and that wait in either direction before nothing more is read."""

log = structlog.get_logger(__name__)


async def listen(
    behind: str,
    host: str,
    port: int,
    *,
    request_s: float,
    end: Callable[[float], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008 - immutable
) -> Listener:
    """Hands what comes to `host` ('' for all of the machine's), `port` on to the Unix socket `behind`. Raises OSError.

    A request is answered within `request_s` seconds of its head, or the connection goes. `end` as for `Listener`.
    """
    make = partial(Relay, bounds=bounds, behind=behind, request_s=request_s)
    return Listener(await bind_sockets(host, port), tls=tls, bounds=bounds, make=make, end=end)


class Relay(asyncio.Protocol):
    """One client's. `guest` is its place."""

    def __init__(self, guest: Guest, places: Places, *, bounds: Bounds, behind: str, request_s: float) -> None:
        self.guest = guest
        self.on_made: Callable[[], None] | None = None
        self._places = places
        self._bounds = bounds
        self._behind = behind
        self._request_s = request_s
        self._gate = Gate()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._server: _Server | None = None
        self._reaching: asyncio.Task[None] | None = None
        self._early = b""
        """What came before the server was reached."""
        self._refused = False

    # ---- the client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake, if any, is done."""
        self._transport = cast(asyncio.Transport, transport)
        if hasattr(transport, "max_size"):
            transport.max_size = PIECE
        self._transport.set_write_buffer_limits(high=PIECE)
        self.guest.cut = self._transport.abort
        if self.on_made is not None:
            self.on_made()

    def data_received(self, data: bytes) -> None:
        """What is whole of it goes to the server."""
        if self._refused or self._transport is None or self._transport.is_closing():
            return
        was_held, heads = self._gate.held, self._gate.heads
        try:
            ready = self._gate.feed(data)
        except RefusedError as error:
            self._refuse(str(error))
            return
        held = self._gate.held
        if self._gate.heads > heads:
            self.guest.due = self._loop.time() + self._request_s
        if held and not was_held and self._gate.heads:
            self.guest.due = min(self.guest.due, self._loop.time() + self._bounds.head_s)
        self._places.hold(self.guest, held)
        if ready:
            self._hand_on(ready)

    def _hand_on(self, ready: bytes) -> None:
        if self._server is not None:
            self._server.write(ready)
            return
        self._early += ready
        if self._reaching is None and self._transport is not None:
            self._transport.pause_reading()
            self._reaching = self._loop.create_task(self._reach())

    async def _reach(self) -> None:
        try:
            _, server = await self._loop.create_unix_connection(lambda: _Server(self), self._behind)
        except OSError as error:
            log.warning("a connection cannot be handed on", cause=error.strerror)
            self.on_server_lost()
            return
        if self._refused or self._transport is None or self._transport.is_closing():
            server.close()
            return
        self._server = server
        self.take_more()  # before the server may have enough
        server.write(self._early)
        self._early = b""

    def _refuse(self, why: str) -> None:
        """Says so, and drops for a moment what still comes: bytes that nobody reads would undo what was said."""
        self._refused = True
        self._places.hold(self.guest, 0)
        self.guest.due = self._loop.time() + LINGER
        if self._transport is not None and self._gate.begun:
            self._transport.write(goodbye(why))
        if self._server is not None:
            self._server.close()
            self._server = None

    def eof_received(self) -> None:
        """It has hung up."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Its place is free."""
        self.free_place()
        self._transport = None
        if self._server is not None:
            self._server.close()

    def free_place(self) -> None:
        """Called when the socket is closed, perhaps before the handshake was done: the guest leaves."""
        self._places.leave(self.guest)

    def pause_writing(self) -> None:
        """The client takes its answers more slowly than they come."""
        if self._transport is not None:
            self.takes_slowly(self._transport.get_write_buffer_size())
        if self._server is not None:
            self._server.pause()

    def resume_writing(self) -> None:
        """It has taken them."""
        self.has_taken()
        if self._server is not None:
            self._server.resume()

    def takes_slowly(self, size: int) -> None:
        """So many bytes wait to be taken."""
        self.guest.due = self._loop.time() + self._bounds.answer_s
        self._places.keep(self.guest, size)

    def has_taken(self) -> None:
        """They do not wait any more."""
        self._places.keep(self.guest, 0)
        self.guest.due = self._loop.time() + self._request_s

    # ---- the server

    def answer(self, data: bytes, *, ended: int, messages: int) -> None:
        """For the client; `messages` are answers to requests that were taken, which make it known."""
        if self._transport is None:
            return
        if messages:
            self._places.know(self.guest)
        for _ in range(ended):
            self._gate.count_answer()
        if ended and not self._gate.held:
            bounds = self._bounds
            self.guest.due = self._loop.time() + (bounds.keep_alive_s if self.guest.known else bounds.idle_s)
        self._transport.write(data)

    def take_no_more(self) -> None:
        """The server reads more slowly than the client sends."""
        if self._transport is not None:
            self._transport.pause_reading()

    def take_more(self) -> None:
        """It has read what waited."""
        if self._transport is not None:
            self._transport.resume_reading()

    def on_server_lost(self) -> None:
        """Called when the server has hung up or cannot be reached: hangs up on the client, too."""
        if self._transport is not None and not self._refused:
            self._transport.close()


class _Server(asyncio.Protocol):
    """The way to the server and back."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._answers = Answers()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if hasattr(transport, "max_size"):
            transport.max_size = PIECE
        self._transport.set_write_buffer_limits(high=PIECE)

    def data_received(self, data: bytes) -> None:
        ended, messages = self._answers.feed(data)
        self._relay.answer(data, ended=ended, messages=messages)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._relay.on_server_lost()

    def pause_writing(self) -> None:
        self._relay.take_no_more()

    def resume_writing(self) -> None:
        self._relay.take_more()

    def write(self, data: bytes) -> None:
        """To the server."""
        if self._transport is not None:
            self._transport.write(data)

    def pause(self) -> None:
        """Read no more answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read answers again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """The client is gone: nothing more is to be read or written."""
        if self._transport is not None:
            self._transport.abort()
