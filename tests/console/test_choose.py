"""Filter and pages."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.console.choose import PER_PAGE, Wish, select_page
from tests.console.conftest import cpu, hpa, pods

MANY = [hpa(f"web-{number:04}", cpu(60, 60), namespace="shop" if number % 2 else "lab") for number in range(120)]
STATES = {one.key: "steady" for one in MANY}


def names(wish: Wish) -> list[str]:
    return [one.name for one in select_page(MANY, wish, STATES).items]


def test_a_page_at_a_time_and_beyond_the_last_the_last() -> None:
    assert [len(names(Wish(page=number))) for number in (1, 2, 3, 9)] == [PER_PAGE, PER_PAGE, 20, 20]


def test_all_pages_together_are_all_that_there_is_in_order() -> None:
    assert [name for number in (1, 2, 3) for name in names(Wish(page=number))] == [one.name for one in MANY]


def test_by_namespace_and_words_all_of_which_must_be_there() -> None:
    assert select_page(MANY, Wish(namespace="lab"), STATES).found == 60
    assert names(Wish(words="0007")) == ["web-0007"]
    assert names(Wish(words="WEB-0007 shop CPU")) == ["web-0007"]
    assert names(Wish(words="0007 lab")) == []


def test_metrics_are_found_by_their_names() -> None:
    page = select_page([hpa("web", pods("http_requests", "10", "5")), MANY[0]], Wish(words="http_req"), {})
    assert [one.name for one in page.items] == ["web"]


def test_how_many_are_in_each_state_does_not_depend_on_the_one_chosen() -> None:
    states = STATES | {MANY[0].key: "starves"}
    page = select_page(MANY, Wish(state="starves"), states)
    assert (page.found, page.states) == (1, {"steady": 119, "starves": 1})


@pytest.mark.parametrize("page", ["", "0", "-1", "x", "1e9", "٣", "99999999999999999999", "1.5"])
def test_a_page_that_is_none_is_the_first_or_the_last(page: str) -> None:
    assert names(Wish.of({"page": page})) in (names(Wish()), names(Wish(page=3)))


@given(st.dictionaries(st.sampled_from(("ns", "q", "state", "page", "x")), st.text(max_size=400)))
def test_a_url_comes_back_as_the_same_wish(query: dict[str, str]) -> None:
    wish = Wish.of(query)
    assert len(wish.words) <= 253
    assert 1 <= wish.page <= 10_000
    written = wish.query(page=wish.page)
    assert written.startswith("?")
    assert Wish.of(dict(parse_qsl(written[1:]))) == wish
