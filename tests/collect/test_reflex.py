"""The HPA controller is asked to look now: what is written, where, how often, and what is said where it is not."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapter import reflex
from adapter.collect.forecast import Forecaster
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.fake.api import Refusal
from adapter.kube.fake.server import FakeCluster
from adapter.kube.index import Index
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from adapter.reflex import ANNOTATION, BURST, Reflex, ReflexTelemetry
from tests.collect.conftest import World
from tests.collect.test_forecast import DEPLOYMENTS, RPS, deployment, pod

BOTH = [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]


LOOKED = [{"type": "ScalingActive", "status": "True"}]


def hpa(name: str = "web", **changed: Any) -> dict[str, Any]:
    """One that agreed, whose target of 10 the pods' 24 are far above."""
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 9,
        "metrics": [RPS],
        "behavior": {"scaleUp": {"policies": BOTH, "selectPolicy": "Max", "stabilizationWindowSeconds": 0}},
    }
    meta = {"namespace": "shop", "name": name, "uid": name, "annotations": {ANNOTATION: "true"}, "generation": 1}
    return {"metadata": meta, "spec": spec, "status": {"observedGeneration": 1, "conditions": LOOKED}, **changed}


class Shop(NamedTuple):
    """Three pods at 24 requests/s; `patched` are the bodies that the API server got."""

    cluster: FakeCluster
    world: World
    hpas: Index[HorizontalPodAutoscaler]
    reflex: Reflex
    registry: CollectorRegistry

    async def declare(self, made: dict[str, Any]) -> None:
        stored = await self.cluster.put(HORIZONTAL_POD_AUTOSCALERS, made)
        self.hpas.put(msgspec.convert({**made, "metadata": {**stored["metadata"]}}, HorizontalPodAutoscaler))

    def serve(self, value: float) -> None:
        """Requests/s of each pod, from the next half second on."""
        self.world.serves(*(("shop", name, value) for name in ("web-1", "web-2", "web-3")))

    def writes(self) -> list[str]:
        return [path for method, path in self.cluster.requests if method == "PATCH"]

    def times_asked(self, outcome: str = "asked") -> float:
        return self.registry.get_sample_value("streamgate_reflex_asked_total", {"outcome": outcome}) or 0.0

    async def after(self, seconds: float) -> None:
        """All of them looked at each half second for so many s."""
        for _ in range(int(2 * seconds)):
            self.world.now += 0.5
            await asyncio.gather(*self.world.collector.start_due())
            for key, followed in list(self.reflex._followed.items()):
                await self.reflex._look_within_limits(key, followed)


def policies(shop: Shop) -> Any:
    """As the API server has them."""
    stored = shop.cluster.get(HORIZONTAL_POD_AUTOSCALERS, "shop", "web")
    assert stored is not None
    return stored["spec"]["behavior"]["scaleUp"]["policies"]


@pytest.fixture
async def shop(world: World) -> AsyncIterator[Shop]:
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        await cluster.put(DEPLOYMENTS, deployment(3))
        for name in ("web-1", "web-2", "web-3"):
            made = pod(name)
            await cluster.put(PODS, made)
            world.pod(name, **made["metadata"]["labels"])
        world.serves(*(("shop", name, 24.0) for name in ("web-1", "web-2", "web-3")))
        hpas: Index[HorizontalPodAutoscaler] = Index()
        registry = CollectorRegistry()
        forecaster = Forecaster(hpas, world.pods, client, world.catalogue, lambda: world.now)
        reflex = Reflex(
            client, hpas, forecaster, world.answers, ReflexTelemetry(registry), settle=1.0, clock=lambda: world.now
        )
        yield Shop(cluster, world, hpas, reflex, registry)


