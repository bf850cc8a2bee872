"""The simulation of docs/rollouts.md, smaller: its bound, its power, and that it is the judge that is simulated."""

import math

import numpy as np
import pytest

from adapter.rollout.evidence.chance import at_most, upper
from adapter.rollout.evidence.record import begin
from adapter.rollout.judge import hear, verdict
from adapter.rollout.model.verdict import Said
from loadtest.simulate_rollouts import (
    AA,
    ALONE,
    BOUND,
    MARGIN_0,
    NEVER,
    SAMPLE,
    WINDOWS,
    Service,
    bad,
    bursts,
    releases,
)
from tests.rollout.judging import gates, window


@pytest.mark.parametrize("burst", [1.0, 5.0])
@pytest.mark.parametrize("service", AA, ids=[f"{each.requests}-{each.share}" for each in AA])
def test_healthy_releases_are_rolled_back_as_rarely_as_promised(service: Service, burst: float) -> None:
    """600 releases; 45 of them would be 7.5 %, which a true 5 % exceeds with a chance of 0.3 %."""
    ends = releases(service._replace(burst=burst), MARGIN_0, seed=1, count=600)
    assert (ends.rolled_back < NEVER).sum() <= 45


def test_five_percent_of_errors_are_found_soon() -> None:
    """At 100 canary requests per window, beside 0.1 %; with two gates each needs 40."""
    outcomes = releases(Service(1000, share=0.1, rate=0.001), SAMPLE, ratio=50, seed=2, count=300, gates=2)
    assert (outcomes.rolled_back <= 9).all()
    assert float(np.median(outcomes.rolled_back)) <= 4


def test_more_of_a_difference_or_of_traffic_is_found_sooner() -> None:
    def windows(service: Service, ratio: float) -> float:
        return float(np.median(releases(service, MARGIN_0, ratio=ratio, seed=3, count=200).rolled_back))

    few, many = Service(2000, share=0.1, rate=0.001), Service(20_000, share=0.1, rate=0.001)
    assert windows(few, 3) > windows(few, 6) > windows(few, 20)
    assert windows(few, 3) > windows(many, 3)


def test_a_rate_above_the_limit_is_found_and_one_below_it_promoted() -> None:
    bad_ones = releases(Service(1000, share=1.0, rate=0.03), ALONE, seed=4, count=200)
    good_ones = releases(Service(1000, share=1.0, rate=0.002), ALONE, seed=5, count=200)
    assert ((bad_ones.rolled_back < NEVER) & (bad_ones.promoted == NEVER)).mean() > 0.95
    assert (good_ones.promoted < NEVER).mean() > 0.95


@pytest.mark.parametrize(("ratio", "seed"), [(1.0, 6), (8.0, 7), (200.0, 8)])
def test_the_judge_says_the_same_as_the_simulation_release_by_release(ratio: float, seed: int) -> None:
    """The same counts through `hear` and `verdict`, three releases each."""
    service, count = Service(400, share=0.25, rate=0.004, burst=3.0), 3
    ends = releases(service, SAMPLE, ratio=ratio, seed=seed, count=count)
    rng = np.random.default_rng((seed, 0))
    ill = bad(rng, service, 100, service.rate * ratio, (count, WINDOWS))
    ill_stable = bad(rng, service, 300, service.rate, (count, WINDOWS))
    policy = gates({"name": "errors", "metric": "errors", "total": "requests", "limit": 0.01, "margin": 0.5})
    for index in range(count):
        record, back, on = begin(policy.gates), NEVER, NEVER
        for at in range(WINDOWS):
            beside, mine = (300, int(ill_stable[index, at])), (100, int(ill[index, at]))
            record = hear(policy, record, window(at, stable=beside, canary=mine))
            said = verdict(policy, record).verdict.said
            if said is Said.ROLLBACK:
                back = at
                break
            if said is Said.PROMOTE:
                on = min(on, at)
        assert (back, on) == (ends.rolled_back[index], ends.promoted[index])


def test_bursts_have_the_mean_and_the_spread_that_they_should() -> None:
    """A geometric burst of mean 5 has E[m^2] / E[m] = 2 x 5 - 1 = 9: the variance over the mean."""
    counts = bursts(np.random.default_rng(9), 3.0, 5.0, (200_000,))
    assert counts.mean() == pytest.approx(3.0, rel=0.02)
    assert counts.var() / counts.mean() == pytest.approx(9.0, rel=0.03)


def test_a_burst_in_spells_is_the_same_burst() -> None:
    service = Service(10_000, share=1.0, rate=0.01, burst=5.0, spell=3)
    whole = bad(np.random.default_rng(10), service._replace(spell=1), 10_000, 0.01, (50, WINDOWS))
    parts = bad(np.random.default_rng(10), service, 10_000, 0.01, (50, WINDOWS))
    assert parts.sum() == whole.sum()


def test_the_upper_bound_is_that_of_clopper_and_pearson() -> None:
    """No hit in n: 1 - 0.05^(1/n); and the chance of at most 3 of 20 at the bound is 5 %."""
    assert upper(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert upper(5, 5) == 1.0
    assert at_most(3, 20, upper(3, 20)) == pytest.approx(0.05)
    assert sum(math.comb(20, k) * 0.1**k * 0.9 ** (20 - k) for k in range(4)) == pytest.approx(at_most(3, 20, 0.1))
    assert upper(500, 10_000) < BOUND
