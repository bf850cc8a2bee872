"""Text nested beyond a decoder's recursion loses what lies too deep, and nothing else."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapter.units.nesting import MAX_BYTES, MAX_DEPTH, prune

JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.text('a"\\[]{}', max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text('a"\\[]{}', max_size=4), inner)),
)


@given(JSON)
def test_what_is_not_too_deep_stays_as_it_is(value: Any) -> None:
    text = json.dumps(value).encode()
    assert prune(text) == text


@given(JSON)
def test_beside_what_is_too_deep_everything_stays(value: Any) -> None:
    deep = "[" * 5000 + "{}" + "]" * 5000
    text = f'{{"a": {json.dumps(value)}, "deep": {deep}, "b": {json.dumps(value)}}}'.encode()
    decoded = msgspec.json.decode(prune(text))
    assert (decoded["a"], decoded["b"]) == (value, value)
    kept = 0
    inner = decoded["deep"]
    while inner is not None:
        [inner], kept = inner, kept + 1
    assert kept == MAX_DEPTH - 1, "the object around it is one more"


@given(st.binary(max_size=40), st.integers(0, 200))
def test_any_bytes_are_taken(rubbish: bytes, depth: int) -> None:
    prune(b"[" * depth + rubbish)


def test_a_text_beyond_the_bound_is_not_looked_through() -> None:
    text = b"[" * (MAX_BYTES + 1)
    assert prune(text) is text


def test_a_text_that_ends_at_the_deepest_level_stays_and_one_level_more_is_null() -> None:
    assert prune(b"[" * MAX_DEPTH) == b"[" * MAX_DEPTH
    assert prune(b"[" * (MAX_DEPTH + 1)) == b"[" * MAX_DEPTH + b"null"
