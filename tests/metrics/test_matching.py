"""Label matchers and the bound on their patterns."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        ("(a+)+b", "repeats what holds a repetition or a choice"),
        ("(a|aa)+b", "repeats what holds a repetition or a choice"),
        ("(?:x(a*)y)*", "repeats what holds a repetition or a choice"),
        ("(?P<n>a{1,9}){9}", "repeats what holds a repetition or a choice"),
        ("a++", "repeats what holds a repetition or a choice"),
        (".*a.*b.*c.*d", "could take too long to match"),
        ("a?" * 15 + "a" * 15, "could take too long to match"),
        ("(a|b)" * 15, "could take too long to match"),
        ("x{1,30000}", "could take too long to match"),
        ("[a-z]" * 201, "has 1005 characters"),
        ("[[:alpha:]]+", "has a POSIX class"),
        ("a(", "is not understood"),
        ("[a--c].", "is not understood"),
        (r"\pL.", "is not understood"),
    ],
)
def test_patterns_that_cannot_be_bounded_are_refused_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(UnsupportedQuery, match=re.escape(why)) as refused:
        full_match(pattern)
    assert "the embedded store takes lists of names (a|b|c)" in str(refused.value)


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
    ],
)
def test_patterns_of_daily_use_are_taken(pattern: str) -> None:
    compiled = re.compile(pattern)
    for text in ("team-a", "x-api-y", "api-12345", "abcabc", "ab", ""):
        assert full_match(pattern)(text) == bool(compiled.fullmatch(text))


def test_a_list_of_thousands_of_pods_is_a_set() -> None:
    pods = [f"web-{i}.x" for i in range(5000)]
    matches = full_match("|".join(pod.replace(".", r"\.") for pod in pods))
    assert matches("web-4999.x")
    assert not matches("web-4999-x")


@settings(max_examples=150)
@given(st.text("ab|()*+?{}12,.[]\\^$-", max_size=14), st.text("ab1.", max_size=8))
def test_what_is_taken_is_what_re_matches(pattern: str, text: str) -> None:
    try:
        matches = full_match(pattern)
    except UnsupportedQuery:
        return
    assert matches(text) == bool(re.compile(pattern, re.ASCII | re.DOTALL).fullmatch(text))


@pytest.mark.parametrize(
    "pattern",
    [
        ".*.*c",
        "(a|a).*.*c",
        "(a|a)" * 14 + "c",
        "(?:a|b)" + "a?" * 6 + "a*c",
        "a{1,100}a*c",
        ".*b.*.*",
        "a?" * 13 + "c.*",
    ],
)
def test_the_worst_patterns_that_are_taken_end_soon(pattern: str) -> None:
    matches = full_match(pattern)
    started = time.process_time()
    assert not matches("a" * 250)
    assert time.process_time() - started < 0.3
