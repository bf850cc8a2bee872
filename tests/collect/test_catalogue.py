"""What is on offer, and where the series of it are."""

from adapter.collect.catalogue import Catalogue
from adapter.collect.demand import CustomWant, ExternalWant, Want
from adapter.kube.known import KNOWN
from adapter.rules.config import load
from adapter.rules.resources import NODES, PODS, ResourceMapper

RULES = """
rules:
- seriesQuery: '{pod!=""}'
  resources: {template: "kube_<<.Resource>>"}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
- seriesQuery: '{node!=""}'
  resources: {overrides: {node: {resource: node}}}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
externalRules:
- seriesQuery: '{queue!=""}'
  resources: {overrides: {namespace: {resource: namespace}}}
  metricsQuery: 'max(<<.Series>>{<<.LabelMatchers>>})'
- seriesQuery: '{topic!=""}'
  name: {matches: "^(.*)_total$", as: "$1"}
  resources: {namespaced: false}
  metricsQuery: 'max(<<.Series>>{<<.LabelMatchers>>})'
"""


def test_where_the_series_are_that_hpas_ask_for() -> None:
    """By the label of the namespace that the rule has; without one by the name, as found or as asked for."""
    rules = load(RULES, "rules.yaml")
    catalogue = Catalogue(rules, ResourceMapper(KNOWN))
    by_pod, by_node, by_queue, by_topic = catalogue.rules
    catalogue.learn_series(by_node, [{"__name__": "node_heat", "node": "n1"}])
    catalogue.learn_series(by_topic, [{"__name__": "lag_total", "topic": "t"}])
    wants: list[Want] = [
        CustomWant(PODS, "shop", "depth"), CustomWant(PODS, "bank", "depth"), CustomWant(NODES, "", "node_heat"),
        CustomWant(NODES, "", "node_cold"), ExternalWant("shop", "lag"), ExternalWant("mail", "waiting"),
    ]  # fmt: skip
    parts = [set(catalogue.parts(rule, wants)) for rule in (by_pod, by_node, by_queue, by_topic)]
    assert parts[0] >= {("kube_namespace", "shop"), ("kube_namespace", "bank")}
    assert parts[1] == {("__name__", "node_heat")}, "the rule has no label of namespaces"
    assert parts[2] == {("namespace", "shop"), ("namespace", "mail")}
    assert parts[3] == {("__name__", "lag_total"), ("__name__", "waiting")}
