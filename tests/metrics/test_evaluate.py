"""PromQL over the embedded store."""

import math
import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.metrics.sample import Series
from adapter.metrics.source import Query, SourceError, UnsupportedQuery
from adapter.metrics.store.store import Store
from adapter.metrics.store.vector import bucket_quantile

T = 1_000_000.0


def build(*series: tuple[Any, ...]) -> Store:
    """A store of (name, labels, {time: value})."""
    store = Store()
    for name, labels, samples in series:
        store.extend((Series.of(name, labels), value, T + time) for time, value in samples.items())
    return store


def ask(store: Store, promql: str, at: float = 60.0, adaptive: bool = False) -> dict[Any, Any]:
    samples = store.query(Query(promql, adaptive), T + at)
    values = {tuple(sorted(sample.labels.items())): sample.value for sample in samples}
    assert len(values) == len(samples)
    return values


@pytest.fixture
def shop() -> Store:
    counters = {0: 0, 30: 30, 60: 90}
    return build(
        ("hits", {"pod": "a", "namespace": "x", "code": "200"}, counters),
        ("hits", {"pod": "a", "namespace": "x", "code": "500"}, {time: value / 10 for time, value in counters.items()}),
        ("hits", {"pod": "b", "namespace": "x", "code": "200"}, {0: 100, 30: 160, 60: 30}),
        ("depth", {"queue": "q1"}, {50: 4.0, 60: 8.0}),
        ("depth", {"queue": "q2"}, {60: 2.0}),
    )


@pytest.mark.parametrize(
    ("promql", "expected"),
    [
        ("depth", {"q1": 8, "q2": 2}),
        ('depth{queue!="q2"}', {"q1": 8}),
        ('{__name__=~"dep.+",queue=~"q1|q3"}', {"q1": 8}),
        ('depth{missing=""}', {"q1": 8, "q2": 2}),
        ('depth{missing!=""}', {}),
        ('depth{queue="nobody"}', {}),
        ("(depth)", {"q1": 8, "q2": 2}),
        ("-depth", {"q1": -8, "q2": -2}),
        ("2 * depth - 1", {"q1": 15, "q2": 3}),
        ("depth / 0", {"q1": math.inf, "q2": math.inf}),
        ("depth % 3", {"q1": 2, "q2": 2}),
        ("-5 % depth", {"q1": -5, "q2": -1}),
        ("2 ^ depth", {"q1": 256, "q2": 4}),
        ("avg_over_time(depth[1m])", {"q1": 6, "q2": 2}),
        ("max_over_time(depth[1m])", {"q1": 8, "q2": 2}),
        ("min_over_time(depth[1m])", {"q1": 4, "q2": 2}),
        ("sum_over_time(depth[1m])", {"q1": 12, "q2": 2}),
        ("count_over_time(depth[1m])", {"q1": 2, "q2": 1}),
        ("last_over_time(depth[1m])", {"q1": 8, "q2": 2}),
        ("depth + on (queue) depth", {"q1": 16, "q2": 4}),
        ("depth - ignoring (nothing) depth", {"q1": 0, "q2": 0}),
        ('depth / depth{queue="q2"}', {"q2": 1}),
        ('depth{queue="q1"} or depth * 10', {"q1": 8, "q2": 20}),
        ('depth and depth{queue="q1"}', {"q1": 8}),
        ('depth unless on (queue) depth{queue="q1"}', {"q2": 2}),
        ("timestamp(depth)", {"q1": T + 60, "q2": T + 60}),
    ],
)
def test_gauges(shop: Store, promql: str, expected: dict[Any, Any]) -> None:
    values = ask(shop, promql)
    assert {dict(labels)["queue"]: value for labels, value in values.items()} == expected


@pytest.mark.parametrize(
    ("promql", "expected"),
    [
        ("sum(depth)", {(): 10}),
        ("avg(depth)", {(): 5}),
        ("min(depth)", {(): 2}),
        ("max(depth)", {(): 8}),
        ("count(depth)", {(): 2}),
        ("group(depth)", {(): 1}),
        ("sum(nothing)", {}),
        ("sum(rate(hits[61s]))", {(): (90 + 9 + 60 + 30) / 60}),
        ("sum by (pod) (rate(hits[61s]))", {("a",): 99 / 60, ("b",): 90 / 60}),
        ("sum by (pod) (rate(hits[31s]))", {("a",): 66 / 30, ("b",): 30 / 30}),
        ("sum by (pod) (increase(hits[61s]))", {("a",): 99, ("b",): 90}),
        ("sum by (pod) (irate(hits[61s]))", {("a",): 66 / 30, ("b",): 1}),
        ("sum without (code, namespace) (rate(hits[61s]))", {("a",): 99 / 60, ("b",): 90 / 60}),
        ("sum by (nothing) (rate(hits[61s]))", {(): 189 / 60}),
        ("max by (pod) (timestamp(hits))", {("a",): T + 60, ("b",): T + 60}),
        ("rate(hits[20s])", {}),
        (
            'sum by (pod) (rate(hits{code="500"}[61s])) / on (pod) sum by (pod) (rate(hits[61s]))',
            {("a",): pytest.approx(9 / 99)},
        ),
        ('100 * (1 - sum(rate(hits{code=~"5.."}[61s])) / sum(rate(hits[61s])))', {(): pytest.approx(100 * 180 / 189)}),
        ("7", {(): 7}),
        ("-(1 + 2) * 3", {(): -9}),
        ("1 / 0", {(): math.inf}),
    ],
)
def test_groups_and_numbers(shop: Store, promql: str, expected: dict[Any, Any]) -> None:
    values = ask(shop, promql)
    assert {tuple(value for _, value in labels): value for labels, value in values.items()} == expected


