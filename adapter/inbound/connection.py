"""aiohttp's HTTP protocol, within the bounds of its port."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler

from adapter.inbound.places import Bounds, Guest, Places

if TYPE_CHECKING:
    from aiohttp.web_server import Server

LINGER = 0.2
"""s for which the body of a request, which nobody has a use for, is read and dropped."""
TOO_LARGE, FAULT = 431, 500

log = structlog.get_logger(__name__)

READ_BYTES = 16 * 1024
"""Of one connection, in one turn of the event loop: as many chunks of one byte take 3 ms."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(RequestHandler):
    """One connection. `guest` is its place; subclasses say in their own words what is wrong with bad HTTP."""

    def __init__(self, manager: "Server", *, guest: Guest, places: Places, bounds: Bounds, **options: Any) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to say none
            max_line_size=bounds.line_bytes,
            max_field_size=bounds.line_bytes,
            max_headers=bounds.headers,
            keepalive_timeout=bounds.keep_alive_s,
            lingering_time=LINGER,
            auto_decompress=False,  # what a body is worth unpacking is for who reads it
            **options,
        )
        self.guest = guest
        self._places = places
        self._bounds = bounds
        self._body: StreamReader | None = None
        self.on_made: Callable[[], None] | None = None
        """Called when the handshake, if any, is done."""

    def note_authenticated(self) -> None:
        """Called when a request of this connection was authenticated: its guest is no stranger any more."""
        self._places.know(self.guest)

    def error_response(self, status: int) -> web.Response:
        """The answer to what is no HTTP (400), too much of it (431), or to a fault of ours (500)."""
        return web.Response(status=status)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, which is no news, or to a fault that got past the handler, which is."""
        if status >= FAULT:
            log.error("a request could not be answered", exc_info=exc)
        answer = self.error_response(status)
        answer.force_close()
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Requests may come."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # asyncio reads 256 KiB at once, which may be 43,000 chunks of a body
            transport.max_size = READ_BYTES
        self.guest.cut = cast(asyncio.Transport, transport).abort
        if self.on_made is not None:
            self.on_made()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Its place is free."""
        self.free_place()
        super().connection_lost(exc)

    def free_place(self) -> None:
        """Called when the socket is closed, perhaps before the handshake was done: the guest leaves."""
        self._places.leave(self.guest)

    def data_received(self, data: bytes) -> None:
        """Bytes of heads and bodies; those of heads are counted until the head is whole."""
        in_body = self._body is not None and not self._body.is_eof()
        count, waiting = self._request_count, len(self._messages)
        super().data_received(data)
        new = self._request_count > count
        if new and self._messages:
            self._body = self._messages[-1][1]
        elif in_body or not data:
            return
        self._count_head(len(data) + (0 if new and not waiting else self.guest.held))

    def _count_head(self, held: int) -> None:
        idle = not self._messages and not self.guest.busy
        if idle and not self.guest.held and self._request_count:
            self.guest.due = self._loop.time() + self._bounds.head_s
        self._places.hold(self.guest, held)
        if held > self._bounds.head_bytes and self.transport is not None:
            if idle:
                self.transport.write(_raw(self.error_response(TOO_LARGE)))
                self.force_close()
            else:
                self.transport.abort()

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than we send it."""
        super().pause_writing()
        if self.transport is not None:
            self.takes_slowly(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has taken nearly all."""
        super().resume_writing()
        self.has_taken()

    def takes_slowly(self, size: int) -> None:
        """So many bytes wait to be taken."""
        self.guest.due = self._loop.time() + self._bounds.answer_s
        self._places.keep(self.guest, size)

    def has_taken(self) -> None:
        """They do not wait any more."""
        self._places.keep(self.guest, 0)
        self._await_next()

    async def answering(self, handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        """What `handler` answers; while it works the connection is busy and has all time."""
        self.guest.busy, self.guest.due = True, math.inf
        if not self._messages:
            self._places.hold(self.guest, 0)
        try:
            return await handler(request)
        finally:
            self.guest.busy = False
            self._await_next()

    def _await_next(self) -> None:
        if not self.guest.busy:
            bounds = self._bounds
            self.guest.due = self._loop.time() + (bounds.keep_alive_s if self.guest.known else bounds.idle_s)


def _raw(answer: web.Response) -> bytes:
    body = answer.body if isinstance(answer.body, bytes) else b""
    head = f"HTTP/1.1 {answer.status} {answer.reason}\r\nContent-Type: {answer.content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
