"""OTLP over HTTP: POST /v1/metrics, protobuf or JSON, plain or gzip."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext

from aiohttp import hdrs, web
from google.protobuf import json_format

from adapter.inbound.connection import Connection, Handler
from adapter.inbound.listener import listen
from adapter.inbound.places import Bounds
from adapter.metrics.bounded import BodyError, BodySizeError, inflate, read_body
from adapter.metrics.otlp.measure import OtlpError
from adapter.metrics.otlp.receive import Busy, Intake

PORT = 4318
PATH = "/v1/metrics"
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_GZIP_MAGIC = b"\x1f\x8b"


@asynccontextmanager
async def serve_http(
    intake: Intake,
    host: str,
    port: int = PORT,
    tls: SSLContext | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008 - immutable
) -> AsyncIterator[int]:
    """The OTLP/HTTP door while the context lasts; gives the port, chosen by the system where `port` is 0.

    Raises OSError where the address cannot be bound.
    """
    listener = await listen(http_handler(intake), host, port, tls=tls, bounds=bounds)
    try:
        yield listener.port
    finally:
        await listener.close(1.0)


def http_handler(intake: Intake) -> Handler:
    """The handler of all requests; one that is taken makes its connection a known one."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != PATH:
            return web.Response(status=404, text=f"only {PATH} is here\n")
        if request.method != hdrs.METH_POST:
            return web.Response(status=405, text="only POST is taken here\n", headers={hdrs.ALLOW: hdrs.METH_POST})
        is_json = request.content_type == _JSON
        if not is_json and request.content_type != _PROTOBUF:
            return _refusal(415, f"the content type must be {_PROTOBUF} or {_JSON}", is_json)
        try:
            return await _receive(intake, request, is_json)
        except Busy as error:
            return _refusal(503, str(error), is_json, {hdrs.RETRY_AFTER: "1"})
        except TimeoutError:
            return _refusal(408, f"the body must arrive within {intake.limits.read_s:g} s", is_json)
        except BodySizeError as error:
            return _refusal(413, str(error), is_json)
        except (BodyError, OtlpError) as error:
            return _refusal(400, str(error), is_json)

    return handle


async def _receive(intake: Intake, request: web.BaseRequest, is_json: bool) -> web.Response:
    async with intake.place(), intake.counting(request.content.iter_any()) as chunks:
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").lower()
        if encoding not in ("", "identity", "gzip"):
            raise BodyError(f"the content encoding must be gzip or none, not {encoding[:20]!r}")
        async with intake.arriving():
            body = await read_body(chunks, intake.limits.body_bytes)
        if encoding == "gzip" and body.startswith(_GZIP_MAGIC):  # no message and no JSON begins so
            body = await inflate(body, intake.limits.body_bytes)
        response = await intake.take(body, is_json)
    if isinstance(request.protocol, Connection):
        request.protocol.note_authenticated()
    if is_json:
        return web.Response(text=json_format.MessageToJson(response, indent=None), content_type=_JSON)
    return web.Response(body=response.SerializeToString(), content_type=_PROTOBUF)


def _refusal(status: int, message: str, is_json: bool, headers: dict[str, str] | None = None) -> web.Response:
    """A google.rpc.Status, in the encoding of the request, with the message alone."""
    if is_json:
        return web.json_response({"message": message}, status=status, headers=headers)
    text = message.encode()[:1000]
    length = bytes([len(text)]) if len(text) < 128 else bytes([len(text) & 127 | 128, len(text) >> 7])
    return web.Response(body=b"\x12" + length + text, status=status, content_type=_PROTOBUF, headers=headers)
