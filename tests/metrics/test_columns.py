"""Labels as columns: the same whichever way they are kept, and no more of them than there are labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.metrics.sample import Series
from adapter.metrics.source import Query, RefusedQuery
from adapter.metrics.store.columns import Columns
from adapter.metrics.store.store import Store

ROWS = 200
changes = st.lists(st.tuples(st.integers(0, ROWS - 1), st.sampled_from("abc"), st.integers(0, 5)), max_size=300)


@given(changes=changes, half=changes, asked=st.lists(st.integers(0, ROWS - 1), unique=True))
def test_columns_hold_what_was_put_whether_whole_or_by_rows(
    changes: list[tuple[int, str, int]], half: list[tuple[int, str, int]], asked: list[int]
) -> None:
    columns, model = Columns(), dict[tuple[str, int], int]()
    columns.grow(16)
    for grown, part in ((16, half), (ROWS, changes)):
        if grown > 16:
            columns.grow(grown)
        for place, label, code in part:
            row = place % grown
            if model.pop((label, row), 0):
                columns.clear(label, row)
            if code:
                columns.put(label, row, code)
                model[label, row] = code
    rows = np.array(asked, dtype=np.int64)
    for label in "abc":
        assert columns.codes(label, rows).tolist() == [model.get((label, row), 0) for row in asked]
    assert set(columns) == {label for label, _ in model}
    had = {label for label, row in model if row in asked}
    assert had <= set(columns.had_by(rows, None)) <= set(columns)
    assert set(columns.had_by(rows, ("a", "x"))) <= {"a"}


def of_own_labels(count: int) -> Store:
    """As many series as names of labels, one each, of one metric."""
    store = Store(max_series=10_000)
    store.extend((Series.of("depth", {f"l{number}": "1", "pod": "web-0"}), 1.0, 100.0) for number in range(count))
    return store


def test_labels_cost_what_they_are_however_many_names_they_have() -> None:
    small, large = (of_own_labels(count).nbytes for count in (500, 4000))
    assert large < 10 * small  # 8 times the labels; whole columns would have taken 64 times as much


def test_series_of_distinct_labels_are_added_up_and_are_too_many_to_be_told_apart() -> None:
    store = of_own_labels(4000)
    (total,) = store.query(Query("sum by (pod) (depth)"), 100.0)
    assert (total.labels, total.value) == ({"pod": "web-0"}, 4000.0)
    with pytest.raises(RefusedQuery, match="4000 series with 4002 names of labels are too much for one query"):
        store.query(Query("depth"), 100.0)
    with pytest.raises(RefusedQuery):
        store.query(Query("sum without (pod) (depth)"), 100.0)


def test_a_label_is_gone_with_its_last_series() -> None:
    store = of_own_labels(300)
    store.forget({"pod": "web-0"})
    store.extend([(Series.of("depth", {"pod": "web-1"}), 1.0, 100.0)])
    assert [sample.labels for sample in store.query(Query("depth"), 100.0)] == [{"__name__": "depth", "pod": "web-1"}]
