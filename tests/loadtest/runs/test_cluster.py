"""A world in a cluster, against a small API server."""

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapter.kube.client import Client
from adapter.kube.errors import Forbidden, KubeError, NotFound
from adapter.kube.fake.server import FakeCluster
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS, Resource
from adapter.rollout.model.actions import ENDPOINT_SLICES
from loadtest.runs import command, showcase_command
from loadtest.runs.cluster import SILENT_LOOKS, Cluster, EndpointSlice, Place, receiving, sum_values
from loadtest.runs.record import Kind
from loadtest.runs.scenarios import SCENARIOS
from loadtest.runs.watching import Plan, check
from loadtest.runs.world import WorldError
from tests.cluster.adapter import hpa, pods_metric, resource_metric
from tests.cluster.processes import CommandError

DEPLOYMENTS = Resource("apps", "v1", "deployments")
PLACE = Place("shop", "web", "http://10.96.0.7/")


def pod(name: str, *, ready: bool = True, **labels: str) -> dict[str, Any]:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels or {"app": "web"}}, "status": status}


def endpoint(name: str, ready: bool | None) -> dict[str, Any]:
    return {"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": name}}


@pytest.fixture
async def api() -> AsyncIterator[FakeCluster]:
    """An HPA over a Deployment with one pod that is ready and one that is not, and another's pod."""
    async with FakeCluster() as cluster:
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}
        await cluster.put(DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
        scaler = hpa("web", "shop", pods_metric("http_requests_per_second", "12500m"), low=2, high=8)
        await cluster.put(HORIZONTAL_POD_AUTOSCALERS, {**scaler, "status": {"desiredReplicas": 3}})
        for manifest in (pod("web-a"), pod("web-b", ready=False), pod("other", app="other")):
            await cluster.put(PODS, manifest)
        endpoints = [endpoint("web-a", True), endpoint("web-b", False), endpoint("other", None)]
        await cluster.put(ENDPOINT_SLICES, {"metadata": {"name": "web-1", "namespace": "shop"}, "endpoints": endpoints})
        yield cluster


@pytest.fixture
async def client(api: FakeCluster) -> AsyncIterator[Client]:
    async with Client(api.connection) as client:
        yield client


async def test_target_bounds_and_counts_are_those_of_the_hpa_and_its_pods(client: Client) -> None:
    world = await Cluster.find(client, PLACE)
    assert (world.per_pod, world.low, world.high, world.host) == (12.5, 2, 8, "http://10.96.0.7")
    assert world.behavior == {"scaleDown": {"stabilizationWindowSeconds": 5}}
    async with world.running(fixed=None):
        assert world.heard.now == {Kind.DESIRED: 3, Kind.CREATED: 2, Kind.READY: 1, Kind.ENDPOINTS: 1}
        assert world.heard.names == {"web-a", "web-b"}


async def test_counts_follow_what_changes(api: FakeCluster, client: Client) -> None:
    world = await Cluster.find(client, PLACE)
    async with world.running(fixed=None), asyncio.timeout(20):
        await api.put(PODS, pod("web-b"))
        while world.heard.now[Kind.READY] != 2:  # noqa: ASYNC110 - the server tells when it does
            await asyncio.sleep(0.01)
        assert world.heard.now[Kind.ENDPOINTS] == 1  # the slice has not followed yet
        await api.remove(PODS, "shop", "web-a")
        while world.heard.now[Kind.CREATED] != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert world.heard.now[Kind.ENDPOINTS] == 0


class MetricsApi:
    """In the place of a client: serves 20 requests/s in some versions of custom.metrics.k8s.io."""

    def __init__(self, *served: str, error: KubeError | None = None) -> None:
        self.served, self.error = served, error
        self.asked: list[str] = []
        self.items: list[dict[str, str]] = [{"value": "20", "timestamp": "2026-11-26T12:00:00Z"}]

    async def get(self, path: str, **_: object) -> bytes:
        group, version, rest = path.removeprefix("/apis/").split("/", 2)
        assert (group, rest) == ("custom.metrics.k8s.io", "namespaces/shop/pods/*/http_requests_per_second")
        self.asked.append(version)
        if self.error:
            raise self.error
        if version not in self.served:
            raise NotFound(404, "NotFound", "the server could not find the requested resource")
        return json.dumps({"items": self.items}).encode()


@pytest.fixture
async def world(client: Client) -> Cluster:
    return await Cluster.find(client, PLACE)


def answered_by(world: Cluster, metrics: MetricsApi, monkeypatch: pytest.MonkeyPatch) -> MetricsApi:
    monkeypatch.setattr(world, "_client", metrics)
    return metrics


async def test_a_metrics_api_of_the_older_version_alone_is_asked_in_that(
    world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of prometheus-adapter's chart, and of ours in its place."""
    metrics = answered_by(world, MetricsApi("v1beta1"), monkeypatch)
    for _ in range(2):
        told = await world.ask_metrics_api()
        assert told is not None
        assert told.total == 20
    assert metrics.asked == ["v1beta2", "v1beta1", "v1beta1"]  # what answered is kept
    metrics.served = ("v1beta2",)
    assert await world.ask_metrics_api()  # another adapter has taken over
    assert metrics.asked[3:] == ["v1beta1", "v1beta2"]
    assert world.heard.troubles == []


async def test_a_metric_that_nobody_serves_is_told_once(world: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = answered_by(world, MetricsApi(), monkeypatch)
    for look in range(3 * SILENT_LOOKS):
        assert world.heard.troubles == [] or look >= SILENT_LOOKS
        assert await world.ask_metrics_api() is None
    assert world.heard.troubles == [
        "/apis/custom.metrics.k8s.io: v1beta2 or v1beta1 has told nothing at namespaces/shop/pods/*/"
        "http_requests_per_second for 20 looks (v1beta2: the server could not find the requested resource; v1beta1:"
        " the server could not find the requested resource (404 NotFound)); while none does, nothing is served to an"
        " HPA, and no scale-up can be split into its parts"
    ]
    assert metrics.asked[:2] == ["v1beta2", "v1beta1"]


@pytest.mark.parametrize(
    ("error", "why"), [(Forbidden(403, "Forbidden", "pods.* is forbidden"), "(pods.* is forbidden (403 Forbidden))"),
                       (None, "(no value for any pod)")],
)  # fmt: skip
async def test_why_no_value_came_is_told(
    error: KubeError | None, why: str, world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = answered_by(world, MetricsApi("v1beta2", error=error), monkeypatch)
    metrics.items = []
    for _ in range(SILENT_LOOKS):
        assert await world.ask_metrics_api() is None
    (told,) = world.heard.troubles
    assert why in told
    assert set(metrics.asked) == {"v1beta2"}


async def test_values_that_come_late_or_fail_to_come_now_and_then_are_no_trouble(
    world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = answered_by(world, MetricsApi(), monkeypatch)
    for _ in range(3):
        metrics.served = ()
        for _ in range(SILENT_LOOKS - 1):
            assert await world.ask_metrics_api() is None
        metrics.served = ("v1beta2",)
        assert await world.ask_metrics_api()
    assert world.heard.troubles == []


def bounds(api: FakeCluster) -> tuple[int, int]:
    spec = api.get(HORIZONTAL_POD_AUTOSCALERS, "shop", "web")["spec"]
    return int(spec["minReplicas"]), int(spec["maxReplicas"])


async def ready(api: FakeCluster, *names: str) -> None:
    for name in names:
        await api.put(PODS, pod(name))
    endpoints = [endpoint(name, True) for name in names]
    await api.put(ENDPOINT_SLICES, {"metadata": {"name": "web-1", "namespace": "shop"}, "endpoints": endpoints})


async def test_a_fixed_fleet_is_both_of_the_hpas_bounds_for_the_time(api: FakeCluster, client: Client) -> None:
    world = await Cluster.find(client, PLACE)
    await ready(api, "web-a", "web-b", "web-c")
    async with world.running(fixed=3):
        assert bounds(api) == (3, 3)
    assert bounds(api) == (2, 8)


async def test_a_run_on_a_fixed_fleet_begins_when_all_of_it_is_in_the_endpoints(
    api: FakeCluster, client: Client
) -> None:
    world = await Cluster.find(client, PLACE)

    async def controllers() -> None:
        """The HPA's, the Deployment's and the endpoints'."""
        while bounds(api) != (3, 3):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await ready(api, "web-a", "web-b")
        await asyncio.sleep(0.1)
        assert not begun.is_set()
        await ready(api, "web-a", "web-b", "web-c")

    begun = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(controllers())
        async with world.running(fixed=3):
            begun.set()
            assert world.heard.now[Kind.ENDPOINTS] == 3


async def test_a_fixed_fleet_that_does_not_come_is_told_and_the_bounds_are_put_back(
    api: FakeCluster, client: Client
) -> None:
    world = await Cluster.find(client, PLACE)
    world.patience = 0.2
    with pytest.raises(WorldError) as told:
        async with world.running(fixed=6):
            pytest.fail("it began on a fleet that is not there")
    assert str(told.value) == (
        "HorizontalPodAutoscaler shop/web: 0.2 s after its bounds became 6, 1 of its target's pods are in a"
        " Service's endpoints; 6 would be right, for a fleet fixed at that"
    )
    assert bounds(api) == (2, 8)


async def test_an_hpa_that_does_not_say_what_a_pod_bears_is_refused(api: FakeCluster, client: Client) -> None:
    await api.put(HORIZONTAL_POD_AUTOSCALERS, hpa("web", "shop", resource_metric("cpu", "100m")))
    with pytest.raises(WorldError, match="HorizontalPodAutoscaler shop/web has no metric of type Pods; one with"):
        await Cluster.find(client, PLACE)


async def test_a_scenario_that_the_world_cannot_bear_is_refused(client: Client) -> None:
    world = await Cluster.find(client, PLACE)
    for name in ("leak", "errors"):
        assert "--work-ms with the usual work of a request says that it is" in check(Plan(SCENARIOS[name], 240), world)
        world.work_ms = 20.0
        assert check(Plan(SCENARIOS[name], 240), world) == ""
        world.work_ms = 0.0
    plan = Plan(SCENARIOS["ramp"], 240)
    assert check(plan, world) == ""
    world.high = 5
    assert check(plan, world) == (
        "ramp comes to 5.5 pods' worth of load, for which the HPA would want 6 replicas, and its maxReplicas is 5;"
        " 6 or more would be right"
    )


def test_endpoints_that_are_not_ready_receive_nothing_and_those_that_do_not_say_do() -> None:
    silent, no = {"targetRef": {"name": "silent"}}, {"conditions": {"ready": False}, "targetRef": {"name": "no"}}
    endpoint_slice = msgspec.convert({"endpoints": [silent, no]}, EndpointSlice)
    assert receiving([endpoint_slice, EndpointSlice(endpoints=None), EndpointSlice()]) == {"silent"}


def test_values_are_added_up_with_the_newest_time() -> None:
    items = [
        {"value": "1500m", "timestamp": "2026-11-26T12:00:00Z"},
        {"value": "2", "timestamp": "2026-11-26T12:00:02Z"},
    ]
    told = sum_values(items)
    assert told is not None
    assert (told.total, told.pods, told.sampled % 60) == (3.5, 2, 2.0)
    assert sum_values([]) is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--hpa", "web"], "--host and --hpa belong together"),
        (["--host", "http://x"], "--host and --hpa belong together"),
        (["--host", "x:80", "--hpa", "web"], "'x:80' is no URL"),
        (["--work-ms", "nan"], "--work-ms: nan is not within 0 to 60000"),
        (["--host", "http://x", "--hpa", "web", "--bed"], "--hpa is for a cluster of yours"),
        (["--path", "web"], "--path: 'web' does not begin with /; /web would be right"),
        (["--path", ""], "--path: '' does not begin with /; / would be right"),
        (["--reflex"], "--reflex and --behavior are for --bed"),
        (["--behavior", "{}"], "--reflex and --behavior are for --bed"),
        (["--headroom", "1"], "--headroom: 1 is not within 0 to 0.9"),
        (["--headroom", "nan"], "--headroom: nan is not within 0 to 0.9"),
        (["--bed", "--behavior", "[1]"], "--behavior: '[1]' is no JSON object"),
        (["--bed", "--behavior", "{" * 100_000], "is no JSON object"),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(["run", "step", *flags])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--hpa", "sample"], "--host and --hpa belong together"),
        (["--host", "x:80", "--hpa", "sample"], "'x:80' is no URL; http://… or https://… would be right"),
    ],
)
def test_the_demo_refuses_the_places_that_a_run_refuses(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        showcase_command.main(flags)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("named", "read"), [("", "/a:/b"), ("/c:/d", "/c:/d")])
def test_the_demo_in_a_cluster_of_yours_reads_the_kubeconfigs_that_a_run_reads(
    named: str, read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho "$KUBECONFIG $@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", "/a:/b")
    given = argparse.Namespace(
        namespace="shop", hpa="web", host="http://x", deployment="web", policy="web", kubeconfig=named
    )
    where, stage = showcase_command._mine(given)
    assert stage.kubectl.kubectl("get", "pods") == f"{read} get pods\n"
    assert where.kubeconfig == named  # without a name connect() reads $KUBECONFIG as well


def test_a_kubectl_that_fails_in_the_demo_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> int:
        raise CommandError(["kubectl", "set", "env"], 1, "forbidden")

    monkeypatch.setattr(showcase_command, "_demo", fails)
    assert showcase_command.main(["--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "`kubectl set env` failed with status 1: forbidden\n"
