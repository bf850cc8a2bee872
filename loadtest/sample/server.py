"""A small HTTP/1.1 server: keep-alive, no bodies but small ones, several thousand requests a second on one core."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

MAX_HEAD, MAX_BODY = 32 * 1024, 64 * 1024
IDLE_S = 75.0
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
           500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True)
class Response:
    code: int = 200
    body: str = "ok\n"
    content_type: str = "text/plain; charset=utf-8"

    def encode(self, keep_alive: bool, head_only: bool) -> bytes:
        body = self.body.encode()
        head = (
            f"HTTP/1.1 {self.code} {REASONS.get(self.code, 'Unknown')}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        )
        return head.encode() + (b"" if head_only else body)


class BadRequestError(Exception):
    """What came in is no request that we serve; `.code` answers it, and the connection ends."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Listens, serves, and drains: `stop` lets requests that are under way end, and closes what is idle."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._idle: set[asyncio.StreamWriter] = set()
        self._busy = 0
        self._quiet = asyncio.Event()  # no request is under way
        self._quiet.set()
        self._stopping = False
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """The port that it listens on (another than 0)."""
        self._listener = await asyncio.start_server(self._connection, host, port, limit=MAX_HEAD, backlog=1024)
        return int(self._listener.sockets[0].getsockname()[1])

    def wind_down(self) -> None:
        """From now on every answer is its connection's last; new connections are still served."""
        self._stopping = True

    async def stop(self, seconds: float) -> None:
        self._stopping = True
        assert self._listener is not None
        self._listener.close()
        for writer in list(self._idle):
            writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quiet.wait()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._turn(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the other side left, or said nothing for long
        finally:
            self._idle.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection shall end."""
        self._idle.add(writer)
        try:
            async with asyncio.timeout(IDLE_S):
                head = await reader.readuntil(b"\r\n\r\n")
            self._idle.discard(writer)
            self._busy += 1
            self._quiet.clear()
            try:
                request = await parse(head, reader)
                response = await self._handler(request)
                keep = request.keep_alive and not self._stopping
                writer.write(response.encode(keep, request.method == "HEAD"))
                await writer.drain()
            finally:
                self._busy -= 1
                if not self._busy:
                    self._quiet.set()
        except BadRequestError as error:
            writer.write(Response(error.code, f"{error}\n").encode(False, False))
            return False
        except asyncio.LimitOverrunError:
            writer.write(Response(413, f"the request's head is larger than {MAX_HEAD} bytes\n").encode(False, False))
            return False
        return keep


async def parse(head: bytes, reader: asyncio.StreamReader) -> Request:
    """The request of this head; reads its body, which must have a Content-Length."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequestError(400, "the first line is not METHOD PATH HTTP/1.1")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if "transfer-encoding" in headers:
        raise BadRequestError(400, "a body must have a Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequestError(400, f"Content-Length {length[:20]!r} is no number")
    if int(length) > MAX_BODY:
        raise BadRequestError(413, f"the body is larger than {MAX_BODY} bytes")
    body = await reader.readexactly(int(length)) if length != "0" else b""
    try:
        url = urlsplit(words[1])
    except ValueError as error:
        raise BadRequestError(400, str(error)) from error
    default = "close" if words[2] == "HTTP/1.0" else "keep-alive"
    keep_alive = headers.get("connection", default).lower() == "keep-alive"
    return Request(words[0], url.path, dict(parse_qsl(url.query, keep_blank_values=True)), body, keep_alive)
