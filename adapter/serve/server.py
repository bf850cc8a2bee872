"""The aggregated API server: every request goes through `Server.handle`.

Who asks (authenticate), whether he may (authorize), what he asks (requestinfo, questions), the answer (values,
discovery, openapi, health), its form (negotiate, encode). Whatever goes wrong ends in a Status, and only here in the log.
"""

import asyncio
import hashlib
import platform
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from adapter.collect.answer import Answers
from adapter.serve import openapi, protobuf
from adapter.serve.authenticate import ANONYMOUS, Authentication, Caller, User
from adapter.serve.authorize import PRIVILEGED, Authorization, attributes_of
from adapter.serve.connection import Connection, Listener, listen
from adapter.serve.discovery import RESOURCE, VERSIONS, Discovery, etag
from adapter.serve.encode import GZIP_FROM, response, to_bytes, to_json, zipped
from adapter.serve.health import ENDPOINTS, health
from adapter.serve.negotiate import (
    AS_IS,
    DISCOVERY,
    MEDIA_TYPES,
    TABLES,
    Choice,
    Media,
    Transform,
    accepts_gzip,
    negotiate,
)
from adapter.serve.questions import custom_question
from adapter.serve.requestinfo import RequestError, RequestInfo, read_request, truthy
from adapter.serve.status import (
    StatusError,
    bad_request,
    internal,
    method_not_allowed,
    no_such_path,
    not_acceptable,
    timed_out,
    too_many_requests,
)
from adapter.serve.table import table
from adapter.serve.telemetry import Telemetry
from adapter.serve.tls import Tls
from adapter.serve.values import Values
from adapter.serve.wire import Object, RootPaths, VersionInfo

_NOSNIFF = {"X-Content-Type-Options": "nosniff"}
_TEXT = "text/plain; charset=utf-8"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_JSON = Choice(Media.JSON)

_log = structlog.get_logger(__name__)


class Limits(NamedTuple):
    """What one server bears."""

    requests: int = 400
    """In progress at once, above which others than system:masters get 429; twice as many are refused unread."""
    seconds: float = 10.0
    """For one request."""


class _Exchange(NamedTuple):
    """A request on its way through."""

    request: web.BaseRequest
    info: RequestInfo
    user: User

    @property
    def accept(self) -> str:
        return ", ".join(self.request.headers.getall("Accept", ()))


