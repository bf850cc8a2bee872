"""Daily peaks: what comes together counts as what comes one by one, and a day of nothing has no readings."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.model.peaks import DAY, MANY, Peaks

GB = 10**9
T0 = 20_000 * DAY
ROW = np.array([0])


def after(*calls: Sequence[int]) -> tuple[list[int], ...]:
    """What is known of a day after some calls, each with some readings in bytes: the largest, what others support, how
    many."""
    made = Peaks()
    made.extend(1)
    for amounts in calls:
        rows = np.zeros(len(amounts), dtype=np.int64)
        made.add(rows, np.array(amounts, dtype=np.int64), np.full(len(amounts), T0))
    return newest(made)


def newest(peaks: Peaks) -> tuple[list[int], ...]:
    days = peaks.days(ROW, T0)
    return tuple(np.asarray(each)[0, :2].astype(np.int64).tolist() for each in days[:3])


@given(st.lists(st.integers(10**6, 10**12), min_size=2, max_size=MANY))
def test_readings_that_come_together_are_as_the_smallest_first(amounts: list[int]) -> None:
    assert after(amounts) == after(*([each] for each in sorted(amounts)))


def test_of_three_readings_that_come_together_the_largest_is_the_peak() -> None:
    """3 GB beside 1 and 2: two readings support 2 GB, and 3 GB is the day's largest."""
    largest, _, readings = after([3 * GB, 1 * GB, 2 * GB])
    alone, _, once = after([3 * GB])
    assert (largest[0], readings[0]) == (alone[0], 3)
    assert once[0] == 1


def test_a_day_of_nothing_has_no_readings_whatever_was_said_of_it() -> None:
    made = Peaks()
    made.extend(1)
    highest, readings = np.zeros((1, 28), dtype=np.int64), np.full((1, 28), 7)
    highest[0, 0] = GB
    made.load(ROW, np.array([20_000]), highest, highest, readings)
    assert newest(made)[2] == [7, 0]
