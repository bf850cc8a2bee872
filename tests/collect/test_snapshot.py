"""What of a query's result is served, and what is left out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.evaluate import TIMES_EVERY
from adapter.collect.judge import LeftOut, judge_reading, quantity
from adapter.collect.snapshot import Limits, Pace, Reading, admit, age_limit, merge_times, tabulate
from adapter.metrics.sample import Sample
from adapter.rules.model import OnNegative, OnOddValue


def test_a_merged_result_is_told_apart_by_its_namespace_label() -> None:
    samples = [Sample({"namespace": ns, "pod": "a"}, value, 100.0, 30.0) for ns, value in (("x", 1.0), ("y", 2.0))]
    assert tabulate(samples, object_label="pod", namespace_label="namespace", namespace="") == {
        ("x", "a"): Reading(1, 100, 30),
        ("y", "a"): Reading(2, 100, 30),
    }


def test_a_result_of_one_namespace_takes_the_namespace_of_the_request() -> None:
    assert tabulate([Sample({"pod": "a"}, 1.0, 100.0)], object_label="pod", namespace_label=None, namespace="x") == {
        ("x", "a"): Reading(1, 100, 0)
    }


def test_samples_without_the_objects_label_are_dropped_and_the_last_of_several_wins() -> None:
    samples = [Sample({}, 9.0, 1.0), Sample({"pod": "a"}, 1.0, 1.0), Sample({"pod": "a"}, 2.0, 1.0)]
    assert tabulate(samples, object_label="pod", namespace_label=None, namespace="x") == {("x", "a"): Reading(2, 1, 0)}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.5])
def test_nan_infinity_and_negative_values_are_left_out_by_default(value: float) -> None:
    assert admit(value, Limits()) is None


@pytest.mark.parametrize("limits", [Limits(), Limits(negative=OnNegative.ZERO), Limits(negative=OnNegative.SERVE)])
def test_zero_is_a_value_an_idle_pod_counts(limits: Limits) -> None:
    assert admit(0.0, limits) == 0.0
    assert admit(-0.0, limits) == 0.0


def test_a_policy_can_ask_for_prometheus_adapters_zero_instead() -> None:
    assert admit(math.nan, Limits(odd=OnOddValue.ZERO)) == 0.0
    assert admit(-1.0, Limits(negative=OnNegative.ZERO)) == 0.0
    assert admit(-1.0, Limits(negative=OnNegative.SERVE)) == -1.0


def test_the_age_limit_is_the_longest_of_policy_refreshes_and_the_pace_of_new_values() -> None:
    assert age_limit(Limits(), Pace()) == 60
    assert age_limit(Limits(refresh=30), Pace(15, 30)) == 120  # 4 x 30
    assert age_limit(Limits(), Pace(60, 5)) == 125  # 2 x 60 + 5: a slow scrape is no staleness
    assert age_limit(Limits(), Pace(0, 100)) == 200  # 2 x 100: nor is a slow query
    assert age_limit(Limits(), Pace(70, 100)) == 240  # 2 x 70 + 100


def test_the_age_that_the_query_itself_asks_for_is_none_of_staleness() -> None:
    assert age_limit(Limits(offset=90), Pace(15, 5)) == 150  # 60 + 90
    assert age_limit(Limits(span=900), Pace(60, 5)) == 900
    assert age_limit(Limits(offset=90, span=30), Pace()) == 150  # a range within the usual limit adds nothing


@given(
    interval=st.floats(1, 150),
    every=st.floats(1, 200),
    took=st.floats(0, 10),
    offset=st.floats(0, 3600),
)
def test_a_value_that_is_renewed_as_it_should_be_is_never_too_old(
    interval: float, every: float, took: float, offset: float
) -> None:
    """At worst the sample was an interval old when it was seen, that look 15 s old, and the next answer is just due."""
    every = max(every, 5.0, took)
    oldest = interval + max(every, TIMES_EVERY) + took + offset
    assert oldest <= age_limit(Limits(offset=offset), Pace(interval, every))


def test_a_samples_own_time_replaces_the_evaluations_but_is_never_later() -> None:
    readings = {("x", "a"): Reading(1, 100, 0), ("x", "b"): Reading(2, 100, 0), ("x", "c"): Reading(3, 100, 0)}
    merged = merge_times(readings, {("x", "a"): 93.0, ("x", "b"): 107.0})
    assert [reading.time for reading in merged.values()] == [93, 100, 100]


def test_a_sample_as_old_as_the_limit_is_served_and_an_older_one_is_not() -> None:
    """Taken at 100 s with a limit of 60 s: served until 160 s, and not at 160.5 s."""
    reading = Reading(1.5, 100.0, 30.0)
    assert judge_reading(reading, Limits(), Pace(), now=160.0).value == 1.5
    late = judge_reading(reading, Limits(), Pace(), now=160.5)
    assert (late.value, late.left_out) == (None, LeftOut.AGE)


@pytest.mark.parametrize(
    ("value", "milli"),
    [
        (1e30, 2**63 - 1),
        (-1e30, -(2**63 - 1)),
        (2.0**53, 2**53 * 1000),
        (1.9999, 1999),
        (-1.9999, -1999),
    ],
)
def test_a_value_is_cut_to_milli_units_towards_zero_and_held_within_an_int64(value: float, milli: int) -> None:
    assert quantity(value).milli() == milli
