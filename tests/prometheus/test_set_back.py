"""A Prometheus whose clock is set back: what it remembers of the hour before is not served as if it were new.

Its own clock cannot be set here. Through this proxy it evaluates as one that was set back does: at the earlier time,
over what it has remembered until then.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.prometheus.connection import Connection
from adapter.metrics.source import Query
from tests.prometheus.conftest import every, prometheus_with

BACK = 1800.0


class Proxy:
    """Sets the clock of the Prometheus behind it back by `back` s."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.back = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        form = {"time": f"{time.time() - self.back:.3f}", **await request.post()}
        async with aiohttp.ClientSession() as session, session.post(self._url + request.path, data=form) as reply:
            return web.Response(body=await reply.read(), status=reply.status, content_type="application/json")


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, PrometheusSource]]:
    proxy = Proxy(url)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", proxy.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source = PrometheusSource(Connection(urls=[f"http://127.0.0.1:{runner.addresses[0][1]}"]))
    try:
        yield proxy, source
    finally:
        await source.close()
        await runner.cleanup()


async def age(source: PrometheusSource, promql: str, *, of_times: bool = False) -> float:
    now = time.time()
    (sample,) = await source.query(Query(promql, of_times=of_times), now)
    return now - (sample.value if of_times else sample.time)


async def test_values_of_before_are_as_old_as_they_are(folder: Path) -> None:
    past = {'depth{pod="web-1"}': every(15, lambda age: 7, newest=1, oldest=3600)}
    with prometheus_with(folder / "set-back", past) as prometheus:
        async with proxied(prometheus.url) as (proxy, source):
            assert await age(source, "max(depth)") < 5
            proxy.back = BACK
            assert await age(source, "max(depth)") > BACK - 5
            assert await age(source, "max(timestamp(depth))", of_times=True) > BACK - 5
            proxy.back = 0.0
            assert await age(source, "max(depth)") < 5
