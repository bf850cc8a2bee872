"""E-values: their expectation under the null, mixtures, spread, and what is kept of them."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter.rollout.evidence import dispersion, events, gauges, likelihood, mixture
from adapter.rollout.evidence.codec import EvidenceError, pack, unpack
from adapter.rollout.evidence.events import Bar, Events, Interval
from adapter.rollout.evidence.likelihood import RHOS, SIGNS

CANARY = Bar(limit=0.01, margin=0.5, concurrent=True)


def probabilities(count: int, part: float) -> NDArray[Any]:
    """The probability of each number of hits from 0 to `count`."""
    return np.array([math.comb(count, hits) * part**hits * (1 - part) ** (count - hits) for hits in range(count + 1)])


def column(*values: int) -> NDArray[Any]:
    return np.array(values, dtype=float)[:, None]


def interval(canary: int, bad: int, stable: float, bad_stable: int) -> Interval:
    return Interval(*(np.asarray(float(part)) for part in (canary, bad, stable, bad_stable)))


@pytest.mark.parametrize("most", [1.0, 1.5])
@pytest.mark.parametrize(("canary", "stable"), [(100, 900), (50, 50), (990, 10)])
def test_the_share_of_bad_events_has_expectation_one_where_the_canary_is_as_bad_as_allowed(
    canary: int, stable: int, most: float
) -> None:
    """Of 7 bad events each is the canary's with chance most x canary / (most x canary + stable)."""
    chance = probabilities(7, most * canary / (most * canary + stable))
    ratios = likelihood.share(canary=column(canary), stable=column(stable), most=most, rhos=RHOS)
    hits, misses = column(*range(8)), column(*range(7, -1, -1))
    for logs in (likelihood.product_of(ratios, hits, misses, np.array(1.0)), likelihood.mean_of(ratios, hits, misses)):
        assert chance @ np.exp(logs) == pytest.approx(np.ones(len(RHOS)))


def test_the_rate_has_expectation_one_at_the_limit_and_less_below_it() -> None:
    ratios = likelihood.rate(np.array([[0.05]]), RHOS)
    bad, good = column(*range(21)), column(*range(20, -1, -1))
    for logs in (likelihood.product_of(ratios, bad, good, np.array(1.0)), likelihood.mean_of(ratios, bad, good)):
        assert probabilities(20, 0.05) @ np.exp(logs) == pytest.approx(np.ones(len(RHOS)))
        assert (probabilities(20, 0.03) @ np.exp(logs) < 1).all()


@pytest.mark.parametrize("size", [1, 5, 20])
def test_a_stake_on_the_bad_rate_has_expectation_one_at_the_limit_for_bursts_of_any_size(size: int) -> None:
    """A window of 20 requests in bursts of `size`, each of which is bad, as a whole, with a chance of 5 %."""
    bursts = 20 // size
    times = size * column(*range(bursts + 1)) / (20 * 0.05)
    logs = likelihood.stake(times, RHOS)
    assert probabilities(bursts, 0.05) @ np.exp(logs) == pytest.approx(np.ones(len(RHOS)))
    assert (probabilities(bursts, 0.03) @ np.exp(logs) < 1).all()
    assert (np.diff(logs, axis=0) > 0).all()


def test_five_times_what_is_allowed_is_about_five_to_one_and_half_of_the_requests_fifty() -> None:
    """Most of 1/rho + (1 - 1/rho) x times: 0.02 + 0.98 x 5 = 4.92, and 0.02 + 0.98 x 50 = 49.02."""
    assert np.exp(likelihood.stake(column(5, 50), RHOS).max(axis=-1)) == pytest.approx([4.92, 49.02])


@pytest.mark.parametrize("margin", [None, 0.5])
@pytest.mark.parametrize("requests", [100, 100_000])
def test_one_window_beside_stable_pods_says_ten_to_one_at_most(requests: int, margin: float | None) -> None:
    """All ten to one: half of 10, and half of the 10 and the 1 that begin now and later, is 7.75."""
    beside = Bar(limit=0.01, margin=margin, concurrent=True)
    seen = interval(requests, requests, 3 * requests, 0)
    assert float(events.against(events.hear(events.begin(), beside, seen))) <= math.log(7.75) + 1e-9
    alone = events.hear(events.begin(), beside, interval(requests, requests, 0, 0))  # nothing to excuse it
    assert float(events.against(alone)) > math.log(20)


