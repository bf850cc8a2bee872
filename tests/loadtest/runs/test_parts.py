"""Where the time of a scale-up goes."""

import itertools
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.runs.parts import NAMES, Followed, Need, _chain, downs, needs, slowest, ups
from loadtest.runs.record import Kind
from tests.loadtest.runs.conftest import Make, looks

UP = {
    Kind.DESIRED: [(0.0, 2), (58.0, 4)],
    Kind.CREATED: [(0.0, 2), (58.5, 4)],
    Kind.READY: [(0.0, 2), (60.0, 3), (60.5, 4)],
    Kind.ENDPOINTS: [(0.0, 2), (60.0, 3), (61.0, 4)],
}
SERVED = looks((40, 30, 39), (50, 48, 49), (51, 66, 50.2), (55, 70, 54))


def test_a_step_has_one_rise_and_one_fall(make: Make) -> None:
    assert needs(make()) == [Need(45.0, 125.0, 2, 4), Need(125.0, 240.0, 4, 2)]


def test_the_time_from_load_to_fit_is_split_at_each_thing_that_was_seen(make: Make) -> None:
    """The load changes at 45 s; 70 requests/s are seen in the second to 46 s. The API first tells more than 60 at 51 s,
    of a sample of 50.2 s; the HPA wants 4 at 58 s; created 58.5, ready 60.5, in endpoints 61; four pods have answered
    within the second that ends at 61.5 s."""
    (scale_up,) = ups(make(counts=UP, looks=SERVED))
    assert scale_up.need == Need(45.0, 125.0, 2, 4)
    assert scale_up.parts == pytest.approx((1.0, 4.2, 0.8, 7.0, 0.5, 2.0, 0.5, 0.5))
    assert scale_up.seconds == pytest.approx(16.5)
    assert len(NAMES) == len(scale_up.parts)


def test_where_the_service_does_not_say_who_answered_it_ends_in_the_endpoints(make: Make) -> None:
    run = make(counts=UP, looks=SERVED)
    silent = make(
        counts=UP,
        looks=SERVED,
        slices=[type(part)(part.time, part.asked, 0, 0, part.latencies, {}) for part in run.slices],
    )
    (scale_up,) = ups(silent)
    assert scale_up.seconds == pytest.approx(16.0)  # 61 - 45
    assert scale_up.parts == pytest.approx((1.0, 4.2, 0.8, 7.0, 0.5, 2.0, 0.5, 0.0))


def test_a_part_that_nobody_saw_leaves_the_whole_time_known(make: Make) -> None:
    (scale_up,) = ups(make(counts=UP, looks=[]))
    assert (scale_up.seconds, scale_up.parts) == (pytest.approx(16.5), None)


def test_what_came_after_the_need_had_changed_again_followed_nothing(make: Make) -> None:
    late = {kind: [(0.0, 2), (126.0, 4)] for kind in UP}
    (scale_up,) = ups(make(counts=late, looks=SERVED))
    assert (scale_up.seconds, scale_up.parts) == (None, None)


def test_pods_that_bear_little_have_the_time_of_five_requests_to_answer(make: Make) -> None:
    """At 2 requests/s per pod that is 2.5 s: four pods that answer in turns, one each half second, from 61 s on."""
    slices = [
        msgspec.structs.replace(one, pods={f"p{i % (4 if one.time > 61 else 2)}": 1})
        for i, one in enumerate(make().slices)
    ]
    run = msgspec.structs.replace(make(counts=UP, looks=SERVED, slices=slices), per_pod=2.0)
    assert ups(run)[0].seconds == pytest.approx(16.5, abs=1.0)
    assert ups(msgspec.structs.replace(run, per_pod=20.0))[0].seconds is None


def test_a_load_that_does_not_come_to_the_new_pods_never_fits(make: Make) -> None:
    """Clients keep their connections: four pods are in endpoints 16 s after the step, and two answer."""
    run = make(counts=UP, looks=SERVED)
    kept = [msgspec.structs.replace(part, pods={"web-0": 9, "web-1": 9}) for part in run.slices]
    (scale_up,) = ups(make(counts=UP, looks=SERVED, slices=kept))
    assert (scale_up.seconds, scale_up.parts, scale_up.offered) == (None, None, pytest.approx(16.0))


def test_replicas_beyond_the_need_are_the_overshoot(make: Make) -> None:
    over = {**UP, Kind.DESIRED: [(0.0, 2), (58.0, 4), (73.0, 6), (88.0, 4), (130.0, 8)]}
    assert [scale_up.overshoot for scale_up in ups(make(counts=over, looks=SERVED))] == [
        2
    ]  # 8 came after the need fell


def test_a_fall_is_followed_when_no_more_than_needed_are_in_the_endpoints(make: Make) -> None:
    down = {**UP, Kind.ENDPOINTS: [(0.0, 2), (61.0, 4), (170.0, 3), (185.0, 2)]}
    assert downs(make(counts=down)) == [Followed(Need(125.0, 240.0, 4, 2), 60.0)]  # 185 - 125


def test_a_fall_that_finds_few_pods_was_followed_before_it_came(make: Make) -> None:
    assert [scale_down.seconds for scale_down in downs(make())] == [0.0]


@given(st.floats(0, 100), st.lists(st.floats(-50, 500), min_size=2, max_size=8))
@settings(max_examples=60)
def test_parts_are_never_negative_and_add_up_to_the_time_of_the_last(start: float, moments: list[float]) -> None:
    moments[-1] = max(moments[-1], start)
    parts = _chain(start, moments)
    assert len(parts) == len(moments)
    assert all(part >= 0 for part in parts)
    assert sum(parts) == pytest.approx(moments[-1] - start)


def test_a_need_that_outlasted_the_slowest_change_and_was_not_followed_leaves_it_open() -> None:
    followed, missed = Followed(Need(0, 100, 2, 3), 14.0), Followed(Need(100, 130, 3, 4), None)
    short = Followed(Need(130, 140, 2, 3), None)
    assert slowest([followed, short]) == 14.0  # 10 s
    assert math.isnan(slowest([followed, missed]))  # 30 s


def test_needs_join_without_gaps(make: Make) -> None:
    for name in ("ramp", "sawtooth", "day"):
        changes = needs(make(name))
        assert changes[-1].until == pytest.approx(240.0)
        for one, following in itertools.pairwise(changes):
            assert (one.until, one.replicas) == (following.time, following.before)
