"""One query for many requests: what it is, and that it gives what each request's own query gives."""

import math
import pathlib
import random
from collections.abc import Callable
from random import Random
from typing import Any

import promql_parser as ast
import pytest
import yaml

from adapter.kube.known import KNOWN
from adapter.kube.resources import GroupResource
from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.walk import matchers, selectors
from adapter.metrics.promql.write import Writer
from adapter.rules.config import load
from adapter.rules.go.template import Template
from adapter.rules.merge import (
    merge_containers,
    merge_external,
    merge_nodes,
    merge_objects,
    why_not,
)
from adapter.rules.naming import BoundRule, bind
from adapter.rules.partition import MARK, Keyed, Keys, NotMergeable, examine
from adapter.rules.queries import QueryError, container_query, custom_query, external_query, label_of, node_query
from adapter.rules.resources import NAMESPACES, NODES, PODS, ROOT_SCOPED, ResourceMapper
from adapter.rules.samples import coverage_query, timestamp_query
from adapter.units.selector import Selector
from tests.rules.conftest import Contradiction

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "rules"
MAPPER = ResourceMapper(KNOWN)
CUSTOM = yaml.safe_load((GOLDEN / "custom.yaml").read_text())
EXTERNAL = yaml.safe_load((GOLDEN / "external.yaml").read_text())
RESOURCE = yaml.safe_load((GOLDEN / "resource.yaml").read_text())
WORLDS = 60


def cases(all_cases: list[dict[str, Any]], mergeable: bool | None = None, key: str = "merged") -> Any:
    chosen = [case for case in all_cases if mergeable is None or bool(case[key]) == mergeable]
    return pytest.mark.parametrize("case", chosen, ids=[case["name"] for case in chosen])


def custom(case: dict[str, Any]) -> tuple[Any, ...]:
    """The bound rule, the resource and the metric's selector of a golden case."""
    file = load(yaml.safe_dump({"rules": [case["rule"]]}), "golden")
    assert not file.problems
    resource, _, group = case["resource"].partition(".")
    return (
        bind(file.custom[0], MAPPER),
        GroupResource(group, resource),
        Selector.parse(case["selector"], strict_values=False),
    )


def external(case: dict[str, Any]) -> tuple[Any, ...]:
    file = load(yaml.safe_dump({"externalRules": [case["rule"]]}), "golden")
    assert not file.problems
    return bind(file.external[0], MAPPER), [Selector.parse(text) for text in case["selectors"]]


def resource_rule(case: dict[Any, Any]) -> BoundRule[Any]:
    file = load(yaml.safe_dump({"resourceRules": {"cpu": case["rule"], "memory": case["rule"]}}), "golden")
    assert not file.problems
    return bind(file.resource.cpu, MAPPER)


@cases(CUSTOM)
def test_a_custom_rule_becomes_the_query_that_is_written_down(case: dict[str, Any]) -> None:
    bound, resource, selector = custom(case)
    namespace = "" if resource in ROOT_SCOPED else "shop"
    assert (
        custom_query(
            bound, case["series"], resource=resource, namespace=namespace, names=case["names"], metric_selector=selector
        )
        == case["request"]
    )
    assert merge_objects(bound, case["series"], resource, ["shop", "bank"], selector) == case["merged"]
    if case["merged"]:
        assert timestamp_query(case["merged"]) == case["timestamp"]
        assert why_not(bound, resource, case["series"]) == ""
    else:
        assert why_not(bound, resource, case["series"]) == case["why_not"]


@cases(EXTERNAL)
def test_an_external_rule_becomes_the_query_that_is_written_down(case: dict[str, Any]) -> None:
    bound, selectors_ = external(case)
    assert [external_query(bound, case["series"], "shop", each) for each in selectors_] == case["requests"]
    query = merge_external(bound, case["series"], ["shop", "bank"], selectors_)
    assert (query and query.promql) == case["merged"]
    if query:
        assert sorted(query.added) == case["added"]


