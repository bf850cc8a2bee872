"""What an HPA's metrics ask for by the values in its status: what the formula says of pods that are alike."""

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapter.console.wants import wants
from adapter.hpa.calculate import Tolerances, propose
from adapter.hpa.model import DEFAULTS, Metric, PodState, PodValue, PodValues, Scale, Source, Target, TargetType
from tests.console.conftest import NOW, Json, cpu, external, hpa_json, pods


def replicas_asked(*metrics: tuple[Json, Json], replicas: int = 4, **more: Any) -> list[int | None]:
    raw = hpa_json("web", *metrics, current=replicas, **more)
    return [one.asks for one in wants(raw, replicas=replicas, now=NOW).readings]


def test_a_utilization_asks_for_its_ratio_of_the_replicas() -> None:
    assert replicas_asked(cpu(60, 90)) == [6]  # ceil(4 x 90/60)


def test_within_the_tolerance_it_asks_for_what_there_is() -> None:
    assert replicas_asked(cpu(60, 66)) == [4]  # 1.1 belongs to the tolerance
    assert replicas_asked(cpu(60, 67)) == [5]  # ceil(4 x 1.1167)


def test_an_average_of_the_pods() -> None:
    assert replicas_asked(pods("http_requests", "10", "25")) == [10]  # ceil(4 x 2.5)
    assert replicas_asked(pods("http_requests", "10", "2500m")) == [1]  # ceil(4 x 0.25)


def test_a_value_is_for_all_pods_and_its_average_for_each() -> None:
    assert replicas_asked(external("queue", "100", "250")) == [10]  # ceil(4 x 2.5)
    assert replicas_asked(external("queue", "100", "250", kind="averageValue")) == [10]


def test_from_zero_a_value_asks_for_its_ratio() -> None:
    scaled = {"type": "ScaledToZero", "status": "True", "reason": "", "message": ""}
    assert replicas_asked(external("queue", "100", "250"), replicas=0, least=0, conditions=(scaled,)) == [3]


def test_a_metric_without_a_value_asks_for_nothing_and_the_other_may_not_scale_down() -> None:
    raw = hpa_json("web", cpu(60, 15), pods("http_requests", "10", None))
    demand = wants(raw, replicas=4, now=NOW)
    assert [one.asks for one in demand.readings] == [1, None]
    assert demand.decision.desired == 4
    assert demand.readings[1].shown == "no value"


def test_values_are_found_though_they_stand_in_another_place() -> None:
    """As where the controller knows one metric more than the status holds."""
    (first, value), (second, other) = cpu(60, 90), pods("http_requests", "10", "25")
    raw = hpa_json("web", (first, value), (second, other))
    raw["status"]["currentMetrics"] = [other, value]
    assert [one.value for one in wants(raw, replicas=4, now=NOW).readings] == [90, 25_000]


def test_two_metrics_that_differ_in_their_selectors_alone_keep_their_values() -> None:
    demand = wants(
        hpa_json("web", external("queue", "10", "1", of="a"), external("queue", "10", "2", of="b")),
        replicas=4, now=NOW,
    )  # fmt: skip
    assert [one.value for one in demand.readings] == [1000, 2000]


def test_a_metric_without_a_value_does_not_get_that_of_another_by_its_name() -> None:
    """The controller leaves the entry of a metric that failed empty."""
    raw = hpa_json("web", external("queue", "10", "1", of="a"), external("queue", "10", "2", of="b"))
    raw["status"]["currentMetrics"][0] = {"type": ""}
    demand = wants(raw, replicas=4, now=NOW)
    assert [one.value for one in demand.readings] == [None, 2000]
    assert [one.name for one in demand.missing] == ["queue"]


def test_at_zero_replicas_no_value_of_pods_is_missing() -> None:
    raw = hpa_json("web", pods("http_requests", "10", None), external("queue", "100", "0"), current=0, least=0)
    assert wants(raw, replicas=0, now=NOW).missing == []


def test_what_of_a_spec_cannot_be_read_is_named_and_the_rest_is_shown() -> None:
    raw = hpa_json("web", cpu(60, 90))
    raw["spec"]["metrics"].append({"type": "Telepathy"})
    demand = wants(raw, replicas=4, now=NOW)
    assert demand.decision is None
    assert "metrics[1].type must be one of" in demand.problem
    assert [(one.metric.name, one.value) for one in demand.readings] == [("cpu", 90)]


@given(
    n=st.integers(1, 300),
    value=st.integers(0, 10**7),
    target=st.integers(1, 10**6),
)
def test_it_is_what_the_formula_says_of_as_many_pods_that_are_alike(n: int, value: int, target: int) -> None:
    level = value / target
    assume(all(abs(level - edge) > 1e-9 for edge in (0.9, 1.1)))  # where floats decide
    assume(abs(level * n - round(level * n)) > 1e-6 or value % target == 0)
    assume(level * n < 2**31)  # beyond it the controller's count of pods overflows, and only External's does not
    metric = Metric(Source.PODS, "m", Target(TargetType.AVERAGE_VALUE, target))
    alike = [PodState(f"p{number}") for number in range(n)]
    values = PodValues({pod.name: PodValue(value) for pod in alike})
    theirs = propose(metric, values, alike, Scale(n, n), Tolerances(0.1, 0.1), NOW, DEFAULTS).replicas
    ours = replicas_asked(pods("m", f"{target}m", f"{value}m"), replicas=n, most=2**31 - 1)
    assert ours == [theirs]


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
            ("type", "resource", "current", "name", "averageUtilization", "conditions", "metric")), inner, max_size=4),
        max_leaves=12,
    ),
    where=st.sampled_from(("currentMetrics", "conditions")),
)  # fmt: skip
def test_whatever_stands_in_a_status_it_is_read_or_left_out(value: object, where: str) -> None:
    raw = hpa_json("web", cpu(60, 90))
    raw["status"][where] = value
    demand = wants(raw, replicas=4, now=NOW)
    assert len(demand.readings) == 1


@pytest.mark.parametrize("replicas", [0, 1, 2**31 - 1])
def test_any_number_of_replicas_takes_the_same_time(replicas: int) -> None:
    """No pod is made for any of them."""
    demand = wants(hpa_json("web", cpu(60, 61), most=2**31 - 1), replicas=replicas, now=NOW)
    assert demand.readings[0].level == pytest.approx(61)
    assert math.isfinite(demand.readings[0].goal)
