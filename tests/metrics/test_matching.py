"""Label matchers, and what bounds their patterns."""

import re
import warnings

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapter.metrics import matching
from adapter.metrics.matching import Matching, Operator, full_match
from adapter.metrics.source import UnsupportedQuery


@pytest.mark.parametrize(
    ("operator", "value", "text", "expected"),
    [
        ("=", "a", "a", True),
        ("=", "", "", True),
        ("!=", "", "", False),
        ("!=", "a", "b", True),
        ("=~", "a.c", "abc", True),
        ("=~", "a.c", "xabc", False),
        ("=~", "", "", True),
        ("=~", ".+", "", False),
        ("=~", ".*", "two\nlines", True),
        ("=~", "web|db", "db", True),
        ("=~", "web|db", "web-1", False),
        ("=~", r"1\.2\.3|4", "1.2.3", True),
        ("=~", r"1\.2\.3|4", "1x2.3", False),
        ("=~", r"a\|b", "a|b", True),
        ("=~", "(?i)WEB", "web", True),
        ("=~", "^web-[a-z0-9]+-[a-z0-9]{5}$", "web-7d9f-abcde", True),
        ("=~", "(?:4..|5..)", "503", True),
        ("!~", "4..|5..", "503", False),
        ("!~", "4..|5..", "200", True),
        ("=~", r"\d+", "٣", False),
    ],
)
def test_matchers_are_anchored_as_in_prometheus(operator: str, value: str, text: str, expected: bool) -> None:
    assert Matching("x", Operator(operator), value).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a(", "missing )"),
        ("a++", "bad repetition operator"),
        ("x{1,30000}", "invalid repetition size"),
        (r"(?=a)", "invalid perl operator"),
        (r"(\pL{100}){9}", "pattern too large"),
        ("a)|(b", "unexpected )"),
        ("[a-z]" * 820, "has 4100 characters"),
        ("a.\ud800", "not valid Unicode"),
    ],
)
def test_patterns_that_cannot_be_read_are_refused_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(UnsupportedQuery, match=re.escape(why)):
        full_match(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "team-.*",
        ".*-(?:api|web)-.*",
        ".*foo.*bar.*",
        "(api|web)-[0-9a-f]{5,10}.*",
        "(a.*|b.*)c.*",
        "a?b?c?",
        "(abc)+",
        r"[^]\]]+.*",
        "(a+)+b",
        ".*a.*b.*c.*d",
        "(a|b)" * 15,
    ],
)
def test_patterns_of_daily_use_are_taken(pattern: str) -> None:
    compiled = re.compile(pattern)
    for text in ("team-a", "x-api-y", "api-12345", "abcabc", "ab", ""):
        assert full_match(pattern).matches(text) == bool(compiled.fullmatch(text))


def test_a_list_of_thousands_of_pods_is_a_set() -> None:
    pods = [f"web-{i}.x" for i in range(5000)]
    matches, _ = full_match("|".join(pod.replace(".", r"\.") for pod in pods))
    assert matches("web-4999.x")
    assert not matches("web-4999-x")


@settings(max_examples=150)
@given(st.text("ab|()*+?12,.[]\\^$-", max_size=14), st.text("ab1.", max_size=8))
def test_what_is_taken_is_what_re_matches(pattern: str, text: str) -> None:
    """Where both read the pattern: of the whole text they can match the same (captures aside)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            expected = re.compile(pattern, re.ASCII | re.DOTALL)
            matches, _ = full_match(pattern)
        except (re.error, UnsupportedQuery):
            return
    assume("$" not in pattern or "\n" not in text)
    assert matches(text) == bool(expected.fullmatch(text))


@pytest.mark.parametrize(
    "pattern",
    [
        "((([a-z0-9/-]{,}){,}!))",
        "(((a{0,50}){0,10}){0,2}!)",
        r"[^x]*[^x]*\.*!",
        "(a+)+!",
        "(a|aa)+!",
        "(a|a)" * 100 + "a*!",
        "a?" * 500 + "a*!",
        ".*.*.*.*.*.*.*.*!",
    ],
)
def test_no_pattern_backtracks(pattern: str) -> None:
    """On a backtracking engine none of these comes back within the tests' time."""
    assert not full_match(pattern).matches("a" * 100_000)


def test_braces_without_a_least_count_are_plain_text_as_in_go() -> None:
    assert full_match("a{,2}").matches("a{,2}")
    assert not full_match("a{,2}").matches("aa")


def test_a_lone_surrogate_in_a_value_is_one_character() -> None:
    assert full_match("a.b").matches("a\ud800b")


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    for index in range(100):
        full_match(rf"000{index}\w{{200}}")
        full_match("|".join(f"{index}-{number}" for number in range(2000)))
    assert 0 < matching._remembered.weight <= matching.CACHE_BYTES


def test_a_query_of_several_expressions_holds_none_that_it_does_not_use() -> None:
    """Each may have half a MiB of its own; 64 of them are in one selector."""
    many = [Matching("x", Operator.MATCH, rf"{index}\w{{200}}") for index in range(200)]
    assert not any(callable(getattr(one, slot)) for one in many for slot in Matching.__slots__)
    assert [one.matches("7" + "a" * 200) for one in many].count(True) == 1
