"""Shares of the store: in series, characters and names, for one owner, one namespace and all; and what they cost."""

import sys
import tracemalloc
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapter.metrics.otlp.distribution import Number
from adapter.metrics.otlp.streams import PointError, Streams
from adapter.metrics.owners import MANY_NAMES, PER_SERIES, SMALL, Amount, Owners, characters, owner_of
from adapter.metrics.sample import Series
from adapter.metrics.slices import run
from adapter.metrics.store.store import REFUSED_NAMES, Store

T = 1_000_000.0


def series(pod: str, namespace: str = "shop", name: str = "x", **labels: str) -> Series:
    return Series.of(name, {"pod": pod, "namespace": namespace, "instance": "", **labels})


def test_new_long_labels_at_each_scrape_fill_the_pods_own_share_of_characters() -> None:
    """Of 16,900 characters each: the share of one is 200,000 / 16 series x 1,920 = 24 million, so 1,420."""
    store = Store(max_series=200_000)
    for scrape in range(5):
        values = (f"{scrape}-{number}-" + "x" * 15_900 for number in range(400))
        store.extend((series("bomb", value=value), 1.0, T) for value in values)
    assert store.owners.total.characters <= 200_000 // 16 * PER_SERIES == 24_000_000
    assert 1_405 < len(store) <= 1_425
    assert store.over_share == {"shop": store.statistics.problem}
    assert store.statistics.problem.startswith("shop/bomb has 24000000 characters, a single one's limit")
    assert store.owners.refusals("owner", "characters") == store.statistics.refused
    before = len(store)
    store.extend([(series("web"), 1.0, T)])
    assert len(store) == before + 1


@settings(max_examples=20)
@example(labels=63, length=1, letter="🙂", new_names=False)
@given(st.integers(0, 63), st.integers(1, 200), st.sampled_from("aé🙂"), st.booleans())
def test_what_a_series_counts_is_what_its_texts_and_pairs_take_within_a_quarter(
    labels: int, length: int, letter: str, new_names: bool
) -> None:
    """Of 16 bytes for the collector a tuple, 8 for its place in one and 8 for its number in the store's column."""
    for number in range(5):
        name = f"{number}" if new_names else ""
        one = series("bomb", **{f"l{name}_{place}": f"{number}{place}" + letter * length for place in range(labels)})
        pairs = sum(sys.getsizeof(pair) + 16 + 8 + sys.getsizeof(pair[1]) + 8 for pair in one.labels)
        assert characters(one) * 1.25 >= pairs + sys.getsizeof(one) + 16


def test_one_pods_share_is_memory_whether_of_many_labels_or_of_few() -> None:
    """What the store holds of it is its share of 24 million bytes within a quarter."""
    for labels, many in ((["l"], 30_000), ([f"l{place}" for place in range(64)], 4_000)):
        store = Store(max_series=200_000)
        tracemalloc.start()
        try:
            store.extend((series("bomb", **dict.fromkeys(labels, str(number))), 1.0, T) for number in range(many))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert store.owners.refusals("owner", "characters") > 0
        assert held < 24_000_000 * 1.25


def test_a_pod_with_ever_new_names_brings_in_five_thousand() -> None:
    store = Store(max_series=200_000)
    store.extend((series("bomb", name=f"m{number}"), 1.0, T) for number in range(50_000))
    assert len(store) == MANY_NAMES
    store.extend([(series("bomb", name="m1", code="200"), 1.0, T)])  # a name that is there costs a series alone
    assert len(store) == MANY_NAMES + 1
    assert store.nbytes < 5_000 * 4_096
    assert store.forget({"namespace": "shop", "pod": "bomb"}) == MANY_NAMES + 1
    assert store.owners.total == Amount()
    assert store.over_share == store.refused_names == {}
    store.extend((series("good", name=f"m{number}"), 1.0, T) for number in range(100))
    assert len(store) == 100


@pytest.mark.parametrize(("most", "names"), [(200_000, 10_000), (40_000, MANY_NAMES)])
def test_the_pods_of_one_namespace_bring_in_a_fifth_of_all_names_and_what_one_pod_may_at_least(
    most: int, names: int
) -> None:
    """200,000 series: 50,000 names in all; 40,000 series: 10,000, of which a fifth would be 2,000."""
    store = Store(max_series=most)
    for pod in range(5):
        store.extend((series(f"bomb-{pod}", name=f"m{pod}_{number}"), 1.0, T) for number in range(2_500))
    assert store.owners.total.names == names
    store.extend([(series("web", "bank", name="queue_depth"), 1.0, T)])
    store.extend([(series("late", name="queue_depth"), 1.0, T)])  # a name that is there costs a series alone
    assert store.owners.total.names == names + 1


