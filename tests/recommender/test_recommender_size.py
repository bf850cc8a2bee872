"""What a container's state takes: at most 800 bytes in mode default for any history; nothing that matters is lost."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.checkpoint import codec
from recommender.config import mode
from recommender.model.buckets import CPU, MEMORY
from recommender.model.containers import MAX_AMOUNT, MOST, Model
from recommender.model.histogram import Histograms
from recommender.settings import Settings

MOST_BYTES = 800
CONTAINERS = 1000
"""So many that an arena's fixed reserve (64 units of 32 bytes) is 2 bytes a container."""
HOUR, DAY, T0 = 3600.0, 86400.0, 1767225600.0
OURS = mode(Settings()).aggregation
FRACTIONS = (0.5, 0.9, 0.95)

step = st.tuples(
    st.sampled_from(["read", "read", "read", "replace", "restart", "kill"]),
    st.floats(0.0, 18.0),  # the logarithm of the least usage, millicores or MB
    st.floats(0.0, 18.0),  # how far above it the largest is
    st.sampled_from([60.0, HOUR, DAY, 9 * DAY, 200 * DAY]),
    st.integers(1, 6),  # readings
)


def bytes_each(model: Model) -> float:
    return model.nbytes / CONTAINERS


@settings(max_examples=25, deadline=None)
@given(st.lists(step, min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_a_containers_state_is_800_bytes_at_most_whatever_it_has_used(history: list[Any], seed: int) -> None:
    """Usage from nothing to the last bucket, new pods, new workloads, kills, restarts from checkpoints, long gaps."""
    random = np.random.default_rng(seed)
    model, now = Model(OURS), T0
    rows = model.states.take(CONTAINERS)
    instances = model.start(rows)
    for what, least, width, gap, readings in history:
        for _ in range(readings):
            now += gap
            used = np.exp(least + width * random.random((2, CONTAINERS)))
            times = np.full(CONTAINERS, now)
            model.observe_cpu(instances, used[0].astype(np.int64), times)
            model.observe_memory(instances, np.minimum(used[1] * 1e6, MAX_AMOUNT).astype(np.int64), times)
            assert bytes_each(model) <= MOST_BYTES
        if what == "kill":
            model.observe_oom(instances, np.full(CONTAINERS, 10**9), np.full(CONTAINERS, now))
        if what == "replace":
            model.stop(instances)
            half = rows[:: random.integers(1, 4)]
            model.states.release(half)
            rows = np.concatenate((np.setdiff1d(rows, half), model.states.take(len(half))))
            instances = model.start(rows)
        if what == "restart":
            saved, extras = codec.encode(model, rows, now), codec.encode_extra(model.states, rows)
            model = Model(OURS)
            rows = model.states.take(CONTAINERS)
            codec.restore(model.states, rows, saved)
            codec.restore_extras(model.states, rows, extras)
            instances = model.start(rows)
        assert bytes_each(model) <= MOST_BYTES


def test_one_container_after_another_takes_no_more_than_all_at_once() -> None:
    """A cluster that grows: room to grow into is a part in 32."""
    model = Model(OURS)
    for _ in range(400):
        instance = model.start(model.states.take(1))
        for day in range(3):
            time = np.array([T0 + day * DAY])
            model.observe_cpu(instance, np.array([1000**day]), time)
            model.observe_memory(instance, np.array([1000**day * 10**6]), time)
    assert model.nbytes / 400 <= MOST_BYTES


reading = st.tuples(st.integers(0, 3), st.floats(0.0, 14.0), st.floats(0.0, 150.0))


def both(readings: list[Any], narrow: float = 1.0) -> tuple[Histograms, Histograms]:
    """The same readings in a bounded histogram and in one of VPA's; `narrow` draws their logarithms together."""
    bounded, exact = Histograms(CPU, DAY, MOST["cpu"]), Histograms(CPU, DAY)
    for made in (bounded, exact):
        made.extend(4)
        for row, exponent, days in readings:
            amount = np.array([int(np.exp(exponent * narrow))])
            made.add(np.array([row]), amount, 0.1, np.array([T0 + days * DAY]))
    return bounded, exact


@settings(max_examples=60, deadline=None)
@given(st.lists(reading, min_size=1, max_size=30))
def test_a_bounded_percentile_is_in_the_column_of_the_exact_one(readings: list[Any]) -> None:
    """Columns are 4 buckets at most: it ends 3 later at most (200m x (1.05^k - 1)); light ends weigh a 10,000th."""
    bounded, exact = both(readings)
    percentiles = bounded.percentiles(FRACTIONS)
    low, high = (exact.percentiles([fraction + by for fraction in FRACTIONS]) for by in (-1e-3, 1e-3))
    assert (percentiles >= low * (1 - 1e-9)).all()
    assert (percentiles <= ((high + 0.2) * 1.05**3 - 0.2) * (high > 0) * (1 + 1e-9)).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(reading, min_size=1, max_size=30))
def test_use_within_three_cores_is_told_apart_as_finely_as_by_vpa(readings: list[Any]) -> None:
    """Up to e^(14 x 0.56) = 2,540m: 55 buckets from the first on."""
    bounded, exact = both(readings, narrow=0.56)
    assert not bounded.arena.scale.any()
    for row in range(4):
        assert bounded.weights(row) == pytest.approx(exact.weights(row), rel=1e-5, abs=1e-30)


@settings(max_examples=40, deadline=None)
@given(st.lists(reading, min_size=1, max_size=30))
def test_a_bounded_histogram_comes_back_from_its_checkpoint_as_it_was(readings: list[Any]) -> None:
    """But for weights that a checkpoint rounds: a 10,000th of the heaviest."""
    bounded, _ = both(readings)
    again = Histograms(CPU, DAY, MOST["cpu"])
    again.extend(4)
    again.load_many(np.arange(4), bounded.checkpoint_weights(np.arange(4)), bounded.total, bounded.reference)
    fractions = [fraction + by for fraction in FRACTIONS for by in (-0.01, 0.01)]
    low, high = bounded.percentiles(fractions).reshape(3, 2, 4).transpose(1, 0, 2)
    percentiles = again.percentiles(FRACTIONS)
    assert (percentiles >= low * (1 - 1e-9)).all()
    assert (percentiles <= high * (1 + 1e-9)).all()


def test_what_is_taken_back_of_a_bounded_histogram_is_gone() -> None:
    """A peak that a larger one replaces: single precision leaves nothing of it."""
    made = Histograms(MEMORY, DAY, MOST["memory"])
    made.extend(1)
    row, time = np.array([0]), np.array([T0 + 60.3 * DAY])
    for amount in (10**8, 3 * 10**9, 10**12):
        made.add(row, np.array([amount]), 1.0, time)
        made.subtract(row, np.array([amount]), 1.0, time)
        assert made.percentiles((1.0,))[0, 0] == 0.0
    assert made.total[0] == 0.0


def test_mode_vpa_keeps_every_bucket_and_every_bit() -> None:
    """176 of both, as VPA does: what makes its numbers equal cannot be bounded below that."""
    model = Model(mode(Settings(mode="vpa")).aggregation)
    assert model.states.cpu.arena.dtype == np.float64
    instance = model.start(model.states.take(1))
    for bucket, amount in enumerate(CPU.least.tolist()):
        model.observe_cpu(instance, np.array([amount]), np.array([T0 + 60.0 * bucket]))
    assert np.count_nonzero(model.states.cpu.weights(0)) == CPU.count