@cases(RESOURCE)
def test_a_resource_rule_becomes_the_queries_that_are_written_down(case: dict[Any, Any]) -> None:
    bound = resource_rule(case)
    assert container_query(bound, "shop", ["web-0", "web-1"]) == case["containers"]
    assert node_query(bound, ["n1", "n2"]) == case["nodes"]
    assert merge_or_none(merge_containers, bound, ["shop", "bank"]) == case["merged_containers"]
    assert merge_or_none(merge_nodes, bound) == case["merged_nodes"]


def merge_or_none(merge: Callable[..., str], *arguments: object) -> str | None:
    try:
        return merge(*arguments)
    except QueryError:
        return None


# --- the same values as the requests' own queries

VALUES = {
    "namespace": ["shop", "bank", "zoo"], "pod": ["web-0", "web-1", "x-2"], "node": ["n1", "n2"],
    "code": ["200", "500"],
    "le": ["0.1", "1", "+Inf"], "container": ["app", "POD"], "queue": ["x", "y", "z"], "service": ["web", "db"],
    "ingress": ["main"], "exported_namespace": ["shop", "bank"], "exported_pod": ["web-0", "web-1"],
    "kube__namespace": ["shop", "bank"], "kube_apps_deployment": ["web", "db"], "instance": ["n1", "n2"],
    "topic": ["a", "b"], "env": ["p", "q"], "consumergroup": ["a", "b.c", "bxc"], "vhost": ["v", "w"],
    "resource": ["cpu", "memory"], "mode": ["idle"], "job": ["node-exporter", "windows-exporter"], "id": ["/"],
    "verb": ["GET"],
}  # fmt: skip


def world(promql: str, by: set[Any], rng: Random) -> list[Any]:
    """Random series for the selectors of a query, with labels that its matchers and groupings may look at."""
    series = {}
    wanted = sorted(VALUES)
    extra = set(rng.sample(wanted, rng.randint(0, 4)))
    for selector in selectors(parse(promql)):
        name = selector.name or next(v for n, _, v in matchers(selector) if n == "__name__").strip("^").replace(
            ".*", ""
        )
        told = {label for label, op, value in matchers(selector) if not (op == "!=" and value) and label != "__name__"}
        for _ in range(rng.randint(0, 14)):
            present = [label for label in wanted if label in told | extra or (label in by and rng.random() < 0.9)]
            labels = {label: rng.choice(VALUES[label]) for label in present if label in VALUES}
            labels["__name__"] = name
            series[tuple(sorted(labels.items()))] = float(rng.randint(1, 40))
    return [(dict(key), value) for key, value in series.items()]


def attempt(
    evaluate: Callable[..., Any], contradiction: type[Contradiction], promql: str, series: list[Any]
) -> list[Any] | None:
    try:
        return evaluate(promql, series)
    except contradiction:
        return None


def as_set(vector: Any) -> list[Any]:
    return sorted(
        (tuple(sorted(labels.items())), "NaN" if math.isnan(value) else round(value, 9)) for labels, value in vector
    )


def without(labels: dict[Any, Any], names: Any) -> dict[Any, Any]:
    return {name: value for name, value in labels.items() if name not in names}


def restrict(vector: list[Any], **wanted: str) -> list[Any]:
    return [
        (labels, value) for labels, value in vector if all(labels.get(name) == value for name, value in wanted.items())
    ]


def comparisons(
    evaluate: Callable[..., Any], contradiction: type[Contradiction], one: str, requests: list[Any], by: set[Any]
) -> int:
    """Over random worlds: for each request (its query, its part of the merged result), how many elements agreed."""
    agreed = 0
    for seed in range(WORLDS):
        series = world(one, by, random.Random(seed))
        whole = attempt(evaluate, contradiction, one, series)
        if whole is None:
            continue
        for promql, part, hide in requests:
            own = evaluate(promql, series)  # what holds for all holds for one: no Contradiction
            taken = part(whole)
            assert as_set((without(labels, hide), value) for labels, value in own) == as_set(
                (without(labels, hide), value) for labels, value in taken
            )
            agreed += len(own)
    return agreed


