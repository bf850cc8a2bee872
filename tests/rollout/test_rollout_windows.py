"""Cumulative counters -> windows: what a reset, a first sample, a missing series and a dying pod count for."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout.model.window import Arm, Counts, Gauge
from adapter.rollout.windows import MAX_AGE, MEMORY, MOST_AHEAD, PATIENCE, Cursor, Level, Sample, Scrape, cut

NOW = 1000.0
RELEASE = 900.0
"""When the release began; older pods were born before."""


def sample(
    pod: str, time: float, total: float, bad: int | None = None, arm: Arm = Arm.CANARY, born: float | None = None
) -> Sample:
    return Sample(arm, pod, time, total, bad, born)


def through(*scrapes: tuple[Any, ...], metric: str = "errors", since: float = RELEASE) -> tuple[Any, ...]:
    """Windows and notes of scrapes (now, samples)."""
    cursor, windows, notes = Cursor(since), list[Any](), list[Any]()
    for now, samples in scrapes:
        result = cut(cursor, Scrape(counters={metric: samples}), now)
        cursor = result.cursor
        notes += result.notes
        if result.window:
            windows.append(result.window)
    return windows, notes


def last(*scrapes: tuple[Any, ...], arm: Arm = Arm.CANARY) -> Counts | None:
    windows, _ = through(*scrapes)
    return windows[-1].metrics["errors"].get(arm)


def test_a_pod_counts_from_its_last_sample_to_its_new_one() -> None:
    assert last((NOW, [sample("a", NOW, 100, 5)]), (NOW + 5, [sample("a", NOW + 5, 160, 8)])) == Counts(57, 3)


def test_the_first_sample_of_an_older_pod_is_where_counting_begins() -> None:
    assert last((NOW, [sample("a", NOW, 100, 5)])) is None
    assert last((NOW, [sample("a", NOW, 100, 5, born=RELEASE - 1)])) is None


def test_a_pod_born_during_the_release_counts_in_full() -> None:
    assert last((NOW, [sample("a", NOW, 100, 5, born=RELEASE + 1)])) == Counts(95, 5)


def test_the_first_bad_requests_count_in_full() -> None:
    """A healthy service has no series of bad ones."""
    scrapes = (NOW, [sample("a", NOW, 100)]), (NOW + 5, [sample("a", NOW + 5, 160, 7)])
    assert last(*scrapes) == Counts(53, 7)


def test_no_series_of_bad_requests_beside_a_total_is_no_bad_request() -> None:
    assert last((NOW, [sample("a", NOW, 100)]), (NOW + 5, [sample("a", NOW + 5, 160)])) == Counts(60, 0)


def test_a_series_of_bad_requests_that_goes_and_comes_back_counts_once() -> None:
    scrapes = (
        (NOW, [sample("a", NOW, 100, 5)]),
        (NOW + 5, [sample("a", NOW + 5, 160)]),
        (NOW + 10, [sample("a", NOW + 10, 200, 6)]),
    )
    assert last(*scrapes) == Counts(39, 1)


@pytest.mark.parametrize(("total", "grown"), [(160, Counts(58, 2)), (90, None)], ids=["newer", "of a slower replica"])
def test_of_two_samples_of_one_second_the_one_that_counted_more_is_newer(total: float, grown: Counts | None) -> None:
    """The API writes times in whole seconds: 12.1 and 12.9 are both 12."""
    assert last((NOW, [sample("a", NOW, 100)]), (NOW + 1, [sample("a", NOW, total, 2)])) == grown


def test_after_a_reset_both_counters_grew_by_their_new_values() -> None:
    """100 -> 30: the process began anew, and its 4 bad requests are of the 30."""
    scrapes = (NOW, [sample("a", NOW, 100, 20)]), (NOW + 5, [sample("a", NOW + 5, 30, 4)])
    assert last(*scrapes) == Counts(26, 4)


def test_a_reset_says_how_much_may_be_lost() -> None:
    """20 requests/s before, 5 s between the samples: 100."""
    scrapes = (
        (NOW, [sample("a", NOW, 0, 0)]),
        (NOW + 5, [sample("a", NOW + 5, 100, 0)]),
        (NOW + 10, [sample("a", NOW + 10, 30, 0)]),
    )
    _, notes = through(*scrapes)
    assert notes == ["errors of pod a: it restarted; about 100 requests at most were not counted"]


def test_a_pod_that_is_gone_is_said_once_with_a_bound() -> None:
    """20 requests/s, silent for 61 s: 1,220."""
    scrapes = [
        (NOW, [sample("a", NOW, 0), sample("b", NOW, 0)]),
        (NOW + 5, [sample("a", NOW + 5, 100), sample("b", NOW + 5, 10)]),
    ]
    scrapes += [(NOW + at, [sample("b", NOW + at, at)]) for at in (10, 40, 66, 70)]
    _, notes = through(*scrapes)
    assert notes == ["errors of pod a: it is gone or silent; about 1220 requests at most were not counted"]


def test_there_can_be_no_more_bad_requests_than_requests() -> None:
    assert last((NOW, [sample("a", NOW, 100, 5)]), (NOW + 5, [sample("a", NOW + 5, 110, 50)])) == Counts(0, 10)


def test_arms_are_summed_over_their_pods() -> None:
    first = [sample("a", NOW, 0), sample("b", NOW, 0), sample("s", NOW, 0, arm=Arm.STABLE)]
    then = [sample("a", NOW + 5, 10, 1), sample("b", NOW + 5, 20, 2), sample("s", NOW + 5, 300, arm=Arm.STABLE)]
    windows, _ = through((NOW, first), (NOW + 5, then))
    assert windows[-1].metrics["errors"] == {Arm.CANARY: Counts(27, 3), Arm.STABLE: Counts(300, 0)}
    assert windows[-1].pods[Arm.CANARY] == {"a": {"errors": Counts(9, 1)}, "b": {"errors": Counts(18, 2)}}


def test_no_window_is_given_out_before_every_pod_has_a_new_sample() -> None:
    both = [sample("a", NOW, 0), sample("b", NOW, 0)]
    half = [sample("a", NOW + 5, 10), sample("b", NOW, 0)]
    full = [sample("a", NOW + 5, 10), sample("b", NOW + 6, 20)]
    windows, _ = through((NOW, both), (NOW + 5, half), (NOW + 6, full))
    assert [window.time for window in windows] == [NOW, NOW + 6]
    assert windows[-1].metrics["errors"][Arm.CANARY] == Counts(30, 0)


def test_a_server_without_sample_times_gives_the_same_windows() -> None:
    """prometheus-adapter says "now" for every sample: looks between two scrapes show nothing new."""
    scrapes = [
        (NOW + at, [sample("a", NOW + at, 10 * (at // 10)), sample("s", NOW + at, 90 * (at // 10), arm=Arm.STABLE)])
        for at in range(0, 31, 2)
    ]
    windows, _ = through(*scrapes)
    assert [window.time for window in windows] == [NOW, NOW + 10, NOW + 20, NOW + 30]
    assert all(
        window.metrics["errors"] == {Arm.CANARY: Counts(10, 0), Arm.STABLE: Counts(90, 0)} for window in windows[1:]
    )


def test_an_arm_without_traffic_makes_windows_of_no_traffic() -> None:
    scrapes = [
        (NOW + at, [sample("a", NOW + at, 7), sample("s", NOW + at, 9 * at, arm=Arm.STABLE)]) for at in range(0, 46, 5)
    ]
    windows, _ = through(*scrapes)
    assert [window.time - NOW for window in windows] == [0, 15, 20, 25, 30, 35, 40, 45]
    assert [window.metrics["errors"].get(Arm.CANARY) for window in windows[1:]] == [Counts(0, 0)] * 7


def test_a_single_stuck_pod_is_waited_for_only_so_long_and_then_counts_later() -> None:
    both = [sample("a", NOW, 0), sample("b", NOW, 0)]
    half = [sample("a", NOW + PATIENCE, 10), sample("b", NOW, 0)]
    full = [sample("a", NOW + 20, 15), sample("b", NOW + 20, 40)]
    windows, _ = through((NOW, both), (NOW + PATIENCE, half), (NOW + 20, full))
    assert [window.metrics["errors"][Arm.CANARY] for window in windows[1:]] == [Counts(10, 0), Counts(45, 0)]


def test_an_arm_without_anything_new_is_waited_for_until_it_is_stale() -> None:
    first = [sample("a", NOW, 0), sample("s", NOW, 0, arm=Arm.STABLE)]
    stuck = [sample("a", NOW, 0), sample("s", NOW + 30, 90, arm=Arm.STABLE)]
    late = [sample("a", NOW, 0), sample("s", NOW + 61, 200, arm=Arm.STABLE)]
    windows, notes = through((NOW, first), (NOW + 30, stuck), (NOW + 61, late))
    assert [window.time for window in windows] == [NOW, NOW + 61]
    assert windows[-1].metrics["errors"] == {Arm.STABLE: Counts(200, 0)}
    assert notes == ["errors of pod a: the sample is 61 s old, more than 60 s; taken as no evidence"]


def test_after_an_outage_counting_goes_on_from_the_last_sample() -> None:
    scrapes: Any = (NOW, [sample("a", NOW, 100)]), (NOW + 90, []), (NOW + 200, [sample("a", NOW + 200, 500)])
    assert last(*scrapes) == Counts(400, 0)


@pytest.mark.parametrize(("before", "counts"), [(0.9, Counts(95, 5)), (1.0, None)])
def test_a_start_in_whole_seconds_rounded_down_makes_no_new_pod_an_old_one(
    before: float, counts: Counts | None
) -> None:
    """A pod that started 0.1 s after the release began may say 0.9 s before it; its first sample was lost for that."""
    assert last((NOW, [sample("a", NOW, 100, 5, born=RELEASE - before)])) == counts


def test_a_pod_born_during_the_release_that_was_silent_does_not_count_twice() -> None:
    born = [sample("a", NOW, 100, born=RELEASE + 1)]
    again = [sample("a", NOW + 200, 500, born=RELEASE + 1)]
    windows, _ = through((NOW, born), (NOW + 90, []), (NOW + 200, again))
    assert sum(each.metrics["errors"][Arm.CANARY].all for each in (windows[0], windows[-1])) == 500


def test_marks_of_pods_that_are_gone_are_kept_for_an_hour_and_no_longer() -> None:
    cursor = cut(Cursor(RELEASE), Scrape(counters={"errors": [sample("a", NOW, 1)]}), NOW).cursor
    for at, kept in ((NOW + MEMORY, 1), (NOW + MEMORY + 1, 0)):
        assert len(cut(cursor, Scrape(counters={"errors": []}), at).cursor.counters["errors"]) == kept


@pytest.mark.parametrize("total", [math.nan, math.inf, -1.0, 1e16])
def test_what_is_no_count_is_no_evidence(total: float) -> None:
    windows, notes = through((NOW, [sample("a", NOW, 5)]), (NOW + 5, [sample("a", NOW + 5, total)]))
    assert windows[-1].metrics["errors"] == {}
    assert notes == ["errors of pod a: a counter that is no number from 0 to 9007199254740992; taken as no evidence"]


def test_several_values_of_one_pod_are_no_evidence() -> None:
    windows, notes = through(
        (NOW, [sample("a", NOW, 5)]), (NOW + 5, [sample("a", NOW + 5, 9), sample("a", NOW + 4, 8)])
    )
    assert windows[-1].metrics["errors"] == {}
    assert "2 values where one is wanted" in notes[0]


def test_gauges_are_the_mean_over_an_arms_pods() -> None:
    levels = [
        Level(Arm.CANARY, "a", NOW, 2.0),
        Level(Arm.CANARY, "b", NOW, 4.0),
        Level(Arm.STABLE, "s", NOW, 7.0),
        Level(Arm.STABLE, "old", NOW - MAX_AGE - 1, 99.0),
        Level(Arm.STABLE, "bad", NOW, math.nan),
    ]
    result = cut(Cursor(RELEASE), Scrape(gauges={"queue": levels}), NOW)
    assert result.window is not None
    assert result.window.metrics["queue"] == {Arm.CANARY: Gauge(3.0), Arm.STABLE: Gauge(7.0)}
    assert len(result.notes) == 2


STEPS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans(), st.booleans()), min_size=1, max_size=30
)
"""Requests, bad among them at most, whether the process restarts before, whether the judge looks."""


def totals_served_and_counted(
    steps: list[Any], *, scale: int = 1, looks: str | None = None
) -> tuple[list[int], list[float]]:
    """([requests, bad] that a pod served while watched, the same as windows count them)."""
    total = bad = 0
    truth = [0, 0]
    cursor = cut(Cursor(RELEASE), Scrape(counters={"errors": [sample("a", NOW, 0, 0)]}), NOW).cursor
    seen = [0.0, 0.0]
    for index, (more, ill, _, look) in enumerate(steps, 1):
        ill = min(more, ill)
        total, bad = total + scale * more, bad + scale * ill
        truth = [truth[0] + scale * more, truth[1] + scale * ill]
        if looks is None and not look and index < len(steps):
            continue
        result = cut(cursor, Scrape(counters={"errors": [sample("a", NOW + index, total, bad)]}), NOW + index)
        cursor = result.cursor
        if result.window and Arm.CANARY in result.window.metrics["errors"]:
            counts: Any = result.window.metrics["errors"][Arm.CANARY]
            seen = [seen[0] + counts.all, seen[1] + counts.bad]
    return truth, seen


@given(STEPS)
def test_however_often_one_looks_the_sums_are_the_same(steps: list[Any]) -> None:
    assert (
        totals_served_and_counted(steps)[1]
        == totals_served_and_counted(steps, looks="every time")[1]
        == totals_served_and_counted(steps)[0]
    )


@given(STEPS, st.integers(1, 1000))
def test_sums_are_linear(steps: list[Any], scale: int) -> None:
    assert totals_served_and_counted(steps, scale=scale)[1] == [
        scale * each for each in totals_served_and_counted(steps)[1]
    ]


@given(STEPS)
def test_a_restart_right_after_a_look_loses_nothing(steps: list[Any]) -> None:
    """Restarts fall between two looks with nothing served in between; the counter begins at 0 again."""
    total = bad = 0
    truth = seen = 0.0
    cursor = cut(Cursor(RELEASE), Scrape(counters={"errors": [sample("a", NOW, 0, 0)]}), NOW).cursor
    for index, (more, ill, restarts, _) in enumerate(steps, 1):
        if restarts and more < total:  # a counter that already passed its old value shows no reset
            total = bad = 0
        total, bad, truth = total + more, bad + min(more, ill), truth + more
        result = cut(cursor, Scrape(counters={"errors": [sample("a", NOW + index, total, bad)]}), NOW + index)
        cursor = result.cursor
        if result.window:
            counts = result.window.metrics["errors"][Arm.CANARY]
            assert isinstance(counts, Counts)
            seen += counts.all
    assert seen == truth


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(allow_nan=True), st.none() | st.floats()), max_size=8))
def test_whatever_pods_say_counts_are_finite_and_not_negative(parts: list[Any]) -> None:
    cursor = Cursor(RELEASE)
    for index in range(3):
        samples = [
            Sample(Arm.CANARY, pod, NOW + index, total * (index + 1), bad, born=RELEASE + 1)
            for pod, total, bad in parts
        ]
        result = cut(cursor, Scrape(counters={"errors": samples}), NOW + index)
        cursor = result.cursor
        if result.window:
            for counts in result.window.metrics["errors"].values():
                assert isinstance(counts, Counts)
                assert counts.good >= 0
                assert counts.bad >= 0
                assert math.isfinite(counts.all)


def test_a_scrape_may_lack_a_metric_for_a_while() -> None:
    first = Scrape(counters={"errors": [sample("a", NOW, 5)]})
    cursor = cut(Cursor(RELEASE), first, NOW).cursor
    result = cut(cursor, Scrape(), NOW + 5)
    assert result.window is not None
    assert result.window.metrics == {"errors": {}}
    later = cut(result.cursor, Scrape(counters={"errors": [sample("a", NOW + 10, 9)]}), NOW + 10)
    assert later.window is not None
    assert later.window.metrics["errors"][Arm.CANARY] == Counts(4, 0)


def test_pods_without_traffic_are_waited_for_once_and_then_no_more() -> None:
    """Stable pods after a switch count nothing: one window waits 15 s for them, the next are cut at every scrape."""
    stable = [sample("s", NOW + at, 500 if at else 400, arm=Arm.STABLE) for at in (0, 5, 10, 15, 20, 25, 30)]
    scrapes = [(each.time, [each, sample("a", each.time, 10 * (each.time - NOW))]) for each in stable]
    windows, _ = through(*scrapes)
    assert [window.time - NOW for window in windows] == [0, 5, 20, 25, 30]
    assert [window.metrics["errors"].get(Arm.CANARY) for window in windows[1:]] == [
        Counts(50, 0), Counts(150, 0), Counts(50, 0), Counts(50, 0),
    ]  # fmt: skip


def test_traffic_that_comes_back_counts_in_full() -> None:
    stable = [(0, 400), (5, 500), (20, 500), (25, 500), (30, 560)]
    scrapes = [
        (NOW + at, [sample("s", NOW + at, total, arm=Arm.STABLE), sample("a", NOW + at, 10 * at)])
        for at, total in stable
    ]
    windows, _ = through(*scrapes)
    assert [window.metrics["errors"].get(Arm.STABLE) for window in windows] == [
        None, Counts(100, 0), Counts(0, 0), Counts(0, 0), Counts(60, 0),
    ]  # fmt: skip


# ---- clocks


def test_a_sample_in_the_future_is_no_evidence_and_said() -> None:
    ahead = sample("a", NOW + 5 + MOST_AHEAD + 1, 160)
    windows, notes = through((NOW, [sample("a", NOW, 100)]), (NOW + 5, [ahead]))
    assert windows[-1].metrics["errors"] == {}
    assert notes == ["errors of pod a: the sample is 11 s ahead of our clock, more than 10 s; taken as no evidence"]
    level = Level(Arm.CANARY, "a", NOW + MOST_AHEAD + 1, 2.0)
    assert "11 s ahead" in cut(Cursor(RELEASE), Scrape(gauges={"queue": [level]}), NOW).notes[0]


def test_one_wrong_time_does_not_stop_the_clock() -> None:
    """A scrape every 5 s, the fourth of the canary a day ahead: 60 windows, one without it, and no request lost."""
    scrapes = [
        (
            NOW + at,
            [
                sample("s", NOW + at, 10 * at, arm=Arm.STABLE),
                sample("a", NOW + at + (86400 if at == 15 else 0), 10 * at),
            ],
        )
        for at in range(0, 300, 5)
    ]
    windows, notes = through(*scrapes)
    canary_counts = [window.metrics["errors"].get(Arm.CANARY) for window in windows]
    assert len(windows) == 60
    assert canary_counts == [None, Counts(50, 0), Counts(50, 0), None, Counts(100, 0), *[Counts(50, 0)] * 55]
    assert notes == ["errors of pod a: the sample is 86400 s ahead of our clock, more than 10 s; taken as no evidence"]


AHEAD = st.floats(0, MOST_AHEAD) | st.floats(1e9) | st.just(math.inf)


@given(st.lists(st.tuples(st.integers(1, 50), AHEAD), min_size=2, max_size=20), st.sampled_from(list(Arm)))
def test_a_pod_whose_samples_are_in_the_future_never_delays_the_others(steps: list[Any], arm: Arm) -> None:
    """Each of the others has a new sample in every scrape, and so has a window of every scrape."""
    scrapes, total = [], 0
    for index, (more, ahead) in enumerate(steps):
        total += more
        now = NOW + 2 * index
        others = [sample(f"{each}-1", now, total, arm=each) for each in Arm]
        scrapes.append((now, [*others, sample("wrong", now + ahead, total, arm=arm)]))
    windows, _ = through(*scrapes)
    assert [window.time for window in windows] == [now for now, _ in scrapes]
    for window, (more, _) in zip(windows[1:], steps[1:], strict=True):
        assert {window.pods[each][f"{each}-1"]["errors"] for each in Arm} == {Counts(more, 0)}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_a_mean_is_among_its_values_however_large_they_are(values: list[float]) -> None:
    levels = [Level(Arm.CANARY, str(index), NOW, value) for index, value in enumerate(values)]
    result = cut(Cursor(RELEASE), Scrape(gauges={"queue": levels}), NOW)
    assert result.window is not None
    mean = result.window.metrics["queue"][Arm.CANARY]
    assert isinstance(mean, Gauge)
    assert min(values) <= mean.value <= max(values)
