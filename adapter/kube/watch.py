"""List and watch: one collection of the Kubernetes API, followed for ever.

A list says what there is; a watch tells what changes from there. Watches end all the time (the server closes them after
minutes, connections break, API servers restart), so a watch is resumed from the last version it told. Only when the
server has forgotten that version (410) everything is listed anew, and the consumer learns what vanished meanwhile from
the list (`Replaced`), since nobody will tell it otherwise.

Where the server can (KEP-3157), the list comes as the first part of the watch, else page by page.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from adapter.kube.changes import Changed, Event, Failed, Opened, Removed, Replaced, parse_event
from adapter.kube.client import JSON, METADATA, METADATA_LIST, NONE, Client
from adapter.kube.errors import (
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from adapter.kube.lines import Lines
from adapter.kube.objects import HasMetadata, PartialObjectMetadata

MAX_RESUMES = 4
"""Failures of the server in a row after which its watches are no longer resumed, but everything is listed."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends a streamed list."""

T = TypeVar("T", bound=HasMetadata)
Initial: TypeAlias = dict[tuple[str, str], T]


class Target(NamedTuple, Generic[T]):
    """What to follow: the collection at `path`, narrowed by `params`, as objects of `kind`.

    With `kind` PartialObjectMetadata the server sends nothing but metadata.
    """

    path: str
    kind: type[T]
    params: Mapping[str, str] = NONE
    """labelSelector, fieldSelector."""

    @property
    def accept(self) -> str:
        """The media type to ask a watch for."""
        return METADATA if issubclass(self.kind, PartialObjectMetadata) else JSON

    @property
    def accept_list(self) -> str:
        """The media type to ask a list for."""
        return METADATA_LIST if issubclass(self.kind, PartialObjectMetadata) else JSON


class Pacing(NamedTuple):
    """How patient to be; all in seconds."""

    first: float = 0.5
    """The pause after a first failure; it doubles with each further one."""
    last: float = 15.0
    """The longest such pause; half of client-go's, since few clients of ours wait and what they hold grows old."""
    refused: float = 60.0
    """The pause after NotFound, or Forbidden from the start: only a person changes that."""
    silence: float = 120.0
    """A watch that is silent so long is resumed. Bookmarks come about every 60 s, so one may be late or lost; where a
    server sends none, an idle watch costs one cheap request in two minutes."""
    list_silence: float = 15.0
    """The same while a streamed list is awaited: a server that ignores the wish would never end it."""
    shortest: float = 300.0
    """The server is asked to end a watch after once to twice this, so that watches spread over its replicas."""
    settled: float = 10.0
    """A watch that lasted so long was a success; shorter ones count as failures even where they end well."""


PATIENT = Pacing()