@cases(CUSTOM, mergeable=True)
def test_a_merged_custom_query_gives_what_each_request_gives(
    case: dict[str, Any], evaluate: Callable[..., Any], contradiction: type[Contradiction]
) -> None:
    bound, resource, selector = custom(case)
    label, root = label_of(bound, resource), resource in ROOT_SCOPED
    namespaces = [""] if root else ["shop", "bank"]
    ns = None if root else label_of(bound, NAMESPACES)
    many = [value for value in VALUES[label] if value != "zoo"]
    one = merge_objects(bound, case["series"], resource, many if resource == NAMESPACES else ["shop", "bank"], selector)
    requests = []
    for namespace in namespaces:
        for names in [many, many[:1], many[-1:]] if resource != NAMESPACES else [many[:1], many[1:2]]:
            promql = custom_query(
                bound, case["series"], resource=resource, namespace=namespace, names=names, metric_selector=selector
            )

            def part(whole: list[Any], namespace: str = namespace, names: list[str] = names) -> list[Any]:
                rows = restrict(whole, **({} if ns is None else {ns: namespace}))
                return [(labels, value) for labels, value in rows if labels[label] in names]

            requests.append((promql, part, {ns}))
    assert comparisons(evaluate, contradiction, one, requests, {label, ns}) > 20


@cases(EXTERNAL, mergeable=True)
def test_a_merged_external_query_gives_what_each_request_gives(
    case: dict[str, Any], evaluate: Callable[..., Any], contradiction: type[Contradiction]
) -> None:
    bound, selectors_ = external(case)
    query = merge_external(bound, case["series"], ["shop", "bank"], selectors_)
    requests: list[Any] = []
    for namespace in ["shop", "bank"]:
        for selector in selectors_:
            wanted = dict(selector.equals) | ({query.namespace_label: namespace} if query.namespace_label else {})

            def part(whole: list[Any], wanted: dict[Any, Any] = wanted) -> list[Any]:
                return [(without(labels, query.added), value) for labels, value in restrict(whole, **wanted)]

            requests.append((external_query(bound, case["series"], namespace, selector), part, set()))
    by = {query.namespace_label, *query.keys, "queue", "topic", "consumergroup"}
    assert comparisons(evaluate, contradiction, query.promql, requests, by) > 20


@cases(RESOURCE, mergeable=True, key="merged_containers")
def test_merged_usage_of_containers_is_what_each_request_gives(
    case: dict[str, Any], evaluate: Callable[..., Any], contradiction: type[Contradiction]
) -> None:
    bound = resource_rule(case)
    requests = [
        (container_query(bound, namespace, names), lambda whole, namespace=namespace, names=names: [
            pair for pair in restrict(whole, namespace=namespace) if pair[0]["pod"] in names
        ], {"namespace"})
        for namespace in ("shop", "bank") for names in (["web-0", "web-1"], ["x-2"])
    ]  # fmt: skip
    one = merge_containers(bound, ["shop", "bank"])
    assert comparisons(evaluate, contradiction, one, requests, {"namespace", "pod", "container"}) > 20


@cases(RESOURCE, mergeable=True, key="merged_nodes")
def test_merged_usage_of_nodes_is_what_each_request_gives(
    case: dict[str, Any], evaluate: Callable[..., Any], contradiction: type[Contradiction]
) -> None:
    bound = resource_rule(case)
    label = label_of(bound, NODES)
    requests: list[Any] = [
        (
            node_query(bound, names),
            lambda whole, names=names: [pair for pair in whole if pair[0][label] in names],
            set(),
        )
        for names in (["n1", "n2"], ["n1"], ["n2"])
    ]
    assert comparisons(evaluate, contradiction, merge_nodes(bound), requests, {label, "namespace", "pod"}) > 5


