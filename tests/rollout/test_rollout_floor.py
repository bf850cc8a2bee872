"""The HPA's floor while a sibling exists: what the formula asks for over the stable pods alone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.hpa.model import HpaSpec, Invalid, Metric, PodState, PodValue, PodValues, Scale, Source, Target, TargetType
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.rollout.floor import Memory, look, min_replicas_to_hold
from adapter.rollout.hear import MetricsEars
from adapter.rollout.turns import Turns
from tests.rollout.local import LocalClient
from tests.rollout.shop import BLUE_GREEN, CANARY, Shop, autoscaler, image_of

NOW = 1_800_000_000.0
FAST = settings(max_examples=100, deadline=None)
RPS = Metric(Source.PODS, "rps", Target(TargetType.AVERAGE_VALUE, 10_000))
"""10 per pod."""
sizes = st.integers(0, 60)
values = st.lists(st.integers(0, 100_000), min_size=1, max_size=12)


def replicas_wanted(readings: list[int]) -> int | None:
    """Replicas that the HPA formula asks for over pods with these values (milli)."""
    pods = [PodState(f"web-{index}") for index in range(len(readings))]
    observed = PodValues({pod.name: PodValue(value) for pod, value in zip(pods, readings, strict=True)})
    spec = HpaSpec(max=40, min=1, metrics=(RPS,))
    return look(spec, Scale(len(pods), len(pods)), [observed], pods, Memory(), NOW).replicas


@FAST
@given(st.none() | sizes, sizes, st.none() | sizes, st.integers(1, 60))
def test_the_floor_is_never_above_max_replicas_and_below_the_size_before_only_there(
    least: int | None, before: int, asked: int | None, most: int
) -> None:
    floor = min_replicas_to_hold(least=least, before=before, wanted=asked, most=most)
    assert 1 <= floor <= most
    assert floor >= min(before, most)
    assert floor >= min(least or 1, most)
    assert floor >= min(asked or 1, most)


@FAST
@given(values, st.data())
def test_the_floor_rises_with_the_values_of_stable_pods(readings: list[int], data: st.DataObject) -> None:
    more = [value + data.draw(st.integers(0, 50_000)) for value in readings]
    low, high = replicas_wanted(readings), replicas_wanted(more)
    assert low is not None
    assert high is not None
    assert low <= high
    assert min_replicas_to_hold(least=1, before=3, wanted=low, most=40) <= min_replicas_to_hold(
        least=1, before=3, wanted=high, most=40
    )


def test_three_pods_at_twice_their_target_want_six() -> None:
    assert replicas_wanted([20_000] * 3) == 6  # ceil(60 / 10)


def test_it_falls_only_after_the_hpas_own_stabilization() -> None:
    pods = [PodState(f"web-{index}") for index in range(6)]
    spec, scale, memory = HpaSpec(max=40, min=1, metrics=(RPS,)), Scale(6, 6), Memory()
    asked = list[int | None]()
    for second in (0, 15, 300, 316):
        observed = PodValues({pod.name: PodValue(2_000) for pod in pods})
        decision = look(spec, scale, [observed], pods, memory, NOW + second)
        memory, asked = decision.memory, [*asked, decision.replicas]
    assert asked == [6, 6, 6, 2]  # ceil(6 x 2 / 10), once the 6 of the beginning are 300 s old


def test_a_metric_without_an_answer_is_left_out_and_none_at_all_says_nothing() -> None:
    pods = [PodState("web-0")]
    spec = HpaSpec(max=9, metrics=(RPS, Metric(Source.PODS, "lag", Target(TargetType.AVERAGE_VALUE, 1))))
    answer = PodValues({"web-0": PodValue(30_000)})
    assert look(spec, Scale(1, 1), [answer, Invalid("")], pods, Memory(), NOW).replicas == 3
    assert look(spec, Scale(1, 1), [Invalid(""), Invalid("")], pods, Memory(), NOW).replicas is None


class Busy(LocalClient):
    """The API server with metrics of pods: stable ones have `load`; new ones have none yet."""

    load = 10.0
    away = False

    async def _answer(self, ask: Any) -> Any:
        if "metrics.k8s.io/" not in ask.path:
            return await super()._answer(ask)
        pods = self.cluster.store.collection("", "pods").objects.values()
        old = [] if self.away else [pod["metadata"]["name"] for pod in pods if image_of(pod) == "web:1"]
        stamp = datetime.fromtimestamp(NOW, UTC).isoformat()
        if ask.path.startswith("/apis/custom.metrics.k8s.io/"):
            value = f"{round(self.load * 1000)}m"
            return {"items": [{"describedObject": {"name": n}, "timestamp": stamp, "value": value} for n in old]}
        usage = [{"name": "web", "usage": {"memory": str(round(self.load))}}]
        return {
            "items": [{"metadata": {"name": n}, "timestamp": stamp, "window": "15s", "containers": usage} for n in old]
        }


METRICS = {
    "pods": {
        "type": "Pods",
        "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}},
    },
    "memory": {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "10"}},
    },
}


async def busy(strategy: Any, metric: Any, *, starts: bool = True) -> tuple[Shop, Any]:
    shop = Shop(strategy)
    client: Any = shop.client
    client.__class__ = Busy
    hpa = autoscaler()
    hpa["spec"]["metrics"] = [metric]
    shop.put(HORIZONTAL_POD_AUTOSCALERS, hpa)
    shop.turns = Turns(client, MetricsEars(client))
    if not starts:
        shop.simulator.health = lambda pod: "unready" if image_of(pod) == "web:2" else "ok"
    await shop.ready()
    shop.release("web:2")
    await shop.until(lambda: shop.phase in ("Starting", "Stepping"))
    return shop, client


def floor_of(shop: Shop) -> int:
    return int(shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"])


@pytest.mark.parametrize("strategy", [BLUE_GREEN, CANARY], ids=["blue-green", "canary"])
@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
async def test_a_sibling_that_does_not_start_does_not_hold_stable_back(strategy: Any, metric: Any) -> None:
    shop, client = await busy(strategy, metric, starts=False)
    assert floor_of(shop) == 3
    client.load = 20.0
    await shop.until(lambda: floor_of(shop) == 6, steps=40)  # ceil(3 x 20 / 10)
    client.away = True
    await shop.some(20)
    assert floor_of(shop) == 6  # what is not known changes nothing
    shop.command("abort")
    await shop.until(lambda: shop.outcomes)
    assert floor_of(shop) == 2


async def test_the_floor_is_written_only_when_it_changes() -> None:
    shop, client = await busy(BLUE_GREEN, METRICS["pods"])
    client.load = 20.0
    await shop.until_outcome("Promoted")
    writes = [path for verb, path in client.calls if verb == "PATCH" and "autoscalers" in path]
    assert len(writes) <= 3  # 3, 6, and 2 again


async def test_an_hpa_of_another_controller_is_not_even_asked_for() -> None:
    shop = Shop(BLUE_GREEN)
    client: Any = shop.client
    client.__class__ = Busy
    owned = autoscaler()
    owned["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "name": "web", "uid": "k", "controller": True}]
    shop.put(HORIZONTAL_POD_AUTOSCALERS, owned)
    shop.turns = Turns(client, MetricsEars(client))
    await shop.ready()
    shop.release("web:2")
    await shop.until_outcome("Promoted")
    assert not [path for _, path in client.calls if "metrics.k8s.io" in path]
