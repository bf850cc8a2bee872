"""Calls to the Kubernetes API: a path in, bytes or a typed object out, errors by meaning.

Objects come back in the type that the caller names, or as bytes. The client neither paces nor retries calls: that is
the caller's policy. Two repairs are its own, since no caller could do better: a GET whose kept-alive connection the
server had just dropped is sent again (aiohttp does that), and so is a call whose credentials were refused, once, with
fresh ones.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from types import MappingProxyType, TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar, overload

import aiohttp
import msgspec
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from adapter.kube import errors
from adapter.kube.config import Connection
from adapter.kube.decoding import decode, decode_items
from adapter.kube.errors import Gone, KubeError, Skipped, Undecodable, Unreachable
from adapter.kube.lines import Lines
from adapter.kube.objects import ListMeta, Model

T = TypeVar("T")

JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

MAX_BODY = 256 * 2**20
"""Bytes of one answer. A page of 500 pods has about 5 MB; etcd's limit makes 1.5 MB the largest object."""
MAX_REFUSAL = 2**16
"""Bytes that are read of a refusal."""
DECODE_BATCH = 200
"""Objects decoded between two turns of the loop: about 5 ms of pods."""

Parameters = Mapping[str, str]
NONE: Parameters = MappingProxyType({})


class Listing(NamedTuple, Generic[T]):
    """A whole collection and the version from which a watch continues it."""

    items: list[T]
    resource_version: str
    skipped: tuple[Skipped, ...] = ()
    """Objects that are not among `items`, since they are none of that type."""


class _Page(Model, frozen=True):
    metadata: ListMeta = ListMeta()
    items: tuple[msgspec.Raw, ...] = ()


