"""Whether printed risks are true: the buckets, their intervals, and the default policy's on real machines."""

from pathlib import Path

import numpy as np
import pytest

from recommender.input.usage_file import read_usage
from recommender.offline.backtest import POLICIES, Walk, walk
from recommender.offline.calibration import AROUND, ENOUGH, Calibration, Calibrations

GOLDEN = Path(__file__).parent.parent / "golden" / "recommender"


def test_a_bucket_says_how_many_days_passed_of_how_many_were_printed() -> None:
    """Two containers, 1,000 days each at a printed 10 %: 200 expected; 300 pass, all of the first container."""
    made = Calibration(2)
    for day in range(1000):
        made.add(np.array([0.1, 0.1]), np.array([day < 300, False]), np.array([True, True]))
    [bucket] = made.buckets(rounds=200)
    assert (bucket.days, bucket.expected, bucket.realised) == (2000, pytest.approx(200), 300)
    assert bucket.ratio == pytest.approx(1.5)
    assert bucket.interval == pytest.approx((0.0, 3.0)), "all depends on which of the two is drawn"


def test_buckets_are_merged_until_enough_is_expected_and_what_is_left_joins_the_last() -> None:
    """2 % and 10 % for 3,000 days: 60 and 300 expected. 60 are too few, so both are one; 90 % for 100 days adds 90."""
    made = Calibration(3)
    for _ in range(3000):
        made.add(np.array([0.02, 0.1, 0.9]), np.zeros(3, dtype=bool), np.array([True, True, False]))
    for _ in range(100):
        made.add(np.array([0.02, 0.1, 0.9]), np.ones(3, dtype=bool), np.array([False, False, True]))
    [bucket] = made.buckets(rounds=10)
    assert bucket.expected == pytest.approx(60 + 300 + 90)
    for _ in range(100):
        made.add(np.array([0.02, 0.1, 0.9]), np.ones(3, dtype=bool), np.array([False, False, True]))
    assert [round(one.expected) for one in made.buckets(rounds=10)] == [360, 180]
    assert all(one.expected >= ENOUGH for one in made.buckets(rounds=10))


def test_days_without_a_sample_say_nothing() -> None:
    made = Calibration(1)
    made.add(np.array([0.5]), np.array([True]), np.array([False]))
    assert not made.has_any


def test_a_policy_without_risks_prints_none() -> None:
    usage, how = read_usage([GOLDEN / "bitbrains-rnd-2013-07.csv.gz"]), Walk(warmup=28 * 86400.0)
    made = Calibrations(len(usage.names))
    walk(usage, POLICIES["krr"](usage, how), how, made)
    assert not made.has_any


@pytest.mark.parametrize("kills", [True, False])
def test_the_risks_printed_of_real_machines_are_true(kills: bool) -> None:
    """The machines that the knobs were chosen on; of others docs/recommender.md tells. All figures are seeded."""
    usage, how = read_usage([GOLDEN / "bitbrains-rnd-2013-07.csv.gz"]), Walk(kills=kills)
    made = Calibrations(len(usage.names))
    walk(usage, POLICIES["default"](usage, how), how, made)
    buckets = [*made.at_target.buckets(rounds=50), *made.around.buckets(rounds=50)]
    assert len(buckets) >= 4
    for bucket in buckets:
        assert 0.7 <= bucket.ratio <= 1.4


def test_risks_are_printed_at_the_target_itself_too() -> None:
    assert 1.0 in AROUND
