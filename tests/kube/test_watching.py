"""From the API server to the index and back to health after every kind of trouble, over real sockets."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp.web_request import Request

from adapter.kube.changes import Changed, Heard, Replaced
from adapter.kube.client import Client
from adapter.kube.errors import Forbidden
from adapter.kube.fake.api import EXPIRED
from adapter.kube.fake.server import FakeCluster
from adapter.kube.informer import Informer
from adapter.kube.objects import PartialObjectMetadata, Pod
from adapter.kube.resources import PODS
from adapter.kube.watch import Target, list_and_watch
from tests.kube.conftest import SWIFT, eventually, pod


def informer(client: Client, kind: type = Pod, **options: Any) -> Informer:
    return Informer(client, PODS, kind, pacing=options.pop("pacing", SWIFT), **options)


def names(watcher: Informer) -> set[str]:
    return {one.metadata.name for one in watcher.index}


def paths_with(cluster: FakeCluster, part: str) -> list[str]:
    return [path for _, path in cluster.requests if part in path]


def lists(cluster: FakeCluster) -> int:
    """How many requests brought everything anew: streamed lists, and first pages."""
    pages = [path for path in paths_with(cluster, "limit=") if "continue=" not in path]
    return len(pages) + len(paths_with(cluster, "sendInitialEvents"))


@pytest.mark.parametrize("streams", [True, False], ids=["streamed list", "paged list"])
async def test_an_informer_holds_what_there_is_and_follows_what_changes(
    cluster: FakeCluster, client: Client, streams: bool
) -> None:
    cluster.streams_lists = streams
    await cluster.put(PODS, pod("old"))
    watcher = informer(client)
    async with watcher.running():
        assert await watcher.wait_synced(5)
        assert names(watcher) == {"old"}
        await cluster.put(PODS, pod("new"))
        await cluster.put(PODS, pod("old", labels={"app": "api"}))
        await eventually(lambda: names(watcher) == {"old", "new"})
        await eventually(lambda: watcher.index.get("default", "old").metadata.labels == {"app": "api"})
        await cluster.remove(PODS, "default", "old")
        await eventually(lambda: names(watcher) == {"new"})
    await eventually(lambda: cluster.watching == 0)


async def test_an_empty_collection_is_synced_too(client: Client) -> None:
    watcher = informer(client)
    async with watcher.running():
        assert await watcher.wait_synced(5)
        assert len(watcher.index) == 0


async def test_a_watch_that_the_server_ends_is_resumed_without_a_list(cluster: FakeCluster, client: Client) -> None:
    cluster.watch_seconds = 0.05
    watcher = informer(client)
    async with watcher.running():
        for number in range(10):
            await cluster.put(PODS, pod(f"p{number}"))
            await asyncio.sleep(0.03)
        await eventually(lambda: len(watcher.index) == 10)
    assert lists(cluster) == 1
    assert len(paths_with(cluster, "resourceVersion=")) > 1
    assert watcher.error is None


async def test_a_watch_that_breaks_is_resumed_without_a_list_and_nothing_is_missed(
    cluster: FakeCluster, client: Client
) -> None:
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        cluster.drop_connections()
        await cluster.put(PODS, pod("meanwhile"))
        await eventually(lambda: names(watcher) == {"meanwhile"})
    assert lists(cluster) == 1


@pytest.mark.parametrize("how", ["in the stream", "as an HTTP status"])
async def test_after_410_everything_is_listed_and_what_vanished_is_told_as_gone(
    cluster: FakeCluster, client: Client, how: str
) -> None:
    for name in ("stays", "goes", "is made anew"):
        await cluster.put(PODS, pod(name))
    watcher, told = informer(client), []
    watcher.index.on_change(lambda old, new: told.append((old and old.metadata.name, new and new.metadata.name)))
    async with watcher.running():
        await watcher.wait_synced(5)
        told.clear()
        await cluster.stop()
        await cluster.remove(PODS, "default", "goes")
        await cluster.remove(PODS, "default", "is made anew")
        await cluster.put(PODS, pod("is made anew"))
        await cluster.put(PODS, pod("comes"))
        cluster.store.compact()
        if how == "as an HTTP status":
            cluster.faults.append(lambda request: EXPIRED if "resourceVersion" in request.query else None)
        await cluster.start()
        await eventually(lambda: names(watcher) == {"stays", "is made anew", "comes"})
    assert sorted(told, key=str) == sorted(
        [("goes", None), ("is made anew", None), (None, "is made anew"), (None, "comes")], key=str
    )
    assert lists(cluster) == 2


async def test_an_event_410_of_an_open_watch_leads_to_a_list(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(PODS, pod("a"))
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        cluster.store.compact()  # the open watch now stands before what is remembered
        await cluster.put(PODS, pod("b"))
        await eventually(lambda: names(watcher) == {"a", "b"})
    assert lists(cluster) == 2


async def test_a_silent_watch_is_dropped_and_resumed(cluster: FakeCluster, client: Client) -> None:
    watcher = informer(client, pacing=SWIFT._replace(silence=0.1))
    async with watcher.running():
        await watcher.wait_synced(5)
        cluster.silent = True
        cluster.drop_connections()
        await eventually(lambda: cluster.watching)
        await cluster.put(PODS, pod("unheard"))
        await asyncio.sleep(0.15)
        cluster.silent = False
        await eventually(lambda: names(watcher) == {"unheard"})
    assert lists(cluster) == 1


async def test_a_bookmarks_version_is_where_the_watch_resumes(cluster: FakeCluster, client: Client) -> None:
    """Other resources' changes raise the version; without bookmarks the resumed one would be too old."""
    cluster.bookmark_seconds = 0.02
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        cluster.store.version += 1000
        await asyncio.sleep(0.1)
        await cluster.stop()
        cluster.store.collection("", "pods").compact(900)
        await cluster.start()
        await eventually(lambda: cluster.watching)
        await asyncio.sleep(0.05)
        assert watcher.error is None
    assert lists(cluster) == 1


