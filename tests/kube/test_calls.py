"""Calls of the client: what they send, what they give, and which error each kind of failure becomes."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.web_request import Request
from aiohttp.web_response import Response, StreamResponse
from multidict import CIMultiDict, MultiMapping

from adapter.kube import client as client_module
from adapter.kube import errors
from adapter.kube.autoscaling import Scale
from adapter.kube.client import JSON_PATCH, Client
from adapter.kube.config import Connection
from adapter.kube.fake.server import FakeCluster
from adapter.kube.objects import ConfigMap, PartialObjectMetadata
from adapter.kube.resources import CONFIG_MAPS, PODS, SUBJECT_ACCESS_REVIEWS, Resource
from adapter.kube.reviews import SubjectAccessReview, SubjectAccessReviewSpec

DEPLOYMENTS = Resource("apps", "v1", "deployments")


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_an_object_is_created_read_replaced_patched_and_deleted(client: Client) -> None:
    collection, path = CONFIG_MAPS.path("x"), CONFIG_MAPS.path("x", "c")
    made = await client.create(collection, config_map("c", a="1"), ConfigMap)
    assert (made.metadata.namespace, made.data) == ("x", {"a": "1"})
    await client.replace(path, config_map("c", a="2"), ConfigMap)
    assert (await client.get(path, ConfigMap)).data == {"a": "2"}
    await client.patch(path, {"data": {"a": None, "b": "3"}}, ConfigMap)
    assert (await client.get(path, ConfigMap)).data == {"b": "3"}
    await client.patch(path, [{"op": "add", "path": "/data/c", "value": "4"}], ConfigMap, content=JSON_PATCH)
    assert b'"c": "4"' in await client.get(path)
    await client.delete(path)
    with pytest.raises(errors.NotFound, match='configmaps "c" not found'):
        await client.get(path)


async def test_a_write_with_an_old_version_is_a_conflict_and_a_name_taken_another(client: Client) -> None:
    path = CONFIG_MAPS.path("x", "c")
    first = await client.create(CONFIG_MAPS.path("x"), config_map("c"), dict)
    await client.patch(path, {"data": {"a": "1"}}, dict)
    with pytest.raises(errors.Conflict) as raised:
        await client.replace(path, first, dict)
    assert not isinstance(raised.value, errors.AlreadyExists)
    with pytest.raises(errors.AlreadyExists):
        await client.create(CONFIG_MAPS.path("x"), config_map("c"), dict)


async def test_scale_is_read_and_written_through_the_subresource(cluster: FakeCluster, client: Client) -> None:
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web", "tier": "front"}}}
    await cluster.put(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec})
    path = DEPLOYMENTS.path("default", "web", "scale")
    scale = await client.get(path, Scale)
    assert (scale.spec.replicas, scale.status.selector) == (2, "app=web,tier=front")
    assert (await client.patch(path, {"spec": {"replicas": 5}}, Scale)).spec.replicas == 5
    assert cluster.get(DEPLOYMENTS, "default", "web")["spec"]["replicas"] == 5


async def test_a_review_is_asked_with_its_kind_and_answered(cluster: FakeCluster, client: Client) -> None:
    cluster.authorize = lambda spec: spec["user"] == "ann"
    for user, allowed in (("ann", True), ("bob", False)):
        review = SubjectAccessReview(
            api_version=SUBJECT_ACCESS_REVIEWS.api_version, spec=SubjectAccessReviewSpec(user=user)
        )
        answer = await client.create(SUBJECT_ACCESS_REVIEWS.path(), review, SubjectAccessReview)
        assert answer.status.allowed is allowed


async def test_only_metadata_comes_where_only_metadata_is_asked_for(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(CONFIG_MAPS, config_map("c", a="1"))
    listing = await client.list(CONFIG_MAPS.path(), PartialObjectMetadata, accept=client_module.METADATA_LIST)
    assert [(one.kind, one.metadata.name) for one in listing.items] == [("PartialObjectMetadata", "c")]
    assert listing.resource_version == str(cluster.store.version)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.KubeError),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (410, errors.Gone),
        (429, errors.TooManyRequests),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
async def test_a_refusal_becomes_the_error_of_its_meaning(
    cluster: FakeCluster, client: Client, code: int, kind: type[Any]
) -> None:
    cluster.fail("/api", code, "Reason", retry_after="7")
    with pytest.raises(errors.KubeError) as raised:
        await client.get("/api/v1/pods")
    error = raised.value
    assert type(error) is kind
    assert (error.status, error.reason, error.retry_after) == (code, "Reason", 7.0)
    assert str(error) == f"GET /api/v1/pods: /api/v1/pods: refused on demand ({code} Reason)"


@pytest.mark.parametrize("body", [b"<html>secret", b'{"secret": 1}', b'{"kind":"Secret","message":"secret"}', b"\xff"])
async def test_a_body_that_is_no_status_is_dropped(body: bytes) -> None:
    error = errors.from_response(502, body, "GET /x")
    assert isinstance(error, errors.ServerError)
    assert "secret" not in str(error)


def test_a_long_message_is_cut() -> None:
    error = errors.from_response(500, b'{"kind":"Status","message":"' + b"x" * 10_000 + b'"}', "GET /x")
    assert len(str(error)) < 600


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        async with Client(Connection(f"http://127.0.0.1:{taken.getsockname()[1]}")) as client:
            with pytest.raises(errors.Unreachable, match="GET /api") as raised:
                await client.get("/api")
    assert isinstance(raised.value.__cause__, OSError)


async def serve(handler: Callable[..., Any], stack: list) -> Connection:
    """A server with one answer for everything."""
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    stack.append(runner)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return Connection(f"http://127.0.0.1:{runner.addresses[0][1]}")


@pytest.fixture
async def stack() -> AsyncIterator[list[Any]]:
    runners: list[web.AppRunner] = []
    yield runners
    for runner in runners:
        await runner.cleanup()


async def test_a_call_that_takes_too_long_is_unreachable(stack: list[Any]) -> None:
    async def hang(request: Request) -> None:
        await asyncio.sleep(60)

    async with Client(await serve(hang, stack), timeout=0.05) as client:
        with pytest.raises(errors.Unreachable, match=r"no answer within 0\.05 s"):
            await client.get("/api")


async def test_a_get_on_a_connection_that_the_server_just_dropped_is_sent_again(stack: list[Any]) -> None:
    seen = []

    async def close_the_second(request: Request) -> Response:
        seen.append(request.transport)
        if len(seen) == 2:
            request.transport.abort()
        return web.json_response({})

    async with Client(await serve(close_the_second, stack)) as client:
        await client.get("/api")
        assert await client.get("/api", dict) == {}
    assert len(seen) == 3
    assert seen[0] is seen[1], "the second call used the kept connection"


async def test_a_post_on_a_dropped_connection_is_not_sent_again(stack: list[Any]) -> None:
    seen = []

    async def close_the_second(request: Request) -> Response:
        seen.append(request.method)
        if len(seen) == 2:
            request.transport.abort()
        return web.json_response({})

    async with Client(await serve(close_the_second, stack)) as client:
        await client.get("/api")
        with pytest.raises(errors.Unreachable):
            await client.create("/api", {}, dict)
    assert seen == ["GET", "POST"]


async def test_an_answer_that_breaks_off_is_unreachable(stack: list[Any]) -> None:
    async def break_off(request: Request) -> StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"{")
        request.transport.abort()
        return answer

    async with Client(await serve(break_off, stack)) as client:
        with pytest.raises(errors.Unreachable):
            await client.get("/api")


async def test_an_answer_above_the_bound_is_not_held(stack: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY", 1000)

    async def flood(request: Request) -> Response:
        return web.Response(body=b"x" * 1001)

    async with Client(await serve(flood, stack)) as client:
        with pytest.raises(errors.Undecodable, match="more than 1000 bytes"):
            await client.get("/api")


async def test_a_redirect_is_not_followed_since_it_would_carry_our_token(stack: list[Any]) -> None:
    async def redirect(request: Request) -> Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})

    async with Client(await serve(redirect, stack)) as client:
        with pytest.raises(errors.KubeError) as raised:
            await client.get("/api")
    assert raised.value.status == 307


async def test_what_is_no_json_or_no_such_object_is_undecodable(stack: list[Any]) -> None:
    async def answer(request: Request) -> Response:
        return web.Response(body=b"not json" if request.path == "/a" else b'{"data": 7}')

    async with Client(await serve(answer, stack)) as client:
        with pytest.raises(errors.Undecodable, match="not JSON"):
            await client.get("/a", ConfigMap)
        with pytest.raises(errors.Undecodable, match=r"no ConfigMap.*\$\.data"):
            await client.get("/b", ConfigMap)


@pytest.mark.parametrize("name", ["a/../../b", "ä b?x=1#y", "a%2Fb"])
async def test_a_name_from_outside_stays_one_segment_of_the_path(
    cluster: FakeCluster, client: Client, name: str
) -> None:
    with pytest.raises(errors.NotFound):
        await client.get(PODS.path("default", name))
    path = cluster.requests[-1][1]
    assert path.startswith("/api/v1/namespaces/default/pods/")
    assert path.count("/") == 6
    assert "?" not in path


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_no_quoting_makes_safe_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        PODS.path("default", name)


class Tokens:
    """Credentials that know a second token."""

    renewable = True

    def __init__(self) -> None:
        self.calls: list[bool] = []

    async def headers(self, refused: bool = False) -> MultiMapping[str]:
        self.calls.append(refused)
        return CIMultiDict({"Authorization": f"Bearer {'new' if any(self.calls) else 'old'}"})


async def test_a_refused_token_is_renewed_and_the_call_sent_again(cluster: FakeCluster) -> None:
    cluster.bearers, tokens = {"new"}, Tokens()
    async with Client(cluster.connect(tokens)) as client:
        await client.create(CONFIG_MAPS.path("x"), config_map("c"), dict)
    assert tokens.calls == [False, True]


async def test_a_token_that_stays_refused_is_tried_twice_and_no_more(cluster: FakeCluster) -> None:
    cluster.bearers, tokens = set(), Tokens()
    async with Client(cluster.connect(tokens)) as client:
        with pytest.raises(errors.Unauthorized):
            await client.get("/api/v1/pods")
    assert len(cluster.requests) == 2


async def test_tls_is_verified_and_a_stranger_is_unreachable() -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    server, trust, mistrust = (
        ssl.create_default_context(purpose)
        for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH, ssl.Purpose.SERVER_AUTH)
    )
    ours.issue_cert("127.0.0.1").configure_cert(server)
    ours.configure_trust(trust)
    theirs.configure_trust(mistrust)
    async with FakeCluster(certificate=server, trust=trust) as cluster:
        async with Client(cluster.connection) as client:
            await client.list(PODS.path(), dict)
        async with Client(Connection(cluster.url, mistrust)) as client:
            with pytest.raises(errors.Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get("/api")


def test_the_kernel_asks_a_quiet_peer_for_life() -> None:
    """After 30 s, then each 5 s, three times: a dead one is found within 30 + 3 x 5 = 45 s."""
    with client_module._keepalive_socket((socket.AF_INET, socket.SOCK_STREAM, 0)) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        options = [
            made.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names if hasattr(socket, name)
        ]
    assert options == [30, 5, 3][: len(options)]


# ---- the server's clock


async def test_the_servers_own_clock_is_told_by_any_answer(client: Client) -> None:
    """The fake knows no /version and answers 404, with its time."""
    assert abs(await client.date() - time.time()) < 5


async def test_who_is_not_known_is_told_no_time(cluster: FakeCluster, client: Client) -> None:
    cluster.bearers = {"somebody else's"}
    with pytest.raises(errors.Unauthorized):
        await client.date()


@pytest.mark.parametrize("header", [b"", b"Date: soon\r\n", b"Date: Thu, 99 Foo 2026 12:00:00 GMT\r\n"])
async def test_a_clock_that_cannot_be_read_is_an_error_of_its_kind(header: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n" + header + b"\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, Client(Connection(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")) as client:
        with pytest.raises(errors.Undecodable, match="no Date that can be read"):
            await client.date()
