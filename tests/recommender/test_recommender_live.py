"""The loop against a small API server on loopback: statuses, conditions, checkpoints, kills, restarts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.informer import Informer
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS, Resource
from adapter.spans import MILLION, Span, Tracer
from adapter.units.quantity import Quantity
from recommender.input.oom import Observer
from recommender.loop import Recommender
from recommender.model.cluster import ClusterState
from recommender.objects import CHECKPOINTS, POD_METRICS, VPAS
from recommender.serve import ailing, build, serve
from recommender.settings import parse
from recommender.telemetry import Telemetry
from recommender.updater.apply import Applier

DEPLOYMENTS = Resource("apps", "v1", "deployments")
T0 = 1767243600.0
MI = 2**20


def stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(
    name: str = "web-1",
    uid: str = "u1",
    restarts: int = 0,
    ended: float | None = None,
    phase: str = "Running",
    containers: tuple[Any, ...] = ("app",),
) -> dict[str, Any]:
    state = {"terminated": {"reason": "OOMKilled", "finishedAt": stamp(ended)}} if ended else {"running": {}}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": c, "resources": {"requests": {"memory": "1000Mi"}}} for c in containers]},
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": c, "restartCount": restarts, "state": state} for c in containers],
        },
    }


def vpa(name: str = "web", **spec: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"targetRef": target, **spec}}


def metrics(
    time: float, cpu: str = "100m", memory: str = "900Mi", name: str = "web-1", containers: tuple[Any, ...] = ("app",)
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "timestamp": stamp(time),
        "window": "15s",
        "containers": [{"name": c, "usage": {"cpu": cpu, "memory": memory}} for c in containers],
    }


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster | ClusterState]:
    async with FakeCluster() as made:
        await made.put(DEPLOYMENTS, {
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}
        })  # fmt: skip
        await made.put(PODS, pod())
        await made.put(VPAS, vpa())
        await made.put(POD_METRICS, metrics(T0))
        yield made


class Bench:
    """A recommender whose loops are run by hand, at times that the test says."""

    def __init__(self, cluster: FakeCluster, begin: float) -> None:
        self.cluster, self.now = cluster, begin
        self.made: Recommender

    async def minutes(self, count: int, **usage: Any) -> None:
        for _ in range(count):
            await self.cluster.put(POD_METRICS, metrics(self.now, **usage))
            await self.loop()
            self.now += 60

    async def loop(self) -> None:
        await self.made.once(self.now)
        await self.settle()

    async def settle(self) -> None:
        await asyncio.sleep(0.02)  # watches bring what was written

    def status(self, name: str = "web") -> dict[Any, Any]:
        return self.cluster.get(VPAS, "shop", name).get("status", {})

    def target(self, container: str = "app") -> dict[str, str]:
        entries = self.status()["recommendation"]["containerRecommendations"]
        return next(entry["target"] for entry in entries if entry["containerName"] == container)

    def condition(self, kind: str) -> dict[str, Any]:
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), None)


@asynccontextmanager
async def bench(cluster: FakeCluster, *flags: str, begin: float = T0) -> AsyncIterator[Any]:
    tested = Bench(cluster, begin)
    async with Client(cluster.connection) as client:
        observer = Observer()
        tested.made, informers = build(parse(list(flags)).settings, client, Telemetry(), observer, lambda: tested.now)
        async with AsyncExitStack() as stack:
            for informer in informers:
                await stack.enter_async_context(informer.running())
            await tested.made.start()
            yield tested


async def test_a_vpa_gets_a_recommendation_and_its_conditions(cluster: FakeCluster) -> None:
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(3)
        assert tested.target() == {"cpu": "126m", "memory": "1102117711"}
        assert tested.condition("RecommendationProvided")["status"] == "True"
        assert tested.condition("NoPodsMatched") is None
        assert tested.condition("LowConfidence") is None, "VPA never sets it"
        assert tested.status()["observedGeneration"] == 1


async def test_low_confidence_is_said_until_there_is_half_a_day_of_samples(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        await tested.minutes(2)
        assert tested.condition("LowConfidence")["status"] == "True"
        since = tested.condition("LowConfidence")["lastTransitionTime"]
        await tested.minutes(1)
        assert tested.condition("LowConfidence")["lastTransitionTime"] == since
        row = next(iter(tested.made.cluster.vpas.values())).containers["app"]
        states = tested.made.cluster.model.states
        states.samples[row], states.first_sample[row] = 1000, T0 - 86400
        await tested.minutes(1)
        assert tested.condition("LowConfidence")["status"] == "False"
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(1)
        assert tested.condition("LowConfidence") is None, "nobody would keep it up to date"


async def test_the_memory_targets_risk_is_told_and_is_above_the_ceiling_where_a_cap_holds_the_target_down(
    cluster: FakeCluster,
) -> None:
    said = "the chance that a day passes the memory target is at most: app"
    async with bench(cluster) as tested:
        await tested.minutes(2)
        told = tested.condition("MemoryRisk")
        assert (told["status"], told["reason"], told["message"]) == ("False", "WithinCeiling", f"{said} 5 %")
        capped = {"containerPolicies": [{"containerName": "app", "maxAllowed": {"memory": "800Mi"}}]}
        await cluster.put(VPAS, {**vpa(resourcePolicy=capped), "status": tested.status()})
        await tested.settle()
        await tested.minutes(1)
        told = tested.condition("MemoryRisk")  # 900Mi were used today
        assert (told["status"], told["reason"], told["message"]) == ("True", "AboveCeiling", f"{said} 100 %")
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(1)
        assert tested.condition("MemoryRisk") is None, "nobody would keep it up to date"


async def test_missing_crds_are_named_once(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender.loop.SYNC_SECONDS", 0.01)
    rounds = 0
    wait_synced = Informer.wait_synced

    async def count_rounds(self: Informer[Any], timeout: float) -> bool:
        nonlocal rounds
        rounds += 1
        return await wait_synced(self, timeout)

    monkeypatch.setattr(Informer, "wait_synced", count_rounds)
    cluster.fail("/apis/autoscaling.k8s.io/v1/verticalpodautoscalers", 404)

    async def start() -> None:
        async with bench(cluster):
            pass

    wanted = "VPA's CRDs are not installed (manifests/crds)"
    with capture_logs() as lines:
        starting = asyncio.create_task(start())
        async with asyncio.timeout(20):
            while wanted not in [line.get("vpas") for line in lines]:  # noqa: ASYNC110 - a log line sets no event
                await asyncio.sleep(0.01)
            told = rounds
            while rounds < told + 10:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not starting.done(), "it waits for them"
        assert [line.get("vpas") for line in lines].count(wanted) == 1
        starting.cancel()
        await asyncio.wait([starting])


async def test_nothing_is_written_where_nothing_changed(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        await tested.minutes(2)
        written = sum(verb == "PATCH" and "/status" in path for verb, path in cluster.requests)
        await tested.loop()
        assert sum(verb == "PATCH" and "/status" in path for verb, path in cluster.requests) == written


async def test_policy_holds_the_target_and_not_the_uncapped_one(cluster: FakeCluster) -> None:
    policy = {"containerName": "*", "maxAllowed": {"memory": "512Mi"}, "minAllowed": {"cpu": "1"}}
    await cluster.put(VPAS, vpa(resourcePolicy={"containerPolicies": [policy]}))
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(1)
        assert tested.target() == {"cpu": "1", "memory": "512Mi"}
        entry = tested.status()["recommendation"]["containerRecommendations"][0]
        assert entry["uncappedTarget"] == {"cpu": "126m", "memory": "1102117711"}


async def test_a_container_that_is_switched_off_is_left_out_and_frees_its_share_of_the_minimum(
    cluster: FakeCluster,
) -> None:
    policy = {"containerName": "side", "mode": "Off"}
    await cluster.put(VPAS, vpa(resourcePolicy={"containerPolicies": [policy]}))
    await cluster.put(PODS, pod(containers=("app", "side")))
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(1, cpu="1m", memory="1Mi", containers=("app", "side"))
        entries = tested.status()["recommendation"]["containerRecommendations"]
        assert [entry["containerName"] for entry in entries] == ["app"]
        assert tested.target() == {"cpu": "25m", "memory": "250Mi"}


async def test_other_recommenders_vpas_are_left_alone(cluster: FakeCluster) -> None:
    await cluster.put(VPAS, vpa("theirs", recommenders=[{"name": "other"}]))
    async with bench(cluster) as tested:
        await tested.minutes(1)
        assert tested.status("theirs") == {}
        assert set(tested.made.cluster.vpas) == {("shop", "web")}
    async with bench(cluster, "--recommender-name=other") as tested:
        await tested.minutes(1)
        assert tested.status("theirs")["recommendation"]["containerRecommendations"]


async def test_vpas_in_ignored_namespaces_are_left_alone(cluster: FakeCluster) -> None:
    async with bench(cluster, "--ignored-vpa-object-namespaces=kube-system,shop") as tested:
        await tested.minutes(1)
        assert tested.status() == {}
        assert not tested.made.cluster.vpas


async def test_a_vpa_without_pods_says_so(cluster: FakeCluster) -> None:
    await cluster.remove(PODS, "shop", "web-1")
    async with bench(cluster) as tested:
        await tested.loop()
        assert tested.condition("NoPodsMatched")["status"] == "True"
        assert tested.condition("RecommendationProvided")["reason"] == "NoPodsMatched"


async def test_a_target_that_does_not_exist_is_named(cluster: FakeCluster) -> None:
    await cluster.remove(DEPLOYMENTS, "shop", "web")
    async with bench(cluster) as tested:
        await tested.loop()
        assert tested.condition("ConfigUnsupported")["message"] == "Deployment shop/web does not exist"
        await cluster.put(DEPLOYMENTS, {
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}
        })  # fmt: skip
        await tested.minutes(1)
        assert tested.condition("ConfigUnsupported") is None


async def test_a_target_that_another_controller_made_is_refused_as_by_vpa(cluster: FakeCluster) -> None:
    owner = {"kind": "Deployment", "name": "web", "controller": True}
    await cluster.put(Resource("apps", "v1", "replicasets"), {
        "metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": [owner]},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    })  # fmt: skip
    await cluster.put(VPAS, vpa(targetRef={"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1"}))
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.loop()
        said = "ReplicaSet shop/web-1: it is made by Deployment web, which spec.targetRef should name"
        assert tested.condition("ConfigUnsupported")["message"] == said
        assert "recommendation" not in tested.status()


async def test_a_target_that_cannot_be_asked_for_a_while_keeps_its_pods_and_history(cluster: FakeCluster) -> None:
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(2)
        fault = cluster.fail("/apis/apps", 503)
        tested.now += 1200
        await tested.loop()
        cluster.faults.remove(fault)
        assert tested.condition("ConfigUnsupported") is None
        assert tested.made.cluster.instances == 1


async def test_a_stale_condition_that_vpa_never_clears_is_cleared(cluster: FakeCluster) -> None:
    stuck = vpa()
    stuck["status"] = {"conditions": [{"type": "FetchingHistory", "status": "True"}]}
    await cluster.put(VPAS, stuck)
    async with bench(cluster) as tested:
        await tested.minutes(1)
        assert tested.condition("FetchingHistory") is None


async def test_a_kill_raises_the_target_at_once(cluster: FakeCluster) -> None:
    """1000Mi at the kill, so 1200Mi are needed; VPA's numbers: its bucket's end and 15 % are 1470157273."""
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(3)
        await cluster.put(PODS, pod(ended=tested.now))
        await tested.settle()
        await tested.minutes(1)
        assert tested.target()["memory"] == "1470157273"
        assert b"streamgate_recommender_oom_kills_total 1.0" in generate_latest(tested.made.telemetry.registry)


@pytest.mark.parametrize("seen_before", [True, False])
async def test_a_kill_that_ends_its_pod_counts_as_well(cluster: FakeCluster, seen_before: bool) -> None:
    """A Job's pod may not restart: it has failed in the same moment; the one not seen before failed within a minute."""
    async with bench(cluster, "--mode=vpa") as tested:
        if seen_before:
            await tested.minutes(3)
        await cluster.put(PODS, pod(ended=tested.now, phase="Failed"))
        await tested.settle()
        await tested.loop()
        assert tested.target()["memory"] == "1470157273"
        assert tested.made.cluster.instances == 1


