"""What becomes of the series that a rule finds: the answer to "why is there no metric?"."""

from collections.abc import Mapping

import pytest

from adapter.kube.known import KNOWN
from adapter.rules.account import account
from adapter.rules.config import load
from adapter.rules.naming import bind, external_offers, offers
from adapter.rules.resources import ResourceMapper

RULE = """
rules:
- seriesQuery: 'x'
  seriesFilters: [{isNot: "^secret_"}]
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: "^(.*)_total$", as: "${1}"}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
"""


def series(*names: str, **labels: str) -> list[Mapping[str, str]]:
    return [{"__name__": name, **labels} for name in names]


@pytest.mark.parametrize(
    ("label_sets", "sentence"),
    [
        ([], "its seriesQuery finds no series"),
        (series("a_total", pod="p"), "its seriesQuery finds one series, which leaves one metric"),
        (
            series("a_total", "b_total", pod="p") + series("a_total", pod="q"),
            "its seriesQuery finds 3 series, which leaves 2 metrics",
        ),
        (
            series("a", "b", pod="p"),
            "its seriesQuery finds 2 series, 2 dropped by name.matches, which leaves no metrics",
        ),
        (
            series("secret_a_total", pod="p"),
            "its seriesQuery finds one series, 1 dropped by seriesFilters, which leaves no metrics",
        ),
        (
            series("_total", pod="p"),
            "its seriesQuery finds one series, 1 dropped by name.as, which leaves no name (or one over 1,024"
            " characters), which leaves no metrics",
        ),
        (
            series("a_total", job="j", instance="i") + series("b_total", pod="p"),
            "its seriesQuery finds 2 series, 1 dropped by resources: no label names an object of the cluster, which"
            " leaves one metric",
        ),
    ],
)
def test_every_series_is_accounted_for(label_sets: list[Mapping[str, str]], sentence: str) -> None:
    rule = (load(RULE, "rules.yaml").custom or ())[0]
    bound = bind(rule, ResourceMapper(KNOWN))
    taken = account(bound, label_sets, external=False)
    assert str(taken) == sentence
    assert (taken.metrics > 0) is bool(offers(bound, label_sets))


def test_an_external_metric_needs_no_label_of_an_object() -> None:
    rule = (load(RULE.replace("rules:", "externalRules:"), "rules.yaml").external or ())[0]
    label_sets = series("a_total", queue="mail")
    taken = account(bind(rule, ResourceMapper(KNOWN)), label_sets, external=True)
    assert (taken.metrics, dict(taken.dropped)) == (1, {})
    assert external_offers(rule, ["a_total"]) == [("a", "a_total")]
