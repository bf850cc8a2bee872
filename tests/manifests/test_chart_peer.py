"""Values of prometheus-community's chart prometheus-adapter: each is taken, or the page says what is otherwise."""

import json
import re
from typing import Any

import pytest

from adapter.settings import parse
from tests.cluster.chart import CHART
from tests.manifests.charts import FIRST_BUILD_S, at, paths, refusal, render, together
from tests.manifests.conftest import MANIFESTS, Object
from tests.manifests.effects import CERT_MANAGER, DUAL_STACK

pytestmark = pytest.mark.timeout(FIRST_BUILD_S)
PAGE = (MANIFESTS.parent / "docs/chart.md").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
PROBE = {"httpGet": {"path": "/healthz", "port": "https", "scheme": "HTTPS"}, "initialDelaySeconds": 30}
THEIRS: dict[str, Any] = {
    "affinity": {},
    "automountServiceAccountToken": True,
    "certManager.caCertDuration": "43800h0m0s",
    "certManager.caCertRevisionHistoryLimit": None,
    "certManager.certDuration": "8760h0m0s",
    "certManager.certRevisionHistoryLimit": None,
    "certManager.enabled": False,
    "customAnnotations": {},
    "customLabels": {},
    "deploymentAnnotations": {},
    "dnsConfig": {},
    "dnsPolicy": "",
    "env": [],
    "extraArguments": [],
    "extraContainers": [],
    "extraManifests": [],
    "extraVolumeMounts": [],
    "extraVolumes": [],
    "fullnameOverride": "",
    "hostNetwork.enabled": False,
    "image.pullPolicy": "IfNotPresent",
    "image.pullSecrets": [],
    "image.repository": "registry.k8s.io/prometheus-adapter/prometheus-adapter",
    "image.tag": "",
    "listenPort": 6443,
    "livenessProbe": {**PROBE, "timeoutSeconds": 5},
    "logLevel": 4,
    "metricsRelistInterval": "1m",
    "nameOverride": "",
    "namespaceOverride": "",
    "nodeSelector": {},
    "podAnnotations": {},
    "podDisruptionBudget.enabled": False,
    "podDisruptionBudget.maxUnavailable": 1,
    "podDisruptionBudget.minAvailable": None,
    "podDisruptionBudget.unhealthyPodEvictionPolicy": None,
    "podLabels": {},
    "podSecurityContext.fsGroup": 10001,
    "priorityClassName": "",
    "prometheus.path": "",
    "prometheus.port": 9090,
    "prometheus.url": "http://prometheus.default.svc",
    "psp.create": False,
    "rbac.create": True,
    "rbac.customMetrics.resources": ["*"],
    "rbac.externalMetrics.resources": ["*"],
    "rbac.useAuthReaderClusterRole": False,
    "readinessProbe": {**PROBE, "timeoutSeconds": 5},
    "replicas": 1,
    "resources": {},
    "rules.custom": [],
    "rules.default": True,
    "rules.existing": None,
    "rules.external": [],
    "rules.resource": {},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "service.annotations": {},
    "service.clusterIP": "",
    "service.ipDualStack.enabled": False,
    "service.ipDualStack.ipFamilies": ["IPv6", "IPv4"],
    "service.ipDualStack.ipFamilyPolicy": "PreferDualStack",
    "service.port": 443,
    "service.type": "ClusterIP",
    "serviceAccount.annotations": {},
    "serviceAccount.automountServiceAccountToken": True,
    "serviceAccount.create": True,
    "serviceAccount.name": None,
    "startupProbe": {},
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
    "tls.ca": "# none",
    "tls.certificate": "# none",
    "tls.enable": False,
    "tls.key": "# none",
    "tolerations": [],
    "topologySpreadConstraints": [],
}
"""Every value of theirs, those that stand there as comments too, and its default (version 5; `psp` of version 4)."""
REFUSED = {"image.repository": "is prometheus-adapter's: leave out image.repository and image.tag"}


def same_names() -> set[str]:
    """The names that the page says mean the same."""
    names = PAGE.split("These mean the same:")[1].split("\n| there")[0]
    return set(re.findall(r"`([\w.]+)`", names))


def table_names() -> set[str]:
    """The names in the left column of the page's table of what is otherwise."""
    table = PAGE.split("\n| there | here |\n")[1].split("\n\n")[0]
    return set(re.findall(r"`([A-Za-z][\w.]*)", "".join(row.split(" | ")[0] for row in table.splitlines())))


def one(kind: str, objects: list[Object], name: str = "streamgate-adapter") -> Object:
    (match,) = (item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name)
    return match


# ---- the whole file


@pytest.mark.parametrize("path", [None, *REFUSED])
def test_a_file_of_theirs_is_taken_less_the_image(path: str | None) -> None:
    taken = {name: value for name, value in THEIRS.items() if name == path or name not in REFUSED}
    values = together(*(at(name, value) for name, value in taken.items()))
    if path:
        assert REFUSED[path] in refusal(values)
        return
    deployment = one("Deployment", render(values))
    pod = deployment["spec"]["template"]["spec"]
    settings, without_effect = parse(pod["containers"][0]["args"])
    assert (settings.prometheus_url, settings.verbosity) == ("http://prometheus.default.svc:9090", 4)
    assert (deployment["spec"]["replicas"], pod["securityContext"]["fsGroup"], without_effect) == (1, 10001, ())


