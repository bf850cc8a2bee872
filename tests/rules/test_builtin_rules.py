"""The rules that hold without a file."""

from collections.abc import Callable
from typing import Any

import pytest

from adapter.metrics.sample import Series
from adapter.metrics.source import Query
from adapter.metrics.store.store import Store
from adapter.rules import builtin
from adapter.rules.config import load
from adapter.rules.merge import merge_objects, why_not
from adapter.rules.naming import BoundRule, bind, combine, offers
from adapter.rules.queries import custom_query
from adapter.rules.resources import PODS, ResourceMapper
from adapter.rules.samples import timestamp_query

METRICS = {
    "http_requests_per_second", "http_errors_per_second", "http_errors_ratio", "http_request_duration_seconds_p50",
    "http_request_duration_seconds_p90", "http_request_duration_seconds_p95", "http_request_duration_seconds_p99",
    "http_requests_total", "http_errors_total", "http_slow_requests_total",
}  # fmt: skip
COUNTERS = {"http_requests_total", "http_errors_total", "http_slow_requests_total"}


@pytest.fixture(scope="module")
def rules(mapper: ResourceMapper) -> dict[str, Any]:
    return {rule.name_as: bind(rule, mapper) for rule in builtin.rules().custom}


def series(name: str, value: int, **labels: str) -> tuple[dict[str, str], float]:
    return {"__name__": name, "namespace": "shop", **labels}, float(value)


def values(evaluate: Callable[..., Any], rule: BoundRule[Any], world: list[Any]) -> dict[str, float]:
    """What the rule's own query and the merged one give per pod, which is the same."""
    own = evaluate(custom_query(rule, "ignored", resource=PODS, namespace="shop", names=["a", "b", "c"]), world)
    one = evaluate(merge_objects(rule, "ignored", PODS, ["shop"]), world)
    by_pod = {labels["pod"]: value for labels, value in own}
    assert {labels["pod"]: value for labels, value in one} == by_pod
    return by_pod


def test_they_are_a_file_like_any_other(rules: dict[str, Any]) -> None:
    file = load(builtin.text(), "copy")
    assert file.problems == ()
    assert {rule.name_as for rule in file.custom} == METRICS == set(rules)
    assert (file.external, file.resource) == (None, None)
    assert {rule.name_as for rule in file.custom if not rule.policy.adaptive} == COUNTERS


def test_every_one_is_merged_and_has_a_time(rules: dict[str, Any]) -> None:
    for rule in rules.values():
        assert why_not(rule, PODS) == ""
        assert timestamp_query(merge_objects(rule, "x", PODS, ["shop"])).startswith(
            "max by (pod, namespace) (timestamp("
        )


def test_they_collide_with_no_other(rules: dict[str, Any]) -> None:
    label_sets = [
        {"__name__": name, "pod": "a", "namespace": "shop"} for name in (*builtin.REQUESTS, *builtin.LATENCIES)
    ]
    parts = [(rule.rule, [((o.resource, o.metric), o) for o in offers(rule, label_sets)]) for rule in rules.values()]
    chosen, problems = combine(parts)
    assert problems == []
    assert {metric for _, metric in chosen} == METRICS


def test_each_pod_is_counted_by_the_first_name_it_exposes(rules: dict[str, Any], evaluate: Callable[..., Any]) -> None:
    world = [
        series("http_requests_total", 10, pod="a", code="200"),
        series("http_requests_total", 4, pod="a", code="500"),
        series("http_request_duration_seconds_count", 14, pod="a", code="200"),  # the same requests once more
        series("http_server_request_duration_seconds_count", 6, pod="b", http_response_status_code="200"),
    ]
    # the evaluator's rate is half of the value: (10 + 4) / 2 and 6 / 2
    assert values(evaluate, rules["http_requests_per_second"], world) == {"a": 7.0, "b": 3.0}


def test_errors_are_answers_with_5xx_and_none_is_zero(rules: dict[str, Any], evaluate: Callable[..., Any]) -> None:
    world = [
        series("http_requests_total", 10, pod="a", code="200"),
        series("http_requests_total", 30, pod="a", code="503"),
        series("http_server_request_duration_seconds_count", 6, pod="b", http_response_status_code="200"),
        series("http_server_requests_seconds_count", 6, pod="c", status="500"),
    ]
    assert values(evaluate, rules["http_errors_per_second"], world) == {"a": 15.0, "b": 0.0, "c": 3.0}
    assert values(evaluate, rules["http_errors_ratio"], world) == {"a": 0.75, "b": 0.0, "c": 1.0}


