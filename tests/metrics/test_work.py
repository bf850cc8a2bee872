"""What matching costs the event loop: a slice is bounded by characters looked at, a query by all of them."""

import numpy as np
import pytest

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.sample import Series
from adapter.metrics.source import Query, RefusedQuery
from adapter.metrics.store.evaluate import evaluate
from adapter.metrics.store.family import Work
from adapter.metrics.store.store import Store
from adapter.metrics.store.verdicts import FIRST_LOOK, VERDICTS_BYTES, Verdicts

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
    stores = [(number, of_long_values(1000)) for number in (1, 4)]  # 4 MB of values
    one, four = (slices(store, f"count(depth{{{patterns(number)}}})") for number, store in stores)
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
    selections = store.select(
        [Matching("__name__", Operator.EQUAL, "depth"), Matching("path", Operator.NOT_MATCH, ".*a.*b.*7x")]
    )
    assert next(selections) is None  # matching goes on
    store.forget({"pod": "web-0"})
    store.extend([(Series.of("depth", {"path": "new", "pod": "web-1"}), 1.0, 100.0)])
    assert [one for one in selections if one is not None] == []


def test_what_an_expression_says_of_a_value_is_found_out_once() -> None:
    store = of_long_values(1000)
    asked = f"count(depth{{{patterns(4)}}})"
    first, again = slices(store, asked), slices(store, asked)
    assert first >= 4 * 1000 * LONG * 0.9 // Work.SLICE
    assert again <= 10
    store.extend((Series.of("depth", {"path": f"new {number}x"}), 1.0, 100.0) for number in range(10))
    assert store.query(Query(asked), 100.0)[0].value == 1010.0  # of new values it is found out
    store.extend([(Series.of("depth", {"path": "a b 3x"}), 1.0, 100.0)])
    assert store.query(Query(asked), 100.0)[0].value == 1010.0


def test_a_query_that_was_refused_gets_further_each_time() -> None:
    """20 expressions over 4 MB of values are 80 million characters; after 67 million it is refused."""
    store = of_long_values(1000)
    with pytest.raises(RefusedQuery):
        slices(store, f"count(depth{{{patterns(20)}}})")
    assert store.query(Query(f"count(depth{{{patterns(20)}}})"), 100.0)[0].value == 1000.0


def test_a_character_counts_by_the_size_of_the_expression() -> None:
    """RE2 may have to try every instruction of its program at each character."""
    assert Matching("path", Operator.MATCH, "/api/v[0-9]+/(users|orders)/.*").weight == 1
    assert Matching("path", Operator.NOT_EQUAL, "x" * 4000).weight == 1
    large = Matching("path", Operator.MATCH, ".*[ab].{0,900}z")
    assert 100 < large.weight < 1000
    store = of_long_values(100)
    with pytest.raises(RefusedQuery, match="those of large expressions counted more than once"):
        slices(store, 'count(depth{path=~".*[ab].{0,900}z",path!~"x.{0,900}y"})')  # 100 values of 4,000 characters


def known_verdicts(verdicts: Verdicts, matching: Matching, codes: list[int]) -> dict[int, bool]:
    known, answers = verdicts.of(matching, np.array(codes, dtype=np.int64))
    return {code: bool(verdict) for code, yes, verdict in zip(codes, known, answers, strict=True) if yes}


def test_verdicts_are_those_of_the_matcher_whatever_was_asked_between() -> None:
    verdicts = Verdicts()
    one, other = Matching("a", Operator.MATCH, "x.*"), Matching("a", Operator.NOT_MATCH, "x.*")
    assert known_verdicts(verdicts, one, [1, 2, 3]) == {}
    verdicts.add(one, np.array([2, 7]), np.array([True, False]), lambda _: True)
    verdicts.add(one, np.array([1, 9]), np.array([False, True]), lambda _: True)
    verdicts.add(other, np.array([2]), np.array([False]), lambda _: True)
    assert known_verdicts(verdicts, one, [1, 2, 3, 7, 9, 12]) == {1: False, 2: True, 7: False, 9: True}
    assert known_verdicts(verdicts, other, [1, 2, 3, 7]) == {2: False}
    assert known_verdicts(verdicts, Matching("b", Operator.MATCH, "x.*"), [1]) == {1: False}  # whatever the label


def test_verdicts_on_values_that_are_gone_are_forgotten() -> None:
    verdicts = Verdicts()
    matching = Matching("a", Operator.MATCH, "x.*")
    for start in range(0, 100 * FIRST_LOOK, 100):
        codes = np.arange(start, start + 100)
        verdicts.add(matching, codes, np.ones(100, dtype=bool), start.__le__)
    known, _ = verdicts.of(matching, np.arange(100 * FIRST_LOOK))
    assert 100 <= known.sum() <= 2 * FIRST_LOOK


def test_verdicts_are_bounded_in_bytes() -> None:
    verdicts = Verdicts()
    codes, yes = np.arange(100_000), np.ones(100_000, dtype=bool)
    for number in range(60):
        verdicts.add(Matching("a", Operator.MATCH, f"x{number}.*"), codes, yes, lambda _: True)
    assert 0 < verdicts.weight <= VERDICTS_BYTES
