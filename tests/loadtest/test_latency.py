"""What a measurement of scaling latency says of its steps: pure arithmetic."""

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest import latency
from loadtest.latency import Change, Step, changes, histogram, quantile, spread, summary


def step(*after: tuple[float, int], served: float | None = None, sampled: float | None = None) -> Step:
    """A step at Unix time 1000 from 2 to 4 replicas; changes are (seconds after it, replicas)."""
    changes = tuple(Change(1000 + seconds, replicas) for seconds, replicas in after)
    return Step("ns/web", at=1000.0, until=1060.0, before=2, wanted=4, changes=changes, served=served, sampled=sampled)


# -- one step ---------------------------------------------------------------------------------------------------------


def test_the_latency_ends_when_the_last_change_begins() -> None:
    assert step((12.5, 4)).seconds == 12.5
    assert step((8, 3), (23, 4)).seconds == 23  # by stages: what counts is where it stays
    assert step((12, 4), (27, 5), (52, 4)).seconds == 52  # overshot and came back: it was not final before


def test_an_hpa_that_does_not_move_has_an_infinite_latency_and_a_wrong_size() -> None:
    still = step()
    assert (still.seconds, still.final, still.right) == (math.inf, 2, False)


def test_a_wrong_size_and_an_overshoot_are_told_apart() -> None:
    assert [(one.right, one.overshot) for one in (step((12, 4)), step((12, 3)), step((12, 5)))] == [
        (True, False), (False, False), (False, True)]  # fmt: skip
    back = step((12, 5), (40, 4))
    assert (back.right, back.overshot) == (True, True)


def test_the_parts_of_a_step_add_up_to_its_latency() -> None:
    one_step = step((20, 4), sampled=1007.0, served=1008.5)
    assert one_step.parts == (7.0, 1.5, 11.5)
    assert sum(one_step.parts) == one_step.seconds


def test_parts_are_unknown_where_the_adapter_was_not_seen_to_serve_it() -> None:
    assert step((20, 4)).parts is None
    assert step(sampled=1007.0, served=1008.0).parts is None


def test_only_changes_within_the_watch_count_and_repetitions_are_none() -> None:
    heard = [Change(900, 0), Change(950, 2), Change(1000, 2), Change(1010, 4), Change(1025, 4), Change(1070, 2)]
    assert changes(heard, 1000, 1060) == (Change(1010, 4),)
    assert changes(heard, 900, 1000) == (Change(950, 2),)
    assert changes([], 0, 1) == ()


@pytest.mark.parametrize(("total", "replicas"), [(120, 2), (204, 3), (204.1, 4), (240, 4), (272, 4), (272.1, 5)])
def test_the_right_size_is_four_for_whatever_is_measured_between_204_and_272(total: float, replicas: int) -> None:
    assert latency.replicas_for(total, 68) == replicas


# -- many steps -------------------------------------------------------------------------------------------------------


def test_a_quantile_is_a_value_that_occurred() -> None:
    forty = [float(value) for value in range(1, 41)]
    # 0.5 * 40 = 20th, 0.9 * 40 = 36th, 0.95 * 40 = 38th
    assert [quantile(forty, share) for share in (0.5, 0.9, 0.95, 1.0)] == [20, 36, 38, 40]
    assert quantile([7.0], 0.95) == 7
    assert math.isnan(quantile([], 0.5))


def test_steps_that_never_end_count_as_the_slowest() -> None:
    statistics = summary(5.0, [step((10, 4))] * 18 + [step()] * 2)
    assert (statistics.median, statistics.p90, statistics.p95) == (10, 10, math.inf)  # 18 of 20 are 90 %
    assert (statistics.steps, statistics.wrong, statistics.met) == (20, 2, False)


def test_the_summary_counts_what_went_wrong_or_by_stages() -> None:
    statistics = summary(2.0, [step((9, 4)), step((5, 3), (20, 4)), step((9, 5)), step((9, 4), (24, 5), (40, 4))])
    assert (statistics.wrong, statistics.overshot, statistics.staged) == (1, 2, 1)


def test_the_goal_depends_on_the_scrape_interval() -> None:
    steps = [step((20, 4))]
    assert [summary(scrape, steps).met for scrape in (5.0, 2.0, 10.0)] == [True, False, None]  # 24 s, 19 s, none


