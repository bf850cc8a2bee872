"""An open port: takes connections in, lets few of them shake hands at once, and ends those whose time is over.

A connection costs next to nothing until its first bytes are here: then its place in the queue begins, where the newest
of each address comes first. A handshake costs some milliseconds, so each turn of the event loop begins at most one: a
flood of them holds up nobody who is already connected.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import structlog
from aiohttp import web

from adapter.inbound.connection import Connection, Handler
from adapter.inbound.places import Bounds, Guest, Places, Turns
from adapter.inbound.secured import Entered, Secured

BACKLOG = 4096
"""Connections that the kernel keeps for us, its own most by default; who finds no room tries again after 1 s."""
ACCEPTED = 32
"""In one turn of the event loop."""
LOOK_EVERY = 0.5
"""s between looks for whose time is over."""
PAUSE = 0.1
"""s before the next try where the system has no more files or memory for connections."""
UNSPECIFIED = ("", "0.0.0.0", "::")  # noqa: S104 - the aggregator, kubelets and pods call
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""A machine may be without IPv6, whatever the names of its addresses say."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = structlog.get_logger(__name__)
MakeConnection = Callable[..., Connection]


class Listener:
    """An open port. `port` is the one that was got where 0 was asked for."""

    def __init__(
        self,
        sockets: list[socket.socket],
        *,
        tls: ssl.SSLContext | None,
        bounds: Bounds,
        make: Callable[[Guest, Places], Entered],
        end: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        """`make` makes the protocol of each connection; `end` lets what is in progress end within some seconds."""
        self._sockets = sockets
        self._tls = tls
        self._bounds = bounds
        self._make = make
        self._end = end
        self._places = Places(bounds)
        self._ready: Turns[str, tuple[socket.socket, Guest]] = Turns()
        self._some_ready = asyncio.Event()
        self._shaking: dict[Guest, None] = {}
        self._loop = asyncio.get_running_loop()
        jobs: tuple[Callable[[], Awaitable[None]], ...] = (
            self._usher,
            self._watch,
            *(partial(self._take, one) for one in sockets),
        )
        self._tasks = [self._loop.create_task(_for_ever(job)) for job in jobs]
        self.port: int = sockets[0].getsockname()[1]

    @property
    def connections(self) -> int:
        """How many are open, those that have sent nothing yet among them."""
        return len(self._places)

    @property
    def turned_away(self) -> int:
        """How many connections had to give way, or were not let in, since the start."""
        return self._places.turned_away

    async def close(self, seconds: float = 5.0) -> None:
        """Take no more connections, let requests in progress end within `seconds`, then close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in self._sockets:
            one.close()
        if self._end is not None:
            await self._end(seconds)
        for guest in self._places.overdue(float("inf")):
            guest.cut()

    # ---- a connection's way in

    async def _take(self, listening: socket.socket) -> None:
        """Accept until cancelled."""
        taken = 0
        while True:
            try:
                taken_in, address = await self._loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    log.error("no more connections can be taken for now", cause=error.strerror)
                    await asyncio.sleep(PAUSE)
                continue
            self._receive(taken_in, str(address[0]) if address else "")
            taken += 1
            if taken % ACCEPTED == 0:
                await asyncio.sleep(0)

    def _receive(self, taken_in: socket.socket, address: str) -> None:
        """Keep it until it sends something."""
        taken_in.setblocking(False)
        guest = Guest(address, self._loop.time() + self._bounds.first_s, taken_in.close)

        def drop() -> None:
            self._loop.remove_reader(taken_in)
            self._ready.discard(address, (taken_in, guest))
            self._places.leave(guest)
            taken_in.close()

        def speaks() -> None:
            self._loop.remove_reader(taken_in)
            guest.silent = False
            self._ready.add(address, (taken_in, guest))
            self._some_ready.set()

        guest.cut = drop
        if self._places.enter(guest):
            self._loop.add_reader(taken_in, speaks)
        else:
            taken_in.close()

    async def _usher(self) -> None:
        """Begin the connections that have sent something, one in each turn of the loop, until cancelled."""
        while True:
            await self._some_ready.wait()
            newcomer = self._ready.take()
            if newcomer is None:
                self._some_ready.clear()
            else:
                await self._begin(*newcomer)

    async def _begin(self, taken_in: socket.socket, guest: Guest) -> None:
        given_up = False

        def give_up() -> None:
            nonlocal given_up
            given_up = True

        guest.cut = give_up  # asyncio holds the socket from here on, and nobody else may close it
        protocol = self._protocol(guest)
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, taken_in)
        except OSError:  # it has hung up meanwhile
            self._shaking.pop(guest, None)
            self._places.leave(guest)
            taken_in.close()
        else:
            if given_up:
                transport.abort()

    def _protocol(self, guest: Guest) -> asyncio.BaseProtocol:
        connection = self._make(guest, self._places)
        if self._tls is None:
            return cast(asyncio.BaseProtocol, connection)
        self._make_room()
        self._shaking[guest] = None

        def over() -> None:
            self._shaking.pop(guest, None)

        connection.on_made = over
        return Secured(connection, self._tls, handshake_s=self._bounds.first_s, over=over)

    def _make_room(self) -> None:
        """Of too many handshakes the one begun first has to go: one that is meant takes milliseconds."""
        if len(self._shaking) >= self._bounds.handshakes:
            oldest = next(iter(self._shaking))
            del self._shaking[oldest]
            oldest.cut()

    async def _watch(self) -> None:
        """End those whose time is over, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for guest in self._places.overdue(self._loop.time()):
                guest.cut()


async def listen(
    handler: Handler,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008 - immutable
    make: MakeConnection = Connection,
    **options: Any,
) -> Listener:
    """Serve `handler` on every address of `host` ('' for all of the machine's), `port`. Raises OSError.

    `make` makes connections of one's own kind; `options` are aiohttp's for each of them.
    """
    manager = web.Server(_mark_busy(handler))

    def make_connection(guest: Guest, places: Places) -> Connection:
        return make(manager, guest=guest, places=places, bounds=bounds, **options)

    async def end(seconds: float) -> None:
        manager.pre_shutdown()
        await manager.shutdown(seconds)

    return Listener(await bind_sockets(host, port), tls=tls, bounds=bounds, make=make_connection, end=end)


async def _for_ever(job: Callable[[], Awaitable[None]]) -> None:
    """Whatever ends it, it begins again: a port that takes nobody in is worse than one connection lost."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("taking connections failed; it begins again")
            await asyncio.sleep(PAUSE)


def _mark_busy(handler: Handler) -> Handler:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        return await connection.answering(handler, request)

    return answer


async def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host`, all on one port.

    `0.0.0.0`, `::` and '' mean every address of both families, as with Kubernetes' own --bind-address.
    """
    loop, named = asyncio.get_running_loop(), None if host in UNSPECIFIED else host
    addresses = await loop.getaddrinfo(named, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in addresses):
        try:
            sockets.append(_listening(family, (address[0], sockets[0].getsockname()[1] if sockets else port)))
        except OSError as error:
            if error.errno not in _NO_FAMILY:
                for one in sockets:
                    one.close()
                raise
            missing = error
    if not sockets:
        raise missing or OSError(errno.EADDRNOTAVAIL, f"{host}: no such address")
    return sockets


def _listening(family: int, address: tuple[Any, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)  # may fail with EAFNOSUPPORT
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)
        one.bind(address)
        one.listen(BACKLOG)
    except OSError as error:
        one.close()
        raise OSError(error.errno, f"{address[0]}:{address[1]}: {(error.strerror or 'no').lower()}") from None
    return one