def test_a_window_in_which_half_of_the_requests_fail_is_enough_beside_a_limit_of_one_percent() -> None:
    """36 of 72, where 0.72 are allowed: the mean stake wins 33 to 1, and half of a half has not begun yet."""
    alone = Bar(limit=0.01, margin=None, concurrent=False)
    half, fewer = (events.hear(events.begin(), alone, interval(72, bad, 0, 0)) for bad in (36, 12))
    assert float(events.against(half)) >= math.log(20) > float(events.against(fewer))


@pytest.mark.parametrize("size", [1, 3, 6])
def test_bursts_no_larger_than_the_spread_keep_the_expectation_at_most_one(size: int) -> None:
    """4 bursts of `size` events, each wholly the canary's with chance 0.5; the spread is 6."""
    chance = probabilities(4, 0.5)
    ratios = likelihood.share(canary=column(100), stable=column(100), most=1.0, rhos=RHOS)
    hits = size * column(*range(5))
    logs = likelihood.product_of(ratios, hits, 4 * size - hits, np.array(6.0))
    assert (chance @ np.exp(logs) <= 1 + 1e-12).all()


@pytest.mark.parametrize("sizes", [(1, 50), (40, 3, 2), (7,)])
def test_the_mean_over_events_keeps_the_expectation_for_bursts_of_any_size(sizes: tuple[Any, ...]) -> None:
    ratios = likelihood.share(canary=column(100), stable=column(300), most=1.0, rhos=RHOS)
    total = np.zeros(len(RHOS))
    for mask in range(2 ** len(sizes)):
        mine = [bool(mask >> index & 1) for index in range(len(sizes))]
        chance = math.prod(0.25 if own else 0.75 for own in mine)
        hits = sum(size for size, own in zip(sizes, mine, strict=True) if own)
        logs = likelihood.mean_of(ratios, column(hits), column(sum(sizes) - hits))[0]
        total += chance * np.exp(logs)
    assert total == pytest.approx(np.ones(len(RHOS)))


def test_a_sign_has_expectation_one_for_a_fair_coin() -> None:
    both = np.exp(likelihood.sign(np.array([[True], [False]])))
    assert both.mean(axis=0) == pytest.approx(np.ones(len(SIGNS)))


def test_a_mixture_multiplies_per_alternative_then_averages() -> None:
    """Two alternatives, ratios 2 and 1/2 three times.

    Whole: (8 + 1/8) / 2. Late: starts at interval 0, 1, 2 weigh 1/2, 1/6, 1/12, the rest (1/4) has not begun:
    for ratio 2: 8/2 + 4/6 + 2/12 = 4.8333; for 1/2: 1/16 + 1/24 + 1/24 = 0.14583; half each, plus 0.25.
    """
    evidence = mixture.begin((), 2)
    for _ in range(3):
        evidence = mixture.hear(evidence, np.log([2.0, 0.5]))
    whole, late = (8 + 1 / 8) / 2, (4.8333333 + 0.1458333) / 2 + 0.25
    assert math.exp(mixture.value(evidence)) == pytest.approx((whole + late) / 2)


@given(st.lists(st.sampled_from([0.0, -0.7, 0.4]), max_size=30))
def test_a_mixture_of_ones_is_one_and_no_mixture_falls_below_its_unborn_part(logs: list[Any]) -> None:
    """After n intervals half of 1 / (n + 1) has not begun yet, and stays 1."""
    evidence = mixture.begin((), 1)
    for log in logs:
        evidence = mixture.hear(evidence, np.array([log]))
    assert math.exp(mixture.value(evidence)) >= 0.5 / (len(logs) + 1) - 1e-12
    if not any(logs):
        assert mixture.value(evidence) == pytest.approx(0)