def test_only_plain_and_last_values_keep_the_name_of_the_metric(shop: Store) -> None:
    assert all("__name__" in dict(labels) for labels in ask(shop, "depth"))
    for promql in ("rate(hits[1m])", "depth + 1", "timestamp(depth)", "sum(depth)", "max_over_time(depth[1m])"):
        assert not any("__name__" in dict(labels) for labels in ask(shop, promql))


def test_a_sample_has_the_time_of_the_newest_sample_behind_it_and_the_longest_window() -> None:
    store = build(
        ("hits", {"pod": "a", "code": "200"}, {0: 0, 10: 10, 50: 50}),
        ("hits", {"pod": "a", "code": "500"}, {30: 0, 40: 10}),
    )
    assert store.query(Query("sum by (pod) (rate(hits[1m]))"), T + 55) == [({"pod": "a"}, 2, T + 50, 50)]
    assert store.query(Query("sum by (pod) (hits)"), T + 55) == [({"pod": "a"}, 60, T + 50, 0)]


@pytest.mark.parametrize(
    ("promql", "part"),
    [
        ("topk(3, depth)", "the aggregation topk"),
        ("quantile(0.5, depth)", "the aggregation quantile"),
        ("absent(depth)", "the function absent"),
        ("deriv(depth[1m])", "the function deriv"),
        ("depth > 3", "the operator >"),
        ("depth + fill(0) depth", "fill"),
        ("depth offset 1m", "'offset' and '@'"),
        ("rate(hits[1m] @ 5)", "'offset' and '@'"),
        ("rate(hits[1m:5s])", "rate of a subquery"),
        ("depth[1m:5s]", "subqueries"),
        ("depth[1m]", "a bare range"),
        ('"text"', "strings"),
        ("depth * on (queue) group_left () depth", "group_left and group_right"),
        ("timestamp(sum(depth))", "timestamp of anything but a plain selector"),
        ('{queue="a" or queue="b"}', "'or' between matchers"),
        ("histogram_quantile(scalar(depth), depth)", "the function scalar"),
    ],
)
def test_what_is_not_evaluated_is_named_with_what_is(shop: Store, promql: str, part: str) -> None:
    with pytest.raises(UnsupportedQuery) as refused:
        ask(shop, promql)
    assert str(refused.value).startswith(f"the embedded store does not evaluate {part}")
    assert "it evaluates sum, avg" in str(refused.value)


@pytest.mark.parametrize(
    ("promql", "sentence"),
    [
        ("sum(", "the query is no PromQL: "),
        ("depth and 3", "the query is no PromQL: set operator 'and' not allowed"),
        ("rate(hits)", "the query is no PromQL: "),
        ("(" * 101 + "1" + ")" * 101, "the query is nested deeper than 100 brackets"),
        ("sum(" * 9999 + "a" + ")" * 9999, "the query is nested deeper than 100 brackets"),
        ("+".join(["a"] * 9999), "the query has more than 500 operators"),
        (" OR ".join(["a"] * 9999), "the query has more than 500 operators"),
        ("-" * 9999 + "a", "the query has more than 500 operators"),
        ("a" * 1_048_577, "the query has more than 1048576 characters"),
        ("rate(hits[10m])", "the window of 600 s is longer than the 300 s of samples that the embedded store keeps"),
        ('depth{queue=~"(a+"}', "the pattern '(a+' does not compile: missing )"),
    ],
)
def test_a_query_that_cannot_be_run_is_refused_with_one_sentence(shop: Store, promql: str, sentence: str) -> None:
    with pytest.raises(UnsupportedQuery) as refused:
        ask(shop, promql)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("inside", ["(" * 99, '\\"' + "(" * 99, "a" * 99_999, "+" * 999, "[" * 99])
