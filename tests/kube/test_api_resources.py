"""Discovery in both forms, whole and with a group that is down."""

import pytest

from adapter.kube.client import Client
from adapter.kube.discovery import api_resources
from adapter.kube.errors import KubeError
from adapter.kube.fake.server import FakeCluster
from adapter.kube.known import CONTROLLERS, KNOWN
from adapter.kube.objects import Pod
from adapter.kube.resources import ApiResource

OLD = ApiResource("example.org", "v1beta1", "widgets", "widget", "Widget", False)
NEW = OLD._replace(version="v1")


@pytest.mark.parametrize("aggregated", [True, False], ids=["aggregated", "legacy"])
async def test_every_resource_is_told_with_its_names_and_scope(
    cluster: FakeCluster, client: Client, aggregated: bool
) -> None:
    cluster.aggregated_discovery = aggregated
    cluster.register(NEW)
    cluster.register(OLD)
    assert await api_resources(client) == [*KNOWN, NEW, OLD]
    calls = [path for _, path in cluster.requests]
    assert len(calls) == (2 if aggregated else 2 + 11)  # /api, /apis, and 11 groups and versions


@pytest.mark.parametrize("aggregated", [True, False], ids=["aggregated", "legacy"])
async def test_a_group_that_is_down_does_not_hide_the_others(
    cluster: FakeCluster, client: Client, aggregated: bool
) -> None:
    cluster.aggregated_discovery = aggregated
    cluster.broken_groups.add("custom.metrics.k8s.io")
    cluster.register(ApiResource("custom.metrics.k8s.io", "v1beta1", "pods/x", "", "MetricValueList", True))
    assert await api_resources(client) == list(KNOWN)


async def test_a_server_that_does_not_answer_is_an_error(cluster: FakeCluster, client: Client) -> None:
    cluster.fail("/api", 500)
    with pytest.raises(KubeError):
        await api_resources(client)


def test_a_resource_of_discovery_leads_to_its_paths() -> None:
    assert OLD.resource.path(name="w") == "/apis/example.org/v1beta1/widgets/w"
    assert KNOWN[0].resource.path("x", "p", "log") == "/api/v1/namespaces/x/pods/p/log"


def test_every_controller_is_known_by_its_kind() -> None:
    assert {kind: resource.api_version for kind, resource in CONTROLLERS.items()} == {
        "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1",
        "ReplicationController": "v1", "Job": "batch/v1", "CronJob": "batch/v1",
    }  # fmt: skip


async def test_the_fake_refuses_a_selector_that_is_none(client: Client) -> None:
    with pytest.raises(KubeError, match="cannot read the selector 'a b'"):
        await client.list("/api/v1/pods", Pod, params={"labelSelector": "a b"})
