"""One custom metrics API for several adapters: what is asked of a namespace goes to the adapter that serves it.

A cluster has one APIService for each version of an API, so that all of its HPAs ask one adapter. With this behind that
APIService, HPAs in different namespaces follow different adapters at the same time, each driven by the real controller.
Every request is passed on as the aggregator made it: its user in the headers, with the aggregator's own certificate.
"""

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

ANSWER_S = 10.0
_NAMESPACE = re.compile(r"/apis/[^/]+/[^/]+/namespaces/([^/?]+)")
_KEPT = ("Content-Type", "Content-Encoding")
_OF_THE_CONNECTION = ("Host", "Connection", "Keep-Alive", "TE", "Transfer-Encoding", "Upgrade")


class Router:
    """`adapters` are base URLs by namespace; what names no namespace of theirs goes to `other`."""

    def __init__(
        self,
        address: str,
        port: int,
        adapters: Mapping[str, str],
        *,
        other: str,
        serving: ssl.SSLContext | None,
        asking: ssl.SSLContext | bool,
    ) -> None:
        """`serving` says who may ask (None: everybody, without TLS), `asking` as whom the adapters are asked."""
        self._address, self._port = address, port
        self._adapters, self._other = adapters, other
        self._serving, self._asking = serving, asking
        self.asked: Counter[str] = Counter()
        """By the adapters' namespaces: requests that were passed on to them."""

    async def run(self) -> None:
        """Until cancelled."""
        connector, timeout = aiohttp.TCPConnector(ssl=self._asking, limit=0), aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

            async def pass_on(request: web.Request) -> web.Response:
                return await self._pass_on(session, request)

            app = web.Application()
            app.router.add_get("/{path:.*}", pass_on)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            try:
                await web.TCPSite(runner, self._address, self._port, ssl_context=self._serving).start()
                await asyncio.Event().wait()
            finally:
                await runner.cleanup()

    async def _pass_on(self, session: aiohttp.ClientSession, request: web.Request) -> web.Response:
        namespace = self.namespace(request.raw_path)
        self.asked[namespace] += 1
        url = URL(self._adapters.get(namespace, self._other) + request.raw_path, encoded=True)
        headers = CIMultiDict(request.headers)
        for name in _OF_THE_CONNECTION:
            headers.popall(name, None)
        try:
            async with session.get(url, headers=headers, skip_auto_headers=("Accept-Encoding",)) as answer:
                kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except (TimeoutError, aiohttp.ClientError) as error:
            return web.Response(status=502, text=f"{url.host}:{url.port} does not answer: {error}")

    def namespace(self, path: str) -> str:
        """The namespace that this path asks about; '' where it names none that has an adapter."""
        match = _NAMESPACE.match(path)
        return match[1] if match and match[1] in self._adapters else ""


def only_for(authority: str, certificate: tuple[str, str]) -> ssl.SSLContext:
    """Serves with the certificate (file and key), and lets in only who has one of this CA file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
