"""Rates of counters: fixed windows and the change-point rate."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter.metrics.store.rate import (
    adaptive_rate,
    dispersion,
    fixed_rate,
    increase,
    increments,
    instant_rate,
    sum_increments,
)

NAN = np.nan


def row(*values: float) -> NDArray[Any]:
    return np.array([values], dtype=float)


def steady(number: int, per_interval: int, interval: float = 5.0) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.full((1, number), float(per_interval)), np.full((1, number), interval)


def poisson(seed: int, *parts: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """One row of counts: parts are (number of intervals, mean)."""
    rng = np.random.default_rng(seed)
    counts = np.concatenate([rng.poisson(mean, number) for number, mean in parts]).astype(float)[None, :]
    return counts, np.full(counts.shape, 5.0)


def test_a_reset_counts_the_new_value() -> None:
    assert increments(row(10, 15, 3, 4)).tolist() == [[5, 3, 1]]


def test_the_first_sample_of_a_series_gives_no_increment() -> None:
    assert np.isnan(increments(row(NAN, 100, 101))).tolist() == [[True, False]]


def test_a_fixed_rate_is_the_growth_over_the_time_between_first_and_last() -> None:
    rate, window = fixed_rate(row(NAN, 100, 110, 130), row(NAN, 7, 17, 10))
    assert (rate[0], window[0]) == (pytest.approx((10 + 10) / 30), 30)


def test_increase_is_not_extrapolated() -> None:
    assert increase(row(NAN, 100, 110, 130), row(NAN, 7, 8, 10))[0] == 3


def test_one_sample_is_no_rate() -> None:
    rate, window = fixed_rate(row(NAN, NAN, 100), row(NAN, NAN, 7))
    assert np.isnan(rate[0])
    assert window[0] == 0


def test_irate_takes_the_last_two_samples() -> None:
    rate, window = instant_rate(row(100, 110, 112), row(0, 10, 30))
    assert (rate[0], window[0]) == (10, 2)


def test_a_steady_rate_has_the_whole_window() -> None:
    rate, window = adaptive_rate(*steady(60, 50), 60)
    assert (rate[0], window[0]) == (10, 60)


def test_two_samples_make_a_rate_and_none_make_none() -> None:
    rate, window = adaptive_rate(row(0, 0, 20), row(0, 0, 5), 60)
    assert (rate[0], window[0]) == (4, 5)
    rate, window = adaptive_rate(row(0, 0), row(0, 0), 60)
    assert np.isnan(rate[0])
    assert window[0] == 0


def test_an_interval_longer_than_the_window_makes_no_rate() -> None:
    assert adaptive_rate(row(300), row(300), 60)[1][0] == 0


@pytest.mark.parametrize(("before", "mix", "after"), [(50, 90, 150), (50, 55, 150), (150, 80, 50), (0, 25, 50)])
def test_two_scrapes_after_a_change_the_rate_is_the_new_one(before: int, mix: int, after: int) -> None:
    # 55 is so near to the old rate that it is held for the old one: (55 + 150) / 10 s; the others are left out.
    counts, _ = poisson(1, (60, before))
    counts = np.concatenate([counts, row(mix, after)], axis=1)
    rate, window = adaptive_rate(counts, np.full(counts.shape, 5.0), 60)
    assert (rate[0], window[0]) == ((20.5, 10) if mix == 55 else (after / 5, 5))


def test_after_a_change_the_window_grows_again_to_its_full_length_and_not_beyond() -> None:
    # 62 scrapes are 60 before and 2 after the change, of which the first is taken for the mix.
    counts, durations = poisson(2, (60, 50), (14, 150))
    windows = [adaptive_rate(counts[:, :end], durations[:, :end], 60)[1][0] for end in range(62, 75)]
    assert windows == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60]


def test_what_stops_is_soon_zero() -> None:
    counts, durations = poisson(3, (60, 50), (2, 0))
    assert adaptive_rate(counts, durations, 60)[0][0] == 0


def test_bursts_of_the_same_size_are_a_change_in_a_calm_series_and_none_in_a_bursty_one() -> None:
    calm, _ = poisson(4, (60, 20))
    bursty = np.random.default_rng(5).negative_binomial(20 / 9, 1 / 10, (1, 60)).astype(float)  # dispersion 10
    burst = row(40, 55)
    for counts, changes in ((calm, True), (bursty, False)):
        window = adaptive_rate(np.concatenate([counts, burst], axis=1), np.full((1, 62), 5.0), 60)[1][0]
        assert (window < 60) == changes


def test_the_scale_of_dispersed_counters_does_not_matter() -> None:
    """Bytes are requests times a size: the dispersion grows by the same factor as the evidence."""
    counts = np.random.default_rng(6).negative_binomial(25, 1 / 3, (200, 60)).astype(float)
    durations = np.full(counts.shape, 5.0)
    requests, size = dispersion(counts, durations), dispersion(1000 * counts, durations)
    assert size / requests == pytest.approx(1000, rel=0.1)
    assert (adaptive_rate(1000 * counts, durations, 60)[1] == 60).mean() > 0.98


@pytest.mark.parametrize("expected", [1, 3, 10])
def test_the_dispersion_of_counts_is_found(expected: int) -> None:
    rng = np.random.default_rng(7)
    shape = (300, 150)
    counts = (
        rng.poisson(50, shape) if expected == 1 else rng.negative_binomial(50 / (expected - 1), 1 / expected, shape)
    )
    assert dispersion(counts.astype(float), np.full(shape, 2.0)).mean() == pytest.approx(expected, rel=0.12)


def test_a_change_does_not_hide_the_next_one() -> None:
    # after a minute at 60/s the load doubles, and two scrapes later new pods take half of it: what counts is 58/s
    parts = [(12, 300), (1, 450), (3, 600), (1, 440), (1, 290)]
    counts = np.concatenate([poisson(seed, *parts)[0] for seed in range(200)])
    rates, windows = adaptive_rate(counts, np.full(counts.shape, 5.0), 60)
    assert np.mean(windows <= 10) > 0.6  # 0.36 if the first change counted as bursts
    assert rates.mean() < 75


def test_a_step_does_not_pass_for_bursts() -> None:
    counts, durations = poisson(8, (30, 50), (30, 150))
    assert dispersion(counts, durations)[0] < 2.5


def test_steady_noise_is_rarely_taken_for_a_change() -> None:
    counts = np.random.default_rng(9).poisson(50, (2000, 60)).astype(float)
    _, windows = adaptive_rate(counts, np.full(counts.shape, 5.0), 60)
    assert (windows < 60).mean() < 0.002


def test_rows_do_not_depend_on_each_other() -> None:
    rng = np.random.default_rng(10)
    counts = rng.poisson(rng.choice([5, 50, 500], (50, 40))).astype(float)
    durations = rng.uniform(1, 20, counts.shape)
    durations[::3, :30] = counts[::3, :30] = 0
    together = adaptive_rate(counts, durations, 60)
    alone = [adaptive_rate(counts[i : i + 1], durations[i : i + 1], 60) for i in range(50)]
    assert np.array_equal(together[0], [rate[0] for rate, _ in alone], equal_nan=True)
    assert np.array_equal(together[1], [window[0] for _, window in alone])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(0, 10**6), st.floats(0, 1e12)), st.floats(0.9, 300)), min_size=1, max_size=40
    ),
    st.integers(0, 5),
)
def test_a_change_point_rate_is_that_of_the_newest_intervals_of_its_window(intervals: list[Any], fill: int) -> None:
    counts, durations = (
        np.pad(np.array(part, dtype=float), (fill, 0))[None, :] for part in zip(*intervals, strict=True)
    )
    rate, window = (result[0] for result in adaptive_rate(counts, durations, 60))
    assert window <= 63
    if window == 0:
        assert np.isnan(rate)
        assert durations[0, -1] > 60
    else:
        fitting = np.flatnonzero(np.isclose(np.cumsum(durations[0, ::-1]), window))
        assert rate >= 0
        assert any(np.isclose(rate * window, counts[0, ::-1][: number + 1].sum()) for number in fitting)


def table(*series: dict[Any, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Right-aligned times and values of series given as {time: value}."""
    width = max(len(one) for one in series)
    times, values = np.full((len(series), width), NAN), np.full((len(series), width), NAN)
    for index, one in enumerate(series):
        times[index, width - len(one) :] = list(one)
        values[index, width - len(one) :] = list(one.values())
    return times, values


