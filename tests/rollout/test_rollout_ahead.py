"""What a judgement says is still wanted, held against what then was; and how rarely bursts alone decide."""

from typing import Any

import numpy as np
import pytest

from adapter.rollout.evidence import breaker, events
from adapter.rollout.evidence.events import Bar, Interval
from adapter.rollout.evidence.record import begin
from adapter.rollout.judge import hear, verdict
from adapter.rollout.model.verdict import Said, Stage
from tests.rollout.judging import ERRORS, LIMIT, MARGIN, draw_windows, gates

SEEDS = 25
LOOK = 3
"""Windows after which the judge is asked how many requests are wanted still."""


def predicted_and_actual_requests(gate: dict[str, Any], seed: int, **rates: Any) -> tuple[float, float]:
    """More canary requests after LOOK windows: as predicted then, and as they took until the verdict."""
    policy = gates(gate)
    record, asked, requests = begin(policy.of(Stage.CANARY)), None, rates["requests"][1]
    for count, window in enumerate(draw_windows(400, seed=seed, **rates), 1):
        record = hear(policy, record, window)
        judgement = verdict(policy, record)
        if judgement.verdict.said is not Said.HOLD:
            return (asked if asked is not None else np.nan), (count - LOOK) * requests
        if count == LOOK:
            asked = judgement.gates[0].more or np.inf
    return np.nan, np.inf


@pytest.mark.parametrize(
    ("gate", "stable", "canary", "requests"),
    [
        pytest.param(LIMIT, 0.0005, 0.0005, (180, 20), id="good-by-the-limit"),
        pytest.param(ERRORS, 0.0005, 0.0005, (180, 20), id="good-by-either"),
        pytest.param(ERRORS, 0.01, 0.05, (900, 100), id="bad-beside-stable"),
        pytest.param({**MARGIN, "margin": 0.0}, 0.01, 0.03, (900, 100), id="bad-by-the-margin-alone"),
        pytest.param(LIMIT, 0.001, 0.03, (180, 20), id="bad-by-the-limit-in-small-windows"),
    ],
)
def test_it_asks_for_about_as_many_requests_as_there_will_be(
    gate: dict[str, Any], stable: float, canary: float, requests: tuple[int, int]
) -> None:
    """Within a factor of 2.5, as the median of SEEDS releases."""
    pairs = [
        predicted_and_actual_requests(gate, seed, stable=stable, canary=canary, requests=requests)
        for seed in range(SEEDS)
    ]
    ratios = [needed / asked for asked, needed in pairs if not np.isnan(asked)]
    assert len(ratios) > SEEDS / 2
    assert 0.4 < np.median(ratios) < 2.5


def bursts(rng: np.random.Generator, requests: int, rate: float, mean: float, releases: int) -> Any:
    """Bad requests, in a Poisson number of bursts of geometric size."""
    number = rng.poisson(requests * rate / mean, releases)
    more = np.where(number > 0, rng.negative_binomial(np.maximum(number, 1), 1 / mean), 0)
    return np.minimum(number + more, requests).astype(float)


@pytest.mark.parametrize("mean", [1.0001, 5, 10, 20])
@pytest.mark.parametrize("requests", [(900, 100), (100, 100), (9000, 1000)])
def test_bursts_show_no_release_to_be_below_stable_that_is_twice_as_bad(mean: float, requests: tuple[int, int]) -> None:
    """400 releases of 100 windows each, stable 0.5 % bad; a single burst of stable's is no evidence for anybody."""
    rng, releases, bar = np.random.default_rng(7), 400, Bar(limit=None, margin=0.0, concurrent=True)
    heard, promoted = events.begin((releases,)), np.zeros(releases, bool)
    of_stable, of_canary = (np.full(releases, float(each)) for each in requests)
    for _ in range(100):
        bad_stable = bursts(rng, requests[0], 0.005, mean, releases)
        bad = bursts(rng, requests[1], 0.01, mean, releases)
        heard = events.hear(heard, bar, Interval(of_canary, bad, of_stable, bad_stable))
        promoted |= events.in_favour(heard, bar) >= np.log(20)
    assert promoted.mean() <= 0.05


class Chain:
    """Bad requests one after the other: a burst goes on over the end of a window of few requests."""

    def __init__(self, rng: np.random.Generator, *, rate: float, mean: float, releases: int) -> None:
        self._rng, self._on = rng, np.zeros(releases, bool)
        self._begins, self._stays = rate / mean / (1 - rate), 1 - 1 / mean

    def __call__(self, requests: int) -> Any:
        bad = np.zeros(len(self._on))
        for _ in range(requests):
            self._on = self._rng.random(len(self._on)) < np.where(self._on, self._stays, self._begins)
            bad += self._on
        return bad


@pytest.mark.parametrize(
    "bar", [Bar(limit=0.01, margin=0.0, concurrent=True), Bar(limit=0.02, margin=None, concurrent=True)]
)
@pytest.mark.parametrize(("stable", "canary", "rate"), [(10, 10, 0.05), (15, 5, 0.01), (40, 10, 0.02)])
def test_bursts_that_outlast_a_window_roll_no_good_release_back(
    stable: int, canary: int, rate: float, bar: Bar
) -> None:
    """400 releases of 100 windows, arms alike, bursts of mean 5: at most 6 %, and 3 standard errors of 400 draws."""
    releases = 400
    rng = np.random.default_rng(11)
    draw, draw_stable = (Chain(rng, rate=rate, mean=5.0, releases=releases) for _ in range(2))
    heard, back, failing = events.begin((releases,)), np.zeros(releases, bool), np.zeros(releases)
    for _ in range(100):
        parts = (np.full(releases, float(canary)), draw(canary), np.full(releases, float(stable)), draw_stable(stable))
        now = Interval(*parts)
        heard = events.hear(heard, bar, now)
        before, failing = failing, np.where(breaker.plain(*now, bar.limit or 0.0), failing + now.bad, 0.0)
        back |= (events.against(heard) >= np.log(20)) | breaker.acts(before, failing, now.stable)
    assert back.mean() <= 0.06 + 3 * (0.06 * 0.94 / releases) ** 0.5
