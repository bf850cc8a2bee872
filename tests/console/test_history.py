"""The ring behind the lines: bounded, and never one series' values in another's."""

import math

from hypothesis import given
from hypothesis import strategies as st

from adapter.console.history import History


def values(history: History, key: str) -> list[tuple[float, float]]:
    return [(one.time, one.value) for one in history.of(key)]


def test_the_oldest_give_way() -> None:
    history = History(length=3)
    for time in range(5):
        history.add(float(time), {"a": time * 10.0})
    assert values(history, "a") == [(2, 20), (3, 30), (4, 40)]


def test_a_look_without_a_value_is_a_gap() -> None:
    history = History(length=3)
    history.add(0.0, {"a": 1.0})
    history.add(1.0, {"a": None})
    (_, first), (_, second) = values(history, "a")
    assert first == 1
    assert math.isnan(second)


def test_a_series_that_ended_is_forgotten_and_begins_anew() -> None:
    history = History(length=3)
    history.add(0.0, {"a": 1.0, "b": 1.0})
    history.add(1.0, {"b": 2.0})
    assert history.of("a") == []
    history.add(2.0, {"a": 3.0, "b": 3.0})
    assert [one.value for one in history.of("a")][-1] == 3
    assert sum(not math.isnan(one.value) for one in history.of("a")) == 1


def test_there_is_room_for_so_many_series_and_the_rest_is_counted() -> None:
    history = History(length=10, cells=30)  # 3 series
    history.add(0.0, {f"s{number}": 1.0 for number in range(5)})
    assert history.without_room == 2
    assert history.of("s4") == []
    history.add(1.0, {f"s{number}": 1.0 for number in range(2, 5)})  # two have ended
    assert (history.without_room, len(history.of("s4"))) == (0, 2)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False)), max_size=20))
def test_what_is_remembered_is_what_was_given_last(columns: list[dict[str, float]]) -> None:
    history = History(length=4)
    for time, column in enumerate(columns):
        history.add(float(time), column)
    for key in "abc":
        kept = [one for one in history.of(key) if not math.isnan(one.value)]
        wanted = [(float(time), column[key]) for time, column in enumerate(columns) if key in column][-4:]
        assert len(kept) <= 4
        for one in kept:
            assert one.time in dict(wanted)