class Server:
    """Answers HTTP requests from `answers`. See `serve` for how it gets a port."""

    def __init__(
        self,
        answers: Answers,
        authentication: Authentication,
        authorization: Authorization,
        *,
        registry: CollectorRegistry | None = None,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        release: str = "0.0.0",
    ) -> None:
        """`registry` is what /metrics shows; `release` is our own version."""
        self._answers = answers
        self._authentication = authentication
        self._authorization = authorization
        self._limits = limits
        self._release = release
        self._values = Values(answers)
        self._discovery = Discovery(answers)
        self._documents: dict[str, tuple[bytes, str]] = {}
        self._in_flight = 0
        self.telemetry = Telemetry(registry or CollectorRegistry())
        self.stopping = False
        """Set before the port is closed: /readyz then fails, so that no new connections come."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request; never raises but for cancellation."""
        started = time.perf_counter()
        info = None
        self._in_flight += 1
        self.telemetry.in_flight.set(self._in_flight)
        try:
            info = _read(request)
            answer = await self._within_limits(request, info)
        except StatusError as error:
            answer = _failure(request, error)
        except Exception:  # noqa: BLE001 - a fault of ours must become an answer; the log has it all
            _log.exception("a request failed", method=request.method, path=request.path[:1024])
            answer = _failure(request, internal())
        finally:
            self._in_flight -= 1
        self._count(info, answer.status, time.perf_counter() - started)
        return answer

    async def _within_limits(self, request: web.BaseRequest, info: RequestInfo) -> web.Response:
        if self._in_flight > 2 * self._limits.requests and info.segments[:1] not in _HEALTH:
            self.telemetry.refused.inc()
            raise too_many_requests()
        try:
            async with asyncio.timeout(self._limits.seconds) as limit:
                user = await self._identify(request)
                self._admit(user, info)
                await self._allow(user, info)
                answer = await self._answer(_Exchange(request, info, user))
                if answer.content_length and answer.content_length >= GZIP_FROM and _takes_gzip(request):
                    return await zipped(answer)
                return answer
        except TimeoutError:
            if limit.expired():
                raise timed_out(self._limits.seconds) from None
            raise

    async def _identify(self, request: web.BaseRequest) -> User:
        connection = request.protocol
        presented = connection.presented if isinstance(connection, Connection) else None
        try:
            user = await self._authentication.authenticate(Caller(request.headers, presented))
        except StatusError as error:
            self.telemetry.authenticated("refused" if error.code == 401 else "error")
            raise
        self.telemetry.authenticated("anonymous" if user.name == ANONYMOUS.name else "known")
        return user

    def _admit(self, user: User, info: RequestInfo) -> None:
        """Only the aggregator's own probes and the probes of the kubelet come through above the limit."""
        exempt = PRIVILEGED in user.groups or info.segments[:1] in _HEALTH
        if self._in_flight > self._limits.requests and not exempt:
            self.telemetry.refused.inc()
            raise too_many_requests()

    async def _allow(self, user: User, info: RequestInfo) -> None:
        try:
            await self._authorization.check(attributes_of(info, user))
        except StatusError as error:
            self.telemetry.authorized("denied" if error.code == 403 else "error")
            raise
        self.telemetry.authorized("allowed")

    # ---- what was asked for

    async def _answer(self, exchange: _Exchange) -> web.Response:
        match exchange.info.segments:
            case ("apis", group, version, _, *_):
                return await self._resource(exchange, group, version)
            case ("apis", *rest):
                return self._discover(exchange, rest)
            case ("openapi", *rest):
                return self._openapi(exchange, rest)
            case ("explain", *_):
                return await self._explain(exchange)
            case (endpoint, *_) if endpoint in ENDPOINTS:
                status, text = health(exchange.info, self._checks(endpoint))
                return response(text.encode(), _TEXT, status, _NOSNIFF)
            case ("metrics",):
                return self._metrics(exchange)
            case ("version",):
                return _json(exchange, _version(self._release))
            case ():
                return _json(exchange, RootPaths(self._paths()))
            case _:
                raise no_such_path()

    async def _resource(self, exchange: _Exchange, group: str, version: str) -> web.Response:
        info = exchange.info
        if not info.is_resource or not self._serves(group, version):
            raise no_such_path()
        _only_get(info)
        choice = _agree(exchange, TABLES if group == RESOURCE else ())
        message = await self._values.answer(info, exchange.user.name)
        self._note_age(group, message)
        if choice.transform != AS_IS:
            message = table(message, choice.transform.version, info.parameter("includeObject"))
        return response(to_bytes(message, choice), choice.media.value)

    def _discover(self, exchange: _Exchange, rest: list[str]) -> web.Response:
        _only_get(exchange.info)
        choice = _agree(exchange, () if rest else DISCOVERY)
        message: Object
        match rest:
            case [] if choice.transform != AS_IS:
                return self._aggregated(exchange, choice)
            case []:
                message = self._discovery.group_list()
            case [group] if group in self._discovery.groups:
                message = self._discovery.group(group)
            case [group, version] if self._serves(group, version):
                message = self._discovery.resources(group, version)
            case _:
                raise no_such_path()
        return response(to_bytes(message, choice), choice.media.value)

    def _aggregated(self, exchange: _Exchange, choice: Choice) -> web.Response:
        version = choice.transform.version
        body = to_bytes(self._discovery.aggregated(version), choice)
        kind = f"{choice.media.value};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return _document(exchange, body, kind, {"Vary": "Accept"})

    def _openapi(self, exchange: _Exchange, rest: list[str]) -> web.Response:
        _only_get(exchange.info)
        choice = negotiate(exchange.accept)
        if choice is None or choice.media is Media.YAML or exchange.accept == Media.PROTOBUF.value:
            raise not_acceptable([Media.JSON.value])
        match rest:
            case ["v2"]:
                body, _ = self._built("v2", lambda: openapi.v2(self._discovery.groups, self._release))
            case ["v3"]:
                body, _ = self._built("v3", self._openapi_index)
            case ["v3", "apis", group, version] if self._serves(group, version):
                body, _ = self._openapi_v3(group, version)
            case _:
                raise no_such_path()
        return _document(exchange, body, Media.JSON.value, {"Vary": "Accept, Accept-Encoding"})

    def _openapi_index(self) -> Mapping[str, Any]:
        paths = {}
        for group in self._discovery.groups:
            for version in VERSIONS[group]:
                path = f"apis/{group}/{version}"
                _, digest = self._openapi_v3(group, version)
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
        return {"paths": paths}

    def _openapi_v3(self, group: str, version: str) -> tuple[bytes, str]:
        return self._built(f"{group}/{version}", lambda: openapi.v3(group, version, self._release))

    def _built(self, name: str, build: Any) -> tuple[bytes, str]:
        """A document that never changes while we run, and its digest."""
        if name not in self._documents:
            body = to_json(build())
            self._documents[name] = body, hashlib.sha256(body).hexdigest().upper()
        return self._documents[name]

    async def _explain(self, exchange: _Exchange) -> web.Response:
        _only_get(exchange.info)
        inner = exchange.request.raw_path.removeprefix("/explain/")
        info = read_request("GET", f"/apis/explain/v1/{inner}")
        if not info.is_resource:
            raise no_such_path()
        question = custom_question(info, exchange.user.name)
        body = to_json(self._answers.explain(question), pretty=True)
        return response(body, Media.JSON.value)

    def _metrics(self, exchange: _Exchange) -> web.Response:
        encoder, content_type = choose_encoder(exchange.accept)
        return response(encoder(self.telemetry.registry), content_type)

    def _checks(self, endpoint: str) -> Mapping[str, str]:
        checks = {"ping": ""}
        if endpoint == "readyz":
            checks |= self._answers.readiness()
            checks["shutdown"] = "the server is stopping" if self.stopping else ""
        return checks

    def _serves(self, group: str, version: str) -> bool:
        return group in self._discovery.groups and version in VERSIONS[group]

    def _paths(self) -> list[str]:
        apis = [f"/apis/{group}" for group in self._discovery.groups]
        apis += [f"/apis/{group}/{version}" for group in self._discovery.groups for version in VERSIONS[group]]
        health_paths = [f"/{endpoint}/{check}" for endpoint in ENDPOINTS for check in self._checks(endpoint)]
        plain = [
            "/apis",
            "/explain",
            "/healthz",
            "/livez",
            "/metrics",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        return sorted([*apis, *health_paths, *plain])

    # ---- what is told of it

    def _note_age(self, group: str, message: Object) -> None:
        items = getattr(message, "items", None)
        times = [item.timestamp for item in items] if items is not None else [message.timestamp]
        if times:
            self.telemetry.served(group, time.time() - min(times).timestamp())

    def _count(self, info: RequestInfo | None, code: int, seconds: float) -> None:
        self.telemetry.in_flight.set(self._in_flight)
        known = info is not None and info.is_resource and self._serves(info.group, info.version)
        group, version = (info.group, info.version) if known and info else ("", "")
        self.telemetry.request(group, version, info.verb if info else "", code, seconds)


async def serve(server: Server, host: str, port: int, tls: Tls | None) -> Listener:
    """Open `host`:`port` for `server`. Without `tls` it speaks plain HTTP, which is for tests. Raises OSError."""
    listener = await listen(server.handle, host, port, tls)
    server.telemetry.connections.set_function(lambda: listener.connections)
    return listener


_HEALTH = tuple((endpoint,) for endpoint in ENDPOINTS)


def _read(request: web.BaseRequest) -> RequestInfo:
    try:
        return read_request(request.method, request.raw_path)
    except RequestError as error:
        raise bad_request(str(error)) from error


def _only_get(info: RequestInfo) -> None:
    if info.method != "GET":
        raise method_not_allowed("the server does not allow this method on the requested resource")


def _agree(exchange: _Exchange, transforms: tuple[Transform, ...]) -> Choice:
    """The form of the answer. Raises StatusError (406)."""
    choice = negotiate(exchange.accept, transforms)
    if choice is None:
        raise not_acceptable(MEDIA_TYPES)
    return choice._replace(pretty=True) if truthy(exchange.info, "pretty") else choice


def _takes_gzip(request: web.BaseRequest) -> bool:
    return accepts_gzip(request.headers.get("Accept-Encoding", ""))


def _json(exchange: _Exchange, message: object) -> web.Response:
    if exchange.info.method not in ("GET", "HEAD"):
        raise method_not_allowed("the server does not allow this method on the requested resource")
    return response(to_json(message, pretty=True), Media.JSON.value)


def _document(exchange: _Exchange, body: bytes, content_type: str, headers: Mapping[str, str]) -> web.Response:
    """A document with an ETag, or 304 where the client has it already."""
    tag = etag(body)
    known = exchange.request.headers.get("If-None-Match", "")
    if known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(",")):
        return response(b"", content_type, 304, {"ETag": tag, **headers})
    return response(body, content_type, 200, {"ETag": tag, **headers})


def _failure(request: web.BaseRequest, error: StatusError) -> web.Response:
    """The Status of an error in the form that the client takes, JSON where it takes none of ours."""
    choice = negotiate(", ".join(request.headers.getall("Accept", ()))) or _JSON
    status = error.status()
    headers: dict[str, str] = {}
    if error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    if error.code == 403:
        headers |= _NOSNIFF
    if error.code == 405:
        headers["Allow"] = "GET"
    assert protobuf.supports(status)
    return response(to_bytes(status, choice), choice.media.value, error.code, headers)


def _version(release: str) -> VersionInfo:
    major, minor, *_ = (*release.split("."), "0", "0")
    machine = platform.machine()
    return VersionInfo(
        major,
        minor,
        f"v{release}",
        compiler=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{sys.platform}/{_MACHINES.get(machine, machine)}",
    )