def test_every_value_of_theirs_means_the_same_or_is_named_as_what_does_not() -> None:
    for path in THEIRS:
        above = {path, path.rpartition(".")[0]}
        assert above & (same_names() | table_names()), path


def test_the_names_that_mean_the_same_are_values_and_the_rest_is_named_too() -> None:
    """Values of prometheus-community's chart, then those that only ours has."""
    ours = PAGE.split("Names that only this chart has:")[1].split("`manifests")[0]
    alone = {path for name in re.findall(r"`(\w[\w.]*)`", ours) for path in paths(SCHEMA) if
             path == name or path.startswith(f"{name}.")}  # fmt: skip
    known = set(paths(SCHEMA))
    assert same_names() | alone | {"rules.default", "psp.create", "global"} == known
    assert {name for name in same_names() if name not in THEIRS} == {"podSecurityContext"}  # of which theirs has a part
    assert not alone & THEIRS.keys()


# ---- its parts


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"url": "http://prometheus"}, "http://prometheus:9090"),
        ({"url": "http://prometheus", "path": "/mimir"}, "http://prometheus:9090/mimir"),
        ({"url": "https://[fd00::7]", "port": 443}, "https://[fd00::7]:443"),
        ({"url": "http://prometheus:8481/select/0", "port": None}, "http://prometheus:8481/select/0"),
        ({"url": "http://a:1,http://b:2", "port": 0}, "http://a:1,http://b:2"),
        ({"url": "http://{{ .Release.Name }}"}, "http://streamgate:9090"),
    ],
)
def test_the_url_is_put_together_as_prometheus_adapters_chart_does(values: dict[str, Any], url: str) -> None:
    (deployment,) = (item for item in render({"prometheus": values}) if item["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    settings, without_effect = parse(container["args"])
    assert (settings.prometheus_url, without_effect) == (url, ())


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ({}, (True, False)),
        ({"automountServiceAccountToken": False}, (False, False)),
        ({"serviceAccount": {"automountServiceAccountToken": True}}, (True, True)),
    ],
)
def test_a_token_is_mounted_as_the_pod_and_the_account_say(values: dict[str, Any], taken: tuple[bool, bool]) -> None:
    objects = render(values)
    pod = one("Deployment", objects)["spec"]["template"]["spec"]
    account = one("ServiceAccount", objects)
    assert (pod["automountServiceAccountToken"], account["automountServiceAccountToken"]) == taken


def test_the_clients_authorities_are_read_by_a_cluster_role_where_nothing_may_be_made_in_kube_system() -> None:
    """Theirs binds a ClusterRole that somebody has to make; this one comes along, and reads no other ConfigMap."""
    objects = render(at("rbac.useAuthReaderClusterRole", True))
    assert not [item for item in objects if item["metadata"].get("namespace") == "kube-system"]
    name = "streamgate-adapter-auth-reader"
    [rule] = one("ClusterRole", objects, name)["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (["configmaps"], ["extension-apiserver-authentication"])
    binding = one("ClusterRoleBinding", objects, name)
    assert (binding["roleRef"]["name"], binding["subjects"][0]["name"]) == (name, "streamgate-adapter")
    others = [item for item in render({}) if item["metadata"].get("namespace") == "kube-system"]
    assert [item["kind"] for item in others] == ["RoleBinding"]


def test_a_service_may_have_two_families() -> None:
    """The adapter listens on both anyway: 0.0.0.0 is every address of either."""
    objects = render(DUAL_STACK)
    service = one("Service", objects)["spec"]
    assert (service["ipFamilies"], service["ipFamilyPolicy"]) == (["IPv6", "IPv4"], "PreferDualStack")
    assert not {"ipFamilies", "ipFamilyPolicy"} & one("Service", render({}))["spec"].keys()


@pytest.mark.parametrize(
    ("given", "policy"), [({}, "AlwaysAllow"), ({"unhealthyPodEvictionPolicy": "IfHealthyBudget"}, "IfHealthyBudget")]
)
def test_a_budget_says_what_becomes_of_pods_that_are_not_ready(given: dict[str, Any], policy: str) -> None:
    budget = one("PodDisruptionBudget", render({"podDisruptionBudget": given}))
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == policy
    unsaid = one("PodDisruptionBudget", render(at("podDisruptionBudget.unhealthyPodEvictionPolicy", None)))
    assert "unhealthyPodEvictionPolicy" not in unsaid["spec"]


def test_each_certificate_keeps_as_many_requests_as_is_said() -> None:
    limits = {"caCertRevisionHistoryLimit": 2, "certRevisionHistoryLimit": 3}
    objects = render(together(CERT_MANAGER, {"certManager": limits}))
    assert one("Certificate", objects, "streamgate-adapter-ca")["spec"]["revisionHistoryLimit"] == 2
    assert one("Certificate", objects)["spec"]["revisionHistoryLimit"] == 3


def test_objects_of_ones_own_come_along_as_objects_or_texts_and_are_templates() -> None:
    named = {"name": "{{ .Release.Name }}-more"}
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Namespace }}}\n"
    objects = render({"extraManifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": named}, text]})
    assert one("ConfigMap", objects, "streamgate-more")
    assert one("Secret", objects, "streamgate")
