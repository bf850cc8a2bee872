"""A watch of the fake API server: what one watcher is told."""

import asyncio
from collections.abc import AsyncGenerator

from aiohttp import web

from adapter.kube.fake.api import EXPIRED, Target, matcher, represent
from adapter.kube.fake.store import Change, Collection, Expired, FakeStore, Object

INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


class Feed:
    """The events of one watch, as JSON objects."""

    def __init__(
        self, request: web.Request, target: Target, collection: Collection, store: FakeStore, bookmark_seconds: float
    ) -> None:
        self._request = request
        self._matches = matcher(request, target)
        self._collection = collection
        self._store = store
        self._bookmarks = bookmark_seconds if request.query.get("allowWatchBookmarks") == "true" else None
        self._version = int(request.query.get("resourceVersion") or 0)

    async def events(self, streamed: bool) -> AsyncGenerator[Object, None]:
        """What there is (where the watch begins without a version) and then what changes; ends at an ERROR."""
        if streamed or not self._version:
            self._version = self._store.version
            for item in list(self._collection.objects.values()):
                if self._matches(item):
                    yield self._build_event("ADDED", item)
        if streamed:
            yield self._bookmark(INITIAL_EVENTS_END)
        while True:
            try:
                changes = await self._next()
            except Expired:
                yield {"type": "ERROR", "object": EXPIRED.status()}
                return
            if not changes:
                yield self._bookmark({})
            for change in changes:
                self._version = change.version
                if event := self._event(change):
                    yield event

    async def _next(self) -> list[Change]:
        """The next changes; none when it is time for a bookmark."""
        try:
            async with asyncio.timeout(self._bookmarks), self._collection.changed:
                await self._collection.changed.wait_for(lambda: bool(self._collection.since(self._version)))
        except TimeoutError:
            self._version = max(self._version, self._store.version)
            return []
        return self._collection.since(self._version)

    def _event(self, change: Change) -> Object | None:
        """A change as this watcher sees it: leaving the selection is a deletion, entering it an addition."""
        was = change.before is not None and self._matches(change.before)
        if change.after is not None and self._matches(change.after):
            return self._build_event("MODIFIED" if was else "ADDED", change.after)
        if not was or change.before is None:
            return None
        meta = {**change.before["metadata"], "resourceVersion": str(change.version)}
        return self._build_event("DELETED", {**change.before, "metadata": meta})

    def _build_event(self, kind: str, item: Object) -> Object:
        return {"type": kind, "object": represent(self._request, item)}

    def _bookmark(self, annotations: Object) -> Object:
        meta = {"resourceVersion": str(self._version), "creationTimestamp": None, "annotations": annotations}
        return {"type": "BOOKMARK", "object": {"metadata": meta}}
