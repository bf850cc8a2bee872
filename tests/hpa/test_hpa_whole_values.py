"""Object and External metrics: one number for all pods, and the way from and to zero."""

from typing import Any

import pytest

from adapter.hpa.model import (
    ExternalValues,
    History,
    Invalid,
    Metric,
    ObjectValue,
    Recommendation,
    Settings,
    Source,
    Target,
    TargetType,
)
from adapter.hpa.words import MAX_INT32, MAX_INT64
from tests.hpa.conftest import Bench

VALUE = TargetType.VALUE


def service(target: int, kind: TargetType = VALUE) -> Metric:
    return Metric(Source.OBJECT, "requests", Target(kind, target * 1000), described="Service web")


def test_a_value_target_multiplies_the_ready_pods(bench: Bench) -> None:
    # 30 of 10 with 3 ready: ceil(3 x 3) = 9
    decision = bench.look(service(10), ObjectValue(30_000), 3)
    assert decision.proposals[0].replicas == 9
    assert "the value is 30 against a target of 10, 3 ready: ceil(3 x 3) = 9" in decision.explanation


def test_a_value_target_counts_only_running_pods_that_are_ready(bench: Bench) -> None:
    # 4 replicas, one ready: ceil(3 x 1) = 3, fewer than before though the value is too high
    pods = [*bench.pods(1), *bench.pods(1, ready="False"), *bench.pods(1, phase="Pending"), *bench.pods(1, ready=None)]
    assert bench.look(service(10), ObjectValue(30_000), 4, pods).proposals[0].replicas == 3


def test_an_average_value_is_shared_by_the_replicas_that_exist(bench: Bench) -> None:
    # 41 among 4: 10.25 each, within 10 % of 10. 45 / 10: ceil(4.5) = 5
    assert bench.look(service(10, TargetType.AVERAGE_VALUE), ObjectValue(41_000), 4).desired == 4
    decision = bench.look(service(10, TargetType.AVERAGE_VALUE), ObjectValue(45_000), 4)
    assert (decision.desired, decision.proposals[0].usage) == (5, 11_250)


def test_an_average_value_within_the_tolerance_proposes_what_exists_not_what_is_asked_for(bench: Bench) -> None:
    # the rollout is at 4 of 6 replicas: 40 / 4 = 10 is the target, so 4 are proposed
    assert bench.look(bench.queue(10), bench.external(40), 6, existing=4).proposals[0].replicas == 4


def test_external_values_are_added_up(bench: Bench) -> None:
    # 12 + 33 = 45: ceil(45 / 10) = 5
    assert bench.look(bench.queue(10), bench.external(12, 33), 4).desired == 5


def test_external_values_beyond_an_int64_are_held_at_its_end(bench: Bench) -> None:
    # the proposal is held at the largest int32 as well
    proposal = bench.look(bench.queue(10), ExternalValues([MAX_INT64, 5]), 4).proposals[0]
    assert proposal.replicas == MAX_INT32


def test_a_negative_sum_of_an_average_value_asks_for_everything_and_says_so(bench: Bench) -> None:
    decision = bench.look(bench.queue(10), bench.external(-1), 4, bounds=(1, 6))
    assert decision.desired == 6
    assert "the value is -1, which the controller takes for an overflow" in decision.explanation


def test_a_negative_value_target_asks_for_the_minimum(bench: Bench) -> None:
    assert bench.look(bench.queue(10, VALUE), bench.external(-1), 4, bounds=(2, 6)).desired == 2


def test_a_negative_proposal_is_none_at_all_where_zero_is_allowed(bench: Bench) -> None:
    decision = bench.look(bench.queue(10, VALUE), bench.external(-50), 3, bounds=(0, 6))
    assert (decision.desired, decision.condition("ScalingLimited").reason) == (0, "DesiredWithinRange")


def test_only_an_external_average_is_held_at_the_largest_int32(bench: Bench) -> None:
    # 2^62 / 1000 is no int32: an Object metric's proposal turns into the smallest one
    huge = ObjectValue(2**62)
    assert bench.look(service(1, TargetType.AVERAGE_VALUE), huge, 3).proposals[0].replicas == -(2**31)
    assert bench.look(service(1), huge, 3).proposals[0].replicas == MAX_INT32


