"""What an HPA will do with the values that are served: scale and pods from a cluster, the decision in words."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest

from adapter.collect.answer import Missing, Unavailable
from adapter.collect.forecast import Forecaster, Target
from adapter.hpa.model import PodState
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.index import Index
from adapter.kube.objects import Pod
from adapter.kube.resources import PODS, Resource
from adapter.metrics.sample import Sample
from adapter.program.podstate import pod_state
from tests.collect.conftest import World

RPS: dict[str, Any] = {"type": "Pods", "pods": {"metric": {"name": "http_requests_per_second"}}}
RPS["pods"] |= {"target": {"type": "AverageValue", "averageValue": "10"}}
JOBS = {"type": "External", "external": {"metric": {"name": "jobs_waiting"}, "target": {"type": "Value", "value": "5"}}}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


DEPLOYMENTS = Resource("apps", "v1", "deployments")


def deployment(replicas: int) -> dict[str, Any]:
    meta = {"namespace": "shop", "name": "web"}
    return {"metadata": meta, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}}}


class Shop(NamedTuple):
    """Three pods of app web, served with 22, 24 and 26.3 requests per second, beside one of another app."""

    cluster: FakeCluster
    world: World
    hpas: Index[HorizontalPodAutoscaler]
    forecaster: Forecaster

    def declare(self, *metrics: dict[str, Any], **spec: Any) -> None:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        spec = {"scaleTargetRef": target, "maxReplicas": 6, "metrics": list(metrics), **spec}
        meta = {"namespace": "shop", "name": "web", "uid": "1"}
        self.hpas.put(msgspec.convert({"metadata": meta, "spec": spec}, HorizontalPodAutoscaler))

    async def explain(self, name: str = "web") -> dict[str, Any]:
        return dict(await self.forecaster.explain(self.world.answers, namespace="shop", name=name, user="alice"))


def pod(name: str, app: str = "web", phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name, "labels": {"app": app}},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]},
    }


@pytest.fixture
async def shop(world: World) -> AsyncIterator[Shop]:
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        await cluster.put(DEPLOYMENTS, deployment(3))
        for made in (pod("web-1"), pod("web-2"), pod("web-3"), pod("db-1", app="db")):
            await cluster.put(PODS, made)
            world.pod(made["metadata"]["name"], **made["metadata"]["labels"])
        world.serves(("shop", "web-1", 22.0), ("shop", "web-2", 24.0), ("shop", "web-3", 26.3), ("shop", "db-1", 999.0))
        hpas: Index[HorizontalPodAutoscaler] = Index()
        yield Shop(cluster, world, hpas, Forecaster(hpas, world.pods, client, world.catalogue, lambda: world.now))


async def test_the_decision_is_told_with_its_reasons(shop: Shop) -> None:
    shop.declare(RPS)
    told = await shop.explain()
    assert (told["hpa"], told["target"], told["pods"]) == ("shop/web", "Deployment web", 3)
    assert told["replicas"] == {"spec": 3, "status": 3, "min": 1, "max": 6}
    assert (told["desired"], told["rescales"]) == (6, True)
    # (22 + 24 + 26.3) / 3 = 24.1, 24.1 / 10 = 2.41, ceil(3 x 2.41) = 8
    why = "3 pods average 24.1 against a target of 10: ceil(3 x 2.41) = 8"
    name = "http_requests_per_second"
    assert told["metrics"] == [{"name": name, "type": "Pods", "replicas": 8, "why": why}]
    assert told["why"] == f"{name} (Pods): {why}. 8 is limited to 6 by maxReplicas. So 3 replicas become 6."
    assert [one["reason"] for one in told["conditions"] if one["type"] == "ScalingLimited"] == ["TooManyReplicas"]
    assert "memory of the last minutes is not known" in told["memory"]


async def test_whole_pods_that_are_held_are_not_asked_for(shop: Shop) -> None:
    held: Index[Pod] = Index()
    for name in ("web-1", "web-2"):
        held.put(msgspec.convert(pod(name), Pod))
    shop.declare(RPS)
    forecaster = Forecaster(shop.hpas, held, shop.forecaster._client, shop.world.catalogue, lambda: shop.world.now)
    assert (await forecaster.explain(shop.world.answers, namespace="shop", name="web", user=""))["pods"] == 2
    assert [path for _, path in shop.cluster.requests if "/pods" in path] == []


async def test_a_slow_scale_in_an_explanation_holds_no_look_at_another_hpa(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.declare(RPS)
    hpa, scale, slow = shop.hpas.get("shop", "web"), shop.forecaster._scale, [asyncio.Event()]

    async def first_is_slow(hpa: HorizontalPodAutoscaler) -> Target:
        if slow:
            await slow.pop().wait()
        return await scale(hpa)

    monkeypatch.setattr(shop.forecaster, "_scale", first_is_slow)
    event = slow[0]
    explained = asyncio.create_task(shop.explain())
    await asyncio.sleep(0)
    assert hpa
    forecast = await asyncio.wait_for(shop.forecaster.forecast(shop.world.answers, hpa, user=""), 5)
    assert (forecast.decision.desired, explained.done()) == (6, False)
    event.set()
    assert (await explained)["desired"] == 6


async def test_a_pending_pod_counts_as_the_controller_counts_it(shop: Shop) -> None:
    await shop.cluster.put(PODS, pod("web-3", phase="Pending"))
    shop.declare(RPS, maxReplicas=60)
    # The two that run average 23; with the pending one as 0 the ratio is 46 / 3 / 10 = 1.533, ceil(3 x 1.533) = 5
    assert (await shop.explain())["desired"] == 5


async def test_an_external_metric_is_asked_for_with_its_selector(shop: Shop) -> None:
    shop.world.source.samples = [Sample({"namespace": "shop"}, 10.0, 1000.0)]
    shop.declare(JOBS)
    assert (await shop.explain())["desired"] == 6  # 10 / 5 = 2, 3 ready pods x 2


async def test_an_object_metric_is_asked_for_that_object_alone(shop: Shop) -> None:
    described = {"apiVersion": "v1", "kind": "Pod", "name": "db-1"}
    own = {"describedObject": described, "metric": {"name": "http_requests_per_second"}}
    shop.declare({"type": "Object", "object": own | {"target": {"type": "Value", "value": "666"}}})
    assert (await shop.explain())["metrics"][0]["replicas"] == 5  # 999 / 666 = 1.5, ceil(3 x 1.5) = 5


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (CPU, "metrics.k8s.io is not served by this adapter"),
        ({**RPS, "pods": {**RPS["pods"], "metric": {"name": "nope"}}}, "no rule finds series for metric nope of pods"),
    ],
)
async def test_a_metric_that_is_not_served_is_told_as_invalid(shop: Shop, metric: dict[str, Any], why: str) -> None:
    shop.declare(metric)
    told = await shop.explain()
    assert (told["desired"], told["rescales"], told["metrics"][0]["replicas"]) == (3, False, None)
    assert why in told["metrics"][0]["why"]


async def test_what_cannot_be_explained_is_said(shop: Shop) -> None:
    with pytest.raises(Missing, match="no HorizontalPodAutoscaler shop/other is known here"):
        await shop.explain("other")
    shop.declare(RPS, maxReplicas=0)
    with pytest.raises(Unavailable, match=r"cannot be read: spec\.maxReplicas is missing"):
        await shop.explain()


async def test_a_target_without_a_scale_is_said(shop: Shop) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}
    shop.declare(RPS, scaleTargetRef=target)
    with pytest.raises(Unavailable, match="the scale of Deployment gone cannot be had: "):
        await shop.explain()
    shop.declare(RPS, scaleTargetRef={**target, "kind": "Widget"})
    with pytest.raises(Unavailable, match="no resource for kind Widget of apps/v1"):
        await shop.explain()


def test_a_pod_is_read_as_the_formula_wants_it() -> None:
    def container(name: str, cpu: str, **more: str) -> dict[str, Any]:
        return {"name": name, "resources": {"requests": {"cpu": cpu}}, **more}

    raw = pod("web-1")
    raw["metadata"]["deletionTimestamp"] = "2026-11-26T00:00:00Z"
    raw["status"] |= {"startTime": "1970-01-01T00:01:40Z"}
    raw["status"]["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:03:20Z"}]
    inits = [container("setup", "700m"), container("mesh", "50m", restartPolicy="Always"), container("late", "900m")]
    raw["spec"] = {"containers": [container("app", "250m"), container("odd", "a lot")], "initContainers": inits}
    own = {"app": {"cpu": 250}, "odd": {}, "mesh": {"cpu": 50}}
    seen = PodState("web-1", "Running", True, 100.0, "False", 200.0, own)
    assert pod_state(msgspec.convert(raw, Pod)) == seen
    raw["spec"]["resources"] = {"requests": {"memory": "1Ki"}}
    whole = {"cpu": 950, "memory": 1_024_000}  # late beside mesh: 900 + 50, more than 700 alone or 250 + 50
    assert pod_state(msgspec.convert(raw, Pod)).pod_requests == whole
