"""A Prometheus-compatible HTTP API (Prometheus, Thanos, Mimir, VictoriaMetrics) as a source."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import NamedTuple, TypeVar

import aiohttp
import structlog

from adapter import spans
from adapter.clock import steady
from adapter.metrics.bounded import BodyError, BodySizeError, read_large_body, read_parts
from adapter.metrics.prometheus import wire
from adapter.metrics.prometheus.connection import Call, Connection, Endpoint, Form
from adapter.metrics.prometheus.discovery import Discoverer
from adapter.metrics.prometheus.identity import Identity
from adapter.metrics.prometheus.proxy import split_credentials
from adapter.metrics.prometheus.source_clock import Asked, Past, SourceClock, seconds_ahead, tell_step
from adapter.metrics.prometheus.verdict import Failed, Reply, objection, refuses_verb, reply_error
from adapter.metrics.sample import Sample
from adapter.metrics.series_text import cut
from adapter.metrics.slices import run_in_turns
from adapter.metrics.source import ALL_LABELS, ALWAYS, Discovery, Part, Pod, Query, Since, SourceError, Wanted
from adapter.once import Once

R = TypeVar("R", bound=wire.Reader)

log = structlog.get_logger(__name__)

_turn_of: ContextVar[object] = ContextVar("turn_of", default=None)
"""The source that this task has a turn of."""
LONG_URL = 8000
"""Characters of a query from which on servers and proxies commonly refuse it in a URL."""
CLOCKS_AGREE = 5.0
"""s by which the source's clock may differ from ours without a difference to a look-up of series."""


class _Answer(NamedTuple):
    """What an endpoint said."""

    body: bytearray
    asked: Asked
    """When, by our clock and by the endpoint's."""


