"""The aggregated API server: every request goes through `Server.handle`.

Who asks (authenticate), whether he may (authorize), what he asks (requestinfo, questions), the answer (values,
documents, health), its form (negotiate, encode). Whatever goes wrong ends in a Status, and faults of ours in the log.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from typing import NamedTuple

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from adapter.collect.answer import Answers
from adapter.faults import ends_program
from adapter.inbound.listener import Listener
from adapter.inbound.places import Bounds
from adapter.serve import protobuf
from adapter.serve.authenticate import ANONYMOUS, Authentication, Caller, User
from adapter.serve.authorize import PRIVILEGED, Authorization, attributes_of
from adapter.serve.connection import Connection, listen
from adapter.serve.discovery import RESOURCE
from adapter.serve.documents import Documents, Exchange, agree, only_get
from adapter.serve.encode import GZIP_FROM, compress, response, to_bytes, to_bytes_in_turns, to_json
from adapter.serve.health import ENDPOINTS, Readiness, health
from adapter.serve.negotiate import AS_IS, TABLES, Choice, Media, accepts_gzip, negotiate
from adapter.serve.requestinfo import RequestError, RequestInfo, read_request
from adapter.serve.status import (
    StatusError,
    bad_request,
    internal,
    no_such_path,
    timed_out,
    too_many_requests,
)
from adapter.serve.table import table
from adapter.serve.telemetry import Telemetry
from adapter.serve.tls import Tls
from adapter.serve.traced import note_status, trace_request
from adapter.serve.values import Values, oldest_moment
from adapter.serve.wire import Object
from adapter.spans import OFF, Tracer

_NOSNIFF = {"X-Content-Type-Options": "nosniff"}
_TEXT = "text/plain; charset=utf-8"
_JSON = Choice(Media.JSON)
_HEALTH = tuple((endpoint,) for endpoint in ENDPOINTS)

AUDIT_ID = "Audit-ID"
"""By which kube-apiserver's aggregator names a request that it passes on, as in its own audit log."""
_ID = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._]{0,63}\Z")

_log = structlog.get_logger(__name__)


class Limits(NamedTuple):
    """What one server bears."""

    requests: int = 400
    """In progress at once, above which others than system:masters get 429; twice as many are refused unread.

    0: no limit, as of kube-apiserver's flag of this name.
    """
    seconds: float = 10.0
    """For one request."""


