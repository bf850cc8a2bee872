"""One API for several adapters: whose request goes where, and as whom."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from loadtest.runs.router import Router, only_for
from loadtest.standalone import free_port

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
PODS = f"{CUSTOM}/namespaces/shop/pods/*/http_requests_per_second?labelSelector=app%3Dweb%2Ctier+in+%28a%29"


@asynccontextmanager
async def adapter(name: str) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """An adapter that answers with its name, its base URL, and what it was asked."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        status = 404 if "nothing" in request.path else 200
        return web.json_response({"name": name}, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def routing(router: Router, port: int) -> AsyncIterator[None]:
    task = asyncio.create_task(router.run())
    try:
        async with asyncio.timeout(10):
            while not task.done():
                try:
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                except OSError:
                    await asyncio.sleep(0.01)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_namespace_has_its_adapter_and_all_else_the_first() -> None:
    async with adapter("one") as (one, _), adapter("two") as (two, _), aiohttp.ClientSession() as session:
        port = free_port()
        router = Router("127.0.0.1", port, {"shop": two}, other=one, serving=None, asking=True)
        async with routing(router, port):
            told = {}
            for path in (
                PODS,
                PODS.replace("shop", "shopping"),
                CUSTOM,
                "/openapi/v2",
                f"{CUSTOM}/namespaces/shop/x/nothing",
            ):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    told[path] = (await answer.json())["name"], answer.status
    assert router.asked == {"shop": 2, "": 3}
    assert list(told.values()) == [("two", 200), ("one", 200), ("one", 200), ("one", 200), ("two", 404)]


async def test_a_request_arrives_as_it_was_made() -> None:
    async with adapter("one") as (one, asked), aiohttp.ClientSession() as session:
        port = free_port()
        async with routing(Router("127.0.0.1", port, {}, other=one, serving=None, asking=True), port):
            who = [("X-Remote-User", "hpa"), ("X-Remote-Group", "a"), ("X-Remote-Group", "b"), ("Accept", "text/x")]
            async with session.get(f"http://127.0.0.1:{port}{PODS}".replace("%", "%25"), headers=who):
                pass
    (request,) = asked
    assert request.raw_path == PODS.replace("%", "%25")
    assert request.headers.getall("X-Remote-Group") == ["a", "b"]
    assert (request.headers["X-Remote-User"], request.headers["Accept"]) == ("hpa", "text/x")


async def test_an_adapter_that_is_away_is_a_502_that_names_it() -> None:
    port, gone = free_port(), free_port()
    router = Router("127.0.0.1", port, {}, other=f"http://127.0.0.1:{gone}", serving=None, asking=True)
    url = f"http://127.0.0.1:{port}{CUSTOM}"
    async with routing(router, port), aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 502
        assert (await answer.text()).startswith(f"127.0.0.1:{gone} does not answer: ")


@pytest.fixture
def files(tmp_path: Path) -> tuple[trustme.CA, str, tuple[str, str]]:
    """An authority, its file, and a server's certificate and key as files."""
    authority = trustme.CA()
    served = authority.issue_cert("127.0.0.1")
    ca, cert, key = (str(tmp_path / name) for name in ("ca.crt", "tls.crt", "tls.key"))
    authority.cert_pem.write_to_path(ca)
    served.cert_chain_pems[0].write_to_path(cert)
    served.private_key_pem.write_to_path(key)
    return authority, ca, (cert, key)


async def test_only_who_has_a_certificate_of_the_authority_may_ask(
    files: tuple[trustme.CA, str, tuple[str, str]],
) -> None:
    authority, ca, pair = files
    port = free_port()
    asked: dict[str, bool] = {}
    async with adapter("one") as (one, _):
        router = Router("127.0.0.1", port, {}, other=one, serving=only_for(ca, pair), asking=True)
        async with routing(router, port):
            for name, issuer in (("aggregator", authority), ("stranger", trustme.CA()), ("nobody", None)):
                context = ssl.create_default_context(cafile=ca)
                if issuer is not None:
                    issuer.issue_cert("client").configure_cert(context)
                async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
                    try:
                        async with session.get(f"https://127.0.0.1:{port}{CUSTOM}") as answer:
                            asked[name] = answer.status == 200
                    except aiohttp.ClientError:
                        asked[name] = False
    assert asked == {"aggregator": True, "stranger": False, "nobody": False}
