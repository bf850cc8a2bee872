"""A small Kubernetes API server in memory, on loopback: for tests, demos and load tests, never for anything else.

It stores whatever it is given by group, version and plural name without asking for a schema, and behaves as the real
one where clients notice: versions, conflicts, pages, watches with bookmarks, streamed lists, 410, metadata-only
answers, discovery, scale, access and token reviews. And it fails on demand, in the ways that real servers do.
"""

import asyncio
import copy
import json
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from typing import Self, TypeAlias

from aiohttp import web

from adapter.kube.config import Connection, Credentials, Fixed
from adapter.kube.fake import api, store, watch
from adapter.kube.fake.api import Refusal, Target
from adapter.kube.fake.discovery import discovery
from adapter.kube.fake.store import Collection, Object
from adapter.kube.known import KNOWN
from adapter.kube.resources import ApiResource, Resource

Fault: TypeAlias = Callable[[web.Request], Refusal | None]


class FakeCluster:
    """`async with FakeCluster() as cluster:` serves until the block ends; `cluster.connection` is how to reach it."""

    def __init__(self, *, certificate: ssl.SSLContext | None = None, trust: ssl.SSLContext | None = None) -> None:
        """`certificate`: the server's context, for TLS; `trust`: the clients' context for it."""
        self.store = store.FakeStore()
        self.resources: list[ApiResource] = list(KNOWN)
        self.broken_groups: set[str] = set()
        """API groups whose discovery answers 503, as when an aggregated server is down."""
        self.requests: deque[tuple[str, str]] = deque(maxlen=10_000)
        """Verb and path with query of what was asked, oldest first."""
        self.authorize: Callable[[Object], bool] = lambda spec: True
        """Answers the spec of a SubjectAccessReview, or of a SelfSubjectAccessReview, which has no user."""
        self.tokens: dict[str, Object] = {}
        """TokenReview: the UserInfo of each valid token."""
        self.bearers: set[str] | None = None
        """The tokens that this server lets in; None: everybody."""
        self.streams_lists = True
        """Whether sendInitialEvents is understood (KEP-3157)."""
        self.aggregated_discovery = True
        self.bookmark_seconds = 60.0
        self.watch_seconds = 3600.0
        """The longest watch, whatever the client asks."""
        self.silent = False
        """Watches are accepted, and never told anything."""
        self.faults: list[Fault] = []
        """Asked in order before each request is served; the first refusal is the answer."""
        self.port = 0
        self.watching = 0
        """How many watches are open."""
        self._certificate = certificate
        self._trust = trust
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serves, on the same port as before where there was one."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._certificate).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Serves no more; everything stored is kept."""
        self.drop_connections()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def connection(self) -> Connection:
        """How a Client reaches it."""
        return self.connect(Fixed())

    def connect(self, credentials: Credentials) -> Connection:
        """How a Client with these credentials reaches it."""
        return Connection(self.url, self._trust, credentials, namespace="default")

    # ------------------------------------------------------------------------------------------- for whoever sets up

    async def put(self, resource: Resource, item: Object) -> Object:
        """Creates or replaces an object, as somebody else's client would; watchers are told."""
        item = copy.deepcopy(item)
        if resource.namespaced:
            item["metadata"].setdefault("namespace", "default")
        item.setdefault("apiVersion", resource.api_version)
        item.setdefault("kind", self._kind(resource))
        collection = self.store.collection(resource.group, resource.plural)
        stored = collection.put(item)
        await notify(collection)
        return copy.deepcopy(stored)

    async def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Deletes an object; watchers are told."""
        collection = self.store.collection(resource.group, resource.plural)
        collection.remove(namespace, name)
        await notify(collection)

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object as it is stored."""
        return copy.deepcopy(self.store.collection(resource.group, resource.plural).objects.get((namespace, name)))

    def _kind(self, resource: Resource) -> str:
        known = (offer.kind for offer in self.resources if (offer.group, offer.plural) == resource[::2])
        return next(known, resource.plural.removesuffix("s").capitalize())

    def register(self, offer: ApiResource) -> None:
        """Adds a resource to discovery."""
        self.resources.append(offer)

    # -------------------------------------------------------------------------------------------------- faults

    def drop_connections(self) -> None:
        """Breaks every connection, idle or in the midst of an answer, without a farewell."""
        if self._runner and self._runner.server:
            for connection in self._runner.server.connections:
                connection.force_close()

    def expire(self) -> None:
        """Forgets all history and ends all watches: whoever resumes is told 410."""
        self.store.compact()
        self.drop_connections()

    def forbid(self, prefix: str) -> Fault:
        """From now on requests of paths that start with `prefix` get 403; remove the result from `faults` to end it."""
        return self.fail(prefix, 403, "Forbidden")

    def fail(
        self, prefix: str, code: int, reason: str = "InternalError", *, times: int = 1 << 30, retry_after: str = ""
    ) -> Fault:
        """The next `times` requests of paths that start with `prefix` get this answer."""
        left = times

        def fault(request: web.Request) -> Refusal | None:
            nonlocal left
            if not left or not request.path.startswith(prefix):
                return None
            left -= 1
            headers = {"Retry-After": retry_after} if retry_after else {}
            return Refusal(code, reason, f"{request.path}: refused on demand", headers)

        self.faults.append(fault)
        return fault

    # ------------------------------------------------------------------------------------------------------- serving

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        try:
            self._admit(request)
            return await self._answer(request)
        except Refusal as refusal:
            return web.json_response(refusal.status(), status=refusal.code, headers=refusal.headers)

    def _admit(self, request: web.Request) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").removeprefix("bearer ")
        if self.bearers is not None and token not in self.bearers:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        for fault in self.faults:
            if refusal := fault(request):
                raise refusal

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        accept = request.headers.get("Accept", "") if self.aggregated_discovery else ""
        document = discovery(request.path, self.resources, self.broken_groups, accept)
        if document is not None:
            return web.json_response(document)
        target = api.target_of(request.path)
        if target is None:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        if target.plural in {"subjectaccessreviews", "selfsubjectaccessreviews"}:
            return web.json_response(api.access_review(await request.json(), self.authorize), status=201)
        if target.plural == "tokenreviews":
            return web.json_response(api.token_review(await request.json(), self.tokens), status=201)
        collection = self.store.collection(target.group, target.plural)
        if request.method == "GET" and request.query.get("watch") in {"true", "1"}:
            return await self._watch(request, target, collection)
        if request.method == "GET" and not target.name:
            return web.json_response(api.list_page(request, target, collection, self.store.version))
        answer = await api.answer_call(request, target, collection)
        if request.method != "GET":
            await notify(collection)
        return web.json_response(answer, status=201 if request.method == "POST" else 200)

    async def _watch(self, request: web.Request, target: Target, collection: Collection) -> web.StreamResponse:
        streamed = "sendInitialEvents" in request.query
        if streamed and not self.streams_lists:
            raise Refusal(422, "Invalid", "sendInitialEvents is forbidden for watch")
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        seconds = min(self.watch_seconds, float(request.query.get("timeoutSeconds", self.watch_seconds)))
        feed = watch.Feed(request, target, collection, self.store, self.bookmark_seconds)
        self.watching += 1
        try:
            async with asyncio.timeout(seconds):
                if self.silent:
                    await asyncio.Event().wait()
                async with aclosing(feed.events(streamed)) as events:
                    async for event in events:
                        await answer.write(json.dumps(event).encode() + b"\n")
        except TimeoutError:
            await answer.write_eof()
        except ConnectionError:
            pass  # the watcher left
        finally:
            self.watching -= 1
        return answer


async def notify(collection: Collection) -> None:
    """Wakes whoever watches."""
    async with collection.changed:
        collection.changed.notify_all()
