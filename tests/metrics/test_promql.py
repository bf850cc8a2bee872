"""The one reader of PromQL: what it bounds, what it sets aside, and that nothing but its own error leaves it."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.metrics.promql import read
from adapter.metrics.promql.read import CACHE_BYTES, MAX_CHARACTERS, PromQLError, parse
from adapter.metrics.promql.walk import matchers, selectors
from adapter.metrics.promql.write import Writer
from adapter.rules.samples import coverage_query, over, timestamp_query


def listing(pods: int, length: int = 21) -> str:
    """A request's own query, as prometheus-adapter's templates write it for every pod of a namespace."""
    names = "|".join(f"{number:0{length}d}" for number in range(pods))
    return f'sum by (pod) (rate(http_requests_total{{namespace="shop",pod=~"{names}"}}[2m]))'


@pytest.mark.parametrize(("pods", "length"), [(3_500, 21), (10_000, 21), (10_000, 100)])
def test_a_query_over_thousands_of_pods_gets_a_timestamp_and_a_coverage_query_about_all_of_them(
    pods: Any, length: Any
) -> None:
    query = listing(pods, length)
    names = query.partition("=~")[2].partition("}")[0]
    assert timestamp_query(query, ["pod"]) == (
        f'max by (pod) (timestamp(http_requests_total{{namespace="shop",pod=~{names}}}))'
    )
    coverage = coverage_query(query, ["pod"])
    assert coverage.window == 120.0
    assert coverage.promql.count(names) == 2


@pytest.mark.parametrize(
    ("promql", "shorter"),
    [
        ("sum by (pod) (rate(x[2m]))", "sum by (pod) (rate(x[45s]))"),
        ('sum(rate(x{a="[2m]"}[2m])) by (pod)', 'sum by (pod) (rate(x{a="[2m]"}[45s]))'),
        ("sum without (code) ((rate(x[120s])))", "sum without (code) ((rate(x[45s])))"),
    ],
)
def test_a_sum_of_a_rate_can_be_taken_over_a_shorter_window(promql: str, shorter: str) -> None:
    assert over(promql, 45) == shorter


@pytest.mark.parametrize(
    "promql",
    [
        "sum by (pod) (rate(x[45s]))",
        "sum by (pod) (increase(x[2m]))",
        "sum by (pod) (irate(x[2m]))",
        "avg by (pod) (rate(x[2m]))",
        "rate(x[2m])",
        "sum by (pod) (rate(x[2m])) / sum by (pod) (rate(y[2m]))",
        "sum by (pod) (rate(x[2m] offset 1m))",
        "sum by (pod) (rate(x[2m] @ 100))",
        "sum by (pod) (rate(x[2m:15s]))",
        "histogram_quantile(0.9, sum by (pod, le) (rate(x[2m])))",
        "sum by (pod) (x)",
        "1",
    ],
)
def test_whatever_else_keeps_its_window(promql: str) -> None:
    """Its value would be another one over a shorter window, or need not add up over the pods."""
    assert over(promql, 45) is None


def test_a_query_beyond_the_bound_is_refused_aloud() -> None:
    query = listing(11_000, 100)
    assert len(query) > MAX_CHARACTERS
    for asked in (timestamp_query, coverage_query):
        with pytest.raises(PromQLError, match=f"has more than {MAX_CHARACTERS} characters"):
            asked(query, ["pod"])


@pytest.mark.parametrize("sign", ["=~", "!~"])
@pytest.mark.parametrize("quote", ['"', "'", "`"])
@pytest.mark.parametrize("length", [2, 256, 50_000])
def test_a_pattern_of_any_length_reads_back_as_it_was_written(sign: Any, quote: Any, length: Any) -> None:
    pattern = "a|" * (length // 2)
    tree = parse(f"sum(x{{a='=~', b {sign} # {{ \n {quote}{pattern}{quote}, c='x'}}[1m])".replace("[1m]", ""))
    [selector] = selectors(tree)
    assert list(matchers(selector)) == [("a", "=", "=~"), ("b", sign, pattern), ("c", "=", "x")]
    assert Writer().write(selector) == f'x{{a="=~",b{sign}"{pattern}",c="x"}}'


def test_no_pattern_is_compiled_which_only_the_source_will_run() -> None:
    [selector] = selectors(parse('x{a=~"0001\\\\w{200}",b!~"(",c=~"(?=a)"}'))
    assert list(matchers(selector)) == [("a", "=~", r"0001\w{200}"), ("b", "!~", "("), ("c", "=~", "(?=a)")]


def test_the_trees_that_are_remembered_are_bounded_in_bytes() -> None:
    for index in range(60):
        parse(f'x{{a="{"b" * 100_000}{index}"}}')  # 0.8 MB each: 60 would be 48 MB
    assert 0 < read._remembered.weight <= CACHE_BYTES


@pytest.mark.parametrize("query", ["x offset NaN or y", "x offset Inf", "x offset -1e300", "rate(x[5m] offset NaN)"])
def test_a_panic_of_the_parser_is_its_own_error(query: str) -> None:
    with pytest.raises(PromQLError, match="the query is no PromQL: "):
        parse(query)


def test_a_long_text_that_is_no_pattern_stays_an_equality() -> None:
    [selector] = selectors(parse(f'x{{a="{"b" * 1000}"}}'))
    assert list(matchers(selector)) == [("a", "=", "b" * 1000)]


@pytest.mark.parametrize("number", ["-1", "-1e18", "253402300800", "1e300", "Inf"])
def test_a_time_that_cannot_be_is_refused_when_the_query_is_read(number: Any) -> None:
    with pytest.raises(PromQLError, match="the query is no PromQL: "):
        parse(f"x @ {number}")


@pytest.mark.parametrize("query", ["x[2000000000d]", "x offset -2000000000d", "rate(x[5m] offset 99999999999999y)"])
def test_a_duration_that_cannot_be_is_refused_when_the_query_is_read(query: Any) -> None:
    with pytest.raises(PromQLError, match="the query is no PromQL: "):
        parse(query)


PIECES = st.sampled_from([
    "x", "sum", "rate(", "by (a)", "(", ")", "{", "}", "[5m]", "[9y:1s]", "[0s]", "a=~", "a!~", "=", "!", "~", '"', "'",
    "`", "\\", "#", "\n", "@ ", "-1", "1e400", "0x", "offset ", "99999999d", "+", " or ", " and on (a) ", "group_left",
    ",", "\x00", "\ud800", "é", '"a"', "'b|c'", "{a=~\"(\"}", "start()", "bool", "NaN", "quantile(", "[", "]", ":",
])  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=80))
@example("x @ -99999999999")
@example('x{a=~"' + "(" * 300 + '"}')
@example('x{a=~"' + "(" * 300)
def test_whatever_the_text_it_is_read_and_written_or_refused_with_one_sentence(text: Any) -> None:
    written = outcome(text)
    if isinstance(written, PromQLError):
        assert str(written).strip()
        assert "\n" not in str(written)
    else:
        assert outcome(written) == written


def outcome(text: str) -> str | PromQLError:
    try:
        return Writer().write(parse(text))
    except PromQLError as refusal:
        return refusal


@given(st.lists(st.sampled_from("([{-+a"), max_size=3000).map("".join))
@example("(" * 200_000)
@example("-" * 200_000)
@example("a" + "+a" * 100_000)
@example("a[" * 100_000)
def test_depth_and_length_never_end_the_process(text: Any) -> None:
    with pytest.raises(PromQLError):
        parse(text + "(")


def test_brackets_and_signs_within_texts_and_comments_do_not_count() -> None:
    assert parse(f"x{{a='{'(-' * 1000}'}} # {'(-' * 1000}")