def test_brackets_and_signs_inside_texts_do_not_count(shop: Store, inside: str) -> None:
    assert ask(shop, f'depth{{queue!="{inside}"}}  # {"(" * 99}')


def test_an_ambiguous_match_is_an_error_of_the_data_not_of_the_query(shop: Store) -> None:
    with pytest.raises(SourceError, match=r"several series on the left side of '/' have the same labels") as raised:
        ask(shop, "rate(hits[61s]) / on (pod) sum by (pod) (rate(hits[61s]))")
    assert not isinstance(raised.value, UnsupportedQuery)


def test_min_and_max_pass_over_nan_and_sum_does_not() -> None:
    store = build(("x", {"i": "1"}, {60: math.nan}), ("x", {"i": "2"}, {60: 3.0}))
    assert ask(store, "max(x)") == ask(store, "min(x)") == {(): 3}
    assert math.isnan(ask(store, "sum(x)")[()])


def histogram(pod: str, buckets: dict[str, int], factor: int = 1) -> list[Any]:
    return [
        ("t_bucket", {"pod": pod, "le": le, "path": path}, {0: 0, 60: 60 * factor * count})
        for le, count in buckets.items()
        for path in ("/a", "/b")
    ]


def test_a_quantile_is_interpolated_inside_its_bucket() -> None:
    store = build(*histogram("a", {"0.1": 50, "0.2": 90, "+Inf": 100}), *histogram("b", {"0.1": 0, "+Inf": 0}))
    promql = "histogram_quantile(0.7, sum by (pod, le) (rate(t_bucket[61s])))"
    quantiles = ask(store, promql)
    # rank 0.7 * 100 = 70 lies (70 - 50) / (90 - 50) into the bucket from 0.1 to 0.2; b has no observations
    assert quantiles[(("pod", "a"),)] == pytest.approx(0.15)
    assert math.isnan(quantiles[(("pod", "b"),)])
    assert ask(store, promql.replace("t_bucket", 't_bucket{le="nonsense"}')) == {}


@pytest.mark.parametrize(
    ("q", "bounds", "counts", "expected"),
    [
        (0.99, [1, 2, math.inf], [10, 20, 100], 2),  # beyond the last finite bound
        (0.5, [-1, 1, math.inf], [10, 10, 10], -1),  # a first bucket below zero has no lower bound
        (0.5, [1, math.inf], [10, 10], 0.5),
        (0.5, [1, 2], [10, 20], math.nan),
        (0.5, [math.inf], [10], math.nan),
        (0.5, [1, math.inf], [0, 0], math.nan),
        (-1, [1, math.inf], [1, 1], -math.inf),
        (2, [1, math.inf], [1, 1], math.inf),
        (math.nan, [1, math.inf], [1, 1], math.nan),
        (0.5, [1, 2, math.inf], [10, 5, 20], 1),  # a fall is levelled
        (0.5, [math.inf, 1, 1], [20, 5, 5], 1),  # unsorted, and two buckets of one bound
    ],
)
def test_quantiles_of_odd_histograms_are_prometheus_ones(
    q: float, bounds: list[Any], counts: list[int], expected: float
) -> None:
    import numpy as np

    quantile = bucket_quantile(q, np.array(bounds, dtype=float), np.array(counts, dtype=float))
    assert quantile == expected or (math.isnan(quantile) and math.isnan(expected))


def traffic(pod: str, counts: list[int], interval: int = 5, **labels: str) -> tuple[Any, ...]:
    total, samples = 0, {0: 0}
    for number, count in enumerate(counts, 1):
        total += count
        samples[number * interval] = total
    return ("hits", {"namespace": "x", "pod": pod, **labels}, samples)


STEP = [50, 48, 53, 47, 51, 49, 52, 50, 46, 54] * 3 + [100, 150, 148]


def test_an_adaptive_rate_follows_a_change_that_a_fixed_one_averages_away() -> None:
    store = build(traffic("a", STEP), traffic("b", STEP[:10] * 3 + [50] * 3))
    promql, at = "sum by (pod) (rate(hits[60s]))", 33 * 5.0
    adaptive = {sample.labels["pod"]: sample for sample in store.query(Query(promql, True), T + at)}
    assert adaptive["a"] == ({"pod": "a"}, pytest.approx((150 + 148) / 10), T + at, 10)
    assert adaptive["b"] == ({"pod": "b"}, pytest.approx(10, rel=0.02), T + at, 60)
    assert ask(store, promql, at)[(("pod", "a"),)] < 16