class PrometheusSource:
    """Instant queries and series of the first endpoint that answers.

    Its clock is another machine's: it evaluates at its own now, and a sample's time here is when it was asked, by ours.
    """

    name = "prometheus"
    knows_sample_times = False

    def __init__(self, connection: Connection, clock: Callable[[], float] = steady) -> None:
        """`clock` gives Unix s. Raises ValueError where a URL is none."""
        if not connection.urls:
            raise ValueError("at least one URL of Prometheus is needed")
        self._connection = connection
        self._clock = clock
        self._ahead = 0.0
        """s by which the clock of whoever answered last is ahead of ours."""
        self._endpoints = [Endpoint(url, connection.use_post) for url in connection.urls]
        self._clocks = {endpoint: SourceClock(partial(tell_step, endpoint.url)) for endpoint in self._endpoints}
        self._past = Past(self._remembers)
        self._proxies = dict(zip(self._endpoints, map(split_credentials, connection.proxies), strict=False))
        self._identity = Identity(connection)
        self._turns = asyncio.Semaphore(connection.concurrency)
        self._warned = Once()
        self._session: aiohttp.ClientSession | None = None
        limits = connection.max_series, connection.max_names
        self._discoverer = Discoverer(self._label_sets, self._texts, *limits, clock=clock)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """See `Source`: one of `concurrency`."""
        if _turn_of.get() is self:
            yield
            return
        async with self._turns:
            token = _turn_of.set(self)
            try:
                yield
            finally:
                _turn_of.reset(token)

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        """See `Source`; the evaluation is now, whatever `at` is.

        `adaptive` and `since` have no meaning here, Prometheus' windows are fixed.
        """
        form = [("query", query.promql), ("timeout", f"{self._connection.timeout_s:g}s")]
        vector, asked = await self._read(Call("query", form), partial(wire.Vector, query.labels, query.most))
        clock = wire.Clock(asked, values=query.of_times)
        samples = await run_in_turns(vector.samples(clock))
        before = asked.again
        if samples and before is not None and not await self._past.is_remembered(query.promql, before, asked.clock):
            asked.forgotten = True
            samples = await run_in_turns(vector.samples(clock))
        return samples

    async def _remembers(self, promql: str, before: float) -> bool:
        """Whether it answers as of `before`, a time of its own clock that has yet to come again."""
        try:
            form = [("query", promql), ("time", f"{before - 1:.3f}")]
            vector, _ = await self._read(Call("query", form), wire.Vector)
            samples = await run_in_turns(vector.samples())
        except SourceError:
            return False
        return bool(samples) and abs(samples[0].time - (before - 1)) < 1

    async def silent(self, query: Query, at: float, pods: Since) -> frozenset[Pod]:
        """See `Source`: nobody is, as far as Prometheus tells."""
        return frozenset()

    async def discover(
        self, selector: str, since: float, at: float, wanted: Wanted = ALL_LABELS, parts: Sequence[Part] = ()
    ) -> Discovery:
        """See `Source`; where there are more series than `max_series`, their names and labels are looked up instead."""
        ahead = self._ahead
        discovery = await self._discoverer.discover(selector, self._span(since, at), wanted, parts)
        if abs(self._ahead - ahead) >= CLOCKS_AGREE:  # these were other minutes than the ones that were meant
            discovery = await self._discoverer.discover(selector, self._span(since, at), wanted, parts)
        return discovery

    def _span(self, since: float, at: float) -> Form:
        return [("start", f"{since + self._ahead:.3f}"), ("end", f"{at + self._ahead:.3f}")]

    async def _label_sets(self, call: Call) -> list[Mapping[str, str]]:
        return (await self._read(call, partial(wire.LabelSets, self._connection.max_series)))[0].found

    async def _texts(self, call: Call) -> list[str]:
        return wire.texts((await self._ask(call)).body)

    async def _read(self, call: Call, make: Callable[[], R]) -> tuple[R, Asked]:
        """A good answer, read as it comes by what `make` makes; its warnings are logged."""
        made: list[R] = []

        def anew() -> R:
            made[:] = [make()]
            return made[0]

        answer = await self._ask(call._replace(reader=anew))
        [reader], warnings = made, list[str]()
        reader.end(warnings)
        for warning in warnings[:10]:
            if self._warned.first(warning):
                log.warning("prometheus warns", warning=warning[:500])
        return reader, answer.asked

    async def _ask(self, call: Call) -> "_Answer":
        """The first endpoint's good answer; that endpoint is asked first from then on."""
        failures = []
        async with self.turn():
            for endpoint in list(self._endpoints):
                asked = self._clock()
                try:
                    body = await self._ask_one(endpoint, call)
                except Failed as failure:
                    failures.append((f"{endpoint.url} {failure}", f"{endpoint.url} {failure.cause}"))
                    continue
                self._prefer(endpoint)
                return _Answer(body, Asked(self._clocks[endpoint], asked, self._clock()))
        raise SourceError(*("Prometheus did not answer: " + "; ".join(told) for told in zip(*failures, strict=True)))

    def _prefer(self, endpoint: Endpoint) -> None:
        if self._endpoints[0] is not endpoint:
            log.warning("another Prometheus endpoint answers", endpoint=endpoint.url, before=self._endpoints[0].url)
            self._endpoints = [endpoint, *(other for other in self._endpoints if other is not endpoint)]

    async def _ask_one(self, endpoint: Endpoint, call: Call) -> bytearray:
        """Raises Failed where another endpoint should be tried, SourceError where that would not help."""
        use_post = endpoint.use_post and not call.by_get
        reply = await self._send_again(endpoint, call, use_post)
        if use_post and refuses_verb(reply):
            refused, reply = reply, await self._send_again(endpoint, call, use_post=False)
            if reply.status == 200 or not refuses_verb(reply):
                endpoint.use_post = False
                log.info(
                    "Prometheus refuses POST, asking by GET from now on", endpoint=endpoint.url, status=refused.status
                )
        if reply.status == 200:
            if (failure := objection(reply)) is not None:
                raise failure
            return reply.body
        if reply.status == 401 and self._connection.credentials:
            await self._connection.credentials.headers(refused=True)  # for the next query
        long = sum(len(value) for _, value in call.form)
        if not endpoint.use_post and reply.status in (400, 413, 414, 431) and long > LONG_URL:
            raise SourceError(
                f"{endpoint.url} answered {reply.status} to a query of {long} characters in a URL; allow POST to it"
            )
        raise reply_error(reply)

    async def _send_again(self, endpoint: Endpoint, call: Call, use_post: bool) -> Reply:
        """Send; once more if the server closed the kept-alive connection just then."""
        try:
            return await self._send(endpoint, call, use_post)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            pass
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Failed(self._cause(error)) from None
        try:
            return await self._send(endpoint, call, use_post)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Failed(self._cause(error)) from None

    def _cause(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"did not answer within {self._connection.timeout_s:g} s"
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "closed the connection without an answer"
        return f"cannot be asked: {error}"[:300]

    async def _send(self, endpoint: Endpoint, call: Call, use_post: bool) -> Reply:
        about = {"http.request.method": "POST" if use_post else "GET", "url.path": f"/api/v1/{call.path}"[:256]}
        with spans.span(about["http.request.method"], {**about, **endpoint.address}, kind=spans.Kind.CLIENT):
            reply = await self._exchange(endpoint, call, use_post)
            spans.note({"http.response.status_code": reply.status})
            if reply.status != 200:
                spans.note_failure(str(reply.status))
            return reply

    async def _exchange(self, endpoint: Endpoint, call: Call, use_post: bool) -> Reply:
        parameters = endpoint.parameters + call.form
        proxy, proxy_headers = self._proxies.get(endpoint, (None, {}))
        more = proxy_headers if endpoint.url.startswith("http:") else {}
        async with self._open_session().request(
            "POST" if use_post else "GET",
            f"{endpoint.url}/api/v1/{call.path}",
            data=parameters if use_post else None,
            params=None if use_post else parameters,
            headers=await self._identity.headers(endpoint, {**more, **spans.traceparent()}),
            ssl=self._identity.tls() if endpoint.url.startswith("https") else True,
            server_hostname=self._connection.server_name or None,
            proxy=proxy,
            proxy_headers=proxy_headers,
            allow_redirects=False,  # it would carry our credentials elsewhere
        ) as response:
            ahead = seconds_ahead(response.headers.get("Date", ""), self._clock())
            self._ahead = ahead if abs(ahead) > CLOCKS_AGREE else 0.0
            body = await self._body(endpoint, response, call)
            return Reply(response.status, body, response.headers.get("Location", ""))

    async def _body(self, endpoint: Endpoint, response: aiohttp.ClientResponse, call: Call) -> bytearray:
        """The answer's body; of what the call's reader has read, the rest. Raises SourceError.

        A proxy in between may have compressed it unasked.
        """
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise SourceError(
                f"{endpoint.url} answered in the encoding {cut(encoding)}; only gzip or none is understood"
            )
        most = call.most or self._connection.max_bytes
        try:
            if call.reader is not None and response.status == 200:
                return await _through(call.reader(), read_parts(response.content.iter_any(), most, encoding == "gzip"))
            return await read_large_body(response.content.iter_any(), most, encoding == "gzip")
        except BodySizeError:
            problem = f"answered with more than {most} bytes; aggregate in the query or select less"
            raise SourceError(f"{endpoint.url} {problem}") from None
        except BodyError as error:
            raise SourceError(f"{endpoint.url} answered, but {error}") from None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connection.concurrency),
                timeout=aiohttp.ClientTimeout(total=self._connection.timeout_s),
                headers={"Accept-Encoding": "identity", "User-Agent": "streamgate"},
                auto_decompress=False,  # aiohttp's own is not bounded by its work
            )
        return self._session


async def _through(reader: wire.Reader, parts: AsyncIterable[bytes]) -> bytearray:
    """Read an answer as it comes, as far as that is of use; the rest. Raises SourceError."""
    async for part in parts:
        await run_in_turns(reader.feed(part))
        if reader.stuck:
            break
    return reader.rest