async def test_two_policies_change_places_and_back_so_that_the_spec_is_as_before(shop: Shop) -> None:
    await shop.declare(hpa())
    await shop.after(6)
    assert (
        shop.writes()
        == ["/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web?fieldManager=streamgate-reflex"] * 2
    )
    stored = shop.cluster.get(HORIZONTAL_POD_AUTOSCALERS, "shop", "web")
    assert stored is not None
    assert stored["spec"] == hpa()["spec"]
    assert shop.times_asked() == 1


async def test_one_without_the_annotation_or_with_another_word_in_it_is_never_written(shop: Shop) -> None:
    for name, annotations in (("none", {}), ("no", {ANNOTATION: "false"}), ("yes", {ANNOTATION: "yes"})):
        made = hpa(name)
        made["metadata"]["annotations"] = annotations
        await shop.declare(made)
    await shop.after(6)
    assert shop.writes() == []


async def test_one_that_no_longer_agrees_is_left_alone(shop: Shop) -> None:
    made = hpa()
    await shop.declare(made)
    made["metadata"]["annotations"] = {}
    await shop.declare(made)
    await shop.after(6)
    assert shop.writes() == []


async def test_one_whose_target_is_large_enough_is_left_alone_and_its_scale_is_not_asked_for_each_time(
    shop: Shop,
) -> None:
    shop.serve(9.0)
    await shop.declare(hpa())
    for _ in range(20):
        await shop.after(1)
    assert shop.writes() == []
    assert len([path for _, path in shop.cluster.requests if path.endswith("/scale")]) == 2


async def test_a_size_that_is_known_is_asked_for_again_before_anything_is_written(shop: Shop) -> None:
    """The target grew a moment before the load: for its size of before, 3, a look would add pods."""
    shop.serve(9.0)
    await shop.declare(hpa())
    await shop.after(6)
    await shop.cluster.put(DEPLOYMENTS, deployment(9))
    shop.serve(24.0)
    await shop.after(4)
    assert shop.writes() == []
    await shop.cluster.put(DEPLOYMENTS, deployment(3))
    await shop.after(12)
    assert shop.writes()


async def test_a_rise_is_waited_for_until_all_pods_can_have_shown_it_and_one_that_ends_before_is_none(
    shop: Shop,
) -> None:
    shop.serve(9.0)
    await shop.declare(hpa())
    await shop.after(6)
    shop.reflex._settle = 12.0
    for _ in range(3):
        shop.serve(24.0)
        await shop.after(10)
        shop.serve(9.0)
        await shop.after(10)
    assert shop.times_asked() == 0
    shop.serve(24.0)
    await shop.after(12)
    assert shop.times_asked() == 0  # values are asked for every 5 s here
    await shop.after(5)
    assert shop.times_asked() == 1


async def test_it_is_asked_again_after_5_10_and_20_s_while_nothing_comes_of_it(shop: Shop) -> None:
    await shop.declare(hpa())
    times = []
    for _ in range(60):
        before = shop.times_asked()
        await shop.after(1)
        if shop.times_asked() > before:
            times.append(shop.world.now)
    assert [round(other - one) for one, other in pairwise(times)] == [5, 10, 20]


async def test_who_wrote_in_between_is_not_undone(shop: Shop) -> None:
    await shop.declare(hpa())
    other = hpa()
    other["spec"]["behavior"]["scaleUp"]["policies"] = [BOTH[0]]
    await shop.cluster.put(HORIZONTAL_POD_AUTOSCALERS, other)  # our view is of before
    await shop.after(6)
    assert shop.times_asked("overtaken") == 1
    assert policies(shop) == [BOTH[0]]


async def test_what_could_not_change_back_at_once_does_so_later(shop: Shop) -> None:
    """The API server is away between the two writes, for 12 s."""
    await shop.declare(hpa())

    def away(request: web.Request) -> Refusal | None:
        late = request.method == "PATCH" and len(shop.writes()) > 1 and shop.world.now < until
        return Refusal(503, "ServiceUnavailable", "away") if late else None

    until = shop.world.now + 18
    shop.cluster.faults.append(away)
    await shop.after(10)
    assert policies(shop) == BOTH[::-1]
    shop.serve(9.0)
    await shop.after(60)
    assert policies(shop) == BOTH


