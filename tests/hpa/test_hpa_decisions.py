"""Whole looks: several metrics, invalid ones, bounds, and what the operator is told."""

import pytest

from adapter.hpa.decide import decide
from adapter.hpa.model import (
    Behavior,
    ExternalValues,
    History,
    HpaSpec,
    Invalid,
    Metric,
    Recommendation,
    Rules,
    Scale,
    Source,
    Target,
    TargetType,
    apply_defaults,
)
from adapter.hpa.words import amount, ceil32, number
from tests.hpa.conftest import Bench

AWAY = Invalid("the metrics API is away")


def test_the_explanation_can_be_checked_by_hand(bench: Bench) -> None:
    decision = bench.look(bench.rps(10), bench.values(24.1, 24.1, 24.1), 3, bounds=(1, 6))
    assert decision.explanation == (
        "rps (Pods): 3 pods average 24.1 against a target of 10: ceil(3 x 2.41) = 8. "
        "8 is limited to 6 by maxReplicas. So 3 replicas become 6."
    )


@pytest.mark.parametrize(
    ("average", "limited"),
    [(24.1, (True, "8 is limited to 6 by maxReplicas")), (20.0, (False, "no limit stands against it"))],
)
def test_the_condition_says_which_limit_stood_against_it_or_that_none_did(
    bench: Bench, average: float, limited: tuple[bool, str]
) -> None:
    """On 3 pods at a target of 10: 24.1 asks for 8, 20 for 6."""
    condition = bench.look(bench.rps(10), bench.values(*[average] * 3), 3, bounds=(1, 6)).condition("ScalingLimited")
    assert (condition.status, condition.message) == limited


def test_the_largest_proposal_counts(bench: Bench) -> None:
    # 20 of 10 on 2 pods: 4; a queue of 50 at 10 each: 5
    decision = bench.look((bench.rps(10), bench.queue(10)), [bench.values(20, 20), bench.external(50)], 2)
    assert ([p.replicas for p in decision.proposals], decision.desired) == ([4, 5], 4)
    assert "The largest proposal counts: 5 from queue" in decision.explanation


def test_an_invalid_metric_forbids_a_scale_down(bench: Bench) -> None:
    decision = bench.look((bench.rps(10), bench.queue(10)), [bench.values(1, 1), AWAY], 2)
    assert decision.desired == 2
    assert decision.condition("ScalingActive")[1:3] == (False, "FailedGetExternalMetric")
    assert "1 of 2 metrics cannot be computed, and without them nothing scales down" in decision.explanation


def test_an_invalid_metric_does_not_stand_in_the_way_of_a_scale_up(bench: Bench) -> None:
    decision = bench.look((bench.queue(10), bench.rps(10)), [AWAY, bench.values(20, 20)], 2)
    assert (decision.desired, decision.condition("ScalingActive").reason) == (4, "ValidMetricFound")


def test_nothing_is_done_and_nothing_remembered_where_every_metric_is_invalid(bench: Bench) -> None:
    decision = bench.look((bench.queue(10), bench.rps(10)), [AWAY, AWAY], 2)
    assert (decision.desired, decision.condition("ScalingActive").reason) == (2, "FailedGetExternalMetric")
    assert decision.condition("AbleToScale").reason == "SucceededGetScale"
    assert decision.condition("ScalingLimited") is None
    assert len(decision.history.recommendations) == 1


@pytest.mark.parametrize(("current", "desired", "said"), [(9, 6, "above maxReplicas"), (1, 2, "below minReplicas")])
def test_outside_of_the_bounds_no_metric_is_asked(bench: Bench, current: int, desired: int, said: str) -> None:
    decision = bench.look(bench.rps(10), AWAY, current, bounds=(2, 6))
    assert (decision.desired, decision.proposals) == (desired, ())
    assert said in decision.explanation


def test_a_fresh_controller_takes_the_present_scale_as_its_first_recommendation(bench: Bench) -> None:
    # so that a restart is no reason to scale down within the first five minutes
    decision = bench.look(bench.rps(10), bench.values(1, 1, 1), 3, history=History())
    assert (decision.desired, decision.condition("AbleToScale").reason) == (3, "ScaleDownStabilized")