async def test_a_kill_counts_although_the_pod_is_gone_in_the_same_minute(cluster: FakeCluster) -> None:
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(3)
        await cluster.put(PODS, pod(ended=tested.now, phase="Failed"))
        await tested.settle()
        await cluster.remove(PODS, "shop", "web-1")
        await tested.settle()
        await tested.loop()
        assert tested.target()["memory"] == "1470157273"
        assert len(tested.made.cluster.model.instances) == 0


@pytest.mark.parametrize(("mode", "containers"), [("default", ["app", "proxy"]), ("vpa", ["app"])])
async def test_a_sidecar_is_recommended_for_but_in_mode_vpa(cluster: FakeCluster, mode: Any, containers: Any) -> None:
    made = pod()
    made["spec"]["initContainers"] = [{"name": "proxy", "restartPolicy": "Always"}, {"name": "migrate"}]
    await cluster.put(PODS, made)
    async with bench(cluster, f"--mode={mode}") as tested:
        await tested.minutes(2, containers=("app", "proxy"))
        entries = tested.status()["recommendation"]["containerRecommendations"]
        assert [entry["containerName"] for entry in entries] == containers


@pytest.mark.parametrize("mode", ["default", "vpa"])
async def test_one_hot_pod_of_twenty_is_said_and_its_memory_covered(cluster: FakeCluster, mode: Any) -> None:
    """web-7 uses 2 cores and 2Gi, its 19 fellows 100m and 100Mi. The pooled p90 of CPU cannot show it."""
    for number in range(1, 21):
        await cluster.put(PODS, pod(f"web-{number}", f"u{number}"))
    async with bench(cluster, f"--mode={mode}") as tested:
        for _ in range(5):
            for number in range(1, 21):
                hot = number == 7
                used = metrics(
                    tested.now, name=f"web-{number}", cpu="2" if hot else "100m", memory="2Gi" if hot else "100Mi"
                )
                await cluster.put(POD_METRICS, used)
            await tested.loop()
            tested.now += 60
        said = tested.condition("RecommendationProvided").get("message", "")
        note = "app: its pods differ: of 20 web-7 uses about 2000m CPU, the middle one about 100m"
        assert said == ("" if mode == "vpa" else note)
        if mode == "default":
            assert Quantity.parse(tested.target()["memory"]).unit() >= 2 * 1024 * MI


