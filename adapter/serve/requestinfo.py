"""What a request is about, as Kubernetes' authorisation sees it (k8s.io/apiserver, endpoints/request). Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from adapter.rooms import Room

MAX_PARAMETERS = 32
"""More query parameters than any client sends."""

REQUEST_BYTES = 8 * 2**20
"""Of all requests whose reading is remembered."""
MAX_REMEMBERED = 512
"""Characters up to which what a request says is remembered: an HPA asks the same every 15 s."""

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WITH_SELECTORS = ("list", "watch", "deletecollection")
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


class RequestError(ValueError):
    """A request line that cannot be read; the text is one sentence."""


class RequestInfo(NamedTuple):
    """One request. Resource fields are empty where `is_resource` is False."""

    method: str
    path: str
    """Decoded, without the query."""
    segments: tuple[str, ...]
    """The decoded path, split at '/' before decoding; a trailing slash leaves no segment, a double one an empty one."""
    query: Mapping[str, Sequence[str]]
    verb: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()
    """The segments from the resource on."""
    field_selector: str = ""
    label_selector: str = ""

    def parameter(self, name: str) -> str:
        """The first value of a query parameter, or ''."""
        values = self.query.get(name)
        return values[0] if values else ""


_remembered: Room[tuple[str, str], RequestInfo] = Room("requests", REQUEST_BYTES)


def read_request(method: str, raw_path: str) -> RequestInfo:
    """What `method` on `raw_path` (path and query as sent) is about. Raises RequestError."""
    if len(raw_path) > MAX_REMEMBERED or len(method) > MAX_REMEMBERED:
        return _read(method, raw_path)
    if (known := _remembered.get((method, raw_path))) is not None:
        return known
    info = _read(method, raw_path)
    return _remembered.put((method, raw_path), info, _weight(info, raw_path))


def _weight(info: RequestInfo, raw_path: str) -> int:
    """Bytes, estimated from above: texts that are there up to six times, and what holds them."""
    return 2048 + 6 * 4 * len(raw_path) + 256 * (2 * len(info.segments) + 2 * len(info.query))


def _read(method: str, raw_path: str) -> RequestInfo:
    raw, _, raw_query = printable(raw_path).partition("?")
    if not raw.startswith("/"):
        raise RequestError("the request path must start with '/'")
    segments = _segments(raw)
    path = unquote(raw) if "%" in raw else raw
    base = RequestInfo(method=method, path=path, segments=segments, query=_query(raw_query), verb=method.lower())
    if len(segments) < 4 or segments[0] != "apis" or "" in segments:
        return base
    return _resource_request(base)


def printable(text: str) -> str:
    """`text` from a request as proper Unicode: bytes that are no UTF-8, which aiohttp keeps as surrogates, become �."""
    return text if text.isascii() else text.encode(errors="surrogateescape").decode(errors="replace")


def _segments(raw: str) -> tuple[str, ...]:
    inner = raw[1:].removesuffix("/")
    if not inner:
        return () if raw == "/" else ("",)
    return tuple(unquote(segment) if "%" in segment else segment for segment in inner.split("/"))


def _query(raw: str) -> Mapping[str, Sequence[str]]:
    if not raw:
        return {}
    try:
        return parse_qs(raw, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise RequestError(f"the query has more than {MAX_PARAMETERS} parameters") from None


def _resource_request(base: RequestInfo) -> RequestInfo:
    _, group, version, *rest = base.segments
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource, name, subresource = (*rest, "", "", "")[:3]
    verb = _VERBS.get(base.method, "")
    if not name:
        verb, name = _collection(base, verb)
    selectors = verb in _WITH_SELECTORS
    return base._replace(
        verb=verb,
        is_resource=True,
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
        parts=tuple(rest),
        field_selector=base.parameter("fieldSelector") if selectors else "",
        label_selector=base.parameter("labelSelector") if selectors else "",
    )


def _collection(base: RequestInfo, verb: str) -> tuple[str, str]:
    """Verb and name of a request without a name in its path."""
    if verb == "delete":
        return "deletecollection", ""
    if verb != "get":
        return verb, ""
    name = _name_from_field(base.parameter("fieldSelector"))
    return ("watch" if truthy(base, "watch") else "list"), name


def truthy(info: RequestInfo, parameter: str) -> bool:
    """Whether a boolean query parameter is set, as Kubernetes reads it: present and neither 'false' nor '0'."""
    return parameter in info.query and info.parameter(parameter).lower() not in ("false", "0")


def _name_from_field(selector: str) -> str:
    """The name in `metadata.name=…`, where a field selector has that."""
    for term in selector.split(","):
        key, equals, value = term.partition("=")
        if key == "metadata.name" and equals:
            name = value.removeprefix("=")
            return "" if name in ("", ".", "..") or "/" in name or "%" in name else name
    return ""
