"""Where an HPA stands, and why it does not scale: by its conditions, and by the formula."""

import msgspec
import pytest

from adapter.console import hpas
from adapter.console.hpas import MOST_METRICS, State
from adapter.console.objects import Hpa
from tests.console.conftest import ABLE, ACTIVE, NOW, UNLIMITED, condition, cpu, hpa, hpa_json, pods

TOO_MANY = condition("ScalingLimited", "True", "TooManyReplicas", "the desired replica count is more than the maximum")
TOO_FEW = condition("ScalingLimited", "True", "TooFewReplicas", "the desired replica count is less than the minimum")
TOO_FAST = condition("ScalingLimited", "True", "ScaleUpLimit", "the desired replica count is increasing faster")
STABILIZED = condition("AbleToScale", "True", "ScaleDownStabilized", "recent recommendations were higher")


def test_without_a_metric_it_says_so_in_the_controllers_words() -> None:
    starving = condition("ScalingActive", "False", "FailedGetPodsMetric", "unable to get metric http_requests")
    view = hpa("web", pods("http_requests", "10", None), conditions=(ABLE, starving))
    assert view.state is State.STARVES
    assert view.why[0] == "FailedGetPodsMetric: unable to get metric http_requests"


def test_a_target_that_is_not_there() -> None:
    unable = condition("AbleToScale", "False", "FailedGetScale", 'deployments.apps "web" not found')
    view = hpa("web", cpu(60, None), conditions=(unable,))
    assert (view.state, view.why[0]) == (State.UNABLE, 'FailedGetScale: deployments.apps "web" not found')


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ((ABLE, ACTIVE, TOO_MANY), State.AT_MOST),
        ((ABLE, ACTIVE, TOO_FEW), State.AT_LEAST),
        ((ABLE, ACTIVE, TOO_FAST), State.HELD),
        ((STABILIZED, ACTIVE, UNLIMITED), State.HELD),
        ((ABLE, condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled")), State.OFF),
        ((), State.NEW),
        ((ABLE, ACTIVE, UNLIMITED), State.STEADY),
    ],
)
def test_each_condition_has_its_state(given: tuple, state: State) -> None:
    assert hpa("web", cpu(60, 60), conditions=given).state is state


def test_at_its_maximum_it_says_what_the_metrics_ask_for() -> None:
    view = hpa("web", cpu(60, 120), current=4, most=4, conditions=(ABLE, ACTIVE, TOO_MANY))
    assert view.why == (
        "the desired replica count is more than the maximum",
        "its metrics ask for 8 replicas",  # ceil(4 x 2)
    )


def test_a_steady_one_says_that_its_metrics_ask_for_nothing_else() -> None:
    assert hpa("web", cpu(60, 62)).why == ("its metrics ask for no other size",)


def test_outside_its_bounds_no_metric_is_asked() -> None:
    view = hpa("web", cpu(60, 62), current=9, most=4)
    assert view.why == ("9 is above maxReplicas, 4: no metric is asked. So 9 replicas become 4.",)


def test_one_that_scales() -> None:
    view = hpa("web", cpu(60, 90), current=4, desired=6)
    assert view.state is State.SCALES
    assert view.why == ("its metrics ask for 6 replicas",)


def test_what_bounds_and_rates_leave_of_the_wish_is_told() -> None:
    view = hpa("web", cpu(60, 600), current=4, most=100)
    # 40 are asked for; without behavior at most twice as many, or 4
    assert view.why == ("its metrics ask for 40 replicas, its bounds and rates allow 8",)


def test_one_metric_without_a_value_keeps_it_from_scaling_down() -> None:
    view = hpa("web", cpu(60, 15), pods("http_requests", "10", None))
    assert view.state is State.MISSING
    assert view.why == (
        "no value of http_requests, so the other metrics may scale it up, never down",
        "its metrics ask for 1 replica, and while one has no value nothing scales down",  # ceil(4 x 15/60)
    )


def test_where_the_controller_says_so_of_one_metric_it_is_not_without_any() -> None:
    starving = condition("ScalingActive", "False", "FailedGetPodsMetric", "unable to get metric http_requests")
    view = hpa("web", cpu(60, 15), pods("http_requests", "10", None), conditions=(ABLE, starving))
    assert view.state is State.MISSING
    assert view.why[1] == "FailedGetPodsMetric: unable to get metric http_requests"


def test_at_its_maximum_a_missing_metric_comes_first_and_the_limit_is_told_too() -> None:
    view = hpa("web", cpu(60, 120), pods("http_requests", "10", None), conditions=(ABLE, ACTIVE, TOO_MANY))
    assert view.state is State.MISSING
    assert "the desired replica count is more than the maximum" in view.why


@pytest.mark.parametrize("entry", [{"type": ""}, None, {"type": "Pods", "pods": {"metric": {"name": "m"}}}])
def test_a_missing_metric_is_seen_however_the_status_leaves_it_out(entry: dict | None) -> None:
    raw = hpa_json("web", cpu(60, 60), pods("m", "10", "10"))
    raw["status"]["currentMetrics"][1:] = [entry] if entry else []
    assert hpas.view(msgspec.convert(raw, Hpa), NOW).state is State.MISSING


def test_outside_its_bounds_no_metric_is_missing() -> None:
    raw = hpa_json("web", cpu(60, 62), pods("m", "10", "10"), current=9, most=4)
    raw["status"]["currentMetrics"] = None
    assert hpas.view(msgspec.convert(raw, Hpa), NOW).state is State.STEADY


def test_its_metrics_are_bounded() -> None:
    view = hpa("web", *(pods(f"m{number}", "10", "5") for number in range(MOST_METRICS + 5)))
    assert (len(view.readings), view.more) == (MOST_METRICS, 5)


def test_a_line_goes_on_only_for_the_same_metric_in_the_same_place() -> None:
    before, after = hpa("web", pods("a", "10", "5")), hpa("web", pods("b", "10", "5"))
    assert before.series().keys().isdisjoint(after.series())


def test_a_status_of_another_shape_is_none() -> None:
    raw = hpa_json("web", cpu(60, 90))
    raw["status"] = {"currentReplicas": "many", "conditions": [3], "currentMetrics": "x"}
    view = hpas.view(msgspec.convert(raw, Hpa), NOW)
    assert (view.state, view.size.current) == (State.NEW, 0)


def test_an_empty_object_is_shown_as_what_cannot_be_read() -> None:
    view = hpas.view(Hpa(), NOW)
    assert view.state is State.UNREADABLE
    assert view.why == ("of its spec: spec.maxReplicas is missing",)
