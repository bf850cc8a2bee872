"""null, as an empty `podAnnotations:` line of a values file is, for every key of values.yaml.

helm takes the chart's default away with it, so that a key is missing in templates. A key of those that there must be is
refused by its name; one whose default is empty, false or null changes nothing; one of another default is taken away,
and what is left is what Kubernetes takes. All keys of a depth go into one run of helm: 236 runs would take a minute.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.cluster.chart import CHART
from tests.manifests.charts import FIRST_BUILD_S, at, leaves, refusal, render, together
from tests.manifests.effects import CONSOLE, PROMETHEUS, ROLLOUT, RULE, TLS

pytestmark = pytest.mark.timeout(FIRST_BUILD_S)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
OWN_SCHEMAS = {"Certificate", "Issuer", "ServiceMonitor", "PodMonitor"}
"""Kinds that are not Kubernetes' own."""
NEWEST = "1.37"
ON = {"enabled": True}
RULES = [RULE]
# What is on in one world is off in the other, or null there: together they have every key in use.
WORLDS: dict[str, dict[str, Any]] = {
    "embedded": {
        "rules": {"external": RULES, "resource": {"cpu": {"containerLabel": "container"}}},
        "service": {"ipDualStack": ON},
        "recommender": {**ON, "dropIn": ON},
        **dict.fromkeys(("certManager", "reflex", "networkPolicy", "serviceMonitor", "podMonitor", "dropIn"), ON),
        **ROLLOUT,
        **CONSOLE,
    },
    "prometheus": {
        **PROMETHEUS,
        **TLS,
        "rules": {"custom": RULES},
        "hostNetwork": ON,
        "customLabels": {"team": "platform"},
        "customAnnotations": {"team": "platform"},
    },
}
BY_A_CHECK = {
    "podDisruptionBudget.maxUnavailable",
    "startupProbe.httpGet",
    "livenessProbe.httpGet",
    "readinessProbe.httpGet",
}
"""May be null beside another value (test_chart_refusals), and alone is refused by a sentence."""

NO_IS_MEANT = {"securityContext.allowPrivilegeEscalation", "strategy.rollingUpdate.maxUnavailable"}
"""false and 0, where Kubernetes' default is another."""
NEEDED = "tls.enable needs tls.ca, tls.certificate and tls.key, each as PEM: tls."
STAYS = {"automountServiceAccountToken", "psp"}
"""Not empty, and all the same without."""


def keys(values: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """Every key, those of values and of objects: `rbac`, `rbac.create`. One with a dot in it is left out."""
    for name, value in values.items():
        if "." not in name:
            yield prefix + name
            if isinstance(value, dict):
                yield from keys(value, f"{prefix}{name}.")


def default_of(path: str) -> object:
    value = DEFAULTS
    for part in path.split("."):
        value = value[part]
    return value


def is_wanted(path: str) -> bool:
    """Does the schema say that there must be such a key?"""
    node = SCHEMA
    *parents, last = path.split(".")
    for parent in parents:
        node = _follow_refs(node.get("properties", {}).get(parent, {}))
    return last in node.get("required", [])


def _follow_refs(node: dict[str, Any]) -> dict[str, Any]:
    name = node["allOf"][0]["$ref"] if "allOf" in node else node.get("$ref")
    return node if name is None else _follow_refs(SCHEMA["definitions"][name.removeprefix("#/definitions/")])


ALL = list(keys(DEFAULTS))
WANTED = [path for path in ALL if is_wanted(path)]
EMPTY = [path for path in ALL if path not in {*WANTED, *NO_IS_MEANT} and (path in STAYS or not default_of(path))]
TAKEN_AWAY = [path for path in ALL if path not in {*WANTED, *EMPTY, *BY_A_CHECK}]


def rounds(paths: Iterable[str], world: Mapping[str, Any] | None = None) -> list[list[str]]:
    """The paths by their depth, as one below another that is null is none; without those that the world sets."""
    used = set(keys(world or {}))
    by_depth: dict[int, list[str]] = {}
    for path in paths:
        if path not in used:
            by_depth.setdefault(path.count("."), []).append(path)
    return list(by_depth.values())


def null(paths: Iterable[str]) -> dict[str, Any]:
    return together(*(at(path, None) for path in paths))


@pytest.mark.parametrize("nulls", rounds(WANTED))
def test_a_key_that_there_must_be_is_refused_by_its_name(nulls: list[str]) -> None:
    said = refusal(null(nulls))
    assert "template:" not in said
    missing = dict(re.findall(r"at '(.*)': missing propert(?:y|ies) (.*)", said))
    for path in nulls:
        *parents, last = path.split(".")
        assert f"'{last}'" in missing["".join(f"/{parent}" for parent in parents)], path


@pytest.mark.parametrize("world", WORLDS)
def test_a_key_whose_default_is_empty_changes_nothing(world: str) -> None:
    plain = render(WORLDS[world])
    for nulls in rounds(EMPTY, WORLDS[world]):
        assert render(together(WORLDS[world], null(nulls))) == plain, nulls


@pytest.mark.parametrize("world", WORLDS)
def test_a_key_with_another_default_is_taken_away(world: str) -> None:
    plain = render(WORLDS[world])
    for nulls in rounds(TAKEN_AWAY, WORLDS[world]):
        made = [item for item in render(together(WORLDS[world], null(nulls))) if item not in plain]
        for item in made:
            assert None not in leaves(item), nulls
            if item["kind"] not in OWN_SCHEMAS:
                kubernetes_validate.validate(item, NEWEST, strict=True)


def test_no_switch_of_ours_is_turned_off_by_null() -> None:
    on = {path for path in TAKEN_AWAY if default_of(path) is True}
    assert on == {"podSecurityContext.runAsNonRoot", "securityContext.readOnlyRootFilesystem"}


def test_every_key_is_null_in_some_world() -> None:
    tried = {path for world in WORLDS.values() for nulls in rounds(EMPTY + TAKEN_AWAY, world) for path in nulls}
    assert tried | {*WANTED, *BY_A_CHECK} == set(ALL)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (at("podDisruptionBudget.maxUnavailable", None), "podDisruptionBudget wants one of minAvailable and maxUna"),
        (at("startupProbe.httpGet", None), "startupProbe says nothing to ask"),
        (at("livenessProbe.httpGet", None), "livenessProbe says nothing to ask"),
        (at("readinessProbe.httpGet", None), "readinessProbe says nothing to ask"),
        ({"dnsPolicy": "None", "dnsConfig": None}, "dnsPolicy=None needs dnsConfig.nameservers"),
        *((together(TLS, at(f"tls.{part}", None)), NEEDED + part) for part in ("ca", "certificate", "key")),
    ],
)
def test_what_another_value_needs_is_a_sentence(values: dict[str, Any], sentence: str) -> None:
    said = refusal(values)
    assert f": {sentence}" in said
    assert "template:" not in said