def test_an_adaptive_rate_judges_the_sum_of_a_pods_series_and_adds_up_pods() -> None:
    halves = [[count // 2 for count in STEP], [count - count // 2 for count in STEP]]
    store = build(
        *(traffic("a", half, code=str(code)) for code, half in enumerate(halves)),
        *(traffic("b", half, code=str(code)) for code, half in enumerate(halves)),
    )
    at = 33 * 5.0
    assert ask(store, "sum by (pod) (rate(hits[60s]))", at, adaptive=True) == {
        (("pod", pod),): pytest.approx(29.8) for pod in "ab"
    }
    assert ask(store, "sum by (namespace) (rate(hits[60s]))", at, adaptive=True) == {
        (("namespace", "x"),): pytest.approx(59.6)
    }
    assert ask(store, "sum(rate(hits[60s])) / 2", at, adaptive=True) == {(): pytest.approx(29.8)}


def test_an_adaptive_rate_of_a_gone_pod_is_not_served() -> None:
    store = build(traffic("a", [50] * 10), traffic("b", [50] * 30))
    rates = ask(store, "sum by (pod) (rate(hits[60s]))", 150, adaptive=True)
    assert rates == {(("pod", "b"),): 10}


def test_only_a_sum_of_rates_is_adaptive() -> None:
    store = build(traffic("a", STEP))
    for promql in ("rate(hits[60s])", "max by (pod) (rate(hits[60s]))", "sum by (pod) (irate(hits[60s]))", "sum(hits)"):
        assert store.query(Query(promql, True), T + 165) == store.query(Query(promql), T + 165)


NAMES = st.sampled_from(["x", "y"])
LABELS = st.fixed_dictionaries({}, optional={label: st.sampled_from("123") for label in "abc"})
COUNTER = st.dictionaries(st.integers(0, 59), st.integers(0, 1000), max_size=6)


def brute_rate(samples: dict[Any, Any], since: int) -> float | None:
    inside = sorted((time, value) for time, value in samples.items() if since < time)
    if len(inside) < 2:
        return None
    grown = sum(new - old if new >= old else new for (_, old), (_, new) in pairwise(inside))
    return grown / (inside[-1][0] - inside[0][0])


def brute_value(samples: dict[Any, Any], _: int) -> int | None:
    """At 60 s one of 0 s is as old as the store looks back, and just too old."""
    return samples[max(samples)] if samples and max(samples) > 0 else None


REDUCE: dict[str, Callable[[Any], float]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "count": len,
    "avg": lambda values: sum(values) / len(values),
}


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(NAMES, LABELS, COUNTER), max_size=8, unique_by=lambda one: (one[0], tuple(sorted(one[1].items())))
    ),
    st.sampled_from([("rate(x[30s])", brute_rate), ("x", brute_value)]),
    st.sampled_from(sorted(REDUCE)),
    st.sets(st.sampled_from("abc")),
    st.booleans(),
    st.sampled_from(["=", "!="]),
)
def test_aggregations_are_what_brute_force_finds(
    series: list[Any], inner: tuple[str, Callable[..., Any]], reduce: str, labels: set[Any], by: bool, sign: str
) -> None:
    store = build(*((name, tags, dict(sorted(samples.items()))) for name, tags, samples in series))
    expression, brute = inner
    expression = expression.replace("x", f'x{{a{sign}"1"}}')
    groups: dict[Any, Any] = {}
    for name, tags, samples in series:
        keep = (operator.eq if sign == "=" else operator.ne)(tags.get("a", ""), "1")
        value = brute(samples, 30)
        if name == "x" and keep and value is not None:
            key = tuple(sorted((k, v) for k, v in tags.items() if (k in labels) == by))
            groups.setdefault(key, []).append(value)
    clause = f"{'by' if by else 'without'} ({', '.join(sorted(labels))})"
    aggregates = ask(store, f"{reduce} {clause} ({expression})", at=60)
    assert aggregates == {key: pytest.approx(REDUCE[reduce](values)) for key, values in groups.items()}
    assert all(value >= 0 for value in aggregates.values())


@settings(max_examples=60)
@given(
    st.lists(st.tuples(LABELS, st.integers(1, 100)), max_size=6, unique_by=lambda one: tuple(sorted(one[0].items())))
)
def test_a_ratio_of_equal_sides_is_one(series: list[Any]) -> None:
    store = build(*(("x", labels, {60: value}) for labels, value in series))
    assert set(ask(store, "x / x").values()) <= {1.0}
    assert len(ask(store, "x / x")) == len(series)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_an_adaptive_rate_passes_over_what_is_no_count(odd: float) -> None:
    steady = {time: 10.0 * time for time in range(0, 65, 5)}
    store = build(
        ("hits", {"pod": "never"}, dict.fromkeys(steady, odd)),
        ("hits", {"pod": "once"}, {**steady, 30: odd}),
        ("hits", {"pod": "now"}, {**steady, 60: odd}),
    )
    rates = ask(store, "sum by (pod) (rate(hits[60s]))", adaptive=True)
    assert rates == {(("pod", "once"),): 10.0}  # over the 25 s since; whose newest is odd has no value now
