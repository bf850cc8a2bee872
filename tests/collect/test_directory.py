"""Which objects a request names: from memory, or from a list that is kept for a few seconds."""

import asyncio

import pytest

from adapter.collect.answer import Unavailable
from adapter.collect.directory import Directory
from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.index import Index
from adapter.kube.known import KNOWN
from adapter.kube.resources import GroupResource, Resource
from adapter.rules.resources import NODES, PODS, ResourceMapper
from adapter.units.selector import EVERYTHING, Selector
from tests.collect.conftest import Followed

DEPLOYMENTS = GroupResource("apps", "deployments")
api = ResourceMapper(KNOWN).api


async def test_kinds_that_nobody_follows_are_listed_once_for_all_who_ask() -> None:
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        for name in ("web", "db"):
            body = {"metadata": {"name": name, "namespace": "shop", "labels": {"app": name}}}
            await cluster.put(Resource("apps", "v1", "deployments"), body)
        directory = Directory({}, client, api)
        before = len(cluster.requests)
        asked = (directory.names(DEPLOYMENTS, "shop", Selector.parse("app=web")) for _ in range(5))
        assert await asyncio.gather(*asked) == [["web"]] * 5
        assert await directory.names(DEPLOYMENTS, "shop", EVERYTHING) == ["db", "web"]
        assert len(cluster.requests) - before == 1
        assert directory.known_names(DEPLOYMENTS, "shop", EVERYTHING) == ["db", "web"]


async def test_of_a_list_names_and_labels_are_kept_and_no_annotations() -> None:
    """Each object may have 256 KiB of them, and its owner writes them."""
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        meta = {"name": "web", "namespace": "shop", "labels": {"app": "web"}, "annotations": {"note": "x" * 250_000}}
        await cluster.put(Resource("apps", "v1", "deployments"), {"metadata": meta})
        directory = Directory({}, client, api)
        assert await directory.names(DEPLOYMENTS, "shop", Selector.parse("app=web")) == ["web"]
        [held] = directory._lists.values()
        assert [item.metadata.annotations for item in held] == [{}]


async def test_a_list_that_fails_says_why() -> None:
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        cluster.forbid("/apis/apps/v1/namespaces/shop/deployments")
        with pytest.raises(Unavailable, match=r"deployments.apps cannot be listed: .*"):
            await Directory({}, client, api).names(DEPLOYMENTS, "shop", EVERYTHING)


async def test_pods_cannot_be_selected_before_a_whole_list_of_them_is_here() -> None:
    pods = Followed()
    pods.waits_for = "no list was read so far"
    directory = Directory({PODS: Index(), NODES: Index()}, None, api, pods=pods)
    with pytest.raises(Unavailable, match="the list of pods is not here yet: no list was read so far"):
        await directory.names(PODS, "shop", EVERYTHING)
    assert await directory.names(NODES, "", EVERYTHING) == []
    pods.waits_for = ""
    assert await directory.names(PODS, "shop", EVERYTHING) == []


async def test_without_a_cluster_only_what_is_in_memory_can_be_selected() -> None:
    directory = Directory({PODS: Index()}, None, api)
    assert await directory.names(PODS, "shop", EVERYTHING) == []
    with pytest.raises(Unavailable, match=r"deployments.apps cannot be listed without a cluster"):
        await directory.names(DEPLOYMENTS, "shop", EVERYTHING)
