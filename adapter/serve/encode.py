"""From an object of the API to the bytes of an HTTP answer: JSON, YAML, protobuf, pretty or zipped."""

import asyncio
import zlib
from collections.abc import Mapping

import msgspec
import yaml
from aiohttp import web

from adapter.serve import protobuf
from adapter.serve.negotiate import Choice, Media
from adapter.serve.wire import Object

GZIP_FROM = 128 * 1024
"""Bytes from which on an answer is zipped, as in Kubernetes' API server: smaller ones cost more than they save."""
_GZIP_LEVEL = 1
_IN_THREAD_FROM = 1024 * 1024
"""Bytes from which on zipping would hold the event loop for more than some 10 ms."""

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


async def zipped(answer: web.Response) -> web.Response:
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
