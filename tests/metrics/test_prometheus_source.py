"""PrometheusSource against a small Prometheus on loopback."""

import asyncio
import base64
import contextlib
import gzip
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.web_request import Request
from aiohttp.web_response import Response
from multidict import CIMultiDict, MultiMapping
from structlog.testing import capture_logs

from adapter.metrics.prometheus import wire
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection, Endpoint
from adapter.metrics.sample import Sample
from adapter.metrics.slices import run
from adapter.metrics.source import Discovery, Query, SourceError, UnsupportedQuery
from adapter.spans import MILLION, Kind, Parent, Span, Tracer, parent_of
from tests import answers

AT = 1_731_200_000.5


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {"pod": f"web-{i}"}, "value": [AT, text]} for i, text in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


class Fake:
    """Answers every request as `answer` says, and remembers it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.answer: Callable[[Request], Any] = lambda request: web.json_response(vector("1.5"))
        self.url = ""

    async def handle(self, request: Request) -> Response:
        form = await request.post() if request.method == "POST" else request.query
        self.seen.append((request.method, request.path, list(form.items()), dict(request.headers)))
        reply = self.answer(request)
        return await reply if asyncio.iscoroutine(reply) else reply


@asynccontextmanager
async def serving(tls: SSLContext | None = None) -> AsyncIterator[Any]:
    fake = Fake()
    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield fake
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(*urls: str, **settings: Any) -> AsyncIterator[Any]:
    source = PrometheusSource(Connection(urls=urls, **settings), clock=lambda: AT)
    try:
        yield source
    finally:
        await source.close()


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with serving() as fake:
        yield fake


async def test_a_vector_becomes_samples_at_the_evaluation_time(fake: Fake) -> None:
    fake.answer = lambda request: web.json_response(vector("1.5", "NaN", "+Inf"))
    async with asking(fake.url + "/prefix/") as source:
        samples = await source.query(Query("up"), AT)
    assert [(dict(s.labels), repr(s.value), s.time) for s in samples] == [
        ({"pod": "web-0"}, "1.5", AT),
        ({"pod": "web-1"}, "nan", AT),
        ({"pod": "web-2"}, "inf", AT),
    ]
    method, path, form, _ = fake.seen[0]
    assert (method, path) == ("POST", "/prefix/api/v1/query")
    assert form == [("query", "up"), ("timeout", "10s")]


async def test_a_scalar_becomes_one_sample_without_labels(fake: Fake) -> None:
    fake.answer = lambda r: web.json_response(
        {"status": "success", "data": {"resultType": "scalar", "result": [AT, "7"]}}
    )
    async with asking(fake.url) as source:
        assert await source.query(Query("7"), AT) == [({}, 7.0, AT, 0.0)]


async def test_an_answer_that_a_proxy_has_compressed_is_read_within_the_same_bounds(fake: Fake) -> None:
    zipped = {"Content-Encoding": "gzip"}
    bodies = {"good": json.dumps(vector("1.5")).encode(), "large": b" " * 20_000}
    fake.answer = lambda request: web.Response(body=gzip.compress(bodies["good"]), headers=zipped)
    async with asking(fake.url, max_bytes=10_000) as source:
        assert [sample.value for sample in await source.query(Query("up"), AT)] == [1.5]
        for body, encoding, why in (
            (gzip.compress(bodies["large"]), "gzip", "more than 10000 bytes; aggregate in the query"),
            (gzip.compress(b"") * 2000, "gzip", "the gzip stream has more than 1000 members"),
            (bodies["good"], "gzip", "the body is not gzip"),
            (bodies["good"], "br", "in the encoding 'br'; only gzip or none is understood"),
        ):
            fake.answer = partial(lambda reply, _: reply(), partial(_raw, body, encoding))
            with pytest.raises(SourceError, match=why):
                await source.query(Query("up"), AT)


def _raw(body: bytes, encoding: str) -> Response:
    return web.Response(body=body, headers={"Content-Encoding": encoding})


@pytest.mark.parametrize("kind", ["matrix", "string"])
async def test_matrices_and_strings_are_refused_with_a_sentence(fake: Fake, kind: str) -> None:
    fake.answer = lambda r: web.json_response({"status": "success", "data": {"resultType": kind, "result": []}})
    async with asking(fake.url) as source:
        with pytest.raises(UnsupportedQuery, match=f"gives a {kind}; a metric needs an instant vector or a scalar"):
            await source.query(Query("x[1m]"), AT)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 411, 415, 501])
async def test_after_a_refused_post_get_is_used_for_good(fake: Fake, status: int) -> None:
    fake.answer = lambda r: web.Response(status=status) if r.method == "POST" else web.json_response(vector("1"))
    async with asking(fake.url) as source:
        await source.query(Query("a"), AT)
        await source.query(Query("b"), AT)
    assert [method for method, *_ in fake.seen] == ["POST", "GET", "GET"]


async def test_where_get_is_refused_too_post_stays_and_the_credentials_are_named(fake: Fake) -> None:
    fake.answer = lambda r: web.Response(status=403)
    async with asking(fake.url) as source:
        with pytest.raises(SourceError, match="answered 403; check its credentials"):
            await source.query(Query("a"), AT)
        fake.answer = lambda r: web.json_response(vector("1"))
        await source.query(Query("a"), AT)
    assert [method for method, *_ in fake.seen] == ["POST", "GET", "POST"]


async def test_a_query_too_long_for_a_url_is_said_to_need_post(fake: Fake) -> None:
    fake.answer = lambda r: web.Response(status=414)
    async with asking(fake.url, use_post=False) as source:
        with pytest.raises(SourceError, match=r"answered 414 to a query of \d+ characters in a URL; allow POST"):
            await source.query(Query("a" * 8001), AT)


async def test_the_next_endpoint_answers_and_stays_preferred_until_it_fails() -> None:
    async with serving() as one, serving() as two, asking(one.url, two.url) as source:
        one.answer = lambda r: web.Response(status=503, text="Service Unavailable")
        await source.query(Query("a"), AT)
        await source.query(Query("b"), AT)
        assert (len(one.seen), len(two.seen)) == (1, 2)
        one.answer, two.answer = two.answer, one.answer
        await source.query(Query("c"), AT)
        await source.query(Query("d"), AT)
        assert (len(one.seen), len(two.seen)) == (3, 3)


async def test_when_all_fail_every_cause_is_in_the_sentence(fake: Fake) -> None:
    fake.answer = lambda r: web.Response(status=503)
    async with asking("http://127.0.0.1:9", fake.url) as source:
        with pytest.raises(SourceError, match=r"127.0.0.1:9 cannot be asked: .*; .* answered 503; it may be starting"):
            await source.query(Query("a"), AT)


async def test_an_error_in_the_query_is_reported_and_not_asked_elsewhere() -> None:
    error = {"status": "error", "errorType": "bad_data", "error": "parse error: unexpected end"}
    async with serving() as one, serving() as two, asking(one.url, two.url) as source:
        one.answer = lambda r: web.json_response(error, status=400)
        with pytest.raises(UnsupportedQuery, match="answered 400: bad_data: parse error: unexpected end"):
            await source.query(Query("sum("), AT)
        assert (two.seen, [method for method, *_ in one.seen]) == ([], ["POST"])


async def test_a_silent_endpoint_costs_one_timeout(fake: Fake) -> None:
    async def never(request: Request) -> Any:
        await asyncio.sleep(3)
        return web.Response()

    fake.answer = never
    async with asking(fake.url, timeout_s=0.05) as source:
        with pytest.raises(SourceError, match=r"did not answer within 0.05 s"):
            await source.query(Query("a"), AT)


async def test_no_secret_is_in_an_error_or_a_representation(fake: Fake) -> None:
    fake.answer = lambda r: web.Response(status=500)
    address = fake.url.replace("http://", "http://user:s3cret@")
    settings: dict[str, Any] = {"token": "t0ken", "headers": {"X-Key": "k3y"}}
    async with asking(address, "http://user:s3cret@127.0.0.1:9", **settings) as source:
        with pytest.raises(SourceError) as raised:
            await source.query(Query("a"), AT)
    shown = str(raised.value) + repr(Connection(urls=["http://x"], **settings))
    assert not any(secret in shown for secret in ("s3cret", "t0ken", "k3y"))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://u:s3cret@x", "the URL does not begin with http:// or https://"),
        ("prometheus:9090", "'prometheus:9090' does not begin with http:// or https://"),
        ("127.0.0.1:9090", "'127.0.0.1:9090' does not begin with http:// or https://"),
        ("http://", "'http://' names no host and port that can be asked"),
        ("http://a..b", "'http://a..b' names no host and port that can be asked"),
        ("http://*", "names no host and port"),
        ("http://a b", "names no host and port"),
        ("http://ä", "names no host and port"),
        ("http://a:0", "names no host and port"),
        ("http://a:99999", "'http://a:99999' is none: Port out of range 0-65535"),
        ("http://u:s3cret@a:x", "the URL is none: Port could not be cast"),
        ("http://[::1", "'http://[::1' is none: Invalid IPv6 URL"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_a_secret(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="right would be like https://") as raised:
        Endpoint(url, use_post=True)
    assert sentence in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9090", "https://[fe80::1]:9090/p", "http://a_b.c-d.svc.:80", "http://x"]
)
def test_a_right_url_is_taken(url: str) -> None:
    assert Endpoint(url, use_post=True).url == url.rstrip("/")


async def test_credentials_and_headers_are_sent(fake: Fake) -> None:
    address = fake.url.replace("http://", "http://user:p%40ss@")
    async with asking(address, headers={"X-Scope-OrgID": "team"}) as source:
        await source.query(Query("a"), AT)
    async with asking(address, token="abc") as source:
        await source.query(Query("a"), AT)
    basic, bearer = (headers for *_, headers in fake.seen)
    assert basic["Authorization"] == aiohttp.encode_basic_auth("user", "p@ss")
    assert basic["X-Scope-OrgID"] == "team"
    assert bearer["Authorization"] == "Bearer abc"


class Impersonating:
    """Acts as another user, who has two groups."""

    async def headers(self, refused: bool = False) -> MultiMapping[str]:
        return CIMultiDict([("Impersonate-User", "ann"), ("Impersonate-Group", "g"), ("Impersonate-Group", "h")])


async def test_headers_of_the_kubeconfigs_user_are_sent_each_as_often_as_it_is_there(fake: Fake) -> None:
    groups: list[str] = []

    def answer(request: Request) -> Response:
        groups.extend(request.headers.getall("Impersonate-Group"))
        return web.json_response(vector("1.5"))

    fake.answer = answer
    async with asking(fake.url, credentials=Impersonating(), headers={"Impersonate-Group": "flag"}) as source:
        await source.query(Query("a"), AT)
    assert groups == ["g", "h"]


async def test_a_name_with_a_colon_is_sent_as_go_sends_it(fake: Fake) -> None:
    address, proxy = fake.url.replace("http://", "http://us%3Aer:p%C3%BC@"), "http://us%3Aer:p@127.0.0.1:1"
    async with asking(address) as source, asking(fake.url, proxies=[proxy]) as behind:
        await source.query(Query("a"), AT)
        with pytest.raises(SourceError, match="cannot be asked"):
            await behind.query(Query("a"), AT)
    [(*_, headers)] = fake.seen
    assert headers["Authorization"] == "Basic " + base64.b64encode("us:er:pü".encode()).decode()


async def test_the_token_file_is_read_again_when_it_changes(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    async with asking(fake.url, token_file=str(file)) as source:
        await source.query(Query("a"), AT)
        file.write_text("second\n")
        os.utime(file, ns=(1, 1))
        await source.query(Query("a"), AT)
        file.write_text("no good\n")
        with pytest.raises(SourceError, match=r"cannot use .*token for Prometheus: the token has blanks"):
            await source.query(Query("a"), AT)
        file.unlink()
        with pytest.raises(SourceError, match=r"cannot use .*token for Prometheus: No such file"):
            await source.query(Query("a"), AT)
    assert [headers["Authorization"] for *_, headers in fake.seen] == ["Bearer first", "Bearer second"]


async def test_the_ca_file_and_the_client_certificate_are_used(tmp_path: Path) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    client = authority.issue_cert("adapter@example.org")
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    client.cert_chain_pems[0].write_to_path(certificate)
    client.private_key_pem.write_to_path(key)
    files = {"ca_file": str(ca), "certificate_file": str(certificate), "key_file": str(key)}
    async with serving(server) as fake:
        async with asking(fake.url, **files) as source:
            assert len(await source.query(Query("a"), AT)) == 1
        async with asking(fake.url) as source:
            with pytest.raises(SourceError, match="certificate verify failed"):
                await source.query(Query("a"), AT)


async def test_an_answer_over_the_limit_is_not_read_to_its_end(fake: Fake) -> None:
    fake.answer = lambda r: web.json_response(vector(*["1"] * 1000))
    async with asking(fake.url, max_bytes=10_000) as source:
        with pytest.raises(SourceError, match="more than 10000 bytes; aggregate in the query"):
            await source.query(Query("a"), AT)


async def test_redirects_are_not_followed(fake: Fake) -> None:
    fake.answer = lambda r: web.Response(
        status=302, headers={"Location": "https://u:s3cret@else.where/p/api/v1/query?x"}
    )
    async with asking(fake.url) as source:
        with pytest.raises(
            SourceError, match=r"answered 302: it redirects to https://else.where/p, which is not followed"
        ) as raised:
            await source.query(Query("a"), AT)
    assert len(fake.seen) == 1
    assert "s3cret" not in str(raised.value)


async def test_a_proxy_is_asked_for_the_url_with_its_own_credentials(fake: Fake) -> None:
    proxy = fake.url.replace("http://", "http://pro:p%40ss@")
    async with asking("http://prometheus.invalid:9090", proxies=[proxy], token="abc") as source:
        assert len(await source.query(Query("a"), AT)) == 1
    headers = fake.seen[0][3]
    assert headers["Host"] == "prometheus.invalid:9090"
    assert headers["Proxy-Authorization"] == aiohttp.encode_basic_auth("pro", "p@ss")
    assert headers["Authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[]", b'{"status":"success"}', b'{"data":{"result":[{"metric":3}]}}']
)
async def test_an_answer_that_is_not_prometheus_is_a_source_error(fake: Fake, body: bytes) -> None:
    fake.answer = lambda r: web.Response(body=body)
    async with asking(fake.url) as source:
        with pytest.raises(SourceError):
            await source.query(Query("a"), AT)
        with pytest.raises(SourceError):
            await source.discover("a", 0, AT)


async def test_json_of_another_api_is_named_as_such(fake: Fake) -> None:
    fake.answer = lambda r: web.json_response({"name": "es-1", "tagline": "You know, for search"})
    async with asking(fake.url) as source:
        for asked in (source.query(Query("a"), AT), source.discover("a", 0, AT)):
            with pytest.raises(SourceError, match="no JSON of Prometheus' API; does the URL lead to Prometheus"):
                await asked


async def test_warnings_are_logged_once(fake: Fake) -> None:
    fake.answer = lambda r: web.json_response(vector("1") | {"warnings": ["store gateway is down"]})
    async with asking(fake.url) as source:
        with capture_logs() as logs:
            await source.query(Query("a"), AT)
            await source.query(Query("a"), AT)
    assert [entry["warning"] for entry in logs] == ["store gateway is down"]


async def test_series_are_asked_for_with_a_limit(fake: Fake) -> None:
    series = [{"__name__": "up", "job": "a"}, {"__name__": "up", "job": "b"}]
    fake.answer = lambda r: web.json_response({"status": "success", "data": series})
    async with asking(fake.url, max_series=5) as source:
        assert await source.discover("up", AT - 60, AT) == Discovery(series)
    assert fake.seen[0][1:3] == (
        "/api/v1/series",
        [
            ("match[]", "up"),
            ("start", "1731199940.500"),
            ("end", "1731200000.500"),
            ("limit", "6"),
        ],
    )


async def test_a_dropped_connection_is_tried_once_more_and_not_again(fake: Fake) -> None:
    def drop(request: Request) -> Response:
        request.transport.close()
        return web.Response()

    async with asking(fake.url) as source:
        await source.query(Query("a"), AT)
        fake.answer = drop
        with pytest.raises(SourceError, match="closed the connection without an answer"):
            await source.query(Query("a"), AT)
    assert len(fake.seen) == 3


async def test_no_more_requests_run_than_allowed(fake: Fake) -> None:
    running, most = 0, 0

    async def slow(request: Request) -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return web.json_response(vector("1"))

    fake.answer = slow
    async with asking(fake.url, concurrency=2) as source:
        await asyncio.gather(*(source.query(Query("a"), AT) for _ in range(6)))
    assert most == 2


def drain(slices: Any) -> tuple[Any, ...]:
    count = 0
    while True:
        try:
            next(slices)
        except StopIteration as done:
            return count, done.value
        count += 1


@pytest.mark.parametrize("size", [1, 50, 131_072])
def test_an_answer_is_the_same_in_slices_of_any_size(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    nasty = ['},{"metric":{', '"},{"a', "\\", '"', '{"result":[', "é", "]}"]
    result: list[Any] = [{"metric": {"metric": "x", "a": text}, "value": [AT, str(i)]} for i, text in enumerate(nasty)]
    warnings = ['a "result":[ of a "data":[', '},{"b']
    answer = {"status": "success", "warnings": warnings, "data": {"resultType": "vector", "result": result}}
    monkeypatch.setattr(wire, "SLICE_BYTES", size)
    for text in (json.dumps(answer, separators=(",", ":")), json.dumps(answer), json.dumps(answer, indent="\t")):
        told: list[Any] = []
        for at_once in (1, 7, 65_536):
            told.clear()
            samples = run(answers.read(wire.Vector(), text.encode(), told, at_once).samples())
            assert [(dict(s.labels), s.value) for s in samples] == [(r["metric"], float(r["value"][1])) for r in result]
            assert told == warnings


def test_label_sets_are_the_same_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SLICE_BYTES", 1)
    label_sets = [{"__name__": "x", "a": text} for text in ('"},{"b', '},{"', "plain")]
    body = json.dumps({"status": "success", "data": label_sets}, separators=(",", ":")).encode()
    reader = wire.LabelSets()
    slices, _ = drain(reader.feed(body))
    reader.end([])
    assert (slices, reader.found) == (2, label_sets)  # the last one is the rest


def test_of_a_large_answer_a_part_is_held_and_the_labels_that_are_looked_at() -> None:
    """10,000 pods, each with 400 characters that nobody reads: 4.5 MB."""
    result = [
        {"metric": {"namespace": "shop", "pod": f"web-{i}", "noise": "v" * 400}, "value": [AT, "1"]}
        for i in range(10_000)
    ]
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
    reader, most = wire.Vector(["pod", "namespace", "absent"]), 0
    for start in range(0, len(body), 65_536):
        run(reader.feed(body[start : start + 65_536]))
        most = max(most, len(reader.rest))
    reader.end([])
    samples = run(reader.samples())
    assert most < wire.SLICE_BYTES + 2 * 65_536
    assert {(s.labels["namespace"], s.labels["pod"]) for s in samples} == {("shop", f"web-{i}") for i in range(10_000)}
    assert all(len(sample.labels) == 2 for sample in samples)


def test_an_answer_of_too_many_elements_is_refused_and_a_list_of_too_many_series_not_read_on() -> None:
    """Of 2,000,000 elements of 17 bytes, each takes 200 in memory."""
    body = b'{"status":"success","data":{"resultType":"vector","result":[' + b'{"value":[1,"1"]},' * 200_000
    with pytest.raises(SourceError, match="over 50000 elements; aggregate in the query, `by"):
        answers.read(wire.Vector(), body)
    wide = [{"metric": {"a": f"{i}" + "v" * 1000}, "value": [AT, "1"]} for i in range(17_000)]
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": wide}}).encode()
    with pytest.raises(SourceError, match="the labels of the answer have over 16777216 characters; aggregate"):
        answers.read(wire.Vector(), body)
    answers.read(wire.Vector(["b"]), body)  # nobody looks at them
    listed = wire.LabelSets(most=10)
    run(listed.feed(b'{"status":"success","data":[' + b'{"__name__":"a"},' * 20_000))
    assert listed.stuck
    assert len(listed.found) > 10
    listed.end([])  # what is there is enough to say that there are too many


def test_what_cannot_be_read_in_pieces_is_not_read_on() -> None:
    reader = wire.Vector()
    for _ in range(10):
        run(reader.feed(b'{"status":"success","data":{"result":[{"a' + b"a" * 2**17))
    assert reader.stuck
    with pytest.raises(SourceError, match="that cannot be read in pieces has over 1048576 bytes"):
        reader.end([])


async def test_an_endless_page_of_something_else_is_not_read_on(fake: Fake) -> None:
    async def endless(request: Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(b"<p>" * 100_000)
        return answer

    fake.answer = endless
    async with asking(fake.url) as source:
        with pytest.raises(SourceError, match="answered 200 with what is no JSON of Prometheus' API"):
            await source.query(Query("a"), AT)


async def test_an_answer_that_ends_in_its_midst_is_read_anew_from_the_next_endpoint(fake: Fake) -> None:
    body = json.dumps(vector(*map(str, range(5000)))).encode()

    async def cut_short(request: Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await answer.prepare(request)
        await answer.write(body[: len(body) * 2 // 3])
        request.transport.abort()
        return answer

    async with serving() as other:
        fake.answer, other.answer = cut_short, lambda request: web.Response(body=body)
        async with asking(fake.url, other.url) as source:
            samples = await source.query(Query("a"), AT)
    assert [sample.value for sample in samples] == list(range(5000))


HISTOGRAM = {"metric": {"pod": "b"}, "histogram": [AT, {"count": "1", "sum": "2", "buckets": [[0, "1", "2", "3"]]}]}


def read(result: object, **more: object) -> tuple[list[Sample], list[str]]:
    """What an answer with this result is read as, and its warnings."""
    answer = {"status": "success", "data": {"resultType": "vector", "result": result}} | more
    warnings: list[str] = []
    return answers.samples(json.dumps(answer).encode(), warnings), warnings


def test_native_histograms_alone_are_refused_with_a_sentence_and_beside_numbers_left_out() -> None:
    with pytest.raises(UnsupportedQuery, match="gives native histograms; a metric needs numbers"):
        read([HISTOGRAM])
    samples, warnings = read([HISTOGRAM, {"metric": {"pod": "a"}, "value": [AT, "7"]}])
    assert [(sample.labels, sample.value) for sample in samples] == [({"pod": "a"}, 7.0)]
    assert "native histograms, which are left out" in warnings[0]


def test_what_go_writes_as_null_is_empty() -> None:
    assert read(None) == ([], [])
    assert read([{"metric": None, "value": [AT, "7"]}], warnings=None, infos=None) == ([({}, 7.0, AT, 0.0)], [])
    nothing = b'{"status":"success","data":null}'
    assert answers.read(wire.LabelSets(), nothing).found == []
    assert wire.texts(bytearray(nothing)) == []


def test_a_partial_answer_is_a_warning() -> None:
    samples, warnings = read([{"metric": {}, "value": [AT, "7"]}], isPartial=True)
    assert [sample.value for sample in samples] == [7.0]
    assert warnings == ["the answer is partial: a part of the storage did not answer"]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "no org id\n", r"answered 401; check its credentials \(it says 'no org id'\)"),  # Mimir
        (403, '{"message": "Missing Authentication Token"}', r"\(it says 'Missing Authentication Token'\)"),  # AWS
        (400, '{"error": {"code": 400, "message": "no such project"}}', r"400 \(it says 'no such project'\)"),  # Google
        (502, "<html>\n<head><title>502 Bad Gateway</title></head>", r"502 \(it says '502 Bad Gateway'\)"),  # nginx
        (200, "<!doctype html><title>\n Log in </title>", r"200 with what is no JSON of .* \(it says 'Log in'\)"),
        (502, "<html>" + "<a>" * 50_000, "answered 502$"),
        (503, "", "answered 503; it may be starting$"),
        (503, "\x00\x01", "answered 503; it may be starting$"),
        (503, '{"message": [' * 5000, "answered 503; it may be starting$"),
        (429, "x" * 5000, r"answered 429 \(it says 'x{200}…'\)$"),
    ],
)
async def test_the_words_of_what_stands_before_prometheus_are_told_and_the_next_endpoint_is_asked(
    fake: Fake, status: int, body: str, words: str
) -> None:
    fake.answer = lambda r: web.Response(status=status, text=body)
    async with asking(fake.url) as source:
        with pytest.raises(SourceError, match=words) as told:
            await source.query(Query("a"), AT)
        assert "it says" not in told.value.public
    async with serving() as other, asking(fake.url, other.url) as source:
        assert [sample.value for sample in await source.query(Query("a"), AT)] == [1.5]


async def test_a_traced_query_is_a_client_s_span_and_tells_prometheus_whose_it_is() -> None:
    spans: list[Span] = []
    async with serving() as fake:
        source = PrometheusSource(Connection((fake.url.replace("http://", "http://me:hunter2@"),)))
        with Tracer(spans.append, MILLION).trace("evaluate"):
            await source.query(Query("up"), AT)
        fake.answer = lambda request: web.Response(status=503)
        with pytest.raises(SourceError), Tracer(spans.append, MILLION).trace("evaluate"):
            await source.query(Query("up"), AT)
        await source.close()
    sent, first, failing, second = spans
    assert (sent.name, sent.kind, sent.parent_id) == ("POST", Kind.CLIENT, first.span_id)
    port = int(fake.url.rpartition(":")[2])
    assert sent.attributes == {
        "http.request.method": "POST",
        "url.path": "/api/v1/query",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
    }
    assert parent_of(fake.seen[0][3]["traceparent"]) == Parent(sent.trace_id, sent.span_id, True)
    assert (failing.error, failing.parent_id, second.error) == ("503", second.span_id, "SourceError")


async def test_a_query_that_nobody_traces_has_no_such_header() -> None:
    async with serving() as fake:
        source = PrometheusSource(Connection((fake.url,)))
        await source.query(Query("up"), AT)
        await source.close()
    assert "traceparent" not in fake.seen[0][3]
