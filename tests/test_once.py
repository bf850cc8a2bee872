"""What lasts is told once, in bounded memory, and again when it comes back."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.once import Few, Once


def test_once_lets_a_key_through_again_after_its_time_with_another_text_and_after_it_was_over() -> None:
    now = [0.0]
    once = Once(again=600, clock=lambda: now[0])
    assert [once.first("a"), once.first("a"), once.first("b")] == [True, False, True]
    now[0] = 600
    assert once.first("a")
    assert [once.first("c", "lost"), once.first("c", "lost"), once.first("c", "gone")] == [True, False, True]
    assert [once.over("c"), once.over("c"), once.first("c", "gone")] == [True, False, True]


def test_once_without_an_end_never_says_it_again() -> None:
    once = Once(again=None)
    assert [once.first("a"), once.first("a")] == [True, False]


@given(st.lists(st.integers(0, 9)), st.integers(1, 9), st.none() | st.just(600.0))
def test_once_holds_no_more_keys_than_it_may(keys: list[int], most: int, again: float | None) -> None:
    once = Once(most=most, again=again, clock=lambda: 0.0)
    said = [key for key in keys if once.first(key)]
    if len(set(keys)) <= most:
        assert said == list(dict.fromkeys(keys))
    assert sum(once.over(key) for key in range(10)) == min(most, len(set(keys)))


def test_news_are_what_holds_now_and_was_not_said_and_what_comes_back_is_news_again() -> None:
    once = Once(again=None)
    assert once.news(["a", "b", "a"]) == ["a", "b"]
    assert once.news(["b", "c"]) == ["c"]
    assert once.news(["a", "b"]) == ["a"]
    assert once.news([]) == []


@given(st.sets(st.integers(0, 30)), st.integers(1, 9))
def test_what_holds_beyond_the_room_is_never_said_twice(held: set[int], most: int) -> None:
    once = Once(most=most, again=None)
    assert once.news(sorted(held)) == sorted(held)[:most]
    assert once.news(sorted(held)) == []


def test_of_messages_that_all_differ_some_are_said_in_a_span() -> None:
    now = [0.0]
    few = Few(3, span=600.0, clock=lambda: now[0])
    assert [few.may("pods") for _ in range(5)] == [True] * 3 + [False] * 2
    assert few.may("nodes")
    now[0] = 599.0
    assert not few.may("pods")
    now[0] = 600.0
    assert few.may("pods")


def test_keys_of_which_some_is_said_are_bounded() -> None:
    few = Few(1, keys=10, clock=lambda: 0.0)
    assert all(few.may("x" * 1000 + str(number)) for number in range(20))
    assert not few.may("x" * 1000 + "19")
    assert few.may("x" * 1000 + "0")  # forgotten meanwhile
