"""Histograms and their storage: VPA's rules in small cases, and whole arrays against one row at a time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.model.arena import Arena
from recommender.model.buckets import CPU, MEMORY, Buckets
from recommender.model.histogram import EPSILON, NEVER, Histograms

DAY = 86400.0
T0 = 1767225600.0


def histogram_of(*samples: tuple[Any, ...], half_life: float = DAY) -> Histograms:
    """One histogram with (millicores, weight, time) samples."""
    made = Histograms(CPU, half_life)
    made.extend(1)
    for amount, weight, time in samples:
        made.add(np.array([0]), np.array([amount]), weight, np.array([float(time)]))
    return made


def test_buckets_grow_by_their_ratio_and_end_where_the_next_begins() -> None:
    """VPA's example: first 40, ratio 1.5, up to 500: starts 0, 40, 100, 190, 325, 527.5."""
    buckets = Buckets(maximum=500, first=40, ratio=1.5, per_unit=1)
    assert buckets.starts.tolist() == [0, 40, 100, 190, 325, 527.5]
    assert buckets.find(np.array([39, 40, 100, 900, -1])).tolist() == [0, 1, 2, 5, 0]
    assert (CPU.count, MEMORY.count) == (176, 176)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6))
def test_a_bucket_holds_what_lies_between_its_start_and_its_end(millicores: int) -> None:
    bucket = CPU.find(np.array([millicores]))[0]
    assert CPU.starts[bucket] <= millicores / 1000 * (1 + 1e-12) + 1e-12
    assert bucket == CPU.count - 1 or millicores / 1000 < CPU.ends[bucket] * (1 + 1e-12)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert histogram_of().percentiles((0.5,)).tolist() == [[0.0]]


def test_a_bucket_lighter_than_epsilon_is_empty() -> None:
    assert histogram_of((500, EPSILON / 2, T0)).percentiles((0.5,)).tolist() == [[0.0]]


def test_percentiles_are_ends_of_buckets() -> None:
    """Weights 1, 2, 3, 4 at 100m, 200m, 300m, 400m: the threshold of p 0.6 is 6, reached with the third."""
    made = histogram_of((100, 1, T0), (200, 2, T0), (300, 3, T0), (400, 4, T0))
    ends = [CPU.ends[CPU.find(np.array([amount]))[0]] for amount in (100, 200, 300, 400)]
    wanted = [(0.0, 0), (0.1, 0), (0.2, 1), (0.3, 1), (0.4, 2), (0.6, 2), (0.7, 3), (1.0, 3)]
    percentiles = made.percentiles([fraction for fraction, _ in wanted])[:, 0].tolist()
    assert percentiles == [ends[index] for _, index in wanted]


def test_a_place_inside_a_bucket_is_given_where_buckets_are_coarse() -> None:
    """All weight in bucket 0, 0 to 10m: VPA says 10m; half-way through is 5m. At 2 cores the bucket's end stands."""
    assert histogram_of((3, 1, T0)).percentiles((0.5,), inside=True)[0, 0] == pytest.approx(0.005)
    large = histogram_of((2000, 1, T0))
    assert large.percentiles((0.5,), inside=True) == large.percentiles((0.5,))


def test_a_sample_half_a_life_older_weighs_less() -> None:
    """Weights 1 at 100m and, one half-life later, 2 at 200m: 100m has a third."""
    made = histogram_of((100, 1, T0), (200, 1, T0 + DAY))
    low, high = (CPU.ends[CPU.find(np.array([amount]))[0]] for amount in (100, 200))
    assert made.percentiles((0.33, 0.34))[:, 0].tolist() == [low, high]


def test_the_reference_is_the_nearest_multiple_of_the_half_life_and_halves_go_up() -> None:
    assert histogram_of((1, 1, T0 + DAY / 2 - 1)).reference[0] == T0
    assert histogram_of((1, 1, T0 + DAY / 2)).reference[0] == T0 + DAY


def test_after_a_hundred_half_lives_the_old_is_forgotten_and_the_reference_moves() -> None:
    made = histogram_of((100, 1, T0), (200, 1, T0 + 101 * DAY))
    assert made.reference[0] == T0 + 101 * DAY
    assert made.total[0] == pytest.approx(1.0)
    assert made.percentiles((0.01,))[0, 0] == CPU.ends[CPU.find(np.array([200]))[0]]


def test_until_then_the_reference_stays() -> None:
    assert histogram_of((100, 1, T0), (200, 1, T0 + 100 * DAY)).reference[0] == histogram_of((100, 1, T0)).reference[0]


