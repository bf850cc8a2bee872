"""The clock of ages and schedules: whatever is done to the wall clock, it goes on by the monotonic one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.clock import SteadyClock

STEPS = st.lists(st.tuples(st.floats(0, 1e5), st.floats(-1e7, 1e7)), max_size=20)
"""(s that pass, s by which the wall clock is then set)."""


@given(steps=STEPS)
def test_it_grows_by_what_passes_however_the_wall_clock_is_set(steps: list[tuple[float, float]]) -> None:
    passed, error = 0.0, 0.0
    clock = SteadyClock(lambda: 1e9 + passed + error, lambda: passed)
    assert clock() == 1e9
    for seconds, step in steps:
        passed, error = passed + seconds, error + step
        assert clock() == pytest.approx(1e9 + passed, abs=1e-3)
        assert clock.wall(clock() - 5) == pytest.approx(1e9 + passed + error - 5, abs=1e-3)
