"""Which series becomes which API metric, for which resources."""

from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from adapter.kube.known import KNOWN
from adapter.kube.resources import ApiResource, GroupResource
from adapter.rules.config import load
from adapter.rules.model import Rule
from adapter.rules.naming import NamingError, Offer, api_name, bind, combine, external_offers, offers
from adapter.rules.resources import NAMESPACES, NODES, PODS, ResourceMapper, UnknownResource

DEPLOYMENTS = GroupResource("apps", "deployments")
INGRESSES = GroupResource("networking.k8s.io", "ingresses")
BRANDS = ApiResource("cheese.io", "v1", "brands", "brand", "Brand", True)


def rule(
    resources: dict[Any, Any] | None = None,
    name: dict[Any, Any] | None = None,
    filters: Sequence[dict[str, Any]] = (),
    query: str = "x",
) -> Rule:
    default = {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}}
    raw = {
        "seriesQuery": query,
        "seriesFilters": list(filters),
        "resources": default if resources is None else resources,
        "name": name or {},
        "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    }
    file = load(yaml.safe_dump({"rules": [raw]}), "c")
    assert not file.problems
    return file.custom[0]


@pytest.mark.parametrize(("group", "resource", "expected"), [
    ("", "pod", PODS), ("", "pods", PODS), ("", "Pod", PODS), ("apps", "deployment", DEPLOYMENTS),
    ("", "deployments", DEPLOYMENTS), ("networking_k8s_io", "ingress", INGRESSES), ("networking", "ingress", INGRESSES),
])  # fmt: skip
def test_a_resource_is_found_by_plural_singular_or_kind_with_or_without_its_group(
    mapper: ResourceMapper, group: str, resource: str, expected: GroupResource
) -> None:
    assert mapper.resolve(group, resource) == expected


@pytest.mark.parametrize(("group", "resource"), [("", "brand"), ("batch", "deployment"), ("", "")])
def test_an_unknown_resource_is_one_sentence(mapper: ResourceMapper, group: str, resource: str) -> None:
    with pytest.raises(UnknownResource, match="the cluster has no resource"):
        mapper.resolve(group, resource)


def test_of_two_groups_the_earlier_in_discovery_wins() -> None:
    first, second = (ApiResource(group, "v1", "jobs", "job", "Job", True) for group in ("batch", "other.io"))
    assert ResourceMapper([first, second]).resolve("", "job").group == "batch"
    assert ResourceMapper([second, first]).resolve("", "job").group == "other.io"


@pytest.mark.parametrize(("name", "series", "expected"), [
    ({}, "http_requests_total", "http_requests_total"),
    ({"matches": "^(.*)_total$"}, "http_requests_total", "http_requests"),
    ({"matches": "_total$"}, "http_requests_total", "_total"),  # $0 is the match, not the series
    ({"matches": "^(.*)_total$", "as": "${1}_per_second"}, "http_requests_total", "http_requests_per_second"),
    ({"matches": "^(.*)_total$", "as": "$1_per_second"}, "http_requests_total", None),  # an empty name is none
    ({"matches": "^(.*)_total$"}, "http_requests", None),
    ({"as": "renamed"}, "whatever", "renamed"),
    ({"matches": "^(?P<a>.*)_(?P<b>.*)$", "as": "${b}_$a"}, "x_y_z", "z_x_y"),
])  # fmt: skip
def test_a_series_is_named_as_go_expands_it(name: dict[Any, Any], series: str, expected: str | None) -> None:
    assert api_name(rule(name=name), series) == expected


def test_filters_look_anywhere_in_the_name() -> None:
    filtered = rule(filters=[{"is": "cpu"}, {"isNot": "_seconds_total$"}])
    names = ["container_cpu_load", "container_cpu_seconds_total", "memory"]
    assert [api_name(filtered, name) for name in names] == ["container_cpu_load", None, None]


def test_a_series_is_on_offer_for_every_resource_label_it_carries(mapper: ResourceMapper) -> None:
    overrides = {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}, "node": {"resource": "node"}}
    bound = bind(rule({"overrides": overrides}), mapper)
    on_offer = offers(
        bound, [{"__name__": "x", "namespace": "a", "pod": "p", "code": "200"}, {"__name__": "y", "node": "n"}]
    )
    assert on_offer == [
        Offer(NAMESPACES, "x", False, "x"), Offer(NODES, "y", False, "y"), Offer(PODS, "x", True, "x"),
    ]  # fmt: skip


