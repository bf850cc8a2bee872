"""The simulation of days: its queue against the known mean, its fleets against what they are told."""

import numpy as np
import pytest

from adapter.hpa.read import read_spec
from loadtest.runs.local import HIGH, LOW, TARGET
from loadtest.runs.measures import Moment, elasticity
from loadtest.simulate_days import (
    BEHAVIORS,
    DOCUMENT,
    GRID,
    PART,
    SCRIPT,
    SETTINGS,
    Counters,
    latency_ms,
    need_of,
    over_two_minutes,
    simulate,
    wait_distribution,
    with_behavior,
)
from tests.cluster.adapter import hpa, pods_metric

SPEC = read_spec(hpa("web", "default", pods_metric("load", f"{TARGET:g}"), low=LOW, high=HIGH, down=30))


@pytest.mark.parametrize("busy", [0.1, 0.3, 0.5, 0.7])
def test_the_mean_wait_of_an_md1_queue_is_pollaczeks(busy: float) -> None:
    distribution = wait_distribution(busy)
    assert distribution[0] == pytest.approx(1 - busy)  # nobody is there
    assert np.all(np.diff(distribution) > -1e-9)
    assert (1 - distribution).sum() * (GRID[1] - GRID[0]) == pytest.approx(busy / (2 * (1 - busy)), rel=0.03)


def test_fewer_pods_wait_longer() -> None:
    few, many = ([Moment(2, have)] * 1200 for have in (6, 8))
    assert 20 < latency_ms(many, 600.0) < latency_ms(few, 600.0) < 100


def test_a_pods_first_scrape_begins_its_first_interval_and_one_that_is_gone_is_forgotten() -> None:
    counters = Counters(2.0, seed=1)
    counters.scrape(2)
    for _ in range(4):
        counters.serve(1000.0, 2)
    counters.scrape(3)
    assert (counters.durations[:, -1] > 0).tolist() == [True, True, *[False] * (HIGH - 2)]
    assert counters.counts[:2, -1].sum() == pytest.approx(2000, rel=0.1)  # 1000/s for 2 s
    counters.scrape(1)
    assert not counters.counts[1:].any()
    assert not counters.durations[1:].any()


def test_a_rate_over_two_minutes_divides_by_them_also_where_a_pod_is_younger() -> None:
    counts, durations = np.zeros((2, 20)), np.zeros((2, 20))
    counts[0], durations[0] = 150.0, 15.0  # 10/s for 5 minutes
    counts[1, -4:], durations[1, -4:] = 150.0, 15.0  # for one minute
    assert over_two_minutes(counts, durations).tolist() == [10.0, 5.0]


def test_the_slower_the_metric_the_less_exact_is_a_short_day() -> None:
    accuracies = [elasticity(simulate(setting, SPEC, 600.0, 7.5, seed=1)).accuracy for setting in SETTINGS]
    assert min(accuracies[:2]) > accuracies[2]
    assert all(0.5 < accuracy < 0.95 for accuracy in accuracies)


def test_the_same_seed_gives_the_same_day_and_never_leaves_the_bounds() -> None:
    one, other = (simulate(SETTINGS[0], SPEC, 300.0, 3.0, seed=2) for _ in range(2))
    assert one == other
    assert all(LOW <= moment.have <= HIGH for moment in one)
    assert [moment.need for moment in one] == [need_of(place * 0.5 + 0.25, 300.0) for place in range(600)]


def test_without_a_tolerance_upwards_load_a_little_over_the_target_gets_its_pod() -> None:
    """With 0.1 two pods bear up to 2.2 pods' worth without a third. On a slow day that is most of what is missed."""
    seconds = 3600.0
    before, after = (
        elasticity(simulate(SETTINGS[0], with_behavior(30, tolerance), seconds, 7.5, seed=1))
        for tolerance in (None, "0")
    )
    assert after.under < before.under / 2
    assert after.accuracy > before.accuracy


def test_a_behavior_is_that_of_the_runs_but_for_what_is_told() -> None:
    assert with_behavior(30, None) == SPEC
    assert with_behavior(15, "0") != with_behavior(15, None) != SPEC


@pytest.mark.parametrize("part", [PART, BEHAVIORS])
def test_the_page_has_the_marks(part: str) -> None:
    assert DOCUMENT.read_text().count(f"<!-- {part}: written by {SCRIPT} -->") == 1