class Backoff:
    """Pauses that double from `first` to `last`, each cut at random by up to half: clients must not march in step."""

    def __init__(self, first: float, last: float, draw: Callable[[], float] = random.random) -> None:
        self._first = first
        self._last = last
        self._draw = draw
        self.failures = 0

    def next(self) -> float:
        """The pause after one more failure, in seconds."""
        pause = min(self._last, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return pause * (0.5 + self._draw() / 2)

    def reset(self) -> None:
        """All is well again."""
        self.failures = 0


async def list_and_watch(
    client: Client, target: Target[T], pacing: Pacing = PATIENT, draw: Callable[[], float] = random.random
) -> AsyncGenerator[Event[T], None]:
    """Everything that happens to `target`, without end; first a `Replaced`.

    To be consumed within `contextlib.aclosing`, so that its connection is closed when the consumer leaves. A slow
    consumer holds up the server, which may then end the watch; nothing is lost by that.
    """
    follower = _Follower(client, target, pacing, draw)
    while True:
        error: KubeError | None = None
        try:
            async with aclosing(follower.once()) as events:
                async for event in events:
                    yield event
        except KubeError as caught:
            error = caught
        pause = follower.after(error)
        if error is not None:
            yield Failed(error, pause)
        await asyncio.sleep(pause)


class _Follower(Generic[T]):
    """Where we are in the history of the target, and how well it goes."""

    def __init__(self, client: Client, target: Target[T], pacing: Pacing, draw: Callable[[], float]) -> None:
        self._client = client
        self._target = target
        self._pacing = pacing
        self._draw = draw
        self._backoff = Backoff(pacing.first, pacing.last, draw)
        self._version = ""  # the last resourceVersion heard of; '': everything must be listed
        self._streams_lists = True  # until the server shows that it does not
        self._opened_at: float | None = None
        self._admitted = False  # ever
        self._server_errors = 0  # in a row
        self._forgot = False  # the server answered 410 since a watch last went well

    async def once(self) -> AsyncGenerator[Event[T], None]:
        """One watch to its end, after a list where one is needed. Raises KubeError."""
        self._opened_at = None
        if not self._version and not self._streams_lists:
            yield await self._list()
        initial: Initial[T] | None = None if self._version else {}
        try:
            async with (
                self._client.stream(self._target.path, params=self._parameters(), accept=self._target.accept) as lines,
                aclosing(self._read_events(lines, initial)) as events,
            ):
                async for event in events:
                    yield event
        except KubeError as error:
            if self._version or error.status not in {400, 422}:
                raise
            self._streams_lists = False  # the wish for a streamed list was refused as unknown

    async def _list(self) -> Replaced[T]:
        target = self._target
        listing = await self._client.list(target.path, target.kind, params=target.params, accept=target.accept_list)
        self._version = listing.resource_version
        return Replaced(listing.items)

    def _parameters(self) -> dict[str, str]:
        seconds = self._pacing.shortest * (1 + self._draw())
        asked = {**self._target.params, "allowWatchBookmarks": "true", "timeoutSeconds": str(int(seconds))}
        if self._version:
            return asked | {"resourceVersion": self._version}
        return asked | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    async def _read_events(self, lines: Lines, initial: Initial[T] | None) -> AsyncGenerator[Event[T], None]:
        """The events of one watch; `initial`, if any, gathers the streamed list until its end is announced."""
        self._opened_at = asyncio.get_running_loop().time()
        self._admitted = True
        self._streams_lists = initial is None and self._streams_lists  # a list that never ends is not tried again
        if initial is None:
            yield Opened()
        while batch := await lines.read(self._pacing.silence if initial is None else self._pacing.list_silence):
            for line in batch:
                event, meta = parse_event(line, self._target.kind, self._target.path)
                if initial is None:
                    self._version = meta.resource_version or self._version
                    yield event
                elif INITIAL_EVENTS_END in meta.annotations:
                    self._version = meta.resource_version
                    self._streams_lists = True
                    yield Replaced(list(initial.values()))
                    initial = None
                elif isinstance(event, Changed):
                    initial[meta.namespace, meta.name] = event.object
                elif isinstance(event, Removed):
                    initial.pop((meta.namespace, meta.name), None)

    def after(self, error: KubeError | None) -> float:
        """The pause before the next try, in seconds; decides too whether everything must be listed anew."""
        lasted = 0.0 if self._opened_at is None else asyncio.get_running_loop().time() - self._opened_at
        if lasted >= self._pacing.settled:
            self._backoff.reset()
            self._forgot = False
            if error is None:
                return 0.0
        if isinstance(error, Gone) and not self._forgot:  # back from a restart, say: no reason to wait for the list
            self._backoff.reset()
            self._forgot = True
        pause = self._backoff.next()
        if not self._can_resume(error):
            self._version = ""
        # A server that has just started refuses everybody until it has read its roles: who was let in before tries on.
        if isinstance(error, NotFound) or (isinstance(error, Forbidden) and not self._admitted):
            return max(pause, self._pacing.refused * (0.5 + self._draw() / 2))
        return max(pause, min(error.retry_after or 0.0, self._pacing.refused)) if error else pause

    def _can_resume(self, error: KubeError | None) -> bool:
        """Whether the last version is still good. A server that fails on it time after time may have lost it."""
        self._server_errors = self._server_errors + 1 if isinstance(error, ServerError) else 0
        if self._server_errors:
            return self._server_errors < MAX_RESUMES
        return error is None or isinstance(error, Unreachable | TooManyRequests | Unauthorized | Forbidden)
