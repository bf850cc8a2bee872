"""The query of one request, as prometheus-adapter builds it."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.rules.config import load
from adapter.rules.go.regexp import Regexp
from adapter.rules.naming import BoundRule, bind
from adapter.rules.queries import (
    QueryError,
    container_query,
    custom_query,
    escape,
    external_query,
    node_query,
    selector_matchers,
)
from adapter.rules.resources import NAMESPACES, NODES, PODS, ResourceMapper
from adapter.units.requirement import Operator, Requirement
from adapter.units.selector import EVERYTHING, Selector

OVERRIDES = {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}, "node": {"resource": "node"}}


def custom(query: str, mapper: ResourceMapper, section: str = "rules", **resources: bool) -> BoundRule[Any]:
    raw = {"seriesQuery": "x", "resources": {"overrides": OVERRIDES, **resources}, "metricsQuery": query}
    file = load(yaml.safe_dump({section: [raw]}), "c")
    assert not file.problems
    return bind((file.custom or file.external)[0], mapper)


@pytest.mark.parametrize(("template", "names", "expected"), [
    ("<<.LabelMatchers>>", ["bar"], 'namespace="ns",pod="bar"'),
    ("<<.LabelMatchers>>", ["bar", "baz"], 'namespace="ns",pod=~"bar|baz"'),
    ("<<.LabelMatchers>>", ["b.r", "baz"], r'namespace="ns",pod=~"b\\.r|baz"'),
    ("<<.LabelMatchers>>", ["b.r"], 'namespace="ns",pod="b.r"'),
    ('"<<index .LabelValuesByName "pod">>"', ["b.r", "baz"], '"b.r|baz"'),
    ('"<<index .LabelValuesByName "namespace">>" <<.GroupBy>>', ["bar"], '"ns" pod'),
    ("'<<.GroupBySlice>>' <<index .GroupBySlice 0>>", ["bar"], "'[pod]' pod"),
    ("'<<.LabelValuesByName>>'", ["bar"], "'map[namespace:ns pod:bar]'"),
    ("series <<.Series>>", ["bar"], "series foo"),
])  # fmt: skip
def test_the_fields_hold_what_prometheus_adapter_puts_there(
    mapper: ResourceMapper, template: str, names: list[str], expected: str
) -> None:
    assert custom_query(custom(template, mapper), "foo", resource=PODS, namespace="ns", names=names) == expected


def test_the_metric_selector_comes_first(mapper: ResourceMapper) -> None:
    bound = custom("<<.LabelMatchers>>", mapper)
    query = custom_query(
        bound, "foo", resource=PODS, namespace="ns", names=["bar"], metric_selector=Selector.parse("verb=GET")
    )
    assert query == 'verb="GET",namespace="ns",pod="bar"'


def test_namespaces_and_nodes_have_no_namespace(mapper: ResourceMapper) -> None:
    bound = custom("<<.LabelMatchers>> <<.GroupBy>>", mapper)
    assert custom_query(bound, "foo", resource=NAMESPACES, namespace="", names=["shop"]) == 'namespace="shop" namespace'
    assert custom_query(bound, "foo", resource=NODES, namespace="", names=["n1", "n2"]) == 'node=~"n1|n2" node'


@pytest.mark.parametrize(("requirement", "expected"), [
    (Requirement("a", Operator.EQUALS, ("x",)), 'a="x"'),
    (Requirement("a", Operator.EQUALS, ("x", "y")), 'a=~"x|y"'),
    (Requirement("a", Operator.NOT_EQUALS, ("x",)), 'a!="x"'),
    (Requirement("a", Operator.NOT_EQUALS, ("x", "y")), 'a!~"x|y"'),
    (Requirement("a", Operator.IN, ("/api/.*",)), 'a=~"/api/.*"'),  # a regular expression passes through
    (Requirement("a", Operator.IN, ("y", "x")), 'a=~"x|y"'),
    (Requirement("a", Operator.NOT_IN, ("x",)), 'a!~"x"'),
    (Requirement("a", Operator.EXISTS), 'a!=""'),
    (Requirement("a", Operator.DOES_NOT_EXIST), 'a=""'),
    (Requirement("a", Operator.EQUALS, ('q"u\\o\n',)), r'a="q\"u\\o\n"'),
])  # fmt: skip
def test_a_requirement_becomes_a_matcher(requirement: Requirement, expected: str) -> None:
    assert [str(matcher) for matcher in selector_matchers(Selector([requirement]))] == [expected]


@pytest.mark.parametrize("operator", [Operator.GREATER, Operator.LESS])
def test_inequalities_have_no_counterpart(operator: Operator) -> None:
    with pytest.raises(QueryError, match="has no counterpart in PromQL; right would be"):
        selector_matchers(Selector([Requirement("a", operator, ("1",))]))


@pytest.mark.parametrize(("template", "namespaced", "selector", "expected"), [
    ("<<.LabelMatchers>>", True, "", 'namespace="ns"'),
    ("<<.LabelMatchers>>", False, "foo=bar", 'foo="bar"'),
    ("<<.LabelMatchers>>", True, "foo=bar,qux in (baz,bar)", 'foo="bar",qux=~"bar|baz",namespace="ns"'),
    ("`<<.LabelValuesByName>>`", False, "foo in (bar,baz)", "`map[foo:bar|baz]`"),
    ("by (<<.GroupBy>>) '<<.GroupBySlice>>'", True, "", "by () '[]'"),
])  # fmt: skip
def test_an_external_query_has_no_grouping_and_a_namespace_only_where_namespaced(
    mapper: ResourceMapper, template: str, namespaced: bool, selector: str, expected: str
) -> None:
    bound = custom(template, mapper, section="externalRules", namespaced=namespaced)
    assert external_query(bound, "foo", "ns", Selector.parse(selector)) == expected


def test_resource_queries_group_by_the_container_as_well(mapper: ResourceMapper) -> None:
    raw = {
        "containerQuery": "sum(c{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
        "nodeQuery": "sum(n{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
        "resources": {"overrides": OVERRIDES},
        "containerLabel": "container",
    }
    bound = bind(load(yaml.safe_dump({"resourceRules": {"cpu": raw, "memory": raw}}), "c").resource.cpu, mapper)
    assert container_query(bound, "ns", ["a", "b"]) == 'sum(c{namespace="ns",pod=~"a|b"}) by (pod,container)'
    assert node_query(bound, ["n"]) == 'sum(n{node="n"}) by (node)'


def test_an_empty_query_and_a_failing_template_are_one_sentence(mapper: ResourceMapper) -> None:
    empty = custom('<<if eq .Series "series">>x<<end>>', mapper)
    with pytest.raises(QueryError, match="gives nothing for this request"):
        custom_query(empty, "foo", resource=PODS, namespace="ns", names=["a"], metric_selector=EVERYTHING)
    failing = custom('x<<if ne .Series "series">><<index .GroupBySlice 7>><<end>>', mapper)
    with pytest.raises(QueryError, match="the index 7 is out of range"):
        custom_query(failing, "foo", resource=PODS, namespace="ns", names=["a"], metric_selector=EVERYTHING)


def test_a_resource_without_a_label_is_one_sentence(mapper: ResourceMapper) -> None:
    bound = bind(
        custom("x", mapper).rule._replace(resources=custom("x", mapper).rule.resources._replace(overrides={})), mapper
    )
    with pytest.raises(QueryError, match="no label is given for pods; right would be an override"):
        custom_query(bound, "foo", resource=PODS, namespace="", names=["a"])


@given(st.text(max_size=20))
def test_an_escaped_text_matches_itself_alone(text: str) -> None:
    regexp = Regexp(f"^(?s:{escape(text)})$")
    assert regexp.search(text)
    assert not regexp.search(text + "x")
    assert not regexp.search("x" + text)