def hear_stable(spread: dispersion.Dispersion, bad: float) -> dispersion.Dispersion:
    """The spread after one more window of 1,000 stable requests, `bad` of them bad; the canary has none."""
    return dispersion.hear(spread, np.array([1000.0, 0.0]), np.array([float(bad), 0.0]))


def test_single_events_have_a_spread_of_about_one_and_bursts_have_their_size() -> None:
    """Bursts of 5 events each: events x 5, so the spread is 5."""
    rng = np.random.default_rng(1)
    for size in (1, 5):
        spread = dispersion.begin(())
        for _ in range(4000):
            spread = hear_stable(spread, size * rng.poisson(3.0))
        assert float(dispersion.estimate(spread).plain) == pytest.approx(size, rel=0.1)
        assert float(dispersion.estimate(spread).cautious) == pytest.approx(size * dispersion.SAFETY, rel=0.1)


def test_a_slow_change_of_the_rate_is_no_burst() -> None:
    rng = np.random.default_rng(2)
    spread = dispersion.begin(())
    for index in range(2000):
        rate = 5 + 4 * np.sin(index / 60)
        spread = hear_stable(spread, rng.poisson(rate))
    assert float(dispersion.estimate(spread).plain) == pytest.approx(1, rel=0.1)


def test_before_anything_was_seen_bursts_are_feared_against_a_release_and_not_in_its_favour() -> None:
    nothing = dispersion.estimate(dispersion.begin(()))
    assert float(nothing.cautious) == dispersion.FIRST * dispersion.SAFETY
    assert float(nothing.plain) == 1


def test_356_clean_requests_show_a_rate_below_one_percent() -> None:
    """The mean of four likelihood ratios reaches 20 at 356 requests, with no bad one."""
    alone = Bar(limit=0.01, margin=None, concurrent=False)
    for requests, enough in ((355, False), (356, True)):
        evidence = events.hear(events.begin(), alone, interval(requests, 0, 0, 0))
        assert bool(events.in_favour(evidence, alone) >= math.log(20)) is enough


def test_windows_may_be_cut_anywhere_for_what_is_a_sum() -> None:
    """Evidence in favour and the alternatives that hold from the start, with events taken as single ones."""
    parts = [(40, 1, 400, 2), (60, 0, 600, 1), (100, 2, 1000, 5)]
    ratios = likelihood.share(canary=column(200), stable=column(2000), most=1.5, rhos=RHOS)
    whole = likelihood.product_of(ratios, column(3), column(8), np.array(1.0))
    split = sum(
        likelihood.product_of(
            likelihood.share(canary=column(part[0]), stable=column(part[2]), most=1.5, rhos=RHOS),
            column(part[1]),
            column(part[3]),
            np.array(1.0),
        )
        for part in parts
    )
    assert split == pytest.approx(whole)


def test_evidence_in_favour_is_capped_so_that_a_long_past_is_soon_outweighed() -> None:
    evidence = events.begin()
    for _ in range(1000):
        evidence = events.hear(evidence, CANARY, interval(1000, 0, 9000, 9))
    assert float(events.in_favour(evidence, CANARY)) <= events.CAP


@pytest.mark.parametrize("stable", [0.0, 900.0])
def test_the_limit_is_lifted_only_where_stable_itself_is_above_it(stable: float) -> None:
    bar = Bar(limit=0.01, margin=None, concurrent=True)
    alone = events.hear(events.begin(), bar, interval(100, 8, 0, 0))
    healthy = events.hear(events.begin(), bar, interval(100, 8, stable, 0))
    assert float(events.against(healthy)) == pytest.approx(float(events.against(alone)))
    assert float(events.against(alone)) > 0
    shared = events.hear(events.begin(), bar, interval(100, 30, 900, 270))
    assert float(events.against(shared)) < 0


def test_the_first_bad_request_of_an_interval_lifts_no_limit_and_the_second_does() -> None:
    """1 of 90 stable requests is above 1 %, and so it was in each eleventh interval of pods with 0.1 % bad."""
    bar = Bar(limit=0.01, margin=None, concurrent=True)
    none, one, two = (float(events.against(events.hear(calm(), bar, interval(30, 2, 90, bad)))) for bad in (0, 1, 2))
    assert one == pytest.approx(none)
    assert two < 0 < one