def test_the_history_of_one_look_is_what_the_next_one_needs(bench: Bench) -> None:
    # 3 -> 6 at once, then 1 is wanted: held at 6 for the five minutes after the wish for 8, then let go
    first = bench.look(bench.rps(10), bench.values(24, 24, 24), 3, bounds=(1, 6))
    low = bench.values(*[1] * 6)
    second = bench.look(bench.rps(10), low, 6, bounds=(1, 6), history=first.history, now=bench.now + 300)
    third = bench.look(bench.rps(10), low, 6, bounds=(1, 6), history=second.history, now=bench.now + 301)
    assert (first.desired, second.desired, third.desired) == (6, 6, 1)


def test_each_direction_may_have_a_tolerance_of_its_own(bench: Bench) -> None:
    # 10.4 of 10 is within 0.1 but beyond 0.02: ceil(5 x 1.04) = 6. 8 of 10 is beyond 0.1 but within 0.3
    rules = Behavior(up=Rules(tolerance=0.02), down=Rules(tolerance=0.3))
    assert bench.look(bench.rps(10), bench.values(*[10.4] * 5), 5).desired == 5
    assert bench.look(bench.rps(10), bench.values(*[10.4] * 5), 5, behavior=rules).desired == 6
    assert bench.look(bench.rps(10), bench.values(*[8] * 5), 5).desired == 4
    assert bench.look(bench.rps(10), bench.values(*[8] * 5), 5, behavior=rules).desired == 5


def test_defaults_are_those_of_the_api_server() -> None:
    spec = apply_defaults(HpaSpec(max=10, behavior=Behavior(up=Rules(window=60))))
    assert (spec.min, spec.metrics[0].name, spec.metrics[0].target) == (1, "cpu", (TargetType.UTILIZATION, 80))
    assert spec.behavior
    assert (spec.behavior.up.window, len(spec.behavior.up.policies)) == (60, 2)
    assert (spec.behavior.down.window, spec.behavior.down.policies) == (None, (("Percent", 100, 15),))
    assert apply_defaults(spec) == spec


@pytest.mark.parametrize(
    ("source", "kind", "value", "container", "said"),
    [
        ("Pods", "Value", 1, "", "a Pods metric cannot have a target of type Value, only AverageValue"),
        ("Object", "Utilization", 1, "", "only Value or AverageValue"),
        ("Pods", "AverageValue", 0, "", "the target must be greater than 0, not 0"),
        ("Resource", "AverageValue", 1, "app", "a container belongs to a ContainerResource metric"),
        ("ContainerResource", "AverageValue", 1, "", "a container belongs to a ContainerResource metric"),
    ],
)
def test_a_metric_that_the_api_server_would_refuse_is_refused(
    source: str, kind: str, value: int, container: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Metric(Source(source), "m", Target(TargetType(kind), value), container)


def test_an_answer_of_the_wrong_kind_is_a_programming_error(bench: Bench) -> None:
    with pytest.raises(TypeError, match="ExternalValues is no answer for a Pods metric"):
        bench.look(bench.rps(), ExternalValues([1]), 1)
    with pytest.raises(ValueError, match="1 metrics need as many observations, not 0"):
        decide(HpaSpec(max=3, metrics=(bench.rps(),)), Scale(1, 1), [], [], History(), 0.0)


def test_amounts_are_said_in_the_units_that_people_use(bench: Bench) -> None:
    memory = Metric(Source.RESOURCE, "memory", Target(TargetType.AVERAGE_VALUE, 1000))
    assert amount(bench.cpu(), 250) == "250m"
    assert amount(memory, 256 * 2**20 * 1000) == "256Mi"
    assert (amount(bench.rps(), 24_100), number(1 / 3), number(-0.0001)) == ("24.1", "0.333", "0")


def test_what_no_int32_holds_becomes_the_smallest_as_on_amd64() -> None:
    assert [ceil32(2.0**31 - 0.5), ceil32(float("nan")), ceil32(float("inf")), ceil32(2.4)] == [-(2**31)] * 3 + [3]


def test_a_proposal_beyond_an_int32_ends_at_the_minimum_as_in_the_controller(bench: Bench) -> None:
    # 2^52 / 0.001 is no int32: the controller's conversion gives a negative number, so minReplicas
    metric = Metric(Source.PODS, "rps", Target(TargetType.AVERAGE_VALUE, 1))
    decision = bench.look(metric, bench.values(2.0**42), 1, history=History((Recommendation(1, 0.0),)), bounds=(1, 9))
    assert decision.desired == 1
