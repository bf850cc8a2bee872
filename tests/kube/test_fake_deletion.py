"""The in-memory API server deletes as the real one does: preconditions, finalizers, orphaning."""

import pytest

from adapter.kube.client import JSON_PATCH, Client
from adapter.kube.errors import Conflict
from adapter.kube.fake.server import FakeCluster
from adapter.kube.resources import CONFIG_MAPS

PATH = CONFIG_MAPS.path("default", "a")


async def test_a_deletion_of_another_object_than_the_one_seen_is_refused(cluster: FakeCluster, client: Client) -> None:
    made = await cluster.put(CONFIG_MAPS, {"metadata": {"name": "a"}})
    for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
        with pytest.raises(Conflict):
            await client.delete(PATH, body={"preconditions": wrong})
    await client.delete(PATH, body={"preconditions": {"uid": made["metadata"]["uid"]}})
    assert cluster.get(CONFIG_MAPS, "default", "a") is None


async def test_finalizers_put_a_deletion_off_until_the_last_is_removed(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(CONFIG_MAPS, {"metadata": {"name": "a", "finalizers": ["x"]}})
    await client.delete(PATH)
    marked = cluster.get(CONFIG_MAPS, "default", "a")
    assert marked is not None
    assert marked["metadata"]["deletionTimestamp"]
    patch = [{"op": "replace", "path": "/metadata/finalizers", "value": []}]
    await client.patch(PATH, patch, dict, content=JSON_PATCH)
    assert cluster.get(CONFIG_MAPS, "default", "a") is None


async def test_orphaning_waits_for_the_collector(cluster: FakeCluster, client: Client) -> None:
    await cluster.put(CONFIG_MAPS, {"metadata": {"name": "a"}})
    await client.delete(PATH, body={"propagationPolicy": "Orphan"})
    stored = cluster.get(CONFIG_MAPS, "default", "a")
    assert stored is not None
    assert stored["metadata"]["finalizers"] == ["orphan"]