def sum_series(*series: dict[int, int]) -> tuple[Any, ...]:
    counts, durations, newest = sum_increments(*table(*series), np.array([0]))
    return counts[0].tolist(), durations[0].tolist(), newest[0]


def test_the_counters_of_a_target_are_added_up() -> None:
    assert sum_series({0: 1, 5: 2, 10: 4}, {0: 0, 5: 10, 10: 10}) == ([11, 2], [5, 5], 10)


def test_a_new_series_begins_to_count_with_its_second_sample() -> None:
    assert sum_series({0: 1, 5: 2, 10: 4}, {5: 100, 10: 101}) == ([1, 2 + 1], [5, 5], 10)


def test_a_vanished_series_counts_what_it_grew_by_and_then_nothing() -> None:
    assert sum_series({0: 1, 5: 2, 10: 4}, {0: 10, 5: 17}) == ([1 + 7, 2], [5, 5], 10)


def test_a_missed_scrape_of_one_series_is_spread_evenly() -> None:
    assert sum_series({0: 0, 5: 1, 10: 2}, {0: 0, 10: 8}) == ([1 + 4, 1 + 4], [5, 5], 10)


def test_series_that_all_changed_their_names_go_on_as_one_target() -> None:
    """A restart with other labels: the old series end, new ones begin, and no interval is counted between them."""
    wide = {-10: 0, -5: 0, 0: 0, 5: 50, 10: 100}
    assert sum_series(wide, {15: 5, 20: 55}) == ([50, 50, 0, 50], [5, 5, 5, 5], 20)


def test_targets_are_kept_apart_and_may_have_no_samples() -> None:
    times, values = table({0: 0, 5: 5}, {1: 0, 6: 7}, {})
    counts, durations, newest = sum_increments(times, values, np.array([0, 1, 2]))
    assert counts.tolist() == [[5], [7], [0]]
    assert durations.tolist() == [[5], [5], [0]]
    assert newest[:2].tolist() == [5, 6]
    assert np.isnan(newest[2])


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.integers(0, 12), st.integers(0, 50), max_size=8), min_size=1, max_size=5))
def test_no_growth_is_lost_or_made_up_by_adding_series(series: list[Any]) -> None:
    series = [dict(sorted((5.0 * time, value) for time, value in one.items())) for one in series]
    if not any(series):
        return
    columns = len({time for one in series for time in one})
    times, values = table(*series, dict.fromkeys(np.arange(-columns, 0.0), 0.0))  # wide enough to hold the union
    counts, _, newest = sum_increments(times, values, np.array([0]))
    grown = [np.nansum(increments(np.array([list(one.values())], dtype=float))) for one in series if one]
    assert counts.sum() == pytest.approx(sum(grown))
    assert (counts >= 0).all()
    assert newest[0] == max(time for one in series for time in one)