def test_of_several_series_under_one_name_the_last_by_name_answers(mapper: ResourceMapper) -> None:
    bound = bind(rule(name={"as": "one"}), mapper)
    series = [{"__name__": name, "pod": "p"} for name in ("b", "c", "a")]
    assert offers(bound, series) == offers(bound, series[::-1]) == [Offer(PODS, "one", True, "c")]


def test_a_template_works_both_ways(mapper: ResourceMapper) -> None:
    bound = bind(rule({"template": "kube_<<.Group>>_<<.Resource>>"}), mapper)
    assert bound.label(DEPLOYMENTS) == "kube_apps_deployment"
    assert bound.label(INGRESSES) == "kube_networking_k8s_io_ingress"
    assert bound.resource("kube_apps_deployment") == DEPLOYMENTS
    assert bound.resource("kube_networking_k8s_io_ingress") == INGRESSES  # not `k8s_io_ingress` of `networking`
    assert bound.resource("kube__pod") == PODS
    assert bound.resource("kube_apps_cheese") is None
    assert bound.resource("pod") is None


@pytest.mark.parametrize("template", ["kube_<<.Group>>_<<.Resource>>", "<<.Resource>>_<<.Group>>", "x<<.Resource>>"])
def test_every_label_that_a_template_writes_is_found_again(mapper: ResourceMapper, template: str) -> None:
    bound = bind(rule({"template": template}), mapper)
    for resource in mapper.resources:
        assert bound.resource(bound.label(resource.group_resource)) == resource.group_resource


def test_an_override_goes_before_the_template(mapper: ResourceMapper) -> None:
    bound = bind(rule({"template": "<<.Resource>>", "overrides": {"kubernetes_pod": {"resource": "pods"}}}), mapper)
    assert bound.label(PODS) == "kubernetes_pod"
    assert bound.resource("kubernetes_pod") == PODS
    assert bound.resource("pod") == PODS  # the template's reading holds, too, as in prometheus-adapter
    assert bound.label(NODES) == "node"


def test_an_unknown_resource_costs_only_its_label_until_the_cluster_has_it(mapper: ResourceMapper) -> None:
    named = rule({"overrides": {"pod": {"resource": "pod"}, "brand": {"group": "cheese.io", "resource": "brand"}}})
    series = [{"__name__": "x", "pod": "p", "brand": "b"}]
    before = bind(named, mapper)
    (problem,) = before.problems
    assert problem == (
        "rules[0], line 2: resources.overrides.brand: the cluster has no resource 'brand.cheese.io' (yet);"
        " right would be one it serves"
    )
    assert [offer.resource for offer in offers(before, series)] == [PODS]
    after = bind(named, ResourceMapper([*KNOWN, BRANDS]))
    assert after.problems == ()
    assert [offer.resource for offer in offers(after, series)] == [PODS, GroupResource("cheese.io", "brands")]


def test_a_resource_without_a_label_is_one_sentence(mapper: ResourceMapper) -> None:
    with pytest.raises(NamingError, match=r"rules\[0\], line 2: resources: no label is given for nodes"):
        bind(rule(), mapper).label(NODES)


def test_external_metrics_are_named_the_same_way() -> None:
    named = rule(name={"matches": "^queue_(.*)$"})
    assert external_offers(named, ["queue_depth", "queue_age", "other", "queue_depth"]) == [
        ("age", "queue_age"), ("depth", "queue_depth"),
    ]  # fmt: skip


def test_of_two_rules_with_one_name_the_last_wins_and_both_are_named(mapper: ResourceMapper) -> None:
    first, second = rule(query="a"), rule(query="b")._replace(place="rules[1], line 9")
    parts = []
    for each in (first, second):
        on_offer = offers(
            bind(each, mapper), [{"__name__": "x", "pod": "p"}, {"__name__": f"only_{each.series_query}", "pod": "p"}]
        )
        parts.append((each, [((offer.resource, offer.metric), offer) for offer in on_offer]))
    chosen, problems = combine(parts)
    assert chosen[PODS, "x"][0] is second
    assert chosen[PODS, "only_a"][0] is first
    assert problems == [
        "rules[0], line 2 and rules[1], line 9 both give x of pods; the latter answers;"
        " right would be different names or series"
    ]
