"""Expressions mean what Go's regexp says: tests/golden/rules/goregexp.json holds Go's own answers."""

import contextlib
import json
import pathlib
import re
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.rules.go.regexp import Regexp
from adapter.units.regexp import RegexpError

CASES = json.loads((pathlib.Path(__file__).parent.parent / "golden" / "rules" / "goregexp.json").read_text())

TAKEN = [case for case in CASES if case["valid"]]


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: f"{case['pattern']!r} {case['as']!r}")
def test_what_go_matches_is_matched_and_expanded_the_same(case: dict[Any, Any]) -> None:
    regexp = Regexp(case["pattern"])
    match = regexp.search(case["text"])
    assert bool(match) == case["match"]
    if match:
        assert match[0] == case["groups"][0]
        assert [group or "" for group in match.groups()] == case["groups"][1:]
        assert regexp.expand(case["as"], match) == case.get("expand", "")


@pytest.mark.parametrize("pattern", [case["pattern"] for case in CASES if not case["valid"]])
def test_what_go_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(RegexpError, match="does not compile: "):
        Regexp(pattern)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"a\Cb", r"\C stands for a byte"),
        ("\ud800", "not valid Unicode"),
        (r"((\pL{100}){100}){100}", "invalid repetition size"),
        (r"(\pL{100}){10}", "pattern too large"),
        ("a" * 8193, "at most 8192 are read"),
    ],
)
def test_what_goes_beyond_says_so(pattern: str, why: str) -> None:
    with pytest.raises(RegexpError, match=re.escape(why)):
        Regexp(pattern)


def test_an_escaped_backslash_before_c_is_no_byte() -> None:
    assert Regexp(r"\\C").search(r"a\C")
    assert Regexp(r"\Q\C\E").search(r"a\C")


def test_a_lone_surrogate_reads_as_the_replacement_character() -> None:
    assert Regexp("^a.b$").search("a\ud800b")
    assert Regexp("\ufffd").search("\udfff")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*a){20}b", "((([a-z]{0,30}){0,30}){0,1}!)"])
def test_no_expression_backtracks(pattern: str) -> None:
    """100,000 characters: on a backtracking engine none of these would come back within the tests' time."""
    assert Regexp(pattern).search("a" * 100_000 + "?") is None


def test_a_name_without_braces_is_as_long_as_it_can_be() -> None:
    regexp = Regexp("^(.*)_total$")
    match = regexp.search("http_requests_total")
    assert regexp.expand("$1_per_second", match) == ""  # the group named 1_per_second, which is not there
    assert regexp.expand("${1}_per_second", match) == "http_requests_per_second"


PIECES = [
    "a",
    "b",
    "(",
    ")",
    "[",
    "]",
    "^",
    "$",
    ".",
    "*",
    "+",
    "?",
    "{2}",
    "{1,2}",
    "|",
    "\\d",
    "\\.",
    "(?i)",
    "(?:",
    "(?P<n>",
    "-",
]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
def test_any_text_compiles_or_is_refused_and_warns_of_nothing(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(RegexpError):
            Regexp(pattern).search("aab.b")
