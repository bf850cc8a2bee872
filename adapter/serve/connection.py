"""What an aggregated API server needs of a connection: which certificates the client showed, and words for bad HTTP."""

import asyncio
import ssl

import structlog
from aiohttp import web

from adapter.inbound import connection, listener
from adapter.inbound.connection import Handler
from adapter.inbound.listener import Listener
from adapter.inbound.places import Bounds
from adapter.serve.chains import Presented
from adapter.serve.encode import response, to_json
from adapter.serve.status import StatusError, bad_request, internal, too_large_a_head
from adapter.serve.tls import Tls, client_chain

_log = structlog.get_logger(__name__)


class Connection(connection.Connection):
    """One connection: knows which certificates the client showed, and says in a Status what is wrong with bad HTTP."""

    presented: Presented | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is done."""
        super().connection_made(transport)
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None:
            self.presented = _parse_chain(client_chain(secured))

    def error_response(self, status: int) -> web.Response:
        """The answer, a Status, to what is no HTTP (400), too much of it (431), or a fault of ours (500)."""
        if status >= connection.FAULT:
            return _answer(internal())
        return _answer(too_large_a_head() if status == connection.TOO_LARGE else _malformed_error())


async def listen(
    handler: Handler,
    host: str,
    port: int,
    tls: Tls | None,
    bounds: Bounds = Bounds(),  # noqa: B008 - immutable
) -> Listener:
    """Serve `handler` on `host`:`port`; without `tls` in plain HTTP, which is for tests. Raises OSError."""
    context = tls.context if tls else None
    return await listener.listen(handler, host, port, tls=context, bounds=bounds, make=Connection)


def _malformed_error() -> StatusError:
    return bad_request("the request is not well-formed HTTP")


def _answer(error: StatusError) -> web.Response:
    return response(to_json(error.status()), "application/json", error.code)


def _parse_chain(chain: list[bytes]) -> Presented | None:
    if not chain:
        return None
    try:
        return Presented(chain)
    except ValueError as error:
        _log.warning("a client's certificate cannot be read", cause=str(error))
        return None
