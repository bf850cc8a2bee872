"""Elasticity, cost and what clients saw, by hand."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.runs import intervals
from loadtest.runs.intervals import Interval, mean, wilson
from loadtest.runs.measures import Moment, answers, cost, downtime, elasticity, jitter, moments, quantile
from loadtest.runs.record import Event, Kind, Slice, at, levels
from loadtest.runs.verdicts import Verdict, verdicts
from tests.loadtest.runs.conftest import Make

MOMENTS = st.lists(st.builds(Moment, st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=80)


def part(time: float, answered: int, *, failed: int = 0, asked_to_fail: int = 0, asked: float = 30) -> Slice:
    return Slice(time, asked, failed, asked_to_fail, {"20": answered} if answered else {}, {})


# -- elasticity --------------------------------------------------------------------------------------------------------


def test_elasticity_of_four_moments() -> None:
    scores = elasticity([Moment(2, 2), Moment(4, 2), Moment(4, 3), Moment(2, 3)])
    assert scores.under == pytest.approx((2 / 4 + 1 / 4) / 4)  # 0.1875
    assert scores.over == pytest.approx((1 / 2) / 4)  # 0.125
    assert (scores.under_time, scores.over_time) == (0.5, 0.25)
    assert scores.accuracy == pytest.approx(1 - 0.1875 - 0.125)


@given(MOMENTS)
def test_accuracy_is_one_less_the_mean_distance_and_one_only_where_all_is_right(fleet_moments: list[Moment]) -> None:
    one = elasticity(fleet_moments)
    assert one.accuracy == pytest.approx(
        1 - sum(abs(m.have - m.need) / m.need for m in fleet_moments) / len(fleet_moments)
    )
    assert (one.accuracy == 1) == all(m.have == m.need for m in fleet_moments)
    assert 0 <= one.under <= one.under_time <= 1


@given(MOMENTS, st.integers(1, 5))
def test_twice_the_demand_and_supply_is_as_elastic(fleet_moments: list[Moment], factor: int) -> None:
    more = elasticity([Moment(m.need * factor, m.have * factor) for m in fleet_moments])
    assert more == pytest.approx(elasticity(fleet_moments))


def test_moments_are_looked_at_in_the_middle_of_each_half_second(make: Make) -> None:
    fleet_moments = moments(make(counts={Kind.ENDPOINTS: [(0.0, 2), (61.0, 4)]}))
    assert len(fleet_moments) == 480
    assert fleet_moments[:1] == [Moment(2, 2)]
    assert fleet_moments[89:91] == [Moment(2, 2), Moment(4, 2)]  # 44.75 and 45.25 s
    assert fleet_moments[121:123] == [Moment(4, 2), Moment(4, 4)]  # 60.75 and 61.25 s


def test_cost_is_what_the_pods_take_against_the_peak_all_the_time() -> None:
    assert cost([Moment(2, 2), Moment(4, 4), Moment(4, 4), Moment(2, 2)], 4) == pytest.approx(12 / 16 - 1)
    assert cost([Moment(2, 3), Moment(2, 3)], 2) == pytest.approx(0.5)


def test_with_headroom_the_need_is_the_targets_and_the_fixed_fleet_what_bears_the_peak(make: Make) -> None:
    run = make(headroom=0.25, behavior={}, counts={Kind.ENDPOINTS: [(0.0, 2), (45.0, 5)]})
    assert (run.target, run.peak) == (15.0, 4)  # 70 requests/s at 20 a pod
    assert moments(run)[100] == Moment(5, 5)  # at 15 a pod
    assert cost(moments(run), run.peak) == pytest.approx((45 * 2 + 195 * 5) / (240 * 4) - 1)
    assert run.spec
    assert run.spec.metrics[0].target.value == 15_000


def test_jitter_counts_changes_beyond_those_of_the_need(make: Make) -> None:
    calm = make(counts={Kind.DESIRED: [(0.0, 2), (58.0, 4), (180.0, 2)]})
    nervous = make(counts={Kind.DESIRED: [(0.0, 2), (58.0, 4), (73.0, 5), (88.0, 4), (180.0, 2)]})
    assert jitter(calm) == 0
    assert jitter(nervous) == pytest.approx((4 - 2) / 4)  # 240 s are 4 minutes


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 9)), max_size=20))
def test_levels_cover_the_run_without_gaps(changes: list[tuple[float, int]]) -> None:
    ordered = [Event(0.0, Kind.READY, 1), *(Event(time, Kind.READY, count) for time, count in sorted(changes))]
    pieces = levels(ordered, 60.0)
    assert (pieces[0].start, pieces[-1].end) == (0, 60)
    assert sum(one.end - one.start for one in pieces) == pytest.approx(60)
    for one in pieces:
        assert at(ordered, one.start) == one.replicas


# -- what clients saw --------------------------------------------------------------------------------------------------


def test_a_quantile_is_a_duration_that_occurred() -> None:
    durations = {10.0: 50, 20.0: 45, 300.0: 5}
    assert [quantile(durations, share) for share in (0.5, 0.51, 0.95, 0.951, 1)] == [10, 20, 20, 300, 300]
    assert math.isnan(quantile({}, 0.5))


def test_errors_that_were_asked_for_are_no_failures(make: Make) -> None:
    seen = answers(make(slices=[part(0.5, 100, failed=1, asked_to_fail=20), part(1.0, 100)]))
    assert (seen.answered, seen.failed, seen.asked_to_fail) == (200, 1, 20)
    assert seen.availability == pytest.approx(1 - 1 / 180)
    assert not seen.enough


def test_what_got_no_answer_lowers_no_latency_but_counts_as_a_request_that_failed(make: Make) -> None:
    """20 of 40 requests were refused; of the 20 that were answered 18 took 20 ms, and 2 took 400 ms."""
    some = Slice(1.0, 80, 20, 0, {"20": 18, "400": 2}, {}, unanswered=20)
    none = Slice(1.5, 80, 40, 0, {}, {}, unanswered=40)
    run = make(slices=[part(0.5, 0), some, none])
    seen = answers(run)
    assert (seen.answered, seen.unanswered, seen.requests, seen.failed) == (20, 60, 80, 60)
    assert (seen.p50, seen.p95, seen.downtime) == (20, 400, 0.5)
    assert seen.availability == pytest.approx(1 - 60 / 80)
    assert intervals.failures(run).value == pytest.approx(60 / 80)
    assert one(verdicts(run), "availability").measured.endswith(
        "60 of 80 requests failed, 60 of them without an answer"
    )
    silent = make(slices=[part(1.0, 0), none])
    assert one(verdicts(silent), "downtime").measured == "0.5 s"
    assert one(verdicts(silent, silent), "p95 latency against that fleet at equal load").met is None
    assert not answers(make(slices=[Slice(1.0, 80, 2999, 0, {}, {}, unanswered=2999)])).enough
    assert answers(make(slices=[Slice(1.0, 80, 3000, 0, {}, {}, unanswered=3000)])).enough


def test_a_word_about_availability_takes_3000_requests(make: Make) -> None:
    for count, enough in ((2999, False), (3000, True)):
        run = make(slices=[part(0.5, count)])
        assert answers(run).enough is enough
        assert (one(verdicts(run), "availability").met is not None) is enough


def test_downtime_is_where_nothing_was_answered_well_although_enough_was_asked() -> None:
    up, failed, silent = part(1.0, 15), part(1.5, 15, failed=15), part(2.0, 0)
    assert downtime([part(0.5, 15), up]) == 0
    assert downtime([up, failed, silent]) == 1.0
    assert downtime([up, part(1.5, 15, failed=14)]) == 0
    assert downtime([up, part(1.5, 5, asked_to_fail=5)]) == 0
    assert downtime([part(1.0, 1, asked=2), part(1.5, 0, asked=2)]) == 0  # one request was due: chance


@given(st.floats(0.05, 500), st.integers(0, 60), st.integers(1, 450), st.integers(0, 60), st.integers(0, 60))
def test_a_gap_is_downtime_as_a_whole_at_any_rate_at_which_ten_requests_were_due_in_it(
    rate: float, early: int, gap: int, late: int, failed: int
) -> None:
    answered = [1] * (early + 1) + [0] * gap + [1] * late
    seen = [part((place + 1) / 2, count, asked=rate) for place, count in enumerate(answered)]
    assert downtime(seen) == (gap / 2 if gap * rate / 2 >= 10 - 1e-9 else 0)
    assert downtime([part(one.time, 1, asked=rate) for one in seen]) == 0
    place = early + 1 + min(failed, gap - 1)  # an answer that failed is no good one: the gap stays one
    seen[place] = part(seen[place].time, 1, failed=1, asked=rate)
    assert downtime(seen) == (gap / 2 if gap * rate / 2 >= 10 - 1e-9 else 0.5)


def test_a_gap_ends_where_locust_stood_still_and_begins_where_somebody_asks() -> None:
    """8 requests/s: 4 are due in a slice, 12 in three."""
    gap = [part(0.5, 4, asked=8), *(part(time, 0, asked=8) for time in (1.0, 1.5))]
    assert downtime([*gap, part(2.0, 0, asked=8)]) == 1.5
    assert downtime([*gap, part(3.0, 0, asked=8), part(3.5, 0, asked=8)]) == 0  # 8 due, 1 s stood still, 4 due
    idle = [part(0.5, 0, asked=0), part(1.0, 0, asked=0)]
    assert downtime([*idle, *(part(1.5 + place / 2, 0, asked=8) for place in range(4))]) == 1.5  # from 1.5 to 3 s


def test_locust_standing_still_is_no_downtime_but_is_told(make: Make) -> None:
    stood = [part(0.5, 15), part(1.7, 0), part(2.2, 15)]
    assert downtime(stood) == 0
    assert answers(make(slices=stood)).stalled == pytest.approx(1.2)
    assert answers(make(slices=[part(0.5, 15), part(1.0, 0)])).stalled == 0


# -- how sure ----------------------------------------------------------------------------------------------------------


def test_wilson_of_no_failure_among_3000_is_the_rule_of_three_and_a_bit() -> None:
    interval = wilson(0, 3000)
    assert (interval.value, interval.low) == (0, 0)
    assert interval.high == pytest.approx(3.84 / 3003.84, rel=1e-3)  # z² / (n + z²)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_wilson_holds_the_share(count: int, more: int) -> None:
    interval = wilson(count, count + more)
    assert 0 <= interval.low <= interval.value + 1e-12
    assert interval.value <= interval.high <= 1


def test_the_mean_of_one_value_has_no_doubt_and_little_data_no_bounds() -> None:
    assert mean([3.0] * 480).interval == Interval(3.0, 3.0, 3.0)
    assert not mean([1.0, 2.0] * 60).interval.known  # 60 s: two blocks


def test_the_interval_of_a_mean_holds_the_truth_about_as_often_as_it_says() -> None:
    """Blocks of 30 s that are each 0 or 1, as seconds of a run resemble each other: truth 0.5, 40 runs of 20 blocks."""
    generator = np.random.default_rng(7)
    hits = 0
    for _ in range(40):
        values = [float(value) for value in generator.integers(0, 2, 20) for _ in range(60)]
        interval = mean(values).interval
        hits += interval.low <= 0.5 <= interval.high
    assert 34 <= hits <= 40  # 95 % of 40 are 38; with 20 blocks it is a little less


def test_the_same_run_twice_shows_no_difference(make: Make) -> None:
    drawn = intervals.accuracy(moments(make()))
    apart = intervals.difference(drawn, drawn)
    assert apart.value == 0
    assert apart.low <= 0 <= apart.high


def test_the_slowest_changes_are_compared_where_they_are_known(make: Make) -> None:
    def figures(**fields: Any) -> list[float]:
        by_name = intervals.figures(make(**fields))
        return [by_name[name].value for name in ("slowest scale-up, s", "slowest scale-down, s")]

    # four pods have answered in the second that ends at 58.5 s: 58.5 - 45; back at 170 s: 170 - 125
    assert figures(counts={kind: [(0.0, 2), (58.0, 4), (170.0, 2)] for kind in Kind}) == pytest.approx([13.5, 45.0])
    never, early = figures()  # two pods all the time: the rise was not followed, and the fall was before it came
    assert (math.isnan(never), early) == (True, 0.0)
    assert all(map(math.isnan, figures(events=[], slices=[])))


def test_the_share_of_failed_requests_is_that_of_the_run_with_bounds_from_its_blocks(make: Make) -> None:
    """Eight blocks of 60 slices with 10 requests each; in every second block one of each ten failed: 5 %."""
    slices = [part((place + 0.5) / 2, 10, failed=place // 60 % 2) for place in range(480)]
    interval = intervals.failures(make(slices=slices)).interval
    assert interval.value == pytest.approx(0.05)
    assert 0 <= interval.low < 0.05 < interval.high <= 0.1
    asked = [part((place + 0.5) / 2, 10, asked_to_fail=place // 60 % 2) for place in range(480)]
    assert intervals.failures(make(slices=asked)).interval == wilson(0, 4800 - 240)
    assert math.isnan(intervals.failures(make(slices=[])).value)
    assert not intervals.failures(make(slices=slices[:120])).interval.known  # two blocks


def test_few_failures_are_no_sure_difference_from_none(make: Make) -> None:
    """Each fourth block of 600 requests has a failed one: 2 of 4800, and of 4800 none: Fisher's exact p is 0.5.

    Newcombe: 2 / 4800 = 0.0417 %, Wilson 0.0114 to 0.1518 %; none: 0 to 0.0800 %. The difference is 0.0417 less
    √(0.0302² + 0.0800²) = 0.0855, and more √(0.1101² + 0²).
    """
    none = intervals.failures(make(slices=[part((place + 0.5) / 2, 10) for place in range(480)]))
    two = intervals.failures(
        make(slices=[part((place + 0.5) / 2, 10, failed=int(place % 240 == 0)) for place in range(480)])
    )
    assert two.least == wilson(2, 4800)
    apart = intervals.difference(none, two)
    assert [100 * one for one in apart] == pytest.approx([0.0417, -0.0438, 0.1518], abs=1e-4)
    assert [100 * one for one in intervals.difference(two, none)] == pytest.approx([-0.0417, -0.1518, 0.0438], abs=1e-4)


def test_many_failures_are_a_sure_difference_and_those_of_few_blocks_have_the_wider_bounds_of_these(make: Make) -> None:
    """Half of all in two of eight blocks: 600 of 4800. Wilson's bounds are a percent away, those of the blocks more."""
    slices = [part((place + 0.5) / 2, 10, failed=5 * (place // 60 in (2, 5))) for place in range(480)]
    none = intervals.failures(make(slices=[part(one.time, 10) for one in slices]))
    some = intervals.failures(make(slices=slices))
    assert some.least is not None
    assert some.interval.low < some.least.low
    assert some.interval.high > some.least.high
    even = intervals.failures(make(slices=[part(one.time, 10, failed=1) for one in slices]))
    assert even.interval == wilson(480, 4800)  # each block is like the others: draws know no doubt
    assert intervals.difference(none, even).low > 0


@given(st.integers(0, 40), st.integers(1, 5000), st.integers(0, 40), st.integers(1, 5000))
def test_a_difference_of_shares_holds_its_value_and_is_turned_with_them(a: int, more: int, b: int, others: int) -> None:
    before, after = wilson(a, a + more), wilson(b, b + others)
    apart, back = intervals.newcombe(before, after), intervals.newcombe(after, before)
    assert -1 - 1e-9 <= apart.low <= apart.value <= apart.high <= 1 + 1e-9
    assert [*back] == pytest.approx([-apart.value, -apart.high, -apart.low])


# -- the brief's targets -----------------------------------------------------------------------------------------------


def one(of_run: list[Verdict], name: str) -> Verdict:
    return next(verdict for verdict in of_run if verdict.name == name)


def test_a_run_that_keeps_up_meets_what_it_can_tell_of(make: Make) -> None:
    counts = {kind: [(0.0, 2), (47.0, 4), (127.0, 2)] for kind in Kind}
    of_run = verdicts(make(counts=counts))
    assert [verdict.name for verdict in of_run] == [
        "scale-up", "scale-down", "scaling accuracy", "cost against a fleet fixed at the peak",
        "p95 latency against that fleet at equal load", "downtime", "availability",
    ]  # fmt: skip
    # 2 s of 240 with 2 of 4 and 2 s with 4 of 2: 1 - (2 * 0.5 + 2 * 1) / 240
    assert one(of_run, "scaling accuracy").measured.startswith("98.8 %")
    # 80 s with 4 and 160 s with 2 of 4: 640 / 960
    assert one(of_run, "cost against a fleet fixed at the peak").measured.startswith("-33.3 %")
    assert [verdict.met for verdict in of_run] == [True, True, True, True, None, True, True]


def test_a_record_without_endpoints_tells_nothing_of_the_fleet(make: Make) -> None:
    run = make()
    blind = msgspec.structs.replace(
        run,
        events=[event for event in run.events if event.kind is not Kind.ENDPOINTS],
        slices=[msgspec.structs.replace(part, pods={}) for part in run.slices],
    )
    of_run = verdicts(blind)
    for name in ("scale-up", "scale-down", "scaling accuracy", "cost against a fleet fixed at the peak"):
        assert one(of_run, name)[2:] == ("not known: the record does not tell how many pods were in endpoints", None)
    assert math.isnan(intervals.figures(blind)["scaling accuracy, %"].value)
    seen = verdicts(msgspec.structs.replace(blind, before={Kind.ENDPOINTS: 4}))
    assert one(seen, "cost against a fleet fixed at the peak").measured.startswith("0.0 %")


def test_a_record_without_requests_tells_of_no_downtime_and_one_of_silence_does(make: Make) -> None:
    idle = [part(time / 2, 0, asked=0) for time in range(480)]
    for slices in ([], [part(0.5, 15)], idle):
        verdict = one(verdicts(make(slices=slices)), "downtime")
        assert verdict[2:] == ("not known: the record tells of no second with requests", None)
    silent = one(verdicts(make(slices=[part(0.5, 0), part(1.0, 0)])), "downtime")
    assert (silent.measured, silent.met) == ("0.5 s", False)


@pytest.mark.parametrize(
    ("failed", "count", "met", "said"),
    [
        # Wilson: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), z² = 3.84
        (2, 10_000, True, "99.980 % (99.927 to 99.995): 2 of 10000 requests failed, 0 of them without an answer"),
        (50, 100, False, "50.000 % (40.383 to 59.617): 50 of 100 requests failed, 0 of them without an answer"),
        (3, 4_000, None, "99.925 % (99.780 to 99.974): 3 of 4000 requests failed, 0 of them without an answer"
         "; too few to tell"),
        (0, 2_000, None, "0 of 2000 requests failed; too few for a word about 99.9 %, which takes 3,000"),
        (0, 3_000, True, "100.000 % (99.872 to 100.000): 0 of 3000 requests failed"),
    ],
)  # fmt: skip
def test_availability_is_decided_by_the_interval_where_some_failed(
    make: Make, failed: int, count: int, met: bool | None, said: str
) -> None:
    verdict = one(verdicts(make(slices=[part(0.5, count, failed=failed)])), "availability")
    assert (verdict.measured, verdict.met) == (said, met)


def test_a_scale_up_that_never_came_is_not_met_but_one_that_was_not_needed_for_long_is_unknown(make: Make) -> None:
    never = one(verdicts(make()), "scale-up")
    assert (never.met, never.measured) == (False, "1 not within 30 s")
    spike = one(verdicts(make("spike", seconds=210.0)), "scale-up")  # of 20 s
    assert (spike.met, spike.measured) == (None, "1 of which the need, or the run, was over before")


def test_pods_that_get_no_load_are_no_scale_up(make: Make) -> None:
    counts = {kind: [(0.0, 2), (57.0, 4)] for kind in Kind}
    kept = [msgspec.structs.replace(part, pods={"web-0": 9, "web-1": 9}) for part in make().slices]
    verdict = one(verdicts(make(counts=counts, slices=kept)), "scale-up")
    assert (verdict.met, verdict.measured) == (
        False, "enough pods in endpoints after 12.0 s, but the load did not come to them"
    )  # fmt: skip


def test_the_same_latency_on_the_fixed_fleet_is_within_five_percent(make: Make) -> None:
    verdict = one(verdicts(make(), make(fixed=True)), "p95 latency against that fleet at equal load")
    assert verdict.met
    assert verdict.measured == "0.0 % (0.0 to 0.0): 20 ms, fixed 20 ms"
