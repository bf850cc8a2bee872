"""The embedded store: what it takes, keeps, forgets and lists."""

import asyncio
import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.metrics.sample import Series
from adapter.metrics.source import Query, Source, UnsupportedQuery
from adapter.metrics.store import ring as ring_module
from adapter.metrics.store.family import Family
from adapter.metrics.store.ring import MAX_ROWS, Put, Ring
from adapter.metrics.store.source import EmbeddedSource
from adapter.metrics.store.store import Store
from adapter.metrics.store.strings import Strings

T = 1_000_000.0


def requests(pod: str, **labels: str) -> Series:
    return Series.of("requests_total", {"pod": pod, **labels})


def fill(store: Store, series: Series, *samples: tuple[Any, ...]) -> None:
    store.extend((series, value, T + time) for time, value in samples)


def ask(store: Store, promql: str, at: float = 0.0) -> dict[Any, Any]:
    return {tuple(sorted(s.labels.items())): s.value for s in store.query(Query(promql), T + at)}


def test_the_newest_value_is_served() -> None:
    store = Store()
    fill(store, requests("a"), (0, 1), (5, 2))
    assert store.query(Query("requests_total"), T + 6) == [({"__name__": "requests_total", "pod": "a"}, 2, T + 5, 0)]


def test_values_older_than_the_lookback_are_not_served() -> None:
    store = Store(lookback_s=60)
    fill(store, requests("a"), (0, 1))
    assert ask(store, "requests_total", at=59.9)
    assert not ask(store, "requests_total", at=60)


def test_samples_after_the_evaluation_are_not_seen() -> None:
    store = Store()
    fill(store, requests("a"), (0, 1), (5, 2), (10, 9))
    assert list(ask(store, "requests_total", at=7).values()) == [2]


def test_duplicate_late_and_too_dense_samples_are_dropped_and_counted() -> None:
    store = Store()
    fill(store, requests("a"), (0, 1), (5, 2), (5, 7), (3, 7), (5.5, 7), (6, 3))
    assert ask(store, "sum_over_time(requests_total[1m])", at=10) == {(("pod", "a"),): 1 + 2 + 3}
    seen = store.statistics
    assert (seen.stored, seen.duplicate, seen.late, seen.dense) == (3, 1, 1, 1)


def test_a_sample_that_passes_by_is_the_newest_and_in_no_window() -> None:
    """10 requests in the 5 s from sample to sample are 2/s; the one that passed by 3 s later is in no rate."""
    store = Store(interval_s=5)
    fill(store, requests("a"), (0, 0), (5, 10))
    store.pass_by([(requests("a"), 50.0, T + 8), (requests("b"), 7.0, T + 8)])
    a, b = (("__name__", "requests_total"), ("pod", "a")), (("__name__", "requests_total"), ("pod", "b"))
    assert ask(store, "requests_total", at=9) == {a: 50, b: 7}
    assert ask(store, "timestamp(requests_total)", at=9) == {(("pod", "a"),): T + 8, (("pod", "b"),): T + 8}
    assert ask(store, "requests_total", at=7) == {a: 10}  # it is not there before its time
    assert ask(store, "rate(requests_total[1m])", at=9) == {(("pod", "a"),): 2}
    assert ask(store, "count_over_time(requests_total[1m])", at=9) == {(("pod", "a"),): 2}
    fill(store, requests("a"), (10, 60))
    assert ask(store, "requests_total", at=11) == {a: 60, b: 7}
    assert (store.statistics.stored, store.statistics.passing) == (3, 2)


def test_what_passed_by_late_hides_nothing_and_goes_with_its_series() -> None:
    store = Store(interval_s=5)
    fill(store, requests("a"), (0, 0), (5, 10))
    store.pass_by([(requests("a"), 9.0, T + 4), (requests("b"), 7.0, T + 4)])
    assert list(ask(store, "requests_total{pod='a'}", at=6).values()) == [10]
    assert store.forget({"pod": "b"}) == 1
    fill(store, requests("c"), (5, 1))  # the row of b
    assert sorted(ask(store, "requests_total", at=6).values()) == [1, 10]


