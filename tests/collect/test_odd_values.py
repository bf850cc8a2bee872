"""One object's odd value costs that object alone: no float, time or window fails the answer for the others."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.answer import CustomValue, ExternalValue, ObjectReference
from adapter.collect.consumption import of_nodes, of_pods, unsayable
from adapter.collect.demand import CustomWant
from adapter.collect.judge import MAX_MILLI, judge_reading, quantity
from adapter.collect.snapshot import Limits, Pace, Reading
from adapter.kube.objects import ObjectMeta, PartialObjectMetadata
from adapter.metrics.scrape.kubelet import ResourceUsage
from adapter.rules.model import OnNegative
from adapter.rules.resources import PODS
from adapter.serve import wire
from adapter.serve.encode import to_json
from adapter.serve.protobuf import items
from adapter.serve.values import _external_item, _items_v1beta1, _items_v1beta2
from adapter.units.quantity import Quantity
from tests.collect.conftest import World
from tests.collect.test_answers import question, refresh, values

ANY = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("odd", "served"),
    [
        (1.8e305, "9223372036854775807m"),  # as milli-units it is beyond the floats: the most that an int64 holds
        (1.7976931348623157e308, "9223372036854775807m"),
        (5e-324, "0"),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (-1.8e305, None),  # a rate below zero
    ],
)
async def test_an_odd_value_of_one_pod_leaves_the_others_theirs(world: World, odd: float, served: str | None) -> None:
    for name in ("web-1", "web-2"):
        world.pod(name, app="web")
    world.demand.declare("shop", "web", [CustomWant(PODS, "shop", "http_requests_per_second")])
    world.serves(("shop", "web-1", odd), ("shop", "web-2", 2.5))
    await refresh(world)
    expected = {"web-2": "2500m"} | ({"web-1": served} if served else {})
    assert await values(world, question()) == expected
    assert world.answers.explain(question())["objects"]


@given(one=FINITE, other=FINITE)
def test_every_finite_value_is_a_quantity_and_a_greater_one_no_smaller(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert -MAX_MILLI <= quantity(low).milli() <= quantity(high).milli() <= MAX_MILLI


@given(value=ANY, time=ANY, window=ANY, now=st.floats(0, 2e9))
def test_whatever_is_judged_fit_to_be_served_can_be_written(
    value: float, time: float, window: float, now: float
) -> None:
    verdict = judge_reading(Reading(value, time, window), Limits(negative=OnNegative.SERVE), Pace(), now=now)
    if verdict.value is None:
        assert verdict.why
        return
    described = ObjectReference("Pod", "shop", "web-1", "v1")
    told = [CustomValue(described, quantity(verdict.value), time, window)]
    written = [*_items_v1beta1(told, "m", None), *_items_v1beta2(told, "m", None)]
    written.append(_external_item("m", ExternalValue({}, quantity(verdict.value), time, window)))
    for item in written:
        assert to_json(item)
        assert items([item])


@given(seconds=ANY)
def test_every_duration_and_moment_can_be_written(seconds: float) -> None:
    assert 1970 <= wire.moment(seconds).year <= 9999
    assert -(2**63) < wire.Duration(seconds).nanoseconds < 2**63
    assert str(wire.Duration(seconds)).endswith("s")


@given(cpu=ANY, memory=ANY)
def test_odd_usage_of_one_container_or_node_leaves_the_others_theirs(cpu: float, memory: float) -> None:
    def make_object(name: str, namespace: str = "") -> PartialObjectMetadata:
        return PartialObjectMetadata(metadata=ObjectMeta(name=name, namespace=namespace))

    odd, plain = ResourceUsage(cpu, memory, 1000.0, 15.0), ResourceUsage(0.5, 2**20, 1000.0, 15.0)
    pods = {("shop", "odd"): {"app": plain, "sidecar": odd}, ("shop", "web"): {"app": plain}}
    usages = of_pods([make_object("odd", "shop"), make_object("web", "shop")], pods, 1000.0)
    whole = math.isfinite(cpu) and math.isfinite(memory)
    assert [pod.name for pod in usages] == (["odd", "web"] if whole else ["web"])
    nodes = of_nodes([make_object("odd"), make_object("web")], {"odd": odd, "web": plain}, 1000.0)
    assert [node.name for node in nodes] == (["odd", "web"] if whole else ["web"])
    assert ("container sidecar of shop/odd" in unsayable(pods)) == (not whole)
    for pod in usages:
        for _, used in pod.containers:
            assert Quantity.parse(str(used.cpu)).milli() < 2**63
            assert Quantity.parse(str(used.memory)).unit() < 2**63
