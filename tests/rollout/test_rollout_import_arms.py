"""`import`: a query that told new pods from stable ones by somebody else's names finds ours, or is no gate."""

from typing import Any, Final

import pytest

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import matchers, selectors
from adapter.rollout.decide.names import sibling
from adapter.rollout.foreign.read import Import
from adapter.rollout.model.observation import Deployment
from adapter.rollout.model.window import Arm
from adapter.rollout.queries import Subject, bind
from tests.rollout.theirs import Object, canary, metric, of, rollout, sentences_about, strategy_with_analysis, template

QUERY: Final = "spec.metrics[0].provider.prometheus.query"
HASH: Final = "5d4f8c7b9"
SET: Final = f"{sibling(Deployment({'metadata': {'name': 'web'}}), 3, 'ab12cd34')}-{HASH}"
POD: Final = f"{SET}-x7k2p"
OURS: Final = {
    "pod": POD, "exported_pod": POD, "kubernetes_pod_name": POD, "k8s_pod_name": POD, "replicaset": SET,
    "owner_name": SET, "pod_template_hash": HASH, "label_pod_template_hash": HASH, "namespace": "shop",
    "a": "b", "service": "web",
}  # fmt: skip
"""Labels of the series of a new pod of ours."""


def import_rollout(query: str, **metadata: Any) -> Import:
    """A Rollout web in shop with a canaryService, whose analysis asks `query`."""
    strategy = strategy_with_analysis(canaryService="web-canary", stableService="web")
    strategy["canary"]["analysis"]["args"] = [{"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}]
    theirs = rollout(strategy)
    theirs["metadata"] |= metadata
    check = template(metric(query), args=[{"name": "hash"}])
    check["metadata"] |= metadata
    return of(theirs, check)


def gate_query(conversion: Import) -> str:
    """The query of the only gate of the first policy."""
    (gate,) = conversion.policies[0]["spec"]["gates"]
    return str(gate["query"]["value"])


def blind(query: str) -> list[tuple[str, str, str]]:
    """Matchers of a gate's query that leave out a new pod's series."""
    subject = Subject("shop", Arm.CANARY, (POD,), HASH, 30)
    all_matchers = [
        each for chosen in selectors(parse(bind(query, subject, "namespace").promql)) for each in matchers(chosen)
    ]
    return [
        each
        for each in all_matchers
        if not Matching(each[0], Operator(each[1]), each[2]).matches(OURS.get(each[0], ""))
    ]


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ('q{pod=~"web-{{args.hash}}-.*"}', 'q{pod=~"{{pods}}"}'),
        ('q{pod=~"web-{{args.hash}}.*",a="b"}', 'q{a="b",pod=~"{{pods}}"}'),
        ('q{pod="web-{{args.hash}}-x"}', 'q{pod=~"{{pods}}"}'),
        ('q{kubernetes_pod_name=~".*{{args.hash}}.*"}', 'q{kubernetes_pod_name=~"{{pods}}"}'),
        ('q{exported_pod=~"web-{{args.hash}}-.*",pod="exporter-0"}', None),
        ('q{replicaset="web-{{args.hash}}"}', 'q{replicaset=~".+-{{hash}}"}'),
        ('q{owner_name=~"web-{{args.hash}}"}', 'q{owner_name=~".+-{{hash}}"}'),
        ('q{rollouts_pod_template_hash="{{args.hash}}"}', 'q{pod=~"{{pods}}"}'),
        ('q{label_rollouts_pod_template_hash="{{args.hash}}"}', 'q{pod=~"{{pods}}"}'),
        ('q{pod_template_hash="{{args.hash}}"}', 'q{pod_template_hash="{{hash}}"}'),
        ('q{label_pod_template_hash="{{args.hash}}"}', 'q{label_pod_template_hash="{{hash}}"}'),
        ('q{workload="web-{{args.hash}}"}', 'q{pod=~"{{pods}}"}'),
        ('q{pod=~"web-.*",a="b"}', 'q{a="b",pod=~"{{pods}}"}'),
        ('q{pod=~"web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"}', 'q{pod=~"{{pods}}"}'),
        (r'q{pod=~"web-\\w+-\\w+"}', 'q{pod=~"{{pods}}"}'),
        ('q{pod=~"web-canary-.*"}', 'q{pod=~"{{pods}}"}'),
        ('q{pod=~".+"}', 'q{pod=~".+",pod=~"{{pods}}"}'),
        ('q{pod!="",pod!~"other-.*"}', 'q{pod!="",pod!~"other-.*",pod=~"{{pods}}"}'),
        ('q{namespace="shop",a="b"}', 'q{a="b",pod=~"{{pods}}"}'),
        ('q{namespace=~"shop|yard"}', 'q{namespace=~"shop|yard",pod=~"{{pods}}"}'),
        ('q{namespace!="kube-system"}', 'q{namespace!="kube-system",pod=~"{{pods}}"}'),
        ('q{destination_workload="web"}', 'q{pod=~"{{pods}}"}'),
        ('q{source_workload="web"}', 'q{pod=~"{{pods}}"}'),
        ('q{deployment=~"web|web-canary"}', 'q{pod=~"{{pods}}"}'),
        ('q{service="web-canary.shop.svc"}', 'q{pod=~"{{pods}}"}'),
        ('q{envoy_cluster_name=~"shop_web-canary_80"}', 'q{pod=~"{{pods}}"}'),
        ('q{envoy_cluster_name=~"shop-web-canary-svc.*"}', 'q{pod=~"{{pods}}"}'),
        ('q{exported_service="shop-web-canary-80"}', 'q{pod=~"{{pods}}"}'),
        ('q{service="web"}', 'q{service="web",pod=~"{{pods}}"}'),
    ],
)  # fmt: skip
def test_what_told_the_new_pods_apart_gives_way_to_what_finds_ours(query: str, right: str | None) -> None:
    asked = gate_query(import_rollout(query))
    if right is None:  # of the exporter's own pod nothing is known
        assert asked == 'q{pod="exporter-0",exported_pod=~"{{pods}}"}'
        return
    assert asked == right
    assert blind(asked) == []