async def test_an_eviction_for_want_of_memory_counts_as_a_kill(cluster: FakeCluster) -> None:
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(2)
        await cluster.put(Resource("", "v1", "events"), {
            "metadata": {"name": "e1", "namespace": "shop", "annotations": {
                "offending_containers": "app", "offending_containers_usage": "1000Mi", "starved_resource": "memory"}},
            "reason": "Evicted",
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
            "lastTimestamp": stamp(tested.now),
        })  # fmt: skip
        await tested.settle()
        await tested.minutes(1)
        assert tested.target()["memory"] == "1470157273"


@pytest.mark.parametrize("mode", ["vpa", "default"])
async def test_a_restart_resumes_from_checkpoints(cluster: FakeCluster, mode: str) -> None:
    """In mode vpa the running day's peak is lost, as in VPA; in ours not even that."""
    async with bench(cluster, f"--mode={mode}") as tested:
        await tested.minutes(1, memory="2000Mi")
        tested.now += 86400
        await tested.minutes(3, memory="2000Mi")
        before = tested.target()
    saved = cluster.get(CHECKPOINTS, "shop", "web-app")
    assert saved["spec"] == {"vpaObjectName": "web", "containerName": "app"}
    assert saved["status"]["version"] == "v3"
    assert saved["status"]["totalSamplesCount"] == 4
    async with bench(cluster, f"--mode={mode}", begin=T0 + 86400 + 180) as tested:
        await tested.loop()
        assert tested.target() == before