def test_samples_of_a_pod_in_transition_count_from_its_moment_though_they_pass_by() -> None:
    store = Store()
    fill(store, Series.of("requests_total", {"pod": "a", "namespace": "shop"}), (0, 1))
    store.pass_by([(Series.of("requests_total", {"pod": "a", "namespace": "shop"}), 2.0, T + 3)])
    begins = {("shop", "a"): T + 2}
    assert [sample.value for sample in store.query(Query("requests_total"), T + 4, begins)] == [2]
    assert store.query(Query("requests_total"), T + 4, {("shop", "a"): T + 3.5}) == []


def test_a_sample_without_a_time_is_dropped() -> None:
    store = Store()
    store.extend([(requests("a"), 1.0, float("nan"))])
    assert store.statistics.stored == 0


def test_who_makes_ever_new_series_fills_a_quarter_of_the_store_and_is_named() -> None:
    """A limit of 48,000 is 12,000 for one pod; 5,000 new ones at each of 3 scrapes."""
    store = Store(max_series=48_000)
    for scrape in range(3):
        store.extend((requests("bomb", namespace="shop", id=f"{scrape}-{n}"), 1.0, T) for n in range(5_000))
    assert len(store) == 12_000
    assert store.statistics.refused == 3_000
    assert store.statistics.problem.startswith("shop/bomb has 12000 series, a single one's limit")
    fill(store, requests("new", namespace="shop"), (0, 1))
    assert len(store) == 12_001
    store.forget({"pod": "bomb"})
    fill(store, requests("bomb", namespace="shop"), (0, 1))
    assert (len(store), store.statistics.problem) == (2, "")


def test_series_beyond_the_limit_are_refused_and_said_so_until_there_is_room() -> None:
    store = Store(max_series=2)
    for pod in "abc":
        fill(store, requests(pod), (0, 1))
    assert len(store) == 2
    assert store.statistics.refused == 1
    assert store.statistics.problem.startswith("the embedded store holds its limit of 2 series, so samples of new ones")
    fill(store, requests("a"), (5, 2))  # the known ones go on
    assert store.statistics.stored == 3
    store.forget({"pod": "a"})
    fill(store, requests("c"), (5, 1))
    assert store.statistics.problem == ""
    assert {dict(labels)["pod"] for labels in ask(store, "requests_total", at=6)} == {"b", "c"}


def test_a_gone_target_is_forgotten_in_all_metrics_at_once() -> None:
    store = Store()
    for name in ("one", "two"):
        for pod in "ab":
            store.extend([(Series.of(name, {"pod": pod, "namespace": "x"}), 1.0, T)])
    assert store.forget({"pod": "a", "namespace": "x"}) == 2
    assert store.forget({"pod": "a"}) == 0
    assert len(store) == store.statistics.series == 2
    assert [labels["pod"] for labels in store.series(["one", "two"], T - 1, T)] == ["b", "b"]


def test_series_without_samples_expire_after_the_retention() -> None:
    store = Store(retention_s=300)
    fill(store, requests("old"), (0, 1))
    fill(store, requests("new"), (1, 1))
    assert store.expire(T + 299.9) == 0
    assert store.expire(T + 300, limit=0) == 0
    assert store.expire(T + 300) == 1
    assert [labels["pod"] for labels in store.series(["requests_total"], T, T + 300)] == ["new"]


def test_a_series_from_the_future_is_forgotten_since_it_would_never_age() -> None:
    store = Store()
    fill(store, requests("a"), (1e9, 1))
    fill(store, requests("b"), (30, 1))
    assert store.expire(T) == 1


def test_a_row_given_to_another_series_keeps_nothing_of_the_former() -> None:
    store = Store()
    fill(store, requests("a", code="200"), *((5 * i, i) for i in range(20)))
    store.forget({"pod": "a"})
    fill(store, requests("b"), (96, 7))
    assert ask(store, "count_over_time(requests_total[5m])", at=100) == {(("pod", "b"),): 1}
    assert ask(store, 'requests_total{code="200"}', at=100) == {}


