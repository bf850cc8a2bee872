"""The model of docs/rollouts.md: its seconds come in their order, and within what scrapes and looks allow."""

import pytest

from adapter.rollout.hear import EVERY
from adapter.rollout.turns import BUSY
from loadtest.rollout_timing import SCRAPE_S, TURN_S, course


@pytest.mark.parametrize("seed", range(3))
def test_a_rollback_comes_after_its_sample_by_no_more_than_the_others_scrapes_and_a_look(seed: int) -> None:
    found = course(32.0, 0.5, {}, seed)
    assert 0 <= found.first <= SCRAPE_S
    assert found.first < found.decided < found.verdict
    assert found.verdict - found.decided <= SCRAPE_S + EVERY + BUSY + TURN_S
    assert found.windows in (2, 3)  # the first may be of few requests


def test_fewer_errors_and_fewer_requests_take_longer() -> None:
    def latest(requests: float, rate: float) -> float:
        return max(course(requests, rate, {}, seed).verdict for seed in range(5))

    assert latest(32.0, 0.5) < latest(32.0, 0.05) < latest(4.0, 0.05)