def test_what_is_subtracted_is_gone() -> None:
    made = histogram_of((100, 1, T0), (300, 1, T0))
    made.subtract(np.array([0]), np.array([300]), 1.0, np.array([T0]))
    assert made.percentiles((1.0,))[0, 0] == CPU.ends[CPU.find(np.array([100]))[0]]
    made.subtract(np.array([0]), np.array([100]), 1.0, np.array([T0]))
    assert made.percentiles((1.0,))[0, 0] == 0.0
    assert made.total[0] == 0.0


def test_the_least_and_the_largest_bucket_follow_what_is_left() -> None:
    """As VPA's: of an empty histogram they are the last and the first."""
    at = {amount: CPU.find(np.array([amount]))[0] for amount in (100, 200, 800)}
    made = histogram_of(*((amount, 1, T0) for amount in at))

    def without(amount: int) -> tuple[int, int]:
        made.subtract(np.array([0]), np.array([amount]), 1, np.array([T0]))
        return made.minimum[0], made.maximum[0]

    assert without(800) == (at[100], at[200])
    assert without(100) == (at[200], at[200])
    assert without(200) == (CPU.count - 1, 0)


def test_a_copy_lives_its_own_life() -> None:
    made = histogram_of((100, 1, T0), (90000, 1, T0))
    other = made.copy(np.array([0]))
    other.add(np.array([0]), np.array([5]), 5.0, np.array([T0]))
    assert made.total[0] == 2.0
    assert other.weights(0).sum() == 7.0


def test_cleared_rows_are_empty_and_their_room_is_used_again() -> None:
    made = Histograms(CPU, DAY)
    made.extend(100)
    rows = np.arange(100)
    sizes = []
    for turn in range(5):
        made.add(rows, np.full(100, 100 * (turn + 1)), 1.0, np.full(100, T0))
        sizes.append(made.nbytes)
        made.clear(rows)
        assert made.reference[0] == NEVER
        assert not made.percentiles((0.5,)).any()
    assert sizes[-1] == sizes[0]


samples = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3_000_000), st.floats(0, 300 * DAY)), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(samples)
def test_many_rows_at_once_are_as_each_alone(additions: list[Any]) -> None:
    """Whatever is added to whichever row: a row's state is that of a histogram that got only its samples."""
    together = Histograms(CPU, DAY)
    together.extend(5)
    alone = [histogram_of() for _ in range(5)]
    for row, amount, late in additions:
        together.add(np.array([row]), np.array([amount]), 0.1, np.array([T0 + late]))
        alone[row].add(np.array([0]), np.array([amount]), 0.1, np.array([T0 + late]))
    fractions = (0.0, 0.1, 0.5, 0.9, 1.0)
    made = together.percentiles(fractions)
    for row in range(5):
        assert made[:, row].tolist() == alone[row].percentiles(fractions)[:, 0].tolist()
        assert together.total[row] == alone[row].total[0]
        assert together.weights(row).tolist() == alone[row].weights(0).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 175), st.integers(1, 9)), max_size=80))
def test_a_ragged_row_holds_what_a_full_one_would(additions: list[Any]) -> None:
    arena = Arena(176)
    arena.extend(8)
    full = np.zeros((8, 176))
    for row, bucket, weight in additions:
        rows, buckets = np.array([row]), np.array([bucket], dtype=np.int16)
        arena.cover(rows, buckets)
        arena.flat[arena.position(rows, buckets)] += weight
        full[row, bucket] += weight
        if weight == 9:
            arena.clear(rows)
            full[row] = 0
    seen = np.zeros((8, 176))
    for part, low, weights in arena.groups(np.arange(8)):
        for index, row in enumerate(part):
            seen[row, low[index] : low[index] + weights.shape[1]] = weights[index]
    assert seen.tolist() == full.tolist()


@pytest.mark.parametrize(("weight", "counts"), [(1e-4, True), (1.1e-4, True), (0.9e-4, False)])
def test_a_bucket_counts_from_a_thousandth_of_the_least_samples_weight_on(weight: float, counts: bool) -> None:
    """VPA's epsilon: 0.001 x 0.1, the weight of a CPU sample."""
    assert bool(histogram_of((500, weight, T0)).percentiles((0.5,))[0, 0] > 0) is counts


def test_what_is_left_after_taking_a_sample_back_is_dust_below_the_same_weight() -> None:
    """1 in at 500m and 1 - 2e-4 out: 2e-4 stays a sample; 1 - 0.5e-4 out: 0.5e-4 is none."""
    for out, counts in ((1 - 2e-4, True), (1 - 0.5e-4, False)):
        made = histogram_of((500, 1.0, T0))
        made.subtract(np.array([0]), np.array([500]), out, np.array([T0]))
        assert bool(made.percentiles((0.5,))[0, 0] > 0) is counts
        assert bool(made.total[0] > 0) is counts
