"""From an object of the API to the bytes of an HTTP answer: JSON, YAML, protobuf, pretty or zipped."""

import asyncio
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
import yaml
from aiohttp import web

from adapter.serve import protobuf
from adapter.serve.negotiate import Choice, Media
from adapter.serve.wire import ItemList, Object

T = TypeVar("T")

GZIP_FROM = 128 * 1024
"""Bytes from which on an answer is zipped, as in Kubernetes' API server: smaller ones cost more than they save."""
_GZIP_LEVEL = 1
_IN_THREAD_FROM = 1024 * 1024
"""Bytes from which on zipping would hold the event loop for more than some 10 ms."""

BATCH = 250
"""Items of a list that are built or written in one turn of the event loop: about 5 ms of protobuf."""

_ALWAYS = {"Cache-Control": "no-cache, private", "Server": "streamgate"}
_JSON = msgspec.json.Encoder(enc_hook=str)


def to_bytes(message: object, choice: Choice) -> bytes:
    """The body of an answer; `message` is a Struct of `wire`, or for JSON and YAML anything built in.

    Raises KeyError where protobuf is wanted of an object that has none: ask `protobuf.supports` first.
    """
    if choice.media is Media.PROTOBUF:
        assert isinstance(message, Object)
        return protobuf.envelope(message)
    if choice.media is Media.YAML:
        return to_yaml(message)
    return to_json(message, choice.pretty)


async def to_bytes_in_turns(message: object, choice: Choice) -> bytes:
    """`to_bytes`, but a long list is written piece by piece, so that the event loop is never held for long."""
    if not isinstance(message, ItemList) or len(message.items) <= BATCH:
        return to_bytes(message, choice)
    if choice.media is Media.YAML:
        return await asyncio.to_thread(to_yaml, message)
    pieces: list[bytes] = []
    for batch in batches(message.items):
        pieces.append(protobuf.items(batch) if choice.media is Media.PROTOBUF else _JSON.encode(batch)[1:-1])
        await asyncio.sleep(0)
    if choice.media is Media.PROTOBUF:
        return protobuf.list_envelope(message, pieces)
    start = _JSON.encode(msgspec.structs.replace(message, items=()))[: -len(b"]}")]
    body = start + b",".join(pieces) + b"]}"
    return (msgspec.json.format(body, indent=2) if choice.pretty else body) + b"\n"


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """`items` in pieces of BATCH."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def to_json(message: object, pretty: bool = False) -> bytes:
    """JSON with a newline at the end; `pretty` with two spaces."""
    body = _JSON.encode(message)
    return (msgspec.json.format(body, indent=2) if pretty else body) + b"\n"


def to_yaml(message: object) -> bytes:
    """YAML with sorted keys."""
    plain = msgspec.to_builtins(message, enc_hook=str)
    text: str = yaml.dump(plain, Dumper=yaml.CSafeDumper, default_flow_style=False, allow_unicode=True)
    return text.encode()


def response(
    body: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer that no cache may keep."""
    merged = {**_ALWAYS, "Content-Type": content_type, **(headers or {})}
    return web.Response(body=body, status=status, headers=merged)


async def compress(answer: web.Response) -> web.Response:
    """The same answer with gzip; large bodies are zipped in a thread, since zlib frees the interpreter."""
    body = answer.body
    assert isinstance(body, bytes)
    answer.body = _gzip(body) if len(body) < _IN_THREAD_FROM else await asyncio.to_thread(_gzip, body)
    answer.headers["Content-Encoding"] = "gzip"
    answer.headers.add("Vary", "Accept-Encoding")
    return answer


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packer.compress(body) + packer.flush()
