"""Whom nobody need wait for: pods whose scrapes fail, or hold nothing that the query reads."""

import math

import pytest

from adapter.metrics.sample import Series
from adapter.metrics.slices import run
from adapter.metrics.source import Query
from adapter.metrics.store.silent import silent
from adapter.metrics.store.store import Store

T = 1_000_000.0
POD = ("shop", "a")
RATE = Query("sum by (namespace, pod) (rate(hits{namespace='shop'}[60s]))", True)


def store_after_scrapes(
    *seconds: float, up: float = 1.0, value: float | None = 5.0, name: str = "hits", pod: str = "a"
) -> Store:
    """A store after scrapes of a pod of the namespace shop, so many s after T."""
    store, labels = Store(), {"namespace": "shop", "pod": pod}
    for second in seconds:
        points = [] if value is None else [(Series.of(name, labels), value, T + second)]
        store.extend([*points, (Series.of("up", labels), up, T + second)])
    return store


def is_silent(store: Store, since: float = 0.0, at: float = 10.0, query: Query = RATE) -> bool:
    return run(silent(store, query, T + at, {POD: T + since})) == {POD}


def test_one_sample_is_enough_to_be_waited_for() -> None:
    assert not is_silent(store_after_scrapes(1))


def test_a_pod_that_was_not_scraped_since_is_not_waited_for_yet() -> None:
    assert is_silent(Store())
    assert is_silent(store_after_scrapes(1, pod="other"))
    assert is_silent(store_after_scrapes(1), since=2)
    assert not is_silent(store_after_scrapes(2), since=2)


def test_a_pod_whose_last_scrape_failed_is_not_waited_for() -> None:
    store = store_after_scrapes(1)
    store.extend([(Series.of("up", {"namespace": "shop", "pod": "a"}), 0.0, T + 6)])
    assert is_silent(store)
    assert not is_silent(store, at=5)  # before it failed
    store.extend([(Series.of(name, {"namespace": "shop", "pod": "a"}), 1.0, T + 11) for name in ("hits", "up")])
    assert not is_silent(store, at=12)


@pytest.mark.parametrize("page", [{"value": None}, {"name": "misses"}, {"value": math.nan}, {"value": math.inf}])
def test_a_page_without_a_number_of_the_metric_is_nothing_to_wait_for(page: dict[str, float]) -> None:
    assert is_silent(store_after_scrapes(1, 6, **page))  # type: ignore[arg-type]


def test_a_page_that_has_lost_the_metric_is_soon_nothing_to_wait_for() -> None:
    """A quarter of the lookback of 60 s; until then the metric may have a time of its own on the page."""
    store = store_after_scrapes(0)
    labels = {"namespace": "shop", "pod": "a"}
    store.extend([(Series.of("up", labels), 1.0, T + 15)])
    assert not is_silent(store, at=16)
    store.extend([(Series.of("up", labels), 1.0, T + 16)])
    assert is_silent(store, at=16)


def test_who_pushes_and_is_never_scraped_speaks_as_soon_as_there_is_a_sample() -> None:
    store = Store()
    store.extend([(Series.of("hits", {"namespace": "shop", "pod": "a"}), 1.0, T + 3)])
    assert not is_silent(store, since=3)
    assert is_silent(store, since=4)


def test_any_of_the_series_that_the_query_reads_is_enough() -> None:
    both = Query("sum by (namespace, pod) (hits) / sum by (namespace, pod) (misses)")
    assert not is_silent(store_after_scrapes(1, name="misses"), query=both)
    assert is_silent(store_after_scrapes(1, name="others"), query=both)
