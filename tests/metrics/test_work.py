"""What matching costs the event loop: a slice is bounded by characters looked at, a query by all of them."""

import pytest

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.sample import Series
from adapter.metrics.source import Query, RefusedQuery
from adapter.metrics.store.evaluate import evaluate
from adapter.metrics.store.family import Work
from adapter.metrics.store.store import Store

LONG = 4000


def of_long_values(count: int) -> Store:
    store = Store(max_series=200_000)
    labels = ({"path": f"{number:05}" + "ab" * ((LONG - 5) // 2), "pod": "web-0"} for number in range(count))
    store.extend((Series.of("depth", one), 1.0, 100.0) for one in labels)
    return store


def slices(store: Store, promql: str) -> int:
    return sum(1 for _ in evaluate(store, Query(promql), 100.0))


def patterns(count: int) -> str:
    return ",".join(f'path!~".*a.*b.*{number}x"' for number in range(count))


def test_matching_gives_the_loop_back_by_the_characters_it_looked_at() -> None:
    store = of_long_values(1000)  # 4 MB of values
    one, four = (slices(store, f"count(depth{{{patterns(number)}}})") for number in (1, 4))
    assert one >= 1000 * LONG * 0.9 // Work.SLICE
    assert four - one >= 3 * 1000 * LONG * 0.9 // Work.SLICE  # each further expression is as much work again


def test_a_query_that_would_look_at_too_much_is_refused() -> None:
    store = of_long_values(1000)
    with pytest.raises(RefusedQuery, match="its matchers would look at over 67108864 characters"):
        slices(store, f"count(depth{{{patterns(20)}}})")  # 20 times 4 MB
    assert store.query(Query("count(depth)"), 100.0)[0].value == 1000.0


def test_names_of_metrics_are_matched_in_slices_too() -> None:
    store = Store(max_series=100_000)
    store.extend((Series.of(f"name_{number}", {"pod": "web-0"}), 1.0, 100.0) for number in range(4000))
    assert slices(store, 'count({__name__=~"x_.*"})') >= 4000 * Work.EACH // Work.SLICE


def test_a_row_that_another_series_gets_while_others_run_is_not_taken_for_the_first() -> None:
    store = of_long_values(100)
    found = store.select(
        [Matching("__name__", Operator.EQUAL, "depth"), Matching("path", Operator.NOT_MATCH, ".*a.*b.*7x")]
    )
    assert next(found) is None  # matching goes on
    store.forget({"pod": "web-0"})
    store.extend([(Series.of("depth", {"path": "new", "pod": "web-1"}), 1.0, 100.0)])
    assert [one for one in found if one is not None] == []
