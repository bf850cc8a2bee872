"""Which pods count for a metric, and what is assumed of the others."""

from dataclasses import replace
from typing import Any

import pytest

from adapter.hpa.model import DEFAULTS, Metric, PodState, PodValue, PodValues, Source, Target, TargetType
from adapter.hpa.pods import UnusableError, group, requests
from tests.hpa.conftest import Bench

NOW = 1_800_000_000.0


def test_three_pods_at_24_of_10_become_eight(bench: Bench) -> None:
    decision = bench.look(bench.rps(10), bench.values(24.1, 24.1, 24.1), 3)
    # ceil(3 x 24.1 / 10) = ceil(7.23) = 8, but a step without behavior may at most double 3: 6
    assert (decision.proposals[0].replicas, decision.desired) == (8, 6)


@pytest.mark.parametrize(("value", "desired"), [(8.9, 9), (9, 10), (11, 10), (11.1, 12)])
def test_a_ratio_from_0_9_to_1_1_moves_nothing(bench: Bench, value: float, desired: int) -> None:
    # ten pods: ceil(10 x 0.89) = 9, ceil(10 x 1.11) = 12; 0.9 and 1.1 themselves are within the tolerance
    assert bench.look(bench.rps(10), bench.values(*[value] * 10), 10).proposals[0].replicas == desired


def test_the_average_loses_its_fraction_of_a_milli_before_it_is_compared(bench: Bench) -> None:
    # (1 + 1 + 2) / 3 = 1.33 milli is taken as 1: ratio 1, not 1.33
    metric = Metric(Source.PODS, "tiny", Target(TargetType.AVERAGE_VALUE, 1))
    seen = PodValues({"p0": PodValue(1), "p1": PodValue(1), "p2": PodValue(2)})
    assert bench.look(metric, seen, 3).desired == 3


def test_a_utilization_loses_its_fraction_before_it_is_compared(bench: Bench) -> None:
    # 167m of 3 x 100m requested = 55.67 %, taken as 55 %: 55 / 50 = 1.1 is still within the tolerance
    decision = bench.look(bench.cpu(50), bench.values(0.055, 0.056, 0.056), 3)
    assert (decision.proposals[0].utilization, decision.desired) == (55, 3)


def test_utilization_is_of_all_requests_together_not_the_mean_of_the_pods_percentages(bench: Bench) -> None:
    # 10m of 100m and 300m of 300m: 310 / 400 = 77 %, where the mean of 10 % and 100 % would be 55 %
    pods = [
        PodState("p0", start=0.0, requests={"app": {"cpu": 100}}),
        PodState("p1", start=0.0, requests={"app": {"cpu": 300}}),
    ]
    assert bench.look(bench.cpu(50), bench.values(0.01, 0.3), 2, pods).proposals[0].utilization == 77


def test_a_utilization_wraps_where_the_controllers_integers_wrap(bench: Bench) -> None:
    pod = PodState("p0", start=0.0, requests={"app": {"cpu": 1}})
    for used, shown in [(21_474_837, 2_147_483_700 - 2**32), (2**57, 0)]:  # beyond int32; 100 x 2^57 = 25 x 2^59
        proposal = bench.look(bench.cpu(50), PodValues({"p0": PodValue(used, NOW)}), 1, [pod]).proposals[0]
        assert proposal.utilization == shown
    pod = PodState("p0", start=0.0, requests={"app": {"cpu": 2**40}})
    # 100 x 2^57 = 25 x 2^59 is taken in 64 bits: 25 x 2^59 - 2^64 = -7 x 2^59; divided by 2^40 that is -7 x 2^19
    proposal = bench.look(bench.cpu(50), PodValues({"p0": PodValue(2**57, NOW)}), 1, [pod]).proposals[0]
    assert proposal.utilization == -7 * 2**19


def test_on_the_way_down_a_missing_pod_counts_as_the_target(bench: Bench) -> None:
    # 9 pods at 2 of 10 and one missing: (9 x 2 + 10) / 10 = 2.8, ceil(10 x 0.28) = 3, where 9 x 0.2 would be 2
    decision = bench.look(bench.rps(10), bench.values(*[2] * 9, None), 10)
    assert decision.proposals[0].replicas == 3
    assert "1 pod without a value counted as 10, the target" in decision.explanation


def test_on_the_way_down_a_missing_pod_counts_as_its_whole_request(bench: Bench) -> None:
    # 10m + 10m + 100m of 300m = 40 %: ceil(3 x 40 / 80) = 2
    assert bench.look(bench.cpu(80), bench.values(0.01, 0.01, None), 3).proposals[0].replicas == 2


def test_on_the_way_down_a_missing_pod_counts_as_the_target_where_that_is_above_the_request(bench: Bench) -> None:
    # target 200 %: 10m + 10m + 200m of 300m = 73 %: ceil(3 x 73 / 200) = 2; with 100m it would be 40 %: 1
    assert bench.look(bench.cpu(200), bench.values(0.01, 0.01, None), 3).proposals[0].replicas == 2


def test_on_the_way_up_a_missing_pod_counts_as_nothing(bench: Bench) -> None:
    # (30 + 30 + 0) / 3 = 20: ceil(3 x 2) = 6, where two pods alone would say ceil(2 x 3) = 6 and three at 30 nine
    assert bench.look(bench.rps(10), bench.values(30, 30, None), 3).proposals[0].replicas == 6


def test_a_missing_pod_that_would_turn_the_direction_keeps_the_replicas(bench: Bench) -> None:
    # 15 of 10 asks for more; with two pods at 0 the average is 5, which would ask for less
    decision = bench.look(bench.rps(10), bench.values(15, None, None), 3)
    assert decision.desired == 3
    assert "would turn the direction" in decision.explanation


