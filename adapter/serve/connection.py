"""aiohttp's HTTP protocol with what an aggregated API server needs of a connection, and listening."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from adapter.serve.chains import Presented
from adapter.serve.encode import response, to_json
from adapter.serve.status import bad_request, internal
from adapter.serve.tls import Tls, presented_chain

LINE = 64 * 1024
"""Bytes of a request line and of one header: selectors can be long."""
HEADERS = 128
KEEP_ALIVE = 120.0
"""s an idle connection is kept, and a request's head may take: longer than the 90 s of Kubernetes' aggregator."""
CONNECTIONS = 2000
_HANDSHAKE = 10.0
_BACKLOG = 1024
_LINGER = 0.2
"""s for which the body of a request, which nothing here has a use for, is read and dropped."""

_log = structlog.get_logger(__name__)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(RequestHandler):
    """One connection: knows which certificates the client showed, and says in a Status what is wrong with bad HTTP."""

    presented: Presented | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is done."""
        super().connection_made(transport)
        assert self._manager is not None
        if len(self._manager.connections) > CONNECTIONS:
            cast(asyncio.Transport, transport).abort()
            return
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self.presented = _presented(presented_chain(secured))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or to a fault that got past the server."""
        if status == 500:
            _log.error("a request could not be answered", exc_info=exc)
        error = internal() if status == 500 else bad_request("the request is not well-formed HTTP")
        answer = response(to_json(error.status()), "application/json", error.code)
        answer.force_close()
        return answer


class _Manager(web.Server):
    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Listener:
    """An open port. `port` is the one that was got where 0 was asked for."""

    def __init__(self, manager: web.Server, listening: asyncio.Server) -> None:
        self._manager = manager
        self._listening = listening
        self.port: int = listening.sockets[0].getsockname()[1]

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._manager.connections)

    async def close(self, seconds: float = 5.0) -> None:
        """Take no more connections, let requests in progress end within `seconds`, then close."""
        self._listening.close()
        self._manager.pre_shutdown()
        await self._manager.shutdown(seconds)


async def listen(handler: Handler, host: str, port: int, tls: Tls | None) -> Listener:
    """Serve `handler` on `host`:`port`; without `tls` in plain HTTP, which is for tests. Raises OSError."""
    options: dict[str, Any] = {
        "access_log": None,
        "max_line_size": LINE,
        "max_field_size": LINE,
        "max_headers": HEADERS,
        "keepalive_timeout": KEEP_ALIVE,
        "lingering_time": _LINGER,
    }
    manager = _Manager(handler, **options)
    secured: dict[str, Any] = {}
    if tls is not None:
        secured = {"ssl": tls.context, "ssl_handshake_timeout": _HANDSHAKE, "ssl_shutdown_timeout": 1.0}
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(manager, host, port, backlog=_BACKLOG, reuse_address=True, **secured)
    return Listener(manager, listening)


def _presented(chain: list[bytes]) -> Presented | None:
    if not chain:
        return None
    try:
        return Presented(chain)
    except ValueError as error:
        _log.warning("a client's certificate cannot be read", cause=str(error))
        return None
