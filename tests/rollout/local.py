"""A client of the in-memory API server without sockets, so that a whole release takes milliseconds.

It answers as the server on loopback does (the same functions serve), and can be made to fail or to die at any write.
"""

from collections.abc import Callable
from typing import Any, cast

import msgspec

from adapter.kube import errors
from adapter.kube.client import Client
from adapter.kube.fake import api
from adapter.kube.fake.server import FakeCluster

Hook = Callable[[str, str], None]
"""Called with verb and path; what it raises happens to the caller."""


class Killed(BaseException):
    """The controller is no more."""


class Ask:
    """A request as the fake API server reads it."""

    def __init__(self, request: Any) -> None:
        self.method, self.path, self._body = request.verb, request.path, request.body
        self.can_read_body = request.body is not None
        self.query, self.headers, self.content_type = dict(request.params), {"Accept": request.accept}, request.content

    async def json(self) -> Any:
        return msgspec.json.decode(self._body)


class LocalClient(Client):
    """Calls `cluster` directly."""

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(cluster.connection)
        self.cluster = cluster
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.calls: list[tuple[str, str]] = []

    async def _call(self, request: Any) -> bytes:
        self.calls.append((request.verb, request.path))
        for hook in self.before:
            hook(request.verb, request.path)
        try:
            answer = await self._answer(Ask(request))
        except api.Refusal as refusal:
            raise errors.from_response(refusal.code, msgspec.json.encode(refusal.status()), str(request)) from None
        for hook in self.after:
            hook(request.verb, request.path)
        return msgspec.json.encode(answer)

    async def _answer(self, ask: Ask) -> Any:
        target = api.target_of(ask.path)
        assert target is not None
        collection = self.cluster.store.collection(target.group, target.plural)
        if ask.method == "GET" and not target.name:
            return api.list_page(cast(Any, ask), target, collection, self.cluster.store.version)
        return await api.answer_call(cast(Any, ask), target, collection)