def test_the_pods_of_one_namespace_have_half_of_all() -> None:
    """48,000 series: 12,000 for one pod, 24,000 for a namespace."""
    store = Store(max_series=48_000)
    for pod in range(6):
        store.extend((series(f"bomb-{pod}", id=str(number)), 1.0, T) for number in range(6_000))
    assert len(store) == 24_000
    assert store.over_share["shop"].startswith("namespace shop has 24000 series, a namespace's limit")
    assert store.refused_names == {"shop": {"x"}}
    store.extend((series("late", name=f"m{number}"), 1.0, T) for number in range(1_000))
    assert len(store.refused_names["shop"]) == REFUSED_NAMES + 1
    assert "" in store.refused_names["shop"]
    store.extend([(series("web", "bank"), 1.0, T)])
    assert len(store) == 24_001


def test_whoever_comes_late_finds_room_though_two_namespaces_take_what_they_can() -> None:
    """80,000 series: 40,000 for the first; the second may have what is free beyond 60,000 in all: 20,000 of 20,000."""
    store = Store(max_series=80_000)
    for namespace in ("greedy", "other"):
        for pod in range(3):
            store.extend((series(f"bomb-{pod}", namespace, id=str(number)), 1.0, T) for number in range(14_000))
    assert len(store) == 40_000 + 20_000
    assert store.over_share["other"].startswith("namespace other has 20000 series, a namespace's limit")
    store.extend((series("web", "bank", id=str(number)), 1.0, T) for number in range(15_000))
    assert len(store) == 60_000 + 10_000  # as many as are free then


@settings(max_examples=10)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 4_000)), max_size=30))
def test_somebody_new_finds_room_whatever_six_others_did(bursts: list[tuple[str, int]]) -> None:
    """Of 10,000 series: a quarter is left to those who come when it is crowded, and to each half of it at most."""
    owners, most, had = Owners(10_000), 10_000, Counter[str]()
    for namespace, many in bursts:
        for number in range(had[namespace], had[namespace] + many):
            one = Series.of("x", {"namespace": namespace, "id": str(number)})
            if owners.refusal(owner_of(one), one) is not None:
                break
            owners.add(owner_of(one), one)
            had[namespace] += 1
    assert sum(had.values()) < most
    new = Series.of("x", {"namespace": "late"})
    assert owners.refusal(owner_of(new), new) is None


def test_forgetting_a_pod_looks_at_what_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    store.extend((series("web", name=f"m{number}"), 1.0, T) for number in range(3_000))
    store.extend((series("gone", name=f"m{number}"), 1.0, T) for number in range(3))
    looked = Counter[str]()
    monkeypatch.setattr(store, "select", lambda *_: looked.update(["all"]) or [])
    assert store.forget({"namespace": "shop", "pod": "gone"}) == 3
    assert store.forget({"pod": "web", "job": "none"}) == 0
    assert not looked


def test_expiry_lets_others_run_after_a_hundred_names() -> None:
    store = Store(retention_s=300)
    store.extend((series("web", name=f"m{number}"), 1.0, T) for number in range(1_000))
    slices = store.expiring(T + 100)
    assert sum(1 for _ in slices) == 10
    assert run(store.expiring(T + 400)) == 1_000
    assert len(store) == 0


LABELS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(["a", "b"]) for name in ("namespace", "pod", "instance", "code")}
)


@given(st.lists(st.tuples(st.sampled_from("xy"), LABELS), max_size=12), LABELS)
def test_what_is_found_by_labels_is_what_has_them(
    many: list[tuple[str, dict[str, str]]], wanted: dict[str, str]
) -> None:
    owners, held = Owners(100), {Series.of(name, labels): None for name, labels in many}
    for one in held:
        owners.add(owner_of(one), one)
    matches = owners.find(wanted)
    if matches is None:
        assert not wanted.keys() & {"namespace", "pod", "instance"}
        return
    assert {one for _, one in matches} == {one for one in held if wanted.items() <= dict(one.labels).items()}
    assert owners.total.characters == sum(map(characters, held))
    names = Counter(one.name for one in held)
    for one in held:
        names[one.name] -= 1
        owners.remove(owner_of(one), one, last=not names[one.name])
    assert owners.total == Amount()
    assert owners._had == owners._members == owners._pods == owners._bringers == {}


def test_streams_of_otlp_have_shares_too() -> None:
    streams = Streams(4 * SMALL + 4)
    for number in range(SMALL + 1):
        streams.delta(series("bomb", id=str(number)), Number(1.0), start=0, end=T, now=T)
    with pytest.raises(PointError, match=f"its sender has {SMALL + 1} streams already; it is left out"):
        streams.delta(series("bomb"), Number(1.0), start=0, end=T, now=T)
    streams.delta(series("web"), Number(1.0), start=0, end=T, now=T)
    streams.expire(T + 1e6)
    assert len(streams) == 0
    assert streams._owners.total == Amount()