class Client:
    """One API server's client; an async context manager. Every method raises KubeError and nothing else of its own."""

    def __init__(self, connection: Connection, *, timeout: float = 30.0) -> None:
        """`timeout`: seconds for a whole call, unless the call says otherwise."""
        self.connection = connection
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self.connection.tls or True, socket_factory=_keepalive_socket)
        # Answers are not compressed: the network inside a cluster is faster than the API server's gzip.
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": "streamgate", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    @overload
    async def get(
        self, path: str, kind: type[T], *, params: Parameters = ..., accept: str = ..., timeout: float | None = ...
    ) -> T: ...

    @overload
    async def get(
        self, path: str, kind: None = ..., *, params: Parameters = ..., accept: str = ..., timeout: float | None = ...
    ) -> bytes: ...

    async def get(
        self,
        path: str,
        kind: type[T] | None = None,
        *,
        params: Parameters = NONE,
        accept: str = JSON,
        timeout: float | None = None,
    ) -> T | bytes:
        """The object at `path`, as a `kind`, or its bytes."""
        body = await self._call(_Request("GET", path, timeout or self._timeout, params, accept))
        return decode(body, kind) if kind else body

    async def date(self) -> float:
        """The server's own clock, Unix s, to the second (RFC 9110, Date). Raises Undecodable where it tells none."""
        request = _Request("GET", "/version", self._timeout)
        answer = await self._open(request, aiohttp.ClientTimeout(total=request.timeout))
        try:
            if answer.status == 401:
                raise await _refusal(answer, request)
            return parsedate_to_datetime(answer.headers[hdrs.DATE]).timestamp()
        except (KeyError, ValueError, TypeError) as error:
            raise Undecodable(f"{request}: the answer has no Date that can be read") from error
        finally:
            answer.release()

    async def list(
        self, path: str, kind: type[T], *, params: Parameters = NONE, accept: str = JSON, page: int = 500
    ) -> Listing[T]:
        """The whole collection at `path`, fetched in pages.

        A continue token that expires under way (410) starts the list over, once; a second time it is raised as Gone.
        An object that is no `kind` is logged and told as skipped: one strange object must not hide all the others.
        """
        try:
            return await self._list(path, kind, params, accept, page)
        except Gone:
            return await self._list(path, kind, params, accept, page)

    async def create(self, path: str, body: Any, kind: type[T], *, timeout: float | None = None) -> T:
        """POST: makes what `body` says under the collection at `path`; the answer as a `kind`."""
        request = _Request("POST", path, timeout or self._timeout, body=_encode(body))
        return decode(await self._call(request), kind)

    async def replace(self, path: str, body: Any, kind: type[T], *, timeout: float | None = None) -> T:
        """PUT: `body` in place of what is at `path`; its resourceVersion, if any, guards against lost updates."""
        request = _Request("PUT", path, timeout or self._timeout, body=_encode(body))
        return decode(await self._call(request), kind)

    async def patch(
        self,
        path: str,
        body: Any,
        kind: type[T],
        *,
        content: str = MERGE_PATCH,
        params: Parameters = NONE,
        timeout: float | None = None,
    ) -> T:
        """PATCH with a body of media type `content`."""
        request = _Request("PATCH", path, timeout or self._timeout, params, body=_encode(body), content=content)
        return decode(await self._call(request), kind)

    async def delete(self, path: str, *, body: Any = None, timeout: float | None = None) -> None:
        """DELETE what is at `path`; `body` is a metav1.DeleteOptions."""
        await self._call(_Request("DELETE", path, timeout or self._timeout, body=_encode(body)))

    @asynccontextmanager
    async def stream(self, path: str, *, params: Parameters = NONE, accept: str = JSON) -> AsyncIterator[Lines]:
        """The lines of a watch of `path`, for as long as the server and the body of the `async with` like."""
        request = _Request("GET", path, self._timeout, {**params, "watch": "true"}, accept)
        answer = await self._open(request, aiohttp.ClientTimeout(total=None, sock_connect=self._timeout))
        try:
            if answer.status >= 300:
                raise await _refusal(answer, request)
            yield Lines(answer.content, f"WATCH {path}")
        finally:
            answer.close()  # An endless answer cannot be read to its end, so its connection is not kept.

    # ------------------------------------------------------------------------------------------------------- within

    async def _list(self, path: str, kind: type[T], params: Parameters, accept: str, page: int) -> Listing[T]:
        items: list[T] = []
        skipped: list[Skipped] = []
        token = ""
        while True:
            asked = {**params, "limit": str(page)} | ({"continue": token} if token else {})
            answer = decode(await self._call(_Request("GET", path, self._timeout, asked, accept)), _Page)
            for start in range(0, len(answer.items), DECODE_BATCH):
                good, bad = decode_items(answer.items[start : start + DECODE_BATCH], kind, path)
                items += good
                skipped += bad
                await asyncio.sleep(0)
            token = answer.metadata.continue_
            if not token:
                return Listing(items, answer.metadata.resource_version, tuple(skipped))

    async def _call(self, request: "_Request") -> bytes:
        answer = await self._open(request, aiohttp.ClientTimeout(total=request.timeout))
        try:
            if answer.status >= 300:
                raise await _refusal(answer, request)
            return await _read_body(answer, request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(request, error) from error
        finally:
            answer.release()

    async def _open(self, request: "_Request", timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """The answer, headers read; with fresh credentials where the first were refused."""
        answer = await self._send(request, timeout, refused=False)
        if answer.status != 401 or not self.connection.credentials.renewable:
            return answer
        answer.release()
        return await self._send(request, timeout, refused=True)

    async def _send(
        self, request: "_Request", timeout: aiohttp.ClientTimeout, *, refused: bool
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the Client must be entered (async with) before it is used")
        headers = CIMultiDict(await self.connection.credentials.headers(refused))
        headers["Accept"] = request.accept
        if request.body is not None:
            headers["Content-Type"] = request.content
        url = URL(self.connection.server + request.path, encoded=True)
        try:
            async with asyncio.timeout(request.timeout):
                return await self._session.request(
                    request.verb,
                    url.update_query(dict(request.params)),
                    headers=headers,
                    data=request.body,
                    timeout=timeout,
                    allow_redirects=False,  # a redirect would carry our credentials to wherever it points
                    proxy=self.connection.proxy or None,
                    server_hostname=self.connection.server_name or None,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(request, error) from error


class _Request(NamedTuple):
    verb: str
    path: str
    timeout: float
    params: Parameters = NONE
    accept: str = JSON
    body: bytes | None = None
    content: str = JSON

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


def _encode(body: Any) -> bytes | None:
    return body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)


async def _read_body(answer: aiohttp.ClientResponse, request: _Request) -> bytes:
    """The answer's body. Raises Undecodable as soon as it has more than MAX_BODY bytes."""
    chunks, size = [], 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY:
            raise Undecodable(f"{request}: the answer has more than {MAX_BODY} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _refusal(answer: aiohttp.ClientResponse, request: _Request) -> KubeError:
    """What a refusal means. Its body is a small Status; of anything else the beginning is enough."""
    try:
        async with asyncio.timeout(request.timeout):
            body = await answer.content.read(MAX_REFUSAL)
            while not answer.content.at_eof() and len(body) < MAX_REFUSAL:
                body += await answer.content.read(MAX_REFUSAL - len(body))
    except (aiohttp.ClientError, TimeoutError, OSError):
        body = b""
    after = answer.headers.get("Retry-After", "")
    return errors.from_response(answer.status, body, str(request), float(after) if after.isdecimal() else None)


def _unreachable(request: _Request, error: Exception) -> Unreachable:
    said = f"no answer within {request.timeout:g} s" if isinstance(error, TimeoutError) else str(error)[:256]
    return Unreachable(f"{request}: {said or type(error).__name__}")


def _keepalive_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket with TCP keepalive after 30 s of silence, so that a dead peer is noticed within 45 s."""
    made = socket.socket(*info[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # not all platforms name them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return made
