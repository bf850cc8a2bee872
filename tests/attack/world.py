"""The adapter's surroundings in a process of their own: Kubernetes, pods with pages, and a Prometheus, all told what
to be. Run as `python -m tests.attack.world`: it prints one line of JSON with its ports and ends with its input.

`PUT /pages/NAME` sets what a pod of that name answers to a scrape (headers `X-Type`, `X-Encoding` its content type and
encoding); `PUT /series` sets what Prometheus knows: a list of [labels, value]; `PUT /answers/PATH` sets the raw body of
Prometheus' answers at /api/v1/PATH; `PUT /delay` sets how many seconds it takes for each, `PUT /ahead` how many seconds
its clock is ahead; `PUT /anew` undoes all of it; `GET /asked` tells how often each was asked.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from typing import Any

from aiohttp import web

from adapter.kube.fake.server import FakeCluster

TENANT, HPA = "tenant", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(r'(\w+)(!?=)"([^"]*)"')


class World:
    """All of it; `asked` counts requests by path."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._forget()

    def _forget(self) -> None:
        self.pages: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.series: list[tuple[dict[str, str], str]] = []
        self.answers: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.delay = self.ahead = 0.0

    async def put(self, request: web.Request) -> web.Response:
        """Changes what it is."""
        kind, _, name = request.path.strip("/").partition("/")
        body = await request.read()
        headers = {"Content-Type": request.headers.get("X-Type", "text/plain")}
        if encoding := request.headers.get("X-Encoding"):
            headers["Content-Encoding"] = encoding
        if kind == "pages":
            self.pages[name] = body, headers
        elif kind == "series":
            self.series = [(dict(labels), str(value)) for labels, value in json.loads(body)]
        elif kind == "answers":
            self.answers[name] = body, headers
        elif kind == "delay":
            self.delay = float(body)
        elif kind == "ahead":
            self.ahead = float(body)
        elif kind == "anew":
            self._forget()
        return web.Response()

    async def page(self, request: web.Request) -> web.StreamResponse:
        """What a scrape gets."""
        self.asked[request.path] += 1
        page = self.pages.get(request.match_info["name"])
        if page is None:
            return web.Response(status=404)
        return await _send(request, *page)

    async def prometheus(self, request: web.Request) -> web.StreamResponse:
        """The API of Prometheus over `series`: a query gives each series that it names, by pod and namespace."""
        path = request.match_info["path"]
        self.asked[f"/api/v1/{path}"] += 1
        await asyncio.sleep(self.delay)
        if path in self.answers:
            return await _send(request, *self.answers[path])
        form = {**request.query, **await request.post()}
        data: Any = []
        label_sets = self._matching(str(form.get("match[]", "")))
        if path == "query":
            data = {"resultType": "vector", "result": self._vector(str(form.get("query", "")))}
        elif path == "series":
            data = label_sets
        elif path == "labels":
            data = sorted({key for labels in label_sets for key in labels})
        elif path == "label/__name__/values":
            data = sorted({labels["__name__"] for labels in label_sets})
        return web.json_response({"status": "success", "data": data})

    def _matching(self, selector: str) -> list[dict[str, str]]:
        """By its matchers `=` and `!=`; expressions match all."""
        wanted = _MATCHER.findall(selector)
        return [
            labels
            for labels, _ in self.series
            if all((labels.get(label, "") == value) == (operator == "=") for label, operator, value in wanted)
        ]

    def _vector(self, query: str) -> list[dict[str, Any]]:
        names, now = set(_NAME.findall(query)), time.time() + self.ahead
        by_labels = {}
        for labels, value in self.series:
            if labels["__name__"] in names:
                kept = {key: labels[key] for key in ("namespace", "pod") if key in labels}
                by_labels[tuple(kept.items())] = (kept, str(now) if "timestamp(" in query else value)
        return [{"metric": kept, "value": [now, value]} for kept, value in by_labels.values()]

    async def request_counts(self, _: web.Request) -> web.Response:
        """How often each path was asked."""
        return web.json_response(self.asked)


async def _send(request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    answer = web.StreamResponse(headers=headers)  # web.Response would have the encoding be its own work
    answer.content_length = len(body)
    await answer.prepare(request)
    await answer.write(body)
    return answer


async def main() -> None:
    """Serve until the input ends."""
    sys.setrecursionlimit(50_000)  # objects that nest deeply are to come through here
    world = World()
    app = web.Application(client_max_size=256 << 20)
    app.router.add_get("/asked", world.request_counts)
    app.router.add_get("/pages/{name}", world.page)
    app.router.add_route("*", "/api/v1/{path:.*}", world.prometheus)
    app.router.add_put("/{path:.*}", world.put)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with FakeCluster() as cluster:
        cluster.tokens = {TENANT: {"username": TENANT, "groups": ["tenants"]}}
        cluster.authorize = lambda spec: spec.get("user") in (TENANT, HPA)
        sys.stdout.write(json.dumps({"kubernetes": cluster.port, "pages": runner.addresses[0][1]}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
