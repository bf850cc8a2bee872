"""Durations as they are written into queries, and read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.units.duration import parse_mixed, show


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (1, "1ms"), (60_000, "1m"), (5_400_000, "1h30m"), (90_061_001, "1d1h1m1s1ms"), (-300_000, "-5m")],
)
def test_the_shortest_text_that_promql_reads(milliseconds: int, text: str) -> None:
    assert show(milliseconds) == text


@given(st.integers(0, 10**12))
def test_what_is_shown_is_read_as_the_same_and_an_offset_backwards_with_its_sign(milliseconds: int) -> None:
    assert parse_mixed(show(milliseconds)) == pytest.approx(milliseconds / 1000, rel=1e-12)
    assert milliseconds == 0 or show(-milliseconds) == f"-{show(milliseconds)}"