def test_series_are_listed_by_selector_and_by_the_time_of_their_samples() -> None:
    store = Store()
    fill(store, requests("a"), (0, 1))
    fill(store, requests("b", code="500"), (100, 1))
    store.extend([(Series.of("up", {"pod": "a"}), 1.0, T + 100)])

    def list_series(*selectors: str, since: float = 0.0, at: float = 200.0) -> list[tuple[str, str]]:
        label_sets = store.series(selectors, T + since, T + at)
        return sorted((labels["__name__"], labels["pod"]) for labels in label_sets)

    assert list_series("requests_total", since=-1) == [("requests_total", "a"), ("requests_total", "b")]
    assert list_series("requests_total", since=50) == [("requests_total", "b")]
    assert list_series('{__name__=~".+"}', "up", since=50) == [("requests_total", "b"), ("up", "a")]
    assert list_series('requests_total{code!=""}', since=-1) == [("requests_total", "b")]
    assert list_series('{pod="a"}', since=-1, at=50) == [("requests_total", "a")]
    with pytest.raises(UnsupportedQuery, match=r"'sum\(x\)' is no series selector such as"):
        store.series(["sum(x)"], T, T)


@pytest.mark.parametrize("interval", [1, 2, 5, 15, 60])
def test_a_ring_keeps_the_whole_retention_at_any_interval(interval: int) -> None:
    ring = Ring(300)
    row = ring.add_row()
    for number in range(1000):
        ring.put(row, T + number * interval, float(number))
    times, values = ring.tail(np.array([row]), T + 999 * interval - 300, np.inf)
    kept = 300 // interval
    assert values[0, -kept:].tolist() == list(range(1000 - kept, 1000))
    assert np.isnan(times[0, :-kept]).all()
    assert ring.times.shape[1] <= max(16, kept + 3)


def test_a_ring_cannot_be_blown_up_by_dense_samples() -> None:
    ring = Ring(300)
    row = ring.add_row()
    for number in range(5000):
        ring.put(row, T + number * 0.1, 1.0)
    assert ring.times.shape[1] <= 300 / ring_module.FINEST_S + 2


@pytest.mark.parametrize("pace", [0.1, 1.0, 2.5, 4.9])
def test_a_row_denser_than_expected_costs_no_more_and_keeps_its_newest(pace: float) -> None:
    """One each 5 s is 60 in 300 s, and a quarter more is 75; at 2.25 s or more apart each is taken."""
    ring = Ring(300, interval_s=5.0)
    row, number = ring.add_row(), round(600 / pace)
    for place in range(number):
        ring.put(row, T + place * pace, float(place))
    assert ring.times.shape[1] <= 75 + 2
    times, values = ring.tail(np.array([row]), T, np.inf)
    assert values[0, -1] > number - 1 - 2.25 / pace - 1
    known = times[0][~np.isnan(times[0])]
    assert known[-1] - known[0] >= min(300, 75 * max(pace, 2.25)) - 2 * pace


def test_one_dense_series_does_not_make_those_of_others_cost_more() -> None:
    """4,000 series of one name at 5 s take 4,096 rows x 77 slots x 16 bytes at most."""
    store = Store(interval_s=5.0)
    for place in range(61):
        store.extend((Series.of("x", {"pod": str(i)}), 1.0, T + 5 * place) for i in range(4000))
    before = store.nbytes
    store.extend((Series.of("x", {"pod": "dense"}), 1.0, T + place) for place in range(400))
    assert store.nbytes < before * 1.25


def test_rows_of_different_pace_live_in_one_ring() -> None:
    ring = Ring(300)
    fast, slow = ring.add_row(), ring.add_row()
    for number in range(400):
        ring.put(fast, T + number, float(number))
        if number % 30 == 0:
            ring.put(slow, T + number, float(number))
    _, values = ring.tail(np.array([fast, slow]), T + 299, T + 399)
    assert values[0, -100:].tolist() == list(range(300, 400))
    assert values[1][~np.isnan(values[1])].tolist() == [300, 330, 360, 390]


def test_a_family_spreads_over_rings_and_joins_their_tails() -> None:
    family = Family("x", 300, Strings())
    rows = [family.add(Series.of("x", {"i": str(i)}), i + 1) for i in range(MAX_ROWS + 20)]
    for row in rows:
        family.put(row, T, row)
        assert row % 100 or family.put(row, T + 5, row + 0.5) is Put.STORED
    chosen = np.array([0, 1, MAX_ROWS - 1, MAX_ROWS + 4, MAX_ROWS + 9])
    times, values = family.tail(chosen, T - 1, T + 10)
    assert values[:, -1].tolist() == [
        0.5,
        1,
        MAX_ROWS - 1,
        (MAX_ROWS + 4) + 0.5 * ((MAX_ROWS + 4) % 100 == 0),
        MAX_ROWS + 9,
    ]
    assert times[:2, -1].tolist() == [T + 5, T]