ANY = "x{<<.LabelMatchers>>}"
SOUND = [
    f"sum by (<<.GroupBy>>) ({ANY})", f"max by (<<.GroupBy>>, code) ({ANY})", ANY, "fixed", "sum by (pod) (fixed)",
    "sum by (namespace, pod) (fixed)", f"sum ({ANY})", f"sum by (namespace) ({ANY})", "3", "vector(1)",
    f"min without (code) ({ANY})", f"sum without (pod) ({ANY})", f"avg by (<<.GroupBy>>, namespace) ({ANY})",
]  # fmt: skip
JOINS = [
    "+", "/ on (pod)", "* on (namespace, pod)", "/ ignoring (code)", "- on (pod) group_left ()", "and", "or", "unless",
    "* on (namespace, pod) group_left (code)", "* on (pod) group_right ()", "and on (pod)", "or on (pod)",
    "unless on (namespace)", "> on (pod, code)", "* on () group_left ()", "* ignoring (pod) group_left ()",
    "unless ignoring (pod, code)", "and ignoring (pod)", "* on (code) group_left (pod)",
    "* on (namespace) group_right (pod)", "or on (namespace, pod)",
]  # fmt: skip


def test_whatever_is_merged_at_all_gives_what_each_request_gives(
    evaluate: Callable[..., Any], contradiction: type[Contradiction]
) -> None:
    """Every pair of shapes under every join: most are refused; those that are merged must agree, in many worlds."""
    rule = load(yaml.safe_dump({"rules": [pods_rule("x")]}), "t").custom[0]
    merges = agreed = 0
    for left in SOUND:
        for right in SOUND:
            for join in JOINS:
                template = f"({left}) {join} ({right})"
                bound = bind(rule._replace(metrics_query=Template.parse(template)), MAPPER)
                one = merge_objects(bound, "x", PODS, ["shop", "bank"])
                if one is None:
                    continue
                merges += 1
                agreed += agreement(bound, one, evaluate, contradiction, random.Random(template))
    assert merges > 100
    assert agreed > 2000


def pods_rule(query: str) -> dict[str, Any]:
    overrides = {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}
    return {"seriesQuery": "x", "resources": {"overrides": overrides}, "metricsQuery": query}


def agreement(
    bound: BoundRule[Any], one: str, evaluate: Callable[..., Any], contradiction: type[Contradiction], rng: Random
) -> int:
    agreed = 0
    for _ in range(2):
        series = world(one, {"namespace", "pod", "code"}, rng)
        whole = attempt(evaluate, contradiction, one, series)
        for namespace in ("shop", "bank") if whole is not None else ():
            for names in (["web-0", "web-1"], ["web-0"]):
                promql = custom_query(bound, "x", resource=PODS, namespace=namespace, names=names)
                own = evaluate(promql, series)
                part = [pair for pair in restrict(whole, namespace=namespace) if pair[0]["pod"] in names]
                bare = [[(without(labels, {"namespace"}), value) for labels, value in side] for side in (own, part)]
                assert as_set(bare[0]) == as_set(bare[1]), (promql, one, series)
                agreed += len(own)
    return agreed


# --- single decisions


def test_all_namespaces_need_a_namespace_but_no_list() -> None:
    bound, resource, selector = custom(CUSTOM[0])
    promql = merge_objects(bound, "x", resource, None, selector)
    assert promql == 'sum by (pod, namespace) (rate(x{namespace!="",pod!=""}[2m]))'


def test_an_inequality_in_the_metric_selector_is_not_merged() -> None:
    bound, resource, _ = custom(CUSTOM[0])
    assert merge_objects(bound, "x", resource, ["a"], Selector.parse("code>5")) is None


def test_a_resource_without_a_label_is_explained() -> None:
    bound, _, _ = custom(CUSTOM[0])
    assert merge_objects(bound, "x", NODES, None) is None
    assert "no label is given for nodes" in why_not(bound, NODES)


def test_what_is_no_promql_is_asked_per_request_with_the_reason() -> None:
    bound = bind(
        load(yaml.safe_dump({"rules": [pods_rule("sum(<<.Series>>{,<<.LabelMatchers>>}")]}), "t").custom[0], MAPPER
    )
    assert merge_objects(bound, "x", PODS, ["a"]) is None
    assert "the query is no PromQL: " in why_not(bound, PODS)


