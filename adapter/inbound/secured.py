"""asyncio's TLS of one connection, with little memory: its own takes 256 KiB for each before a byte has come."""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Protocol, cast

from adapter.inbound.places import Guest

_SHUTDOWN = 1.0
"""s for the client to say goodbye."""


class Entered(Protocol):
    """The protocol of one connection, also behind TLS (`Secured`)."""

    guest: Guest
    on_made: Callable[[], None] | None
    """Called when the handshake, if any, is done."""

    def free_place(self) -> None:
        """Called when the socket is closed, perhaps before the handshake was done: the guest leaves."""

    def takes_slowly(self, size: int) -> None:
        """So many bytes wait to be taken."""

    def has_taken(self) -> None:
        """They do not wait any more."""


class Secured(SSLProtocol):
    """TLS between a socket and the protocol of a connection, which hears of it when the handshake is done."""

    max_size = 16 * 1024
    """Bytes read at once: a record of TLS has no more."""

    def __init__(
        self, connection: Entered, context: ssl.SSLContext, *, handshake_s: float, over: Callable[[], None]
    ) -> None:
        """`over` is called when the handshake has ended, one way or the other."""
        super().__init__(
            asyncio.get_running_loop(),
            cast(asyncio.BaseProtocol, connection),
            context,
            None,  # type: ignore[arg-type]  # nobody waits for it but `over`
            server_side=True,
            ssl_handshake_timeout=handshake_s,  # type: ignore[arg-type]  # it may have a fraction
            ssl_shutdown_timeout=_SHUTDOWN,
        )
        self._connection = connection
        self._over = over
        self._below: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake begins."""
        self._below = transport
        self._connection.guest.cut = transport.abort
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """All is over, whether or not the handshake was ever done."""
        self._over()
        self._connection.free_place()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """What is encrypted waits; asyncio tells the connection of it only where there is yet more."""
        super().pause_writing()
        if self._below is not None:
            self._connection.takes_slowly(self._below.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has been taken."""
        super().resume_writing()
        self._connection.has_taken()