def test_an_empty_answer_is_no_answer(bench: Bench) -> None:
    assert bench.look(bench.queue(), ExternalValues([]), 4).condition("ScalingActive").reason == (
        "FailedGetExternalMetric"
    )


def test_a_value_target_without_pods_cannot_be_computed(bench: Bench) -> None:
    decision = bench.look(service(10), ObjectValue(30_000), 3, pods=[])
    assert decision.condition("ScalingActive").reason == "FailedGetObjectMetric"
    assert "the target's selector finds no pods" in decision.explanation


ZERO = History((Recommendation(0, 0.0),), scaled_to_zero=True)


@pytest.mark.parametrize(("value", "desired"), [(0, 0), (0.001, 1), (35, 4), (90, 4)])
def test_from_zero_an_average_value_is_divided_by_the_target_without_a_tolerance(
    bench: Bench, value: float, desired: int
) -> None:
    # ceil(35 / 10) = 4; ceil(90 / 10) = 9, but one step from 0 reaches 4 at the most
    assert bench.look(bench.queue(10), bench.external(value), 0, bounds=(0, 20), history=ZERO).desired == desired


def test_from_zero_a_value_target_asks_for_one_pod_per_target(bench: Bench) -> None:
    # 21 of 10: ceil(2.1) = 3
    decision = bench.look(service(10), ObjectValue(21_000), 0, bounds=(0, 20), history=ZERO)
    assert decision.desired == 3
    assert decision.condition("ScaledToZero").reason == "NotScaledToZero"
    assert not decision.history.scaled_to_zero


def test_a_target_at_zero_that_the_hpa_did_not_bring_there_is_switched_off(bench: Bench) -> None:
    decision = bench.look(bench.queue(10), bench.external(50), 0, bounds=(0, 20))
    assert (decision.desired, decision.condition("ScalingActive").reason) == (0, "ScalingDisabled")
    assert decision.proposals == ()


def test_going_to_zero_is_remembered_as_the_hpas_own_doing(bench: Bench) -> None:
    decision = bench.look(bench.queue(10), bench.external(0), 3, bounds=(0, 20))
    assert (decision.desired, decision.condition("ScaledToZero").status) == (0, True)
    assert decision.history.scaled_to_zero


def test_before_kubernetes_1_37_zero_is_off_for_good(bench: Bench) -> None:
    settings = Settings(scale_to_zero=False)
    decision = bench.look(bench.queue(10), bench.external(50), 0, bounds=(0, 20), history=ZERO, settings=settings)
    assert decision.condition("ScalingActive").reason == "ScalingDisabled"
    assert decision.condition("ScaledToZero") is None


def test_at_zero_a_raised_minimum_is_reached_in_one_step(bench: Bench) -> None:
    # without behavior a step from 0 ends at 4; minReplicas 6 holds nevertheless
    decision = bench.look(bench.queue(10), bench.external(90), 0, bounds=(6, 20), history=ZERO)
    assert decision.desired == 6
    assert "From zero at least minReplicas, 6" in decision.explanation


def test_at_zero_without_a_metric_that_zero_pods_have_scaling_is_off(bench: Bench) -> None:
    decision = bench.look(bench.rps(10), bench.values(5), 0, bounds=(0, 20), history=ZERO)
    assert decision.condition("ScalingActive").reason == "ScalingDisabled"


def test_at_zero_a_negative_proposal_beside_an_invalid_metric_is_a_scale_down_and_so_forbidden(bench: Bench) -> None:
    # the controller's comparison starts anew after a proposal of 0: -5 is "larger" than none
    metrics = tuple(Metric(Source.EXTERNAL, name, Target(VALUE, 10_000)) for name in "abc")
    seen: list[Any] = [bench.external(0), bench.external(-50), Invalid("away")]
    decision = bench.look(metrics, seen, 0, bounds=(0, 20), history=ZERO)
    assert decision.condition("ScalingActive").reason == "FailedGetExternalMetric"