def test_what_a_gate_of_before_asked_left_new_pods_out() -> None:
    """The look itself sees what it looks for: our new pods are of another Deployment, `web-r3-ab12c`."""
    assert SET == "web-r3-ab12c-5d4f8c7b9"
    assert [name for name, _, _ in blind('q{pod=~"web-{{hash}}-.*",namespace="yard"}')] == ["pod", "namespace"]


@pytest.mark.parametrize(
    "matcher",
    [
        'pod!~"web-{{args.hash}}-.*"', 'version!="{{args.hash}}"', 'pod!~"web-.*"', 'pod=~"redis-.*"',
        'pod="web-admin-7"', 'pod=""', 'deployment!="web"', 'service!~"web-canary.*"',
    ],
)  # fmt: skip
def test_a_query_about_other_pods_is_no_gate(matcher: str) -> None:
    conversion = import_rollout(f"q{{{matcher}}}")
    assert "gates" not in conversion.policies[0]["spec"]
    (why,) = sentences_about(conversion, QUERY)
    assert "asks for other pods than the new ones (spec.gates[].margin compares with stable)" in why


@pytest.mark.parametrize("matcher", ['namespace="ingress-nginx"', 'namespace=~"yard|ingress.*"', 'namespace!~"s.*"'])
def test_a_query_of_another_namespace_is_no_gate_for_ours_is_added_to_each_selector(matcher: str) -> None:
    conversion = import_rollout(f'q{{{matcher},pod=~"web-.*"}}')
    assert "gates" not in conversion.policies[0]["spec"]
    (why,) = sentences_about(conversion, QUERY)
    assert f"{matcher} is not shop, the policy's own namespace, to which each selector is bound" in why


def test_where_the_policy_has_no_namespace_yet_the_querys_own_is_said() -> None:
    conversion = import_rollout('q{namespace="yard"}', namespace=None)
    assert gate_query(conversion) == 'q{namespace="yard",pod=~"{{pods}}"}'
    assert 'namespace="yard" is asked of the policy\'s own namespace alone' in sentences_about(conversion, QUERY)


def test_a_hash_in_a_label_of_their_own_is_kept_and_said() -> None:
    conversion = import_rollout('q{version="{{args.hash}}"}')
    assert gate_query(conversion) == 'q{version="{{hash}}"}'
    (each,) = [each for each in conversion.findings if each.field == QUERY]
    assert each.says == 'version="{{hash}}" asks for the hash of the new pods'
    assert "pod-template-hash, no more as rollouts-pod-template-hash (gate m)" in each.instead


def flagger(query: str) -> Import:
    metrics = [{"name": "m", "query": query, "thresholdRange": {"max": 5}}]
    return of(canary({"metrics": metrics}))


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ('q{app="web-canary"}', 'q{pod=~"{{pods}}"}'),
        ('q{pod=~"web-canary-.*"}', 'q{pod=~"{{pods}}"}'),
        ('q{pod=~"web-.*",pod!~"web-primary-.*"}', 'q{pod!~"web-primary-.*",pod=~"{{pods}}"}'),
        ('q{deployment=~"web-(primary|canary)"}', 'q{pod=~"{{pods}}"}'),
        ('q{deployment=~"web.*",deployment!="web-primary"}', 'q{pod=~"{{pods}}"}'),
        ('q{service="web-canary"}', 'q{pod=~"{{pods}}"}'),
    ],
)
def test_what_flagger_called_the_canary_gives_way(query: str, right: str) -> None:
    asked = gate_query(flagger(query))
    assert asked == right
    assert blind(asked) == []


@pytest.mark.parametrize("matcher", ['app="web-primary"', 'pod=~"web-primary-.*"', 'deployment="web-primary"'])
def test_a_comparison_with_flaggers_primary_is_no_gate_for_it_would_be_one_of_the_new_pods_with_themselves(
    matcher: str,
) -> None:
    conversion = flagger(f'sum(q{{app="web-canary"}}) / sum(q{{{matcher}}})')
    assert "gates" not in conversion.policies[0]["spec"]
    (why,) = sentences_about(conversion, "spec.analysis.metrics[0].query")
    assert f"{matcher} asks for other pods than the new ones" in why


def test_a_target_without_a_name_breaks_nothing() -> None:
    broken: Object = canary({"metrics": [{"name": "m", "query": 'q{pod="web-1"}', "thresholdRange": {"max": 5}}]})
    del broken["spec"]["targetRef"]
    assert of(broken).policies == ()
