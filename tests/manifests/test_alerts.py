"""The rules for Prometheus: what they ask for exists, and they arrive in the cluster as they are."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.manifests.conftest import MANIFESTS, Build
from tests.manifests.exposed import add_recorded, all_of, complaints, metrics_of, others, registries, rules

COMPONENTS = MANIFESTS / "components"
RULES = {rule.get("alert") or rule["record"]: rule for rule in rules()}


async def test_every_rule_asks_only_for_metrics_and_labels_that_somebody_exposes(tmp_path: Path) -> None:
    known = add_recorded(all_of([*map(metrics_of, await registries(tmp_path)), others()]))
    assert {name: problems for name, rule in RULES.items() if (problems := list(complaints(rule["expr"], known)))} == {}


async def test_a_name_or_a_label_that_nobody_exposes_is_named(tmp_path: Path) -> None:
    known = all_of([*map(metrics_of, await registries(tmp_path)), others()])
    assert list(complaints("sum by (rule) (rate(streamgate_source_querys_total[5m]))", known)) == [
        "nobody exposes streamgate_source_querys_total"
    ]
    assert list(complaints('sum by (code) (streamgate_offers{api="custom.metrics.k8s.io"})', known)) == [
        "streamgate_offers has no label api",
        "grouped by code, which nothing below has",
    ]
    assert list(complaints("streamgate_hpas * on (hpa) streamgate_connections", known)) == [
        "matched on hpa, which neither side has"
    ]


@pytest.mark.parametrize("name", RULES)
def test_every_alert_has_a_severity_and_one_sentence(name: str) -> None:
    rule = RULES[name]
    if "alert" in rule:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")


def test_the_component_brings_the_rules_as_a_config_map(composed: Callable[..., Build]) -> None:
    held = composed("alerts").one("ConfigMap", "streamgate-alerts")
    assert held["data"] == {"rules.yaml": (COMPONENTS / "alerts" / "rules.yaml").read_text()}


def test_the_operators_object_holds_the_same_rules(composed: Callable[..., Build]) -> None:
    held = composed("alerts-operator").one("PrometheusRule", "streamgate-alerts")
    assert held["apiVersion"] == "monitoring.coreos.com/v1"
    assert held["spec"] == yaml.safe_load((COMPONENTS / "alerts" / "rules.yaml").read_text())
