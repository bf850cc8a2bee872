"""The span of a request: OpenTelemetry's conventions for an HTTP server, and whose word counts as its parent."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from adapter import spans
from adapter.serve.authenticate import ANONYMOUS, User
from adapter.serve.discovery import CUSTOM, EXTERNAL, RESOURCE
from adapter.serve.health import ENDPOINTS
from adapter.serve.requestinfo import RequestInfo
from adapter.serve.status import StatusError

PATH = 256
"""Characters of a path that are told: it has names that a caller made up, but no parameters."""
_GROUPS = (CUSTOM, EXTERNAL, RESOURCE)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


@contextmanager
def trace_request(tracer: spans.Tracer, request: web.BaseRequest, info: RequestInfo, user: User) -> Iterator[None]:
    """A span around a request's answer. An anonymous `traceparent` is ignored: it could have us trace all."""
    if not tracer.traces or (info.segments and info.segments[0] in ENDPOINTS):  # the kubelet asks every few seconds
        yield
        return
    named = request.headers.getall("traceparent", ()) if user.name != ANONYMOUS.name else ()
    parent = spans.parent_of(named[0]) if len(named) == 1 else None
    refusal = None
    with tracer.trace(_name(info), _attributes(info), kind=spans.Kind.SERVER, parent=parent):
        try:
            yield
        except StatusError as error:  # an answer; whether it is a failure of ours, its code says
            note_status(error.code)
            refusal = error
    if refusal is not None:
        raise refusal


def note_status(code: int) -> None:
    """Note the answer's status in the span; only those from 500 on are failures of the server's own."""
    spans.note({"http.response.status_code": code})
    if code >= 500:
        spans.note_failure(str(code))


def _name(info: RequestInfo) -> str:
    method = info.method if info.method in _METHODS else "HTTP"
    return f"{method} /apis/{info.group}" if info.group in _GROUPS else method


def _attributes(info: RequestInfo) -> spans.Attributes:
    method = info.method if info.method in _METHODS else "_OTHER"
    attributes: dict[str, spans.Value] = {
        "http.request.method": method,
        "url.path": info.path[:PATH],
        "url.scheme": "https",
    }
    if info.namespace:
        attributes["k8s.namespace.name"] = info.namespace[:PATH]
    return attributes