def test_texts_that_nobody_uses_are_forgotten_a_minute_later() -> None:
    """A query under way still finds them."""
    strings = Strings()
    code = strings.acquire("a")
    strings.release("a")
    strings.purge(T)
    strings.purge(T + 59)
    assert strings.text(code) == "a"
    assert strings.acquire("a") == code
    strings.purge(T + 70)
    strings.release("a")
    strings.purge(T + 80)
    strings.purge(T + 140)
    assert strings.find("a") is None
    assert strings.acquire("a") > code


def test_churn_leaves_nothing_behind() -> None:
    store = Store(max_series=1000)
    sizes = []
    for wave in range(30):
        for pod in range(50):
            store.extend([(requests(f"w{wave}-p{pod}"), 1.0, T + wave * 60)])
        store.expire(T + wave * 60)
        sizes.append((len(store), len(store.strings), store.nbytes))
    assert sizes[-1] == sizes[9]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=60))
def test_a_ring_is_what_a_list_would_be(samples: list[Any]) -> None:
    store, kept = Store(), list[Any]()
    for time, value in samples:
        fill(store, requests("a"), (time, value))
        if not kept or time > kept[-1][0]:
            kept.append((time, value))
    expected = {(("pod", "a"),): sum(value for _, value in kept)} if kept else {}
    assert ask(store, "sum_over_time(requests_total[5m])", at=59.5 if not kept else max(59.5, kept[-1][0])) == expected


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=30), st.randoms(use_true_random=False))
def test_repeated_batches_change_nothing(samples: list[Any], shuffle: Any) -> None:
    samples = sorted(dict(samples).items())
    once, often = Store(), Store()
    for sample in samples:
        fill(once, requests("a"), sample)
        again = [sample] * shuffle.randint(1, 3)
        fill(often, requests("a"), *again)
    for promql in ("rate(requests_total[1m])", "requests_total", "sum_over_time(requests_total[1m])"):
        assert ask(once, promql, at=30) == ask(often, promql, at=30)


def test_a_series_costs_what_is_documented() -> None:
    """16 B per slot, 64 slots at a 5 s scrape and 300 s, 8 B per label; half as much again for rings that grow."""

    def fill(store: Store) -> None:
        for scrape in range(62):
            store.extend((one, 1.0, T + 5 * scrape) for one in series)

    store, number = Store(), 500
    series = [requests(f"p{i}", a="1", b="2", c="3") for i in range(number)]
    fill(Store())  # what is made once for all stores is none of theirs
    tracemalloc.start()
    fill(store)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert store.nbytes / number < 1.5 * (64 * 16 + 5 * 8 + 24)
    assert grown / number < 1.5 * 1100 + 500


def test_the_embedded_source_is_a_source() -> None:
    source: Source = EmbeddedSource(Store())
    assert (source.name, source.knows_sample_times) == ("embedded", True)


async def test_a_long_query_lets_others_run_and_survives_that_series_come_and_go() -> None:
    store, turns = Store(), 0
    for i in range(3 * MAX_ROWS):
        store.extend([(requests(f"p{i}"), 0.0, T), (requests(f"p{i}"), 10.0, T + 5)])

    async def churn() -> None:
        nonlocal turns
        chance = random.Random(1)
        while True:
            turns += 1
            store.forget({"pod": f"p{chance.randrange(3 * MAX_ROWS)}"})
            fill(store, requests(f"new-{turns}"), (0, 0), (5, 1e6))
            store.expire(T + 5)
            await asyncio.sleep(0)

    other = asyncio.create_task(churn())
    await asyncio.sleep(0)
    source = EmbeddedSource(store)
    for adaptive in (False, True):
        samples = await source.query(Query("sum by (pod) (rate(requests_total[1m]))", adaptive), T + 5)
        old = {sample.value for sample in samples if sample.labels["pod"].startswith("p")}
        assert old == {2.0}
        assert 3 * MAX_ROWS - 200 < len(samples) <= 3 * MAX_ROWS + turns
    assert turns >= 10
    other.cancel()
    assert len(await source.series(["requests_total"], T, T + 5)) == len(store)