def test_a_very_deep_query_is_left_alone() -> None:
    bound = bind(load(yaml.safe_dump({"rules": [pods_rule("(" * 5000 + ANY + ")" * 5000)]}), "t").custom[0], MAPPER)
    assert merge_objects(bound, "x", PODS, ["a"]) is None
    assert "nested deeper than 100 brackets" in why_not(bound, PODS)


def test_timestamps_are_asked_for_the_given_labels() -> None:
    assert timestamp_query('avg_over_time(x{pod!=""}[3m])', ["pod"]) == 'max by (pod) (timestamp(x{pod!=""}))'


@pytest.mark.parametrize("promql", ["vector(1)", "time()", "sum by (pod) (x)", 'sum by (pod) (x{pod="a"} @ 100)'])
def test_where_no_selector_tells_objects_apart_there_is_no_timestamp_query(promql: str) -> None:
    assert timestamp_query(promql) is None


@pytest.mark.parametrize("promql", ["sum(", "", "not promql"])
def test_about_what_is_no_promql_nothing_can_be_asked(promql: Any) -> None:
    for asked in (timestamp_query, coverage_query):
        with pytest.raises(PromQLError, match="the query is no PromQL: "):
            asked(promql, [])


@pytest.mark.parametrize("promql", [
    'a{b="q\\"uo\\n\\\\"}[300ms]', "x[5m:]", "max_over_time(x[1h30m:10s] offset -5m)", "x @ 100.500", "x @ end()",
    "x * NaN",
    "1e+300 * x", "-x ^ 2", '{__name__="foo.bar",a="b"}', 'x{"a.b"="c"}', "a / on (p) group_left (q) b", "x > bool 1",
    'count_values("v", x)', "quantile(0.9, x)", "sum by () (x)", "a and on (x) b unless c", "(2 ^ 3) ^ 2", "a atan2 b",
])  # fmt: skip
def test_a_query_is_written_as_it_was_read(promql: str) -> None:
    tree = ast.parse(promql)
    written = Writer().write(tree)
    assert repr(ast.parse(written)) == repr(tree)


@pytest.mark.parametrize(
    ("promql", "by", "coverage"),
    [
        (
            'sum by (pod) (rate(x{pod!=""}[5m] offset 1m))',
            ["pod"],
            'min by (pod) ((count_over_time(x{pod!=""}[5m] offset 1m)'
            ' - 2 * count_over_time(x{pod!=""}[2m30s] offset 1m)))',
        ),
        (
            'rate(x{pod!=""}[1m]) or increase(y{pod!=""}[1m])',
            ["pod"],
            'min by (pod) ((count_over_time(x{pod!=""}[1m]) - 2 * count_over_time(x{pod!=""}[30s]))'
            ' or (count_over_time(y{pod!=""}[1m]) - 2 * count_over_time(y{pod!=""}[30s])))',
        ),
        ("sum(rate(x[1m]))", [], "max ((count_over_time(x[1m]) - 2 * count_over_time(x[30s])))"),
        ("sum(rate(x[1m]))", ["pod"], None),
        ('avg_over_time(x{pod!=""}[1m]) + irate(x{pod!=""}[1m])', ["pod"], None),
        ('rate(x{pod!=""}[1m] @ 5)', ["pod"], None),
    ],
)
def test_the_coverage_query_counts_the_samples_of_a_rates_window(
    promql: str, by: list[Any], coverage: str | None
) -> None:
    query = coverage_query(promql, by)
    assert (query and query.promql) == coverage


@pytest.mark.parametrize("function", ["histogram_quantile(0.9, {0})", "histogram_fraction(0, 1, {0})"])
def test_requests_that_le_tells_apart_are_not_merged_into_a_histogram(function: str) -> None:
    """External requests for le="1" and le="5": merged, the function takes all buckets together and drops le."""
    buckets = f'sum by (le) (rate(x_bucket{{{MARK}="1"}}[1m]))'
    node = parse(function.format(buckets))
    with pytest.raises(NotMergeable, match=r"drops le, which tells requests apart"):
        examine(node, Keys(frozenset({"le"})))
    assert examine(node, Keys(frozenset({"queue"}))) == Keyed(frozenset({"queue"}))
