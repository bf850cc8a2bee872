"""Durations as they are written into queries, and read back; as flags have them, in Go's form and in Prometheus'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.units.duration import parse_go, parse_mixed, parse_prometheus, show


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


GO = {
    "1ns": 1e-9, "1us": 1e-6, "1µs": 1e-6, "1μs": 1e-6, "1ms": 1e-3, "1s": 1, "1m": 60, "1h": 3600, "1h30m": 5400,
    "1.5s": 1.5, ".5s": 0.5, "2.s": 2, "-1m": -60, "-2m30s": -150, "+2s": 2, "0": 0, "-0": 0, "30s1h": 3630,
    "2562047h47m16.854775807s": (2**63 - 1) / 1e9,
}  # fmt: skip
"""As time.ParseDuration reads them; the last is the longest that there is, 2**63 - 1 ns."""


@pytest.mark.parametrize("text", GO)
def test_gos_durations(text: str) -> None:
    assert parse_go(text) == GO[text]


@pytest.mark.parametrize("text", ["", "-", "1", "s", ".s", "1d", "1h ", " 1h", "--1s", "1S"])
def test_what_go_does_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="a duration like"):
        parse_go(text)


def test_beyond_gos_longest_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 290 years"):
        parse_go("2562047h47m16.854775808s")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("1ms", 0.001), ("8d", 691_200), ("1h30m", 5400), ("1y1w1d1h1m1s1ms", 32_230_861.001)],
)
def test_prometheus_durations(text: str, seconds: float) -> None:
    """1y1w1d1h1m1s: 31,536,000 + 604,800 + 86,400 + 3,600 + 60 + 1 s."""
    assert parse_prometheus(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "1.5h", "1m1h", "1h1h", "-1h", "h"])
def test_what_prometheus_does_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="a duration like 8d or 1h30m"):
        parse_prometheus(text)