def test_a_missing_pod_that_brings_the_ratio_into_the_tolerance_keeps_the_replicas(bench: Bench) -> None:
    # 20 and 0: average 10, ratio 1
    assert bench.look(bench.rps(10), bench.values(20, None), 2).desired == 2


def test_a_scale_up_that_would_end_below_the_present_replicas_keeps_them(bench: Bench) -> None:
    # 3 pods found of 10 wanted: (30 + 30 + 0) / 3 = 20, ceil(3 x 2) = 6 < 10, though usage is above the target
    pods = bench.pods(3)
    assert bench.look(bench.rps(10), bench.values(30, 30, None), 10, pods).proposals[0].replicas == 10


def test_a_pending_pod_counts_as_nothing_on_the_way_up_and_not_at_all_on_the_way_down(bench: Bench) -> None:
    pods = [*bench.pods(2), PodState("new", phase="Pending")]
    # up: (30 + 30 + 0) / 3 = 20: 6. down: ceil(2 x 0.5) = 1
    assert bench.look(bench.rps(10), bench.values(30, 30), 3, pods).proposals[0].replicas == 6
    assert bench.look(bench.rps(10), bench.values(5, 5), 3, pods).proposals[0].replicas == 1


def test_failed_pods_and_pods_being_deleted_are_as_if_they_were_not(bench: Bench) -> None:
    pods = [*bench.pods(2), PodState("gone", deleted=True), PodState("dead", phase="Failed")]
    seen = bench.values(15, 15)
    seen = replace(seen, values={**seen.values, "gone": PodValue(900_000), "dead": PodValue(900_000)})
    assert bench.look(bench.rps(10), seen, 2, pods).proposals[0].replicas == 3  # ceil(2 x 1.5)


def test_readiness_matters_for_cpu_and_for_no_other_metric(bench: Bench) -> None:
    pods = bench.pods(2, start=NOW - 60, ready="False", ready_since=NOW - 55)
    assert bench.look(bench.rps(10), bench.values(15, 15), 2, pods).proposals[0].replicas == 3
    assert bench.look(bench.cpu(50), bench.values(0.1, 0.1), 2, pods).condition("ScalingActive").reason == (
        "FailedGetResourceMetric"
    )


def unready(**state: Any) -> bool:
    pod = PodState("p0", **state)
    value = PodValue(1, time=NOW, window=30)
    return bool(group([pod], {"p0": value}, cpu=True, now=NOW, settings=DEFAULTS).unready)


@pytest.mark.parametrize(
    ("started", "ready", "changed", "expected"),
    [
        (299, "True", 30, False),  # ready for a whole window of 30 s
        (299, "True", 29, True),  # the window reaches back to before it was ready
        (299, "False", 200, True),  # young and not ready
        (300, "True", 1, False),  # old enough: the window is not asked for
        (300, "False", 270, False),  # was ready once: last changed 30 s after its start
        (300, "False", 271, True),  # has never been ready: last changed 29 s after its start
        (300, "Unknown", 271, False),  # only "False" is not ready
    ],
)
def test_a_starting_pods_cpu_does_not_count(started: int, ready: str, changed: int, expected: bool) -> None:
    assert unready(start=NOW - started, ready=ready, ready_since=NOW - changed) is expected


def test_a_pod_without_a_ready_condition_or_a_start_is_not_ready_for_cpu() -> None:
    assert unready(start=NOW - 3600, ready=None)
    assert unready(start=None, ready="True")


def test_a_request_is_the_containers_sum_or_the_pods_own_or_one_containers() -> None:
    containers = {"app": {"cpu": 100}, "sidecar": {"cpu": 50}}
    assert requests([PodState("p0", requests=containers)], "", "cpu") == {"p0": 150}
    assert requests([PodState("p0", requests=containers)], "sidecar", "cpu") == {"p0": 50}
    whole = PodState("p0", requests=containers, pod_requests={"cpu": 400})
    assert requests([whole], "", "cpu") == {"p0": 400}
    assert requests([whole], "app", "cpu") == {"p0": 100}


@pytest.mark.parametrize(
    ("container", "said"),
    [("", "container sidecar of pod p0 has no cpu request"), ("other", "pod p0 has no container other")],
)
def test_one_pod_without_the_request_spoils_the_metric_and_is_named(container: str, said: str) -> None:
    pod = PodState("p0", requests={"app": {"cpu": 100}, "sidecar": {}})
    with pytest.raises(UnusableError, match=said):
        requests([pod], container, "cpu")


def test_even_a_dying_pod_without_a_request_spoils_a_utilization(bench: Bench) -> None:
    pods = [*bench.pods(2), PodState("gone", deleted=True, requests={"app": {}})]
    decision = bench.look(bench.cpu(50), bench.values(0.1, 0.1), 2, pods)
    assert "container app of pod gone has no cpu request" in decision.explanation


def test_an_average_value_of_cpu_needs_no_requests(bench: Bench) -> None:
    metric = Metric(Source.RESOURCE, "cpu", Target(TargetType.AVERAGE_VALUE, 100))
    pods = bench.pods(2, requests={})
    assert bench.look(metric, bench.values(0.2, 0.2), 2, pods).proposals[0].replicas == 4  # ceil(2 x 200m / 100m)


def test_a_value_of_an_unknown_pod_still_weighs_in_the_average(bench: Bench) -> None:
    # the controller divides by all values it got: (10 + 40) / 2 = 25, but multiplies by the one pod that it knows
    assert bench.look(bench.rps(10), bench.values(10, 40), 1).proposals[0].replicas == 3
