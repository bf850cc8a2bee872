"""The scenarios' shapes: pure functions of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.runs.scenarios import PEAK, REST, SCENARIOS, Scenario, asking, replicas_needed, requests_per_user

EVERY = st.sampled_from(list(SCENARIOS.values()))
PLACES = st.floats(0, 1, exclude_max=True)


def test_the_scenarios_are_those_of_the_brief() -> None:
    wanted = ["step", "ramp", "spike", "sawtooth", "day", "leak", "errors", "connections"]
    assert list(SCENARIOS) == [*wanted, "plateau", "demo"]
    assert all(scenario.asks.endswith("?") for scenario in SCENARIOS.values())


@given(EVERY, PLACES)
def test_every_load_lies_between_rest_and_peak(scenario: Scenario, place: float) -> None:
    assert REST <= scenario.curve(place) <= PEAK
    assert scenario.curve(place) <= scenario.peak + 0.1  # `peak` is looked for by thousandths


@given(EVERY, PLACES)
def test_work_never_shrinks_and_errors_are_a_share(scenario: Scenario, place: float) -> None:
    assert scenario.work(place) >= 1
    assert 0 <= scenario.errors(place) <= 1


@given(EVERY, PLACES, st.floats(0.1, 1000), st.floats(30, 86_400))
def test_a_load_scales_with_the_target_and_stretches_with_the_time(
    scenario: Scenario, place: float, per_pod: float, seconds: float
) -> None:
    elapsed = place * seconds
    if elapsed >= seconds:  # the product was rounded up
        return
    assert scenario.load(elapsed, per_pod=per_pod, seconds=seconds) == pytest.approx(
        scenario.curve(elapsed / seconds) * per_pod
    )


@given(EVERY, st.floats(allow_nan=False, max_value=-1e-9) | st.floats(240, 1e9))
def test_outside_of_a_run_there_is_no_load(scenario: Scenario, elapsed: float) -> None:
    assert scenario.load(elapsed, per_pod=20, seconds=240) == 0


@given(EVERY)
def test_a_run_begins_and_ends_with_what_an_hpa_can_settle_on(scenario: Scenario) -> None:
    """The first and the last twentieth are level: what is measured begins from rest."""
    for start in (0.0, 0.95):
        assert len({round(scenario.curve(start + step / 1000), 2) for step in range(50)}) == 1 or scenario.name == "day"


def test_a_step_is_four_pods_worth_from_45_to_125_s() -> None:
    step = SCENARIOS["step"]
    loads = [step.load(elapsed, per_pod=20, seconds=240) for elapsed in (0, 44.9, 45.1, 124.9, 125.1, 239.9, 240)]
    assert loads == [30, 30, 70, 70, 30, 30, 0]  # 1.5 * 20 and 3.5 * 20


def test_a_ramp_only_rises_until_it_drops() -> None:
    ramp = [SCENARIOS["ramp"].curve(place / 1000) for place in range(800)]
    assert ramp == sorted(ramp)
    assert (ramp[0], ramp[-1], SCENARIOS["ramp"].curve(0.8)) == (REST, PEAK, REST)


def test_a_day_has_two_peaks_and_a_quiet_night() -> None:
    day = [SCENARIOS["day"].curve(hour / 24) for hour in range(24)]
    tops = [hour for hour in range(1, 23) if day[hour - 1] < day[hour] >= day[hour + 1]]
    assert tops == [11, 19] or tops == [11, 20]
    assert day[3] == pytest.approx(REST, abs=0.01)


@given(st.floats(0, 1e6), st.floats(0.01, 1e4), st.integers(1, 50), st.integers(0, 50))
def test_the_need_is_the_smallest_fleet_within_the_bounds_that_is_not_above_the_target(
    load: float, per_pod: float, low: int, more: int
) -> None:
    replicas = replicas_needed(load, per_pod, low=low, high=low + more)
    assert low <= replicas <= low + more
    assert replicas == low + more or load <= replicas * per_pod * (1 + 1e-6)
    assert replicas == low or load > (replicas - 1) * per_pod


@pytest.mark.parametrize(("load", "replicas"), [(0, 2), (40, 2), (40.1, 3), (60, 3), (70, 4), (1000, 8)])
def test_the_need_at_20_a_pod(load: float, replicas: int) -> None:
    assert replicas_needed(load, 20, low=2, high=8) == replicas


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("/", "/?work_ms=46.7&error_rate=1"),
        ("/?q=1", "/?q=1&work_ms=46.7&error_rate=1"),
        ("/?", "/?work_ms=46.7&error_rate=1"),
        ("/a?q=1&", "/a?q=1&work_ms=46.7&error_rate=1"),
        ("/a?q=1#top?", "/a?q=1&work_ms=46.7&error_rate=1"),
        ("/a#top?q", "/a?work_ms=46.7&error_rate=1"),
    ],
)
def test_what_the_sample_service_is_asked_for_joins_the_query_of_the_path(path: str, whole: str) -> None:
    assert asking(path, ["work_ms=46.7", "error_rate=1"]) == whole
    assert asking(path, []) == path.partition("#")[0]


@pytest.mark.parametrize(
    ("peak", "per_user"), [(1.1, 0.011), (50, 0.5), (100, 1.0), (110, 1.0), (500, 1.0), (550, 1.1), (5500, 11.0)]
)
def test_users_ask_once_a_second_and_there_are_100_to_500_of_them_at_the_peak(peak: float, per_user: float) -> None:
    assert requests_per_user(peak) == pytest.approx(per_user)


@given(EVERY, PLACES, st.floats(0.01, 20))
def test_whole_users_are_within_a_fiftieth_of_any_load(scenario: Scenario, place: float, per_pod: float) -> None:
    load, each = scenario.curve(place) * per_pod, requests_per_user(scenario.peak * per_pod)
    # of 100 users at a peak of 5.5 pods' worth 1.5 are 27.3: half a user is 1.8 % of them
    assert round(load / each) * each == pytest.approx(load, rel=0.02)