class Server:
    """Answers HTTP requests from `answers`. See `serve` for how it gets a port."""

    def __init__(
        self,
        answers: Answers,
        authentication: Authentication,
        authorization: Authorization,
        *,
        readiness: Readiness | None = None,
        registry: CollectorRegistry | None = None,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        release: str = "0.0.0",
        tracer: Tracer = OFF,
    ) -> None:
        """`registry` is what /metrics shows; `release` is our own version."""
        self.readiness = readiness or Readiness()
        """What /readyz waits for."""
        self._authentication = authentication
        self._authorization = authorization
        self._limits = limits
        self._tracer = tracer
        self._values = Values(answers)
        self._documents = Documents(answers, release)
        self._in_flight = 0
        self.telemetry = Telemetry(registry or CollectorRegistry())
        self.stopping = False
        """Set before the port is closed: /readyz then fails, so that no new connections come."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request; never raises but for cancellation. Lines that are logged meanwhile bear its id."""
        with structlog.contextvars.bound_contextvars(request=request_id(request.headers.get(AUDIT_ID, ""))):
            return await self._handle(request)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.perf_counter()
        info = None
        self._in_flight += 1
        self.telemetry.in_flight.set(self._in_flight)
        try:
            info = _read(request)
            answer = await self._within_limits(request, info)
        except StatusError as error:
            answer = _failure(request, error)
        except BaseException as error:  # a fault of ours must become an answer; the log has it all
            if ends_program(error):
                raise
            _log.exception("a request failed", method=request.method, path=request.path[:1024])
            answer = _failure(request, internal())
        finally:
            self._in_flight -= 1
        self._count(info, answer.status, time.perf_counter() - started)
        return answer

    async def _within_limits(self, request: web.BaseRequest, info: RequestInfo) -> web.Response:
        if self._exceeds(2 * self._limits.requests) and info.segments[:1] not in _HEALTH:
            self.telemetry.refused.inc()
            raise too_many_requests()
        try:
            async with asyncio.timeout(self._limits.seconds) as limit:
                user = await self._identify(request)
                with trace_request(self._tracer, request, info, user):
                    return await self._authorize_and_answer(request, info, user)
        except TimeoutError:
            if limit.expired():
                raise timed_out(self._limits.seconds) from None
            raise

    async def _authorize_and_answer(self, request: web.BaseRequest, info: RequestInfo, user: User) -> web.Response:
        self._admit(user, info)
        await self._allow(user, info)
        answer = await self._answer(Exchange(request, info, user))
        note_status(answer.status)
        if answer.content_length and answer.content_length >= GZIP_FROM and _takes_gzip(request):
            return await compress(answer)
        return answer

    def _exceeds(self, limit: int) -> bool:
        return 0 < limit < self._in_flight

    async def _identify(self, request: web.BaseRequest) -> User:
        connection = request.protocol
        presented = connection.presented if isinstance(connection, Connection) else None
        try:
            user = await self._authentication.authenticate(Caller(request.headers, presented))
        except StatusError as error:
            self.telemetry.count_authentication("refused" if error.code == 401 else "error")
            raise
        known = user.name != ANONYMOUS.name
        if known and isinstance(connection, Connection):
            connection.note_authenticated()
        self.telemetry.count_authentication("known" if known else "anonymous")
        return user

    def _admit(self, user: User, info: RequestInfo) -> None:
        """Above the limit only the aggregator's probes (system:masters) and the kubelet's come through."""
        exempt = PRIVILEGED in user.groups or info.segments[:1] in _HEALTH
        if self._exceeds(self._limits.requests) and not exempt:
            self.telemetry.refused.inc()
            raise too_many_requests()

    async def _allow(self, user: User, info: RequestInfo) -> None:
        try:
            await self._authorization.check(attributes_of(info, user))
        except StatusError as error:
            self.telemetry.count_authorization("denied" if error.code == 403 else "error")
            raise
        self.telemetry.count_authorization("allowed")

    # ---- what was asked for

    async def _answer(self, exchange: Exchange) -> web.Response:
        match exchange.info.segments:
            case ("apis", group, version, _, *_):
                return await self._resource(exchange, group, version)
            case ("apis", *rest):
                return self._documents.discover(exchange, rest)
            case ("openapi", *rest):
                return self._documents.openapi(exchange, rest)
            case ("explain", *_):
                return await self._explain(exchange)
            case (endpoint, *_) if endpoint in ENDPOINTS:
                only_get(exchange.info)
                notes = self.readiness.notes() if endpoint == "readyz" else ()
                status, text = health(exchange.info, self._checks(endpoint), notes)
                return response(text.encode(), _TEXT, status, _NOSNIFF)
            case ("metrics",):
                return self._metrics(exchange)
            case ("version",):
                return self._documents.version(exchange)
            case ():
                return self._documents.paths(exchange, {name: tuple(self._checks(name)) for name in ENDPOINTS})
            case _:
                raise no_such_path()

    async def _resource(self, exchange: Exchange, group: str, version: str) -> web.Response:
        info = exchange.info
        if not info.is_resource or not self._documents.serves(group, version):
            raise no_such_path()
        only_get(info)
        choice = agree(exchange, TABLES if group == RESOURCE else ())
        message = await self._values.answer(info, exchange.user.name)
        self._note_age(group, message)
        if choice.transform != AS_IS:
            message = await table(message, choice.transform.version, info.parameter("includeObject"))
        return response(await to_bytes_in_turns(message, choice), choice.media.value)

    async def _explain(self, exchange: Exchange) -> web.Response:
        only_get(exchange.info)
        inner = exchange.request.raw_path.removeprefix("/explain/")
        info = read_request("GET", f"/apis/explain/v1/{inner}")
        if not info.is_resource:
            raise no_such_path()
        return response(to_json(await self._values.explain(info, exchange.user.name), pretty=True), Media.JSON.value)

    def _metrics(self, exchange: Exchange) -> web.Response:
        only_get(exchange.info)
        encoder, content_type = choose_encoder(exchange.accept)
        return response(encoder(self.telemetry.registry), content_type)

    def _checks(self, endpoint: str) -> Mapping[str, str]:
        checks = {"ping": ""}
        if endpoint == "readyz":
            checks |= self.readiness.waiting()
            checks["shutdown"] = "the server is stopping" if self.stopping else ""
        return checks

    # ---- what is told of it

    def _note_age(self, group: str, message: Object) -> None:
        oldest = oldest_moment(message)
        if oldest is not None:
            self.telemetry.note_age(group, time.time() - oldest.timestamp())

    def _count(self, info: RequestInfo | None, code: int, seconds: float) -> None:
        self.telemetry.in_flight.set(self._in_flight)
        known = info is not None and info.is_resource and self._documents.serves(info.group, info.version)
        group, version = (info.group, info.version) if known and info else ("", "")
        verb = info.verb if info else ""
        self.telemetry.request(group=group, version=version, verb=verb, code=code, seconds=seconds)


async def serve(
    server: Server,
    host: str,
    port: int,
    tls: Tls | None,
    bounds: Bounds = Bounds(),  # noqa: B008 - immutable
) -> Listener:
    """Open `host`:`port` for `server`. Without `tls` it speaks plain HTTP, which is for tests. Raises OSError."""
    listener = await listen(server.handle, host, port, tls, bounds)
    server.telemetry.connections.set_function(lambda: listener.connections)
    server.telemetry.turned_away.set_function(lambda: listener.turned_away)
    return listener


def request_id(given: str) -> str:
    """The request's name in the log: what its sender calls it, if that can be one, or a new one."""
    return given if _ID.match(given) else str(uuid.uuid4())


def _read(request: web.BaseRequest) -> RequestInfo:
    try:
        return read_request(request.method, request.raw_path)
    except RequestError as error:
        raise bad_request(str(error)) from error


def _takes_gzip(request: web.BaseRequest) -> bool:
    return accepts_gzip(request.headers.get("Accept-Encoding", ""))


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
