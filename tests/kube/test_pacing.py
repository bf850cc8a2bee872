"""When the watch tries again after which trouble, in virtual time against a server that is only imagined."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import msgspec
import pytest

from adapter.kube import errors
from adapter.kube.changes import Failed
from adapter.kube.client import Client, Listing
from adapter.kube.errors import Forbidden, NotFound
from adapter.kube.informer import Informer
from adapter.kube.objects import PartialObjectMetadata
from adapter.kube.resources import PODS as POD_RESOURCE
from adapter.kube.watch import Backoff, Pacing, Target, list_and_watch

pytestmark = pytest.mark.looptime

PODS = Target("/api/v1/pods", PartialObjectMetadata)
PACING = Pacing()


class Script:
    """A client whose n-th watch does what the n-th line says; then watches hang.

    A line is an error (the watch is refused with it), or (seconds, error or None): it lasts so long, then ends.
    """

    def __init__(self, *lines: Any) -> None:
        self.lines = list(lines)
        self.tries: list[tuple[float, str]] = []
        self.lists = 0

    async def list(
        self, path: str, kind: type[PartialObjectMetadata], *, params: Mapping[str, Any], accept: str
    ) -> Listing[Any]:
        self.lists += 1
        return Listing([], "10")

    @asynccontextmanager
    async def stream(self, path: str, *, params: dict[str, str], accept: str) -> AsyncIterator[Any]:
        self.tries.append((asyncio.get_running_loop().time(), params.get("resourceVersion", "")))
        line = self.lines.pop(0) if self.lines else (float("inf"), None)
        if isinstance(line, Exception):
            raise line
        yield line if isinstance(line, Play) else Play(*line)


class Play:
    def __init__(self, seconds: float, error: Exception | None) -> None:
        self.seconds, self.error, self.listed = seconds, error, False

    async def read(self, silence: float) -> list[bytes]:
        if not self.listed:
            self.listed = True
            return [bookmark("10", {"k8s.io/initial-events-end": "true"})]
        await asyncio.sleep(min(self.seconds, 1e6))
        if self.error:
            raise self.error
        return []


class Quiet(Play):
    """A watch on which nothing happens but a bookmark every so many seconds."""

    async def read(self, silence: float) -> list[bytes]:
        if not self.listed:
            return await super().read(silence)
        if self.seconds > silence:
            await asyncio.sleep(silence)
            raise errors.Unreachable(f"silent for {silence:g} s")
        await asyncio.sleep(self.seconds)
        return [bookmark("11", {})]


def bookmark(version: str, annotations: dict[str, str]) -> bytes:
    meta = {"resourceVersion": version, "annotations": annotations}
    return msgspec.json.encode({"type": "BOOKMARK", "object": {"metadata": meta}})


async def tries(script: Script, count: int, draw: Callable[..., Any] = lambda: 1.0) -> list[float]:
    """The times of the first `count` watches, relative to the first."""
    async with aclosing(list_and_watch(cast(Client, script), PODS, PACING, draw)) as events:
        async for _ in events:
            if len(script.tries) >= count:
                break
    return [round(at - script.tries[0][0], 3) for at, _ in script.tries]


DOWN = errors.Unreachable("down")


async def test_pauses_double_up_to_a_quarter_of_a_minute() -> None:
    # 0.5, 1, 2, 4, 8, then 15 s each: sums 0.5, 1.5, 3.5, 7.5, 15.5, 30.5, 45.5, 60.5
    times = await tries(Script(*[DOWN] * 9), 9)
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 30.5, 45.5, 60.5]


async def test_jitter_cuts_a_pause_by_up_to_half() -> None:
    assert await tries(Script(*[DOWN] * 3), 3, draw=lambda: 0.0) == [0, 0.25, 0.75]


async def test_a_watch_that_lasted_forgives_what_was_before() -> None:
    # 0.5 and 1 s of pauses, a watch of 20 s that breaks, and the first pause again
    script = Script(DOWN, DOWN, (20.0, DOWN), DOWN)
    assert await tries(script, 4) == [0, 0.5, 1.5, 1.5 + 20 + 0.5]


async def test_a_long_watch_that_ends_well_is_resumed_at_once() -> None:
    assert await tries(Script((400.0, None), (500.0, None)), 3) == [0, 400, 900]


async def test_watches_that_end_well_but_at_once_are_not_a_storm() -> None:
    # A proxy that ends every watch after 1 s: 1 + 0.5, 1 + 1, 1 + 2
    assert await tries(Script(*[(1.0, None)] * 4), 4) == [0, 1.5, 3.5, 6.5]


@pytest.mark.parametrize("error", [errors.Forbidden(403, "Forbidden", "no"), errors.NotFound(404, "NotFound", "no")])
async def test_what_only_a_person_changes_is_asked_for_once_a_minute(error: Forbidden | NotFound) -> None:
    assert await tries(Script(error, error, error), 3) == [0, 60, 120]


async def test_who_was_let_in_before_is_back_seconds_after_a_server_that_did_not_know_its_roles_yet() -> None:
    no = errors.Forbidden(403, "Forbidden", "no")
    # admitted for 30 s; then refused, and tried again after 0.5, 1, 2, … 15 s
    assert await tries(Script((30.0, DOWN), no, no, no), 5) == [0, 30.5, 31.5, 33.5, 37.5]


async def test_the_servers_own_wish_for_a_pause_is_granted_up_to_a_minute() -> None:
    busy = [errors.TooManyRequests(429, "TooManyRequests", "busy", seconds) for seconds in (7.0, 3600.0)]
    assert await tries(Script(*busy, DOWN), 3) == [0, 7, 67]


@pytest.mark.parametrize(
    ("error", "version"),
    [
        (DOWN, "10"),
        (errors.TooManyRequests(429, "", "busy"), "10"),
        (errors.Unauthorized(401, "", "who?"), "10"),
        (errors.ServerError(500, "", "oops"), "10"),
        (errors.Gone(410, "Expired", "too old"), ""),
        (errors.KubeError(400, "BadRequest", "what version?"), ""),
        (errors.Undecodable("nonsense"), ""),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_version_is_kept_where_the_trouble_does_not_cast_doubt_on_it(error: Any, version: str) -> None:
    script = Script((1.0, error))
    await tries(script, 2)
    assert script.tries[1][1] == version


async def test_a_streamed_list_that_is_refused_as_unknown_is_a_paged_list_from_then_on() -> None:
    refused = errors.KubeError(422, "Invalid", "sendInitialEvents is forbidden")
    script = Script(refused, (1.0, errors.Gone(410, "Expired", "too old")))
    await tries(script, 3)
    assert script.lists == 2
    assert [version for _, version in script.tries] == ["", "10", "10"]


async def test_a_long_outage_casts_no_doubt_on_the_version_but_errors_of_the_server_in_a_row_do() -> None:
    oops = errors.ServerError(500, "", "oops")
    script = Script((1.0, None), *[DOWN] * 9, oops, DOWN, oops, oops, oops, oops)
    await tries(script, 17)
    assert [version for _, version in script.tries] == ["", *["10"] * 15, ""]


GONE = errors.Gone(410, "Expired", "too old")


async def test_after_an_outage_the_list_that_410_asks_for_is_not_delayed() -> None:
    # pauses of 0.5, 1, 2, 4 s; then the server is back, has forgotten our version after 1 s, and 0.5 s suffice
    script = Script((1.0, None), DOWN, DOWN, DOWN, (1.0, GONE))
    times = await tries(script, 6)
    assert script.tries[5][1] == ""
    assert times[5] - times[4] == 1 + 0.5


async def test_a_server_that_forgets_every_version_at_once_is_not_listed_in_a_storm() -> None:
    # Every watch that follows a list is told 410: pauses of 0.5, 1, 2, 4, 8, then 15 s all the same
    assert await tries(Script(*[(0.0, GONE)] * 7), 7) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 30.5]


async def test_failures_are_told_with_their_pause() -> None:
    async with aclosing(list_and_watch(cast(Client, Script(DOWN)), PODS, PACING, lambda: 1.0)) as events:
        assert await anext(events) == Failed(DOWN, 0.5)


async def test_backoff_never_overflows() -> None:
    backoff = Backoff(0.5, 30.0, lambda: 1.0)
    assert max(backoff.next() for _ in range(5000)) == 30.0


def follower(script: Script) -> Informer[PartialObjectMetadata]:
    clock = asyncio.get_running_loop().time
    return Informer(cast(Client, script), POD_RESOURCE, PartialObjectMetadata, clock=clock, draw=lambda: 1.0)


async def test_waiting_for_a_list_that_does_not_come_ends_in_time() -> None:
    """The server refuses every try; whoever waits for 7 s gets his answer after 7 s, between two tries."""
    script = Script(*[errors.from_response(503, b"", "GET /api/v1/pods")] * 10)
    informer, now = follower(script), asyncio.get_running_loop().time
    async with informer.running():
        began = now()
        assert not await informer.wait_synced(7)
        assert now() - began == 7
        assert len(script.tries) == 4  # at 0, 0.5, 1.5 and 3.5 s; the next would be at 7.5 s
        assert not informer.synced
        assert informer.age(now()) == math.inf
        assert isinstance(informer.error, errors.KubeError)
        assert informer.error.status == 503


async def test_bookmarks_keep_a_quiet_watch_open_and_young() -> None:
    """A bookmark each 75 s, and 120 s of silence would be too long: in an hour one try, never older than 75 s."""
    script = Script(Quiet(75, None))
    informer, now = follower(script), asyncio.get_running_loop().time
    async with informer.running():
        assert await informer.wait_synced(5)
        for _ in range(60):
            await asyncio.sleep(60)
            assert informer.age(now()) <= 75
    assert len(script.tries) == 1


async def test_a_watch_that_falls_silent_is_dropped_after_two_minutes() -> None:
    """120 s of silence, then 0.5 s: a second try, which lasts."""
    script = Script(Quiet(600, None))
    informer = follower(script)
    async with informer.running():
        await asyncio.sleep(119)
        assert len(script.tries) == 1
        await asyncio.sleep(2)
        assert [round(at, 1) for at, _ in script.tries] == [0, 120.5]
