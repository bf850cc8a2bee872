"""Expressions mean what Go's regexp says: tests/golden/rules/goregexp.json holds Go's own answers."""

import contextlib
import json
import pathlib
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.rules.go.regexp import Regexp
from adapter.rules.go.translate import RegexpError

CASES = json.loads((pathlib.Path(__file__).parent.parent / "golden" / "rules" / "goregexp.json").read_text())

NOT_CARRIED_OVER = {r"\p{Lu}", r"[\pL_]+", "^*", "(?P<n>a)(?P<n>b)", "(?P<1a>a)", "(?U)a+"}
"""Go takes these; here each is refused with a sentence."""

CAPTURES_DIFFER = {"(a*)+"}
"""A group that matched nothing in its last turn: Go keeps the turn before. The whole match is the same."""

TAKEN = [case for case in CASES if case["valid"] and case["pattern"] not in NOT_CARRIED_OVER]


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: f"{case['pattern']!r} {case['as']!r}")
def test_what_go_matches_is_matched_and_expanded_the_same(case: dict[Any, Any]) -> None:
    regexp = Regexp(case["pattern"])
    match = regexp.search(case["text"])
    assert bool(match) == case["match"]
    if match:
        assert match[0] == case["groups"][0]
    if match and case["pattern"] not in CAPTURES_DIFFER:
        assert [group or "" for group in match.groups()] == case["groups"][1:]
        assert regexp.expand(case["as"], match) == case.get("expand", "")


@pytest.mark.parametrize("pattern", [case["pattern"] for case in CASES if not case["valid"]])
def test_what_go_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(RegexpError, match="does not compile: "):
        Regexp(pattern)


@pytest.mark.parametrize("pattern", sorted(NOT_CARRIED_OVER))
def test_what_is_not_carried_over_says_so(pattern: str) -> None:
    with pytest.raises(RegexpError, match=r"not supported|no new group's name|nothing to repeat"):
        Regexp(pattern)


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
