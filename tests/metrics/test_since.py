"""Samples of a pod count since a moment: what came before belongs to another life, or another load."""

import pytest

from adapter.metrics.sample import Sample, Series
from adapter.metrics.source import Query, Since
from adapter.metrics.store.store import Store

T = 1_000_000.0
RATE = "sum by (namespace, pod) (rate(hits[60s]))"
A, B = ("x", "a"), ("x", "b")


def counters(**pods: list[tuple[float, float]]) -> Store:
    """A store of `hits` per pod of namespace x: (time after T, s; value)."""
    store = Store()
    for pod, samples in pods.items():
        for code, share in (("200", 0.9), ("500", 0.1)):
            series = Series.of("hits", {"namespace": "x", "pod": pod, "code": code})
            store.extend((series, value * share, T + time) for time, value in samples)
    return store


def steps(until: float, *rates: tuple[float, float]) -> list[tuple[float, float]]:
    """A counter scraped every 5 s up to `until`: (from that time, requests/s), one after the other."""
    value, readings, time = 0.0, [], 0.0
    while time <= until:
        readings.append((time, value))
        value += 5 * [rate for begin, rate in rates if begin <= time][-1]
        time += 5
    return readings


def ask(store: Store, promql: str, at: float, since: Since, *, adaptive: bool = True) -> dict[str, Sample]:
    return {sample.labels["pod"]: sample for sample in store.query(Query(promql, adaptive), T + at, since)}


@pytest.mark.parametrize("adaptive", [True, False])
def test_a_rate_is_taken_over_the_intervals_that_begin_since(adaptive: bool) -> None:
    store = counters(a=steps(60, (0, 50), (50, 75)), b=steps(60, (0, 50)))
    samples = ask(store, RATE, 60, {A: T + 50}, adaptive=adaptive)
    assert (samples["a"].value, samples["a"].window) == (pytest.approx(75), 10)  # 2 intervals of 375
    assert samples["b"].value == pytest.approx(50)  # nobody said anything of b
    assert samples["b"].window >= 55  # (0, 60] without the sample at 0, or with it


def test_one_whole_interval_is_enough_after_a_known_change() -> None:
    store = counters(a=steps(60, (0, 50), (55, 75)))
    assert ask(store, RATE, 60, {A: T + 55})["a"].value == pytest.approx(75)


@pytest.mark.parametrize("adaptive", [True, False])
def test_without_a_whole_interval_since_there_is_no_value(adaptive: bool) -> None:
    store = counters(a=steps(60, (0, 50)), b=steps(60, (0, 50)))
    assert list(ask(store, RATE, 60, {A: T + 56}, adaptive=adaptive)) == ["b"]  # its newest interval began at 55


def test_a_plain_value_counts_if_it_was_sampled_since() -> None:
    store = Store()
    for pod in "ab":
        store.extend([(Series.of("depth", {"namespace": "x", "pod": pod}), 4.0, T + 55)])
    assert list(ask(store, "sum by (namespace, pod) (depth)", 60, {A: T + 56, B: T + 55})) == ["b"]


def test_a_moment_long_ago_changes_nothing() -> None:
    store = counters(a=steps(200, (0, 50)))
    assert ask(store, RATE, 200, {A: T + 10}) == ask(store, RATE, 200, {})


def test_a_pod_that_the_store_does_not_know_changes_nothing() -> None:
    store = counters(a=steps(60, (0, 50)))
    assert ask(store, RATE, 60, {("x", "unknown"): T + 60}) == ask(store, RATE, 60, {})
