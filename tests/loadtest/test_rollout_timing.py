"""The model of docs/rollouts.md: its seconds come in their order, and within what scrapes and looks allow."""

import pytest

from adapter.metrics.scrape.scraper import FIRST_S
from adapter.rollout.hear import EVERY
from adapter.rollout.turns import BUSY
from loadtest.rollout_timing import GATES, SCRAPE_S, STABLE_RATE, TURN_S, Outage, Scene, count_rollbacks, course


@pytest.mark.parametrize("seed", range(3))
def test_a_rollback_comes_after_its_sample_by_no_more_than_the_others_scrapes_and_a_look(seed: int) -> None:
    release = course(Scene(32.0, 0.5, {}), seed)
    assert release.first == FIRST_S
    assert release.first < release.decided < release.verdict
    assert release.verdict - release.decided <= SCRAPE_S + EVERY + BUSY + TURN_S
    assert release.windows in (2, 3)  # the first may be of few requests


def test_fewer_errors_and_fewer_requests_take_longer() -> None:
    def latest(requests: float, rate: float) -> float:
        return max(course(Scene(requests, rate, {}), seed).verdict for seed in range(5))

    assert latest(32.0, 0.5) < latest(32.0, 0.05) < latest(4.0, 0.05)


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
@pytest.mark.parametrize("requests", [250.0, 1000.0])
def test_an_outage_of_both_that_begins_or_ends_between_two_pods_samples_rolls_nothing_back(
    requests: float, gate: dict[str, float]
) -> None:
    """12 releases; of as many a judge that let one window decide rolled 1 to 7 back."""
    assert count_rollbacks(Scene(requests, STABLE_RATE, gate, outage=Outage(1.0, 6.0)), 12) == 0