def test_counters_are_served_as_they_are_counted(rules: dict[str, Any], evaluate: Callable[..., Any]) -> None:
    """Releases are judged on what they grow by; a pod that had no error has 0 of them, and not nothing."""
    bucket = "http_request_duration_seconds_bucket"
    world = [
        series("http_requests_total", 10, pod="a", code="200"),
        series("http_requests_total", 30, pod="a", code="503"),
        series("http_server_request_duration_seconds_count", 6, pod="b", http_response_status_code="200"),
        series(bucket, 31, pod="a", le="1"),
        series(bucket, 40, pod="a", le="+Inf"),
        series(bucket, 5, pod="b", le="1.0"),
        series(bucket, 6, pod="b", le="+Inf"),
    ]
    assert values(evaluate, rules["http_requests_total"], world) == {"a": 40.0, "b": 6.0}
    assert values(evaluate, rules["http_errors_total"], world) == {"a": 30.0, "b": 0.0}
    assert values(evaluate, rules["http_slow_requests_total"], world) == {"a": 9.0, "b": 1.0}


def test_a_latency_comes_from_the_buckets_of_one_name(rules: dict[str, Any], evaluate: Callable[..., Any]) -> None:
    world = [
        series("http_request_duration_seconds_bucket", 2, pod="a", le="0.1", path="/x"),
        series("http_request_duration_seconds_bucket", 4, pod="a", le="0.1", path="/y"),
        series("http_request_duration_seconds_bucket", 8, pod="a", le="+Inf", path="/x"),
        series("http_server_request_duration_seconds_bucket", 99, pod="a", le="0.1"),
    ]
    # the evaluator numbers the buckets: (2 + 4) / 2 x 1 + 8 / 2 x 2
    assert values(evaluate, rules["http_request_duration_seconds_p95"], world) == {"a": 11.0}


def test_the_embedded_store_evaluates_every_one(rules: dict[str, Any]) -> None:
    store = Store(max_series=100, retention_s=300.0)
    pods = {"a": ("http_requests_total", "code"), "b": ("http_server_requests_seconds_count", "status")}
    for second in range(0, 121, 10):
        for pod, (name, status) in pods.items():
            for answer, rate in (("200", 3), ("500", 1)):
                labels = {"namespace": "shop", "pod": pod, status: answer}
                store.extend([(Series.of(name, labels), float(rate * second), float(second))])
        for bound, share in (("0.1", 0.5), ("1", 1.0), ("+Inf", 1.0)):
            labels = {"namespace": "shop", "pod": "a", "le": bound}
            point = Series.of("http_request_duration_seconds_bucket", labels), 10 * second * share, float(second)
            store.extend([point])
    results = {}
    for metric, rule in rules.items():
        promql = merge_objects(rule, "x", PODS, ["shop"])
        for sample in store.query(Query(promql), 120.0):
            results[metric, sample.labels["pod"]] = sample.value
        times = {sample.labels["pod"]: sample.value for sample in store.query(Query(timestamp_query(promql)), 120.0)}
        assert times["a"] == 120.0
    assert results["http_requests_per_second", "a"] == pytest.approx(3 + 1)
    assert results["http_requests_per_second", "b"] == pytest.approx(3 + 1)
    assert results["http_errors_per_second", "b"] == pytest.approx(1)
    assert results["http_requests_total", "b"] == 4 * 120
    assert results["http_errors_total", "b"] == 120
    assert results["http_slow_requests_total", "a"] == 0
    assert results["http_errors_ratio", "a"] == pytest.approx(1 / (3 + 1))
    assert results["http_request_duration_seconds_p50", "a"] == pytest.approx(
        0.1
    )  # half of the requests took up to 0.1 s
    assert results["http_request_duration_seconds_p90", "a"] == pytest.approx(0.1 + 0.9 * (0.9 - 0.5) / 0.5)