async def test_a_refusal_is_said_once_with_its_reason_and_the_others_go_on(shop: Shop) -> None:
    shop.cluster.forbid("/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web")
    await shop.declare(hpa())
    await shop.declare(hpa("other"))
    with capture_logs() as lines:
        for _ in range(4):
            shop.serve(24.0)
            await shop.after(20)
    (line,) = [line for line in lines if line["event"] == "no reflex"]
    assert line["hpa"] == "shop/web"
    assert "the verb patch on horizontalpodautoscalers" in line["cause"]
    assert shop.times_asked() >= 1
    assert shop.times_asked("refused") == 2  # a minute apart


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": {"conditions": LOOKED}}, "Kubernetes 1.37"),
        ({"spec": {**hpa()["spec"], "behavior": None}}, "Pods 4 and Percent 100"),
        ({"spec": {**hpa()["spec"], "maxReplicas": 0}}, "spec.maxReplicas"),
    ],
    ids=["old Kubernetes", "no policies", "not readable"],
)
async def test_what_stands_in_the_way_is_said_once(shop: Shop, changed: dict[str, Any], said: str) -> None:
    await shop.declare(hpa(**changed))
    with capture_logs() as lines:
        for _ in range(20):
            await shop.after(1)
    causes = [line["cause"] for line in lines if line["event"] == "no reflex"]
    assert len(causes) == 1
    assert said in causes[0]
    assert shop.writes() == []


async def test_while_a_pod_is_not_ready_only_the_controllers_own_looks_come(shop: Shop) -> None:
    starting = pod("web-3")
    starting["status"]["conditions"][0]["status"] = "False"
    await shop.cluster.put(PODS, starting)
    await shop.declare(hpa())
    await shop.after(12)
    assert shop.writes() == []
    await shop.cluster.put(PODS, pod("web-3"))
    await shop.after(2)
    assert shop.times_asked() == 1


async def test_of_an_hpa_that_the_controller_has_not_looked_at_yet_nothing_is_said(shop: Shop) -> None:
    """It has no observedGeneration on any Kubernetes."""
    await shop.declare(hpa(status={}))
    with capture_logs() as lines:
        await shop.after(6)
    assert [line for line in lines if line["event"] == "no reflex"] == []


async def test_no_value_means_no_look(shop: Shop) -> None:
    shop.world.serves()
    await shop.declare(hpa())
    await shop.after(6)
    assert shop.writes() == []


async def test_of_many_at_once_no_more_are_asked_for_than_the_api_server_should_bear(shop: Shop) -> None:
    """A burst of 20, then 5 a second: of 40 at one moment 20, and in each second after it 5 more."""
    for number in range(40):
        await shop.declare(hpa(f"web-{number}"))
    await shop.after(5)
    assert shop.times_asked() == BURST
    assert shop.times_asked("too many") == 20
    await shop.after(2)
    assert shop.times_asked() == BURST + 10


async def test_its_job_looks_by_itself_and_one_that_is_ill_delays_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflex, "EVERY", 0.001)
    written = asyncio.Event()
    shop.cluster.faults.append(lambda request: written.set() if request.method == "PATCH" else None)
    job = asyncio.create_task(shop.reflex.run())
    await asyncio.sleep(0)
    for name in ("ill", "web"):
        await shop.declare(hpa(name))
    shop.reflex._followed["shop", "ill"].asked = None
    with capture_logs() as lines:
        async with asyncio.timeout(20):
            for _ in range(8):
                shop.world.now += 1
                await asyncio.sleep(0.02)
            await written.wait()
        job.cancel()
        await asyncio.wait([job])
    assert {line["hpa"] for line in lines if line["event"] == "a look failed"} == {"shop/ill"}
    assert shop.reflex._followed == {}