def calm() -> Events:
    """After intervals of stable pods alone, 100 of whose requests were good."""
    return events.begin()._replace(recent=np.array([200.0, 0.0]))


def test_a_gauges_windows_are_worse_fine_or_neither() -> None:
    bar = Bar(limit=8.0, margin=0.5, concurrent=True)
    cases = {(2.0, 2.9): (False, True), (2.0, 3.1): (True, True), (2.0, 9.0): (True, False), (9.0, 9.0): (False, True)}
    for (stable, canary), expected in cases.items():
        answers = gauges.compare(bar, np.asarray(canary), np.asarray(stable), lower_is_worse=False)
        assert tuple(bool(each) for each in answers) == expected, (stable, canary)


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.floats(0.5, 10), st.booleans())
def test_a_gauge_compared_with_stable_does_not_depend_on_its_unit(
    stable: float, canary: float, unit: float, lower: bool
) -> None:
    bar = Bar(limit=None, margin=0.5, concurrent=True)
    if abs(canary / stable - 1.5) < 1e-6 or abs(canary / stable - 0.5) < 1e-6:
        return
    one = gauges.compare(bar, np.asarray(canary), np.asarray(stable), lower_is_worse=lower)
    other = gauges.compare(bar, np.asarray(unit * canary), np.asarray(unit * stable), lower_is_worse=lower)
    assert tuple(map(bool, one)) == tuple(map(bool, other))


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
@example(stable=2.0**257, canary=-1e-293, lower=True)
def test_gauges_of_any_size_are_compared_as_exact_numbers_are(stable: float, canary: float, lower: bool) -> None:
    """With a margin of 0 or 1 nothing is rounded: stable's value, or twice as much of it, or 0."""
    way = -1 if lower else 1
    value, beside = way * Fraction(canary), way * Fraction(stable)
    for margin in (0, 1):
        bar = Bar(limit=None, margin=float(margin), concurrent=True)
        worse, _ = gauges.compare(bar, np.asarray(canary), np.asarray(stable), lower_is_worse=lower)
        assert bool(worse) == (value > beside + margin * abs(beside))
    kept = gauges.hear(gauges.begin(), bar, np.asarray(canary), np.asarray(stable), lower_is_worse=lower)
    back = unpack(gauges.begin(), json.loads(json.dumps(pack(kept))))
    assert np.allclose(back.seen, kept.seen)
    assert np.abs(kept.course).max() <= 1


def test_what_is_kept_survives_json_and_goes_on_as_if_nothing_happened() -> None:
    evidence = events.begin()
    for index in range(5):
        evidence = events.hear(evidence, CANARY, interval(100, index, 900, 1))
    back = unpack(events.begin(), json.loads(json.dumps(pack(evidence))))
    one, other = (events.hear(each, CANARY, interval(100, 2, 900, 0)) for each in (evidence, back))
    assert float(events.against(one)) == pytest.approx(float(events.against(other)), abs=1e-6)


@pytest.mark.parametrize("raw", [None, [], {}, [[0.0], 1], "x", [[["a"] * 4]], [[float("nan")] * 4] * 3])
def test_what_is_no_evidence_is_refused(raw: Any) -> None:
    with pytest.raises(EvidenceError):
        unpack(gauges.begin(), raw)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500)), max_size=20)
)
def test_every_number_stays_finite(parts: list[Any]) -> None:
    evidence = events.begin()
    for canary, bad, stable, bad_stable in parts:
        if canary:
            evidence = events.hear(
                evidence, CANARY, interval(canary, min(bad, canary), stable, min(bad_stable, stable))
            )
    flat = np.concatenate(
        [np.ravel(part) for part in (evidence.against.whole, evidence.against.late, evidence.below_stable)]
    )
    assert np.isfinite(flat).all()
    assert np.isfinite([events.against(evidence), events.in_favour(evidence, CANARY)]).all()
