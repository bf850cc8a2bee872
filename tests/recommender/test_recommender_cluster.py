"""What is kept of a workload and for how long, and whose checkpoint is written first; time is an argument."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from adapter.kube.client import Client, Listing
from adapter.kube.errors import Unreachable
from adapter.kube.objects import ObjectMeta
from recommender.checkpoint.store import CheckpointStore
from recommender.model.cluster import ClusterState
from recommender.model.containers import Aggregation, Model
from recommender.objects import Checkpoint, CheckpointStatus, Histogram, Pod, Vpa

DAY = 86400.0
T0 = 1767225600.0


def vpa(name: str) -> Vpa:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    body = {"metadata": {"name": name, "namespace": "shop"}, "spec": {"targetRef": target}}
    return msgspec.convert(body, Vpa)


def pod(name: str, *containers: str) -> Pod:
    body = {
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"containers": [{"name": container} for container in containers]},
    }
    return msgspec.convert(body, Pod)


def cluster_of(*names: str, **options: Any) -> ClusterState:
    """VPAs, each with one pod of one container `app`, seen at T0."""
    cluster = ClusterState(Model(Aggregation()), **options)
    cluster.serve([vpa(name) for name in names])
    cluster.follow({("shop", name): [pod(f"{name}-1", "app")] for name in names}, T0)
    return cluster


def container_names(cluster: ClusterState, name: str = "web") -> list[str]:
    return sorted(cluster.vpas["shop", name].containers)


def test_a_workload_without_pods_is_remembered_for_8_days() -> None:
    """As VPA's week of history and a day: a job that runs each week finds its numbers again."""
    cluster = cluster_of("web")
    cluster.follow({("shop", "web"): []}, T0 + 8 * DAY - 1)
    assert container_names(cluster) == ["app"]
    cluster.follow({("shop", "web"): []}, T0 + 8 * DAY)
    assert container_names(cluster) == []


def test_the_days_count_from_when_a_container_was_last_seen_each_by_itself() -> None:
    """`app` is seen until day 5, `old` on day 0 alone: on day 9 `old` is gone, on day 13 (5 + 8) both are."""
    cluster = cluster_of("web")
    key = ("shop", "web")
    cluster.follow({key: [pod("web-1", "app", "old")]}, T0)
    cluster.follow({key: [pod("web-2", "app")]}, T0 + 5 * DAY)
    cluster.follow({key: []}, T0 + 9 * DAY)
    assert container_names(cluster) == ["app"]
    cluster.follow({key: []}, T0 + 13 * DAY)
    assert container_names(cluster) == []


def test_without_an_expiry_nothing_goes() -> None:
    cluster = cluster_of("web", expiry=None)
    cluster.follow({("shop", "web"): []}, T0 + 1000 * DAY)
    assert container_names(cluster) == ["app"]


class Written:
    """An API server that takes checkpoints; each takes it `seconds`."""

    def __init__(self, seconds: float = 1.0, away: Sequence[str] = ()) -> None:
        self.paths: list[str] = []
        self.seconds, self.now, self.away = seconds, T0, away

    async def patch(self, path: str, body: object, kind: object, *, content: str) -> None:
        self.now += self.seconds
        if any(name in path for name in self.away):
            raise Unreachable("away")
        self.paths.append(path.rpartition("/")[2].removesuffix("-app"))

    def store(self, cluster: ClusterState) -> CheckpointStore:
        return CheckpointStore(cast(Client, self), cluster, 1, False)


async def test_checkpoints_written_longest_ago_come_first_when_time_is_short() -> None:
    """Three VPAs, a second each, 2 s a round: a b, then c a, then b c: nobody is written twice before all are."""
    server = Written()
    store = server.store(cluster_of("a", "b", "c"))
    rounds = []
    for _ in range(3):
        server.paths.clear()
        assert await store.store(server.now, lambda: server.now, server.now + 2) == (2, 0)
        rounds.append("".join(server.paths))
        server.now += 60
    assert rounds == ["ab", "ca", "bc"]


async def test_a_round_ends_when_its_time_is_over_but_one_is_always_written() -> None:
    """With no time at all one goes; with 3 s and a second each, three do."""
    server = Written()
    store = server.store(cluster_of("a", "b", "c", "d", "e"))
    assert await store.store(server.now, lambda: server.now, server.now) == (1, 0)
    assert await store.store(server.now, lambda: server.now, server.now + 3) == (3, 0)


async def test_one_that_could_not_be_written_stays_first() -> None:
    server = Written(away=("/a-app",))
    store = server.store(cluster_of("a", "b"))
    assert await store.store(server.now, lambda: server.now, server.now + 60) == (1, 1)
    server.away, server.now = (), server.now + 60
    server.paths.clear()
    assert await store.store(server.now, lambda: server.now, server.now) == (1, 0)
    assert server.paths == ["a"]


@pytest.mark.parametrize(("memory_days", "cpu_days"), [(2, 1), (1, 2)])
async def test_a_reference_may_be_ahead_by_the_longer_half_life(memory_days: int, cpu_days: int) -> None:
    """Rounded to the nearest half-life after a window's end: now + 1 day + 2 days is taken, a second more is not."""
    aggregation = Aggregation(
        memory_interval=DAY, memory_half_life=memory_days * DAY, cpu_half_life=cpu_days * DAY, memory_interval_count=8
    )
    for late, count in ((0, 1), (1, 0)):
        reference = datetime.fromtimestamp(T0 + 3 * DAY + late, UTC)
        listed = Listed(Histogram(reference_timestamp=reference))
        store = CheckpointStore(cast(Client, listed), ClusterState(Model(aggregation)), 1, False, ahead=0.0)
        assert await store.load("", T0) == count


class Listed:
    """An API server that holds one checkpoint."""

    def __init__(self, memory: Histogram) -> None:
        status = CheckpointStatus(version="v3", memory_histogram=memory)
        self.items = [Checkpoint(metadata=ObjectMeta(name="web-app", namespace="shop"), status=status)]

    async def list(self, path: str, kind: object) -> Listing[Checkpoint]:
        return Listing(self.items, "1")
