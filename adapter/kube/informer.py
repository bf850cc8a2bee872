"""A collection of the Kubernetes API held in memory and kept up to date, with an honest account of its age."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Generic, Self, TypeVar

import structlog

from adapter.clock import steady
from adapter.kube.changes import Changed, Event, Failed, Opened, Removed, Replaced
from adapter.kube.client import Client
from adapter.kube.errors import Forbidden, KubeError
from adapter.kube.index import Index
from adapter.kube.objects import HasMetadata
from adapter.kube.resources import Resource
from adapter.kube.watch import PATIENT, Pacing, Target, list_and_watch

T = TypeVar("T", bound=HasMetadata)
log = structlog.get_logger(__name__)

BATCH = 500
"""Objects of a fresh list that are put between two turns of the loop: about 2 ms."""


class Informer(Generic[T]):
    """Follows one resource into `index`. `run` does the work; everything else tells how it goes.

    With `kind` PartialObjectMetadata only metadata is fetched. `transform`, if given, sees every object before it is
    held and may return a slimmer one.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        kind: type[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        index: Index[T] | None = None,
        transform: Callable[[T], T] | None = None,
        pacing: Pacing = PATIENT,
        clock: Callable[[], float] = steady,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`namespace` '' follows all namespaces; `clock` gives Unix seconds."""
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        params = {key: value for key, value in selectors.items() if value}
        self.index: Index[T] = Index() if index is None else index
        self.resource = resource
        self.error: KubeError | None = None
        """What went wrong last; None while all is well, a Forbidden where a permission is missing."""
        self._client = client
        self._target = Target(resource.path(namespace), kind, params)
        self._transform = transform
        self._pacing = pacing
        self._clock = clock
        self._draw = draw
        self._synced = asyncio.Event()
        self._heard_at = -math.inf

    @property
    def synced(self) -> bool:
        """Whether a whole list has been seen."""
        return self._synced.is_set()

    def waiting(self) -> str:
        """What the first whole list waits for, one sentence; '' once it was seen."""
        return "" if self.synced else str(self.error or "the first list is not here yet")

    def age(self, now: float) -> float:
        """Seconds since the server last spoke, `now` in Unix seconds; infinite before it ever did.

        With a healthy watch it stays below about 75 s, the time between two bookmarks.
        """
        return max(0.0, now - self._heard_at)

    async def wait_synced(self, timeout: float | None = None) -> bool:
        """Waits for the first whole list, at most `timeout` seconds; whether it is there."""
        try:
            async with asyncio.timeout(timeout):
                await self._synced.wait()
        except TimeoutError:
            pass
        return self.synced

    async def run(self) -> None:
        """Follows until it is cancelled. Nothing the server does ends it; what a handler raises does."""
        async with aclosing(list_and_watch(self._client, self._target, self._pacing, self._draw)) as events:
            async for event in events:
                if isinstance(event, Failed):
                    self._note_failure(event.error, event.pause)
                else:
                    await self._take(event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """`run` in the background of an `async with`; what ends it by surprise is raised there."""
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self.run(), name=f"informer of {self.resource.plural}")
                try:
                    yield self
                finally:
                    task.cancel()
        except BaseExceptionGroup as several:
            if len(several.exceptions) > 1:
                raise
            raise several.exceptions[0] from None  # so that a body's own errors pass as they are

    async def _take(self, event: Event[T]) -> None:
        if isinstance(event, Replaced):
            await self._replace(event.items)
        elif isinstance(event, Changed):
            self._put(event.object)
        elif isinstance(event, Removed):
            self.index.remove(event.object.metadata.namespace, event.object.metadata.name)
        if not isinstance(event, Opened):  # a server that accepts watches and says nothing lets us grow old
            self._heard_at = self._clock()
        if self.error:
            log.info("followed again", resource=self.resource.plural)
        self.error = None

    async def _replace(self, items: list[T]) -> None:
        """Takes over a fresh list. Meanwhile every object is either as it was or as it is."""
        for number, item in enumerate(items, 1):
            self._put(item)
            if number % BATCH == 0:
                await asyncio.sleep(0)
        self.index.retain((item.metadata.namespace, item.metadata.name) for item in items)
        self._synced.set()

    def _put(self, item: T) -> None:
        self.index.put(self._transform(item) if self._transform else item)

    def _note_failure(self, error: KubeError, pause: float) -> None:
        """One line in the log where the kind of trouble is new; the state says the rest."""
        known, self.error = self.error, error
        if known is None or isinstance(known, Forbidden) != isinstance(error, Forbidden):
            log.warning("not followed", resource=self.resource.plural, cause=str(error), retry_seconds=round(pause, 1))