async def test_a_server_that_restarts_is_met_again(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(PODS, pod("a"))
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        await cluster.stop()
        await eventually(lambda: watcher.error)
        assert watcher.synced
        assert names(watcher) == {"a"}, "what is known stays while the server is away"
        await cluster.put(PODS, pod("b"))
        await cluster.start()
        await eventually(lambda: names(watcher) == {"a", "b"})
        assert watcher.error is None


async def test_a_resumed_watch_is_healthy_again_before_it_tells_anything_but_not_young(
    cluster: FakeCluster, client: Client
) -> None:
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        before = watcher.age(1e12)
        cluster.silent = True
        await cluster.stop()
        await eventually(lambda: watcher.error)
        await cluster.start()
        await eventually(lambda: not watcher.error)
        assert watcher.age(1e12) == before


async def test_a_server_that_is_not_there_yet_is_waited_for(cluster: FakeCluster, client: Client) -> None:
    await cluster.stop()
    await cluster.put(PODS, pod("a"))
    watcher = informer(client)
    async with watcher.running():
        await eventually(lambda: watcher.error)
        await cluster.start()
        assert await watcher.wait_synced(5)
    assert len(paths_with(cluster, "sendInitialEvents")) == 1, "a refused connection says nothing about streamed lists"


async def test_a_server_that_fails_on_a_version_time_after_time_is_asked_for_a_list(
    cluster: FakeCluster, client: Client
) -> None:
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        fault = cluster.fail("/api/v1/pods", 500)
        cluster.drop_connections()
        await eventually(lambda: lists(cluster) > 1)
        cluster.faults.remove(fault)
        await cluster.put(PODS, pod("a"))
        await eventually(lambda: names(watcher) == {"a"})


@pytest.mark.parametrize("streams", [True, False], ids=["streamed list", "paged list"])
async def test_objects_of_1_5_megabytes_pass(cluster: FakeCluster, client: Client, streams: bool) -> None:
    cluster.streams_lists = streams
    large = {"big": "x" * 1_500_000}
    await cluster.put(PODS, pod("listed", annotations=large))
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        await cluster.put(PODS, pod("watched", annotations=large))
        await eventually(lambda: names(watcher) == {"listed", "watched"})
        assert watcher.index.get("default", "watched").metadata.annotations == large


async def test_30_000_pods_come_in_60_pages(cluster: FakeCluster, client: Client) -> None:
    cluster.streams_lists = False
    store = cluster.store.collection("", "pods")
    for number in range(30_000):
        store.put(pod(f"p{number}", f"ns{number % 100}", {"app": f"a{number % 1000}"}))
    watcher = informer(client, PartialObjectMetadata)
    async with watcher.running():
        assert await watcher.wait_synced(30)
    assert len(watcher.index) == 30_000
    assert len(watcher.index.namespace("ns7")) == 300
    assert len(paths_with(cluster, "limit=500")) == 60  # 30,000 / 500


async def test_a_token_that_expires_between_pages_starts_the_list_over(cluster: FakeCluster, client: Client) -> None:
    cluster.streams_lists = False
    for number in range(1200):
        cluster.store.collection("", "pods").put(pod(f"p{number}"))
    left = [1]

    def expire_once(request: Request) -> None:
        if "continue" in request.query and left and left.pop():
            cluster.store.compact()

    cluster.faults.append(expire_once)
    watcher = informer(client)
    async with watcher.running():
        assert await watcher.wait_synced(10)
        assert len(watcher.index) == 1200
        assert watcher.error is None
    assert lists(cluster) - len(paths_with(cluster, "sendInitialEvents")) == 2


async def test_a_slow_consumer_loses_nothing_and_is_not_interrupted(cluster: FakeCluster, client: Client) -> None:
    """A timeout that spanned a yield would cancel the consumer (PEP 789), which sleeps thrice the limit of silence."""
    pacing, seen = SWIFT._replace(silence=0.05), []
    async with aclosing(list_and_watch(client, Target("/api/v1/pods", Pod), pacing)) as events:
        async for event in events:
            if isinstance(event, Replaced):
                for number in range(5):
                    await cluster.put(PODS, pod(f"p{number}"))
            elif isinstance(event, Changed):
                seen.append(event.object.metadata.name)
                await asyncio.sleep(0.15)
                if len(seen) == 5:
                    break
    assert seen == [f"p{number}" for number in range(5)]


async def test_forbidden_is_told_as_such_and_forgotten_when_granted(cluster: FakeCluster, client: Client) -> None:
    fault = cluster.forbid("/api/v1/pods")
    watcher = informer(client, pacing=SWIFT._replace(refused=0.3))
    async with watcher.running():
        await eventually(lambda: watcher.error)
        assert isinstance(watcher.error, Forbidden)
        assert "GET /api/v1/pods" in str(watcher.error)
        cluster.faults.remove(fault)
        assert await watcher.wait_synced(5)
        assert watcher.error is None


async def test_a_server_that_accepts_the_wish_for_a_streamed_list_and_ignores_it_is_listed_by_pages(
    cluster: FakeCluster, client: Client
) -> None:
    cluster.silent = True
    await cluster.put(PODS, pod("a"))
    watcher = informer(client, pacing=SWIFT._replace(list_silence=0.1))
    async with watcher.running():
        assert await watcher.wait_synced(5)
        assert names(watcher) == {"a"}


async def test_metadata_only_asks_for_metadata_only(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(PODS, pod("a", labels={"app": "web"}))
    watcher = informer(client, PartialObjectMetadata)
    async with watcher.running():
        await watcher.wait_synced(5)
        await cluster.put(PODS, pod("b"))
        await eventually(lambda: names(watcher) == {"a", "b"})
    assert {one.kind for one in watcher.index} == {"PartialObjectMetadata"}


async def test_selectors_and_namespace_narrow_what_is_followed(cluster: FakeCluster, client: Client) -> None:
    for name, namespace, labels in (("a", "x", {"app": "web"}), ("b", "x", {"app": "api"}), ("c", "y", {"app": "web"})):
        await cluster.put(PODS, pod(name, namespace, labels))
    watcher = informer(client, namespace="x", label_selector="app=web")
    async with watcher.running():
        await watcher.wait_synced(5)
        assert names(watcher) == {"a"}
        await cluster.put(PODS, pod("b", "x", {"app": "web"}))
        await cluster.put(PODS, pod("a", "x", {"app": "api"}))
        await eventually(lambda: names(watcher) == {"b"})


@pytest.mark.parametrize(("part", "field", "value"), [("status", "phase", 7), ("metadata", "labels", {"app": 7})])
async def test_one_strange_object_does_not_hide_the_others(
    cluster: FakeCluster, client: Client, part: str, field: str, value: object
) -> None:
    cluster.streams_lists = False
    strange = pod("strange")
    strange[part][field] = value
    await cluster.put(PODS, strange)
    await cluster.put(PODS, pod("listed"))
    watcher = informer(client)
    async with watcher.running():
        await watcher.wait_synced(5)
        await cluster.put(PODS, strange)
        await cluster.put(PODS, pod("watched"))
        await eventually(lambda: names(watcher) == {"listed", "watched"})
    assert lists(cluster) == 2  # the streamed one was refused; the strange object made for no further


async def test_what_a_handler_raises_ends_the_informer_where_it_is_seen(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(PODS, pod("a"))
    watcher = informer(client)
    watcher.index.on_change(lambda old, new: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        async with watcher.running():
            await asyncio.sleep(5)


async def test_what_the_body_raises_passes_as_it_is(client: Client) -> None:
    with pytest.raises(LookupError):
        async with informer(client).running(), informer(client).running():
            raise LookupError


async def test_a_transform_slims_what_is_held(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(PODS, pod("a"))
    watcher = informer(client, transform=lambda one: Pod(metadata=one.metadata))
    async with watcher.running():
        await watcher.wait_synced(5)
        assert watcher.index.get("default", "a").status.phase == ""


async def test_a_bookmark_says_that_the_server_is_there(cluster: FakeCluster, client: Client) -> None:
    cluster.bookmark_seconds = 0.02
    async with aclosing(list_and_watch(client, Target("/api/v1/pods", Pod), SWIFT)) as events:
        assert isinstance(await anext(events), Replaced)
        assert isinstance(await anext(events), Heard)