async def test_a_restart_on_the_first_day_has_no_dip_in_mode_default(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        await tested.minutes(3, memory="2000Mi")
        before = tested.target()
    async with bench(cluster, begin=T0 + 600) as tested:
        await tested.minutes(1, memory="100Mi")
        assert tested.target() == before


FAR = "9999-01-01T00:00:00Z"
ABSURD = {"bucketWeights": {"100": 10000}, "totalWeight": 1e30}


@pytest.mark.parametrize(
    "status",
    [
        {"version": "v3", "cpuHistogram": {"bucketWeights": {"9999": 10000}, "totalWeight": 1e30}},
        {"version": "v3", "cpuHistogram": {"bucketWeights": {"x": "y"}, "totalWeight": 1}},
        {"version": "v2", "cpuHistogram": ABSURD},
        {"version": "v3", "cpuHistogram": {**ABSURD, "referenceTimestamp": FAR}},
        {"version": "v3", "cpuHistogram": ABSURD, "firstSampleStart": FAR, "lastSampleStart": "2020-01-01T00:00:00Z"},
    ],
)
async def test_a_damaged_checkpoint_is_left_out_and_gives_no_wrong_number(
    cluster: FakeCluster, status: dict[Any, Any]
) -> None:
    meta, spec = {"name": "web-app", "namespace": "shop"}, {"vpaObjectName": "web", "containerName": "app"}
    await cluster.put(CHECKPOINTS, {"metadata": meta, "spec": spec, "status": status})
    async with bench(cluster) as tested:
        await tested.minutes(1)
        assert tested.target()["cpu"] == "124m"


def samples(cluster: FakeCluster, name: str = "web-app") -> int:
    return cluster.get(CHECKPOINTS, "shop", name)["status"]["totalSamplesCount"]


async def test_a_vpa_that_is_made_again_or_comes_back_has_its_history(cluster: FakeCluster) -> None:
    """Three samples each time it is ours, none while it is away; 6 and 9 in all."""
    async with bench(cluster) as tested:
        await tested.minutes(3)
        await cluster.remove(VPAS, "shop", "web")
        await tested.settle()
        await tested.loop()
        await cluster.put(VPAS, vpa())
        await tested.settle()
        await tested.minutes(3)
        assert samples(cluster) == 6
        await cluster.put(VPAS, vpa(recommenders=[{"name": "other"}]))
        await tested.settle()
        await tested.minutes(3)
        await cluster.put(VPAS, vpa())
        await tested.settle()
        await tested.minutes(3)
        assert samples(cluster) == 9


async def test_a_vpa_whose_checkpoints_cannot_be_read_waits_and_they_are_not_overwritten(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        await tested.minutes(3)
        await cluster.remove(VPAS, "shop", "web")
        await tested.settle()
        await tested.loop()
        await cluster.put(VPAS, vpa())
        await tested.settle()
        fault = cluster.fail("/apis/autoscaling.k8s.io/v1/namespaces/shop/verticalpodautoscalercheckpoints", 503)
        await tested.minutes(1)
        cluster.faults.remove(fault)
        assert tested.status() == {}
        await tested.minutes(1)
        assert samples(cluster) == 4


async def test_a_vpa_that_turns_to_another_target_begins_anew(cluster: FakeCluster) -> None:
    """The old target used 900Mi, the new one uses 100Mi: the minimum of 250Mi is all that it needs."""
    selector = {"selector": {"matchLabels": {"app": "api"}}}
    await cluster.put(DEPLOYMENTS, {"metadata": {"name": "api", "namespace": "shop"}, "spec": selector})
    async with bench(cluster) as tested:
        await tested.minutes(3)
        other = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
        await cluster.put(VPAS, {**vpa(targetRef=other), "status": tested.status()})
        await tested.settle()
        await tested.loop()
        assert tested.status().get("recommendation") is None, "it was the other target's"
        assert tested.condition("RecommendationProvided")["status"] == "False"
        made = pod("api-1", "u2")
        made["metadata"]["labels"] = {"app": "api"}
        await cluster.put(PODS, made)
        await tested.settle()
        await tested.minutes(1, memory="100Mi", name="api-1")
        assert tested.target()["memory"] == "250Mi"


async def test_with_all_containers_switched_off_there_is_no_recommendation(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        await tested.minutes(1)
        off = {"containerPolicies": [{"containerName": "*", "mode": "Off"}]}
        await cluster.put(VPAS, {**vpa(resourcePolicy=off), "status": tested.status()})
        await tested.settle()
        await tested.minutes(2)
        assert tested.status().get("recommendation") is None
        assert tested.condition("RecommendationProvided")["status"] == "False"


async def test_checkpoints_of_vpas_that_are_gone_are_removed(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        await tested.minutes(1)
        assert cluster.get(CHECKPOINTS, "shop", "web-app")
        await cluster.remove(VPAS, "shop", "web")
        await tested.settle()
        tested.now += 700
        await tested.loop()
        assert cluster.get(CHECKPOINTS, "shop", "web-app") is None
        assert len(tested.made.cluster.model.states) == 0


async def test_with_prometheus_as_storage_there_are_no_checkpoints(cluster: FakeCluster) -> None:
    """As in VPA: history and checkpoints together would count samples twice."""
    async with bench(cluster, "--storage=prometheus") as tested:
        await tested.minutes(2)
        assert tested.target()["cpu"]
        assert cluster.get(CHECKPOINTS, "shop", "web-app") is None


async def test_annotations_of_others_on_a_checkpoint_survive(cluster: FakeCluster) -> None:
    await cluster.put(CHECKPOINTS, {
        "metadata": {"name": "web-app", "namespace": "shop", "annotations": {"owner": "ops"}},
        "spec": {"vpaObjectName": "web", "containerName": "app"}, "status": {"version": "v3"},
    })  # fmt: skip
    async with bench(cluster) as tested:
        await tested.minutes(2)
        assert cluster.get(CHECKPOINTS, "shop", "web-app")["metadata"]["annotations"]["owner"] == "ops"


async def test_the_loop_goes_on_while_metrics_are_away_and_keeps_its_numbers(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        await tested.minutes(2)
        before = tested.target()
        fault = cluster.fail("/apis/metrics.k8s.io", 503)
        await tested.minutes(2)
        cluster.faults.remove(fault)
        assert tested.target() == before


async def test_a_cluster_without_metrics_is_told_what_is_missing(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        cluster.fail("/apis/metrics.k8s.io", 404)
        with capture_logs() as lines:
            await tested.loop()
    assert [line["cause"] for line in lines] == ["metrics.k8s.io is not served: metrics-server is missing"]


async def test_statuses_that_could_not_be_written_are_written_in_the_next_loop(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        fault = cluster.fail("/apis/autoscaling.k8s.io/v1/namespaces/shop/verticalpodautoscalers/web/status", 500)
        await tested.minutes(1)
        assert tested.status() == {}
        cluster.faults.remove(fault)
        await tested.loop()
        assert tested.target()["cpu"]


async def test_own_metrics_count_vpas_as_vpa_does(cluster: FakeCluster) -> None:
    await cluster.put(VPAS, vpa("lost", targetRef={"kind": "Deployment", "name": "no", "apiVersion": "apps/v1"}))
    async with bench(cluster) as tested:
        await tested.minutes(1)
        shown = generate_latest(tested.made.telemetry.registry).decode()
    for good, bad in (("true", "false"), ("false", "true")):
        labels = f'api="v1",has_recommendation="{good}",matches_pods="{good}",unsupported_config="{bad}"'
        assert f'vpa_recommender_vpa_objects_count{{{labels},update_mode="Recreate"}} 1.0' in shown
    assert "vpa_recommender_recommendation_latency_seconds_count 1.0" in shown
    assert "process_resident_memory_bytes" in shown


async def test_an_outage_is_one_line_a_loop_however_many_vpas_there_are(cluster: FakeCluster) -> None:
    for number in range(20):
        await cluster.put(VPAS, vpa(f"web-{number:02}"))
    async with bench(cluster) as tested:
        fault = cluster.fail("/apis/autoscaling.k8s.io", 503)
        with capture_logs() as lines:
            await tested.minutes(1)
        cluster.faults.remove(fault)
    told = {line["event"]: line["count"] for line in lines if line["event"].endswith("not written")}
    assert told == {"statuses not written": 21, "checkpoints not written": 21}


async def test_a_sample_from_the_future_does_not_wipe_history(cluster: FakeCluster) -> None:
    """In VPA it makes all else too old to count: the idle minute after it stands for everything."""
    async with bench(cluster) as tested:
        await tested.minutes(3)
        before = tested.target()
        await cluster.put(POD_METRICS, metrics(tested.now + 400 * 86400, cpu="1m", memory="1Mi"))
        await tested.loop()
        await tested.minutes(1)
        assert tested.target() == before


def test_counters_of_writes_begin_at_zero_so_that_a_first_failure_is_a_rise() -> None:
    registry = Telemetry().registry
    for written in ("status", "checkpoint"):
        labels = {"object": written, "result": "failed"}
        assert registry.get_sample_value("streamgate_recommender_writes_total", labels) == 0


async def test_health_is_lost_where_loops_do_not_end(cluster: FakeCluster) -> None:
    settings = parse(["--address=127.0.0.1:0", "--recommender-interval=1s"]).settings
    now = [T0]
    telemetry = Telemetry()
    ails = ailing(settings, telemetry, lambda: now[0])
    assert ails() == ""
    now[0] += 60
    telemetry.lead(True, now[0])
    assert ails() == "", "a stand-by that takes over gets its time for the first loop"
    now[0] += 6
    assert ails() == "no whole loop for 6 s"
    telemetry.end(now[0])
    assert ails() == ""
    telemetry.lead(False, now[0])
    now[0] += 60
    assert ails() == "", "a replica that waits is well"


@pytest.mark.parametrize("mode", ["vpa", "default"])
@pytest.mark.parametrize("interrupted", [False, True])
async def test_fetching_history_holds_while_it_is_fetched_and_never_after(
    cluster: FakeCluster, mode: str, interrupted: bool
) -> None:
    async with bench(cluster, f"--mode={mode}", "--storage=prometheus") as tested:
        await tested.minutes(1)
        before = tested.target()
        reading, go_on = asyncio.Event(), asyncio.Event()

        async def history(cluster: ClusterState, now: float) -> int:
            reading.set()
            await go_on.wait()
            return 0

        tested.made.at_start(history)
        loop = asyncio.create_task(tested.made.once(tested.now))
        await reading.wait()
        said = tested.condition("FetchingHistory")
        assert (said and said["status"]) == (None if mode == "vpa" else "True")
        assert tested.target() == before
        assert ailing(parse([]).settings, tested.made.telemetry, lambda: T0 + 9999)() == ""
        loop.cancel() if interrupted else go_on.set()
        await asyncio.wait([loop])
        await tested.settle()
        assert tested.condition("FetchingHistory") is None
        assert tested.target() == before


async def test_usage_can_come_from_external_metrics(cluster: FakeCluster) -> None:
    """One of the two metrics is away, and one value names no container: the rest counts.

    300m are in the bucket that ends at 0.01 (1.05^19 - 1) / 0.05 cores: 305m, and 15 % are 45m.
    """
    for name, labels in (("web-1", {"pod": "web-1", "container": "app"}), ("strange", {"pod": "web-1"})):
        await cluster.put(Resource("external.metrics.k8s.io", "v1beta1", "cores"), {
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "metricLabels": labels, "timestamp": stamp(T0), "value": "300m",
        })  # fmt: skip
    flags = ("--use-external-metrics", "--external-metrics-cpu-metric=cores", "--external-metrics-memory-metric=bytes")
    cluster.fail("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/bytes", 503)
    async with bench(cluster, *flags) as tested:
        await tested.loop()
        row = tested.made.cluster.vpas["shop", "web"].containers["app"]
        assert tested.made.cluster.model.states.samples[row] == 1
        assert tested.target() == {"cpu": "350m"}, "of memory nothing is known"


async def test_what_was_never_sampled_gets_no_number_but_a_sentence(cluster: FakeCluster) -> None:
    """A Deployment and its VPA made together: metrics come a minute late, and one container's never."""
    await cluster.put(PODS, pod(containers=("app", "side")))
    await cluster.remove(POD_METRICS, "shop", "web-1")
    async with bench(cluster) as tested:
        await tested.loop()
        assert tested.condition("RecommendationProvided")["status"] == "False"
        assert tested.status().get("recommendation") is None
        said = "no sample yet, so no number: app (cpu and memory), side (cpu and memory)"
        assert tested.condition("LowConfidence")["message"] == said
        await tested.minutes(1)
        assert tested.condition("RecommendationProvided")["status"] == "True"
        entries = tested.status()["recommendation"]["containerRecommendations"]
        assert [entry["containerName"] for entry in entries] == ["app"]
        assert "side (cpu and memory)" in tested.condition("LowConfidence")["message"]


async def test_mode_vpa_gives_the_minimum_without_any_sample_as_vpa_does(cluster: FakeCluster) -> None:
    await cluster.remove(POD_METRICS, "shop", "web-1")
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.loop()
        assert tested.target() == {"cpu": "25m", "memory": "250Mi"}


@pytest.mark.parametrize("mode", ["default", "vpa"])
@pytest.mark.parametrize(("hours", "acts"), [(0, 0), (23, 0), (25, 1)])
async def test_pods_are_acted_on_after_a_day_of_samples_and_not_before(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, mode: str, hours: int, acts: int
) -> None:
    """Nothing was sampled at first, of which mode vpa says the minimum; then there is a sample, later another."""
    asked: list[int] = []

    async def act(self: Applier, vpas: Sequence[object], now: float) -> int:
        asked.append(len(vpas))
        return 0

    monkeypatch.setattr(Applier, "act", act)
    await cluster.remove(POD_METRICS, "shop", "web-1")
    async with bench(cluster, f"--mode={mode}", "--apply=in-place") as tested:
        await tested.loop()
        if hours:
            await tested.minutes(1)
            tested.now = T0 + hours * 3600
            await tested.minutes(1)
    assert asked[-1] == acts


async def test_rollouts_do_not_grow_memory(cluster: FakeCluster) -> None:
    async with bench(cluster) as tested:
        held = []
        for number in range(12):
            await cluster.put(PODS, pod(f"web-{number}", f"u{number}"))
            if number:
                await cluster.remove(PODS, "shop", f"web-{number - 1}")
            await tested.settle()
            await tested.minutes(1, name=f"web-{number}")
            held.append(tested.made.cluster.model.nbytes)
        assert held[-1] == held[3]
        assert tested.made.cluster.instances == 1
        assert len(tested.made.cluster.model.states) == 1


async def test_a_request_that_an_hpa_counts_on_stays_as_it_is(cluster: FakeCluster) -> None:
    """The pod requests 1000Mi and no CPU; the HPA holds memory at 70 %. CPU is recommended as ever."""
    metric = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    hpa = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9, "metrics": [metric]},
    }
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa)
    async with bench(cluster) as tested:
        await tested.settle()
        await tested.minutes(2, memory="100Mi")
        assert tested.target() == {"cpu": "124m", "memory": "1000Mi"}
        said = tested.condition("RecommendationProvided")["message"]
        assert said == (
            "app: memory stays at its request, an HPA holds it at 70 % of that (250Mi at 280 % would keep its replicas)"
        )
    async with bench(cluster, "--fix-hpa-loop=false") as tested:
        await tested.minutes(2, memory="100Mi")
        assert tested.target()["memory"] == "250Mi"
        assert "message" not in tested.condition("RecommendationProvided")


async def test_a_metric_of_an_hpa_that_cannot_be_read_is_said_once_with_its_field(cluster: FakeCluster) -> None:
    def hpa(*metrics: dict[str, Any], replicas: int = 1) -> dict[str, Any]:
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9, "metrics": list(metrics)}
        status = {"currentReplicas": replicas}
        return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec, "status": status}

    memory = {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}
    good: dict[str, Any] = {"type": "Resource", "resource": memory}
    strange: dict[str, Any] = {"type": "Carbon"}
    with capture_logs() as lines:
        await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa(good, strange))
        async with bench(cluster) as tested:
            await tested.settle()
            for changed in (hpa(good, strange, replicas=2), hpa(good, strange, strange), hpa(good), hpa(good, strange)):
                await cluster.put(HORIZONTAL_POD_AUTOSCALERS, changed)
                await tested.settle()
            await tested.minutes(2, memory="100Mi")
            assert tested.target()["memory"] == "1000Mi"  # what can be read is heeded
    said = [(line["hpa"], line["count"], line["cause"]) for line in lines if "of an HPA not read" in line["event"]]
    assert [(name, count) for name, count, _ in said] == [("shop/web", 1), ("shop/web", 1)]
    assert all(cause.startswith("spec.metrics[1]") for _, _, cause in said)


async def test_without_leave_to_see_hpas_all_else_works(cluster: FakeCluster) -> None:
    cluster.forbid("/apis/autoscaling/v2")
    async with bench(cluster) as tested:
        await tested.minutes(1)
        assert tested.target()["cpu"]


async def test_strange_metrics_change_nothing(cluster: FakeCluster) -> None:
    async with bench(cluster, "--mode=vpa") as tested:
        await tested.minutes(2)
        before = tested.target()
        for cpu, memory in (("-5", "-1Gi"), ("many", "much"), ("", "")):
            await cluster.put(POD_METRICS, metrics(tested.now, cpu=cpu, memory=memory))
            await tested.loop()
            tested.now += 60
        assert tested.target() == before


async def test_the_whole_program_serves_leads_and_stops_in_order(cluster: FakeCluster) -> None:
    settings = parse(["--address=127.0.0.1:0", "--leader-elect", "--recommender-interval=1s"]).settings
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, cluster.connection, stop))
    for _ in range(200):
        await asyncio.sleep(0.02)
        if cluster.get(CHECKPOINTS, "shop", "web-app"):
            break
    assert cluster.get(VPAS, "shop", "web")["status"]["recommendation"]
    lease = Resource("coordination.k8s.io", "v1", "leases")
    assert cluster.get(lease, "kube-system", "vpa-recommender-lease")["spec"]["holderIdentity"]
    stop.set()
    await serving
    assert cluster.get(lease, "kube-system", "vpa-recommender-lease")["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("selector", [None, {}, {"matchLabels": {}}])
async def test_a_target_that_selects_everything_is_refused(
    cluster: FakeCluster, selector: dict[str, Any] | None
) -> None:
    """An empty selector means all pods of the namespace: none of them is this workload's for certain."""
    spec = {} if selector is None else {"selector": selector}
    await cluster.put(DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    async with bench(cluster) as tested:
        await tested.loop()
        assert tested.condition("ConfigUnsupported")["message"] == "Deployment shop/web has no selector of pods"


async def test_a_loop_is_a_trace_with_its_steps(cluster: FakeCluster) -> None:
    spans: list[Span] = []
    async with bench(cluster) as tested:
        tested.made.telemetry.tracer = Tracer(spans.append, MILLION)
        await tested.minutes(1)
    *steps, loop = spans
    assert (loop.name, loop.parent_id) == ("loop", 0)
    assert [step.name for step in steps] == [
        "LoadVPAs",
        "LoadPods",
        "LoadMetrics",
        "UpdateVPAs",
        "MaintainCheckpoints",
    ]
    assert {step.parent_id for step in steps} == {loop.span_id}