@given(st.integers(1, 30), st.floats(0.1, 60), st.integers())
@settings(max_examples=30)
def test_moments_are_spread_evenly_over_the_whole_time(count: int, seconds: float, seed: int) -> None:
    moments = sorted(spread(count, seconds, random.Random(seed)))
    for number, moment in enumerate(moments):
        part = seconds / count
        assert number * part <= moment * (1 + 1e-9)
        assert moment <= (number + 1) * part * (1 + 1e-9)


# -- how it is shown --------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), max_size=50))
@settings(max_examples=30)
def test_a_histogram_loses_no_step(seconds: list[float]) -> None:
    assert sum(count for _, count in histogram([*seconds, math.inf])) == len(seconds)


def test_the_histogram_as_text_has_a_line_per_bin_and_one_for_those_that_never_ended() -> None:
    assert latency.histogram_text([0.5, 5.0, 5.9, math.inf]).splitlines() == [
        "   0 –  2 s █ 1",
        "   2 –  4 s",
        "   4 –  6 s ██ 2",
        "    never  █ 1",
    ]


def test_the_report_holds_a_line_per_interval_and_says_what_was_missed() -> None:
    results = {5.0: [step((20, 4), sampled=1007.0, served=1008.0)], 2.0: [step((20, 4))]}
    text = latency.report(results, ["machine: one"])
    assert "| 5 s | 1 | 20.0 s | 20.0 s | 20.0 s | 20.0 s | 24 s | met | 0 | 0 | 0 |" in text
    assert "| 2 s | 1 | 20.0 s | 20.0 s | 20.0 s | 20.0 s | 19 s | MISSED | 0 | 0 | 0 |" in text
    assert "| 5 s | load step to the sample that shows it | 7.0 s | 7.0 s | 7.0 s |" in text
    assert "- machine: one" in text


def test_the_json_says_null_for_a_latency_that_is_not_known() -> None:
    made = latency.document({5.0: [step((20, 4), sampled=1007.0, served=1008.0), step()]}, {"date": "today"})
    read = json.loads(json.dumps(made, allow_nan=False))
    first, second = read["results"][0]["steps_taken"]
    assert (first["seconds"], first["changes"], first["sampled"], first["served"]) == (20, [[20, 4]], 7, 8)
    assert (second["seconds"], second["final"], read["results"][0]["longest"]) == (None, 2, None)


def test_the_picture_is_drawn_even_of_steps_that_never_ended(tmp_path: Path) -> None:
    latency.draw({5.0: [step((20, 4)), step()], 2.0: [step()]}, lambda figure: figure.savefig(tmp_path / "a.png"))
    assert (tmp_path / "a.png").stat().st_size > 1000


# -- what no adapter gets below ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scrape", "median"), [(2.0, 10.5), (5.0, 15.0)])
def test_the_least_latency_of_one_pod_is_that_of_two_even_spreads(scrape: float, median: float) -> None:
    """A median of 1.5 scrapes and half a period; 5 % lie beyond t where (2 s + 15 - t)^2 = 0.05 * 2 * s * 15."""
    assert latency.least(0.5, scrape=scrape, pods=1) == pytest.approx(median, abs=0.01)
    top = 2 * scrape + 15 - math.sqrt(0.05 * 2 * scrape * 15)
    assert latency.least(0.95, scrape=scrape, pods=1) == pytest.approx(top, abs=0.01)


@given(st.floats(0.5, 30), st.integers(1, 20), st.floats(0.05, 0.95))
@settings(max_examples=20)
def test_more_pods_and_longer_scrapes_never_make_it_less_and_it_has_bounds(
    scrape: float, pods: int, share: float
) -> None:
    bound = latency.least(share, scrape=scrape, pods=pods)
    assert scrape <= bound <= 2 * scrape + 15
    assert bound <= latency.least(share, scrape=scrape, pods=pods + 1) + 0.01
    assert bound <= latency.least(share, scrape=scrape + 1, pods=pods) + 0.01


def test_the_page_tells_the_least_latency_of_two_pods() -> None:
    page = (Path(__file__).parents[2] / "docs" / "loadtest.md").read_text()
    for scrape in (1.0, 2.0, 5.0):
        cells = [f"{latency.least(share, scrape=scrape, pods=2):.1f} s" for share in (0.5, 0.95)]
        assert f"| {scrape:g} s | {' | '.join(cells)} |" in page
