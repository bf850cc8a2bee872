"""What the chart refuses: values that do not go together by a sentence, a value of no use by the schema's line."""

from itertools import zip_longest
from typing import Any

import pytest

from tests.cluster.chart import CHART, run_helm
from tests.manifests.charts import FIRST_BUILD_S, at, leaves, refusal, render, template, together
from tests.manifests.effects import CERT_MANAGER, DROP_IN, RECOMMENDER, RECOMMENDER_DROP_IN, TLS

pytestmark = pytest.mark.timeout(FIRST_BUILD_S)
NAME = "app.kubernetes.io/name"
TCP = {"tcpSocket": {"port": "https"}}
NO_RBAC = {"rbac": {"create": False}}
MORE = {"name": "more", "image": "more"}


def budget(replicas: int | None, least: int | str) -> dict[str, Any]:
    return {"replicas": replicas, "podDisruptionBudget": {"minAvailable": least, "maxUnavailable": None}}


def certificates(**durations: str) -> dict[str, Any]:
    return together(CERT_MANAGER, {"certManager": durations})


def error_line(values: dict[str, Any]) -> str:
    """The sentence that helm ends with."""
    (line,) = (line for line in refusal(values).splitlines() if line.startswith("Error: "))
    return line


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (
            {"image": {"repository": "x/prometheus-adapter"}},
            "image.repository=x/prometheus-adapter is prometheus-adapter's",
        ),
        ({"prometheus": {"url": "prometheus"}}, "prometheus.url=prometheus is no URL"),
        ({"prometheus": {"url": "http://prometheus:9090"}}, "prometheus.url=http://prometheus:9090 ends with more"),
        ({"prometheus": {"url": "http://prometheus/mimir"}}, "prometheus.url=http://prometheus/mimir ends with more"),
        ({"prometheus": {"url": "http://[fd00::7]:9090"}}, "prometheus.url=http://[fd00::7]:9090 ends with more"),
        ({"prometheus": {"url": "http://a,http://b"}}, "prometheus.url=http://a,http://b ends with more"),
        ({"prometheus": {"url": "http://prometheus", "path": "x"}}, "prometheus.path=x must begin with /"),
        ({"prometheus": {"url": "http://prometheus"}, "otlp": {"enabled": True}}, "otlp.enabled and prometheus.url"),
        ({"otlp": {"enabled": True}, "replicas": 2}, "otlp.enabled wants one replica"),
        ({"rules": {"default": False}}, "rules.default=false and no other rules"),
        ({"rules": {"existing": "rules", "custom": [{}]}}, "rules.existing=rules takes the place of"),
        ({"rules": {"custom": [{}]}, "apis": {"external": True}}, "apis.external=true needs rules.external"),
        ({"apis": {"external": True}}, "apis.external=true needs rules.external or rules.existing"),
        ({"rules": {"custom": [{}]}, "apis": {"resource": True}}, "apis.resource=true needs rules.resource"),
        ({"prometheus": {"url": "http://x"}, "apis": {"resource": True}}, "apis.resource=true needs rules.resource"),
        ({"tls": {"enable": True, "ca": "x"}}, "tls.enable needs tls.ca, tls.certificate and tls.key"),
        ({"tls": {"enable": True}, "certManager": {"enabled": True}}, "tls.enable and certManager.enabled"),
        ({"podDisruptionBudget": {"minAvailable": 1}}, "podDisruptionBudget wants one of"),
        ({"podDisruptionBudget": {"maxUnavailable": None}}, "podDisruptionBudget wants one of"),
        (together(DROP_IN, NO_RBAC), "dropIn.enabled=true makes a ClusterRole and its binding and nothing else"),
        (together(RECOMMENDER_DROP_IN, NO_RBAC), "recommender.dropIn.enabled=true makes a ClusterRole and its binding"),
    ],
)
def test_values_that_do_not_go_together_are_one_sentence(values: dict[str, Any], named: str) -> None:
    assert f": {named}" in error_line(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"metricsRelistInterval": "0s"}, "metricsRelistInterval=0s must be above zero"),
        (
            {"service": {"ipDualStack": {"enabled": True, "ipFamilyPolicy": "SingleStack"}}},
            "service.ipDualStack.ipFamilyPolicy=SingleStack takes one of ipFamilies, and IPv6, IPv4 are two",
        ),
        ({"observers": [{"kind": "ServiceAccount", "name": "x"}]}, "observers[0], the ServiceAccount x, needs its"),
        ({"customLabels": {NAME: "x"}}, f"customLabels has {NAME}, which the chart sets itself"),
        ({"podLabels": {NAME: "x"}}, f"podLabels has {NAME}"),
        ({"adapter": {"enabled": False}, "rollout": {"podLabels": {NAME: "x"}}}, f"rollout.podLabels has {NAME}"),
        ({"podMonitor": {"labels": {"helm.sh/chart": "x"}}}, "podMonitor.labels has helm.sh/chart"),
        (budget(1, 1), "podDisruptionBudget.minAvailable=1 keeps all of replicas=1, so that no drain ends"),
        (budget(None, 2), "podDisruptionBudget.minAvailable=2 keeps all of replicas=2"),
        (budget(3, "67%"), "podDisruptionBudget.minAvailable=67% keeps all of replicas=3"),  # 2.01 of 3, rounded up
        ({"strategy": {"rollingUpdate": {"maxSurge": "0%"}}}, "strategy.rollingUpdate has 0 for both"),
        ({"resources": {"requests": {"memory": "1025Mi"}}}, "resources.requests.memory=1025Mi is above resources.lim"),
        ({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1999m"}}}, "resources.requests.cpu=2 is above"),
        (
            together(
                RECOMMENDER, {"adapter": {"enabled": False}, "recommender": {"resources": {"limits": {"cpu": 0}}}}
            ),
            "recommender.resources.requests.cpu=50m is above recommender.resources.limits.cpu=0",
        ),
        ({"extraArguments": ["--secure-port=443"]}, "extraArguments has --secure-port=443, and the pod's ports"),
        (together(RECOMMENDER, at("recommender.extraArguments", ["--address=:1"])), "recommender.extraArguments has"),
    ],
)
def test_what_a_cluster_would_refuse_or_suffer_from_is_one_sentence(values: dict[str, Any], named: str) -> None:
    assert f": {named}" in error_line(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"otlp": {"enabled": True}, "listenPort": 4318}, "listenPort=4318 is a port of otlp.enabled"),
        ({"extraContainers": [{**MORE, "ports": [{"containerPort": 6443}]}]}, "extraContainers has more on port 6443"),
        ({"extraContainers": [{**MORE, "name": "adapter"}]}, "extraContainers gives something twice"),
        ({"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, "extraVolumes gives something twice"),
        ({"extraVolumeMounts": [{"name": "tmp", "mountPath": "/tmp/"}]}, "extraVolumeMounts gives something twice"),
        ({"extraVolumeMounts": [{"name": "x", "mountPath": "/x"}]}, "extraVolumeMounts has x, and there are the volum"),
        ({"livenessProbe": TCP}, "livenessProbe has httpGet and tcpSocket, and a probe has one of them"),
        ({"startupProbe": TCP}, "startupProbe has httpGet and tcpSocket"),
        ({"readinessProbe": {"exec": {"command": ["true"]}}}, "readinessProbe has httpGet and exec"),
        ({"readinessProbe": {"httpGet": None}}, "readinessProbe says nothing to ask"),
        ({"dnsPolicy": "None"}, "dnsPolicy=None needs dnsConfig.nameservers"),
        (together(TLS, at("tls.key", "# none")), "tls.enable needs tls.ca, tls.certificate and tls.key, each as PEM"),
        (certificates(certDuration="720h"), "certManager.certRenewBefore=720h must be less than certManager.certDur"),
        (certificates(certRenewBefore="299s"), "certManager.certRenewBefore=299s must be 5m at least"),
        (certificates(certDuration="59m"), "certManager.certDuration=59m must be 60m at least"),
        (certificates(caCertDuration="2562048h"), "certManager.caCertDuration=2562048h must be 60m at least and 292"),
        (certificates(caCertDuration="1000h"), "certManager.certDuration=2160h is longer than certManager.caCertDur"),
    ],
)
def test_what_makes_no_pod_or_no_certificate_is_one_sentence(values: dict[str, Any], named: str) -> None:
    assert f": {named}" in error_line(values)


@pytest.mark.parametrize(
    "values",
    [
        budget(3, "66%"),  # 1.98 of 3, rounded up to 2
        budget(0, 1),
        {"replicas": 1, "podDisruptionBudget": {"maxUnavailable": 0}},  # said in so many words
        {"listenPort": 4317},  # nothing else listens there without otlp.enabled
        {"livenessProbe": {**TCP, "httpGet": None}},
        {"livenessProbe": None},
        {
            "env": [
                {"name": "NONE", "value": None},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ]
        },
        {"extraContainers": [{**MORE, "ports": [{"containerPort": 6443, "protocol": "UDP"}]}]},
        {"resources": {"requests": {"memory": "1073741824"}}},
        {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": None}}},
        {"customLabels": {"app.kubernetes.io/part-of": "platform"}, "podLabels": {"app.kubernetes.io/version": "7"}},
        certificates(certDuration="720h", certRenewBefore="719h59m59s"),
    ],
)
def test_what_is_next_to_wrong_is_taken(values: dict[str, Any]) -> None:
    assert template(values)


def test_without_rbac_there_is_none_of_any_program() -> None:
    values = {
        "reflex": {"enabled": True},
        **{name: {"enabled": True} for name in ("recommender", "rollout", "console")},
    }
    made = {item["kind"] for item in render(together(values, NO_RBAC))}
    assert "Deployment" in made
    assert not made & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def test_objects_are_called_as_a_service_may_be() -> None:
    """Releases have wider names: dots, and digits in front."""
    for release in ("7days", "stream.gate"):
        done = run_helm("template", release, str(CHART))
        assert f"objects would be called {release}-streamgate-…, after the release" in done.stderr
        assert run_helm("template", release, str(CHART), "--set", "fullnameOverride=gate").returncode == 0


WRONG: dict[str, list[Any]] = {
    "nameOverride": ["Not_Valid!", "x" * 41],
    "fullnameOverride": ["Not_Valid!", "7days", "x" * 41],
    "namespaceOverride": ["Name.Space", "x" * 64],
    "image.repository": ["registry.example/streamgate:0.1.0", "Streamgate"],
    "image.tag": ["0.1 0"],
    "priorityClassName": ["High"],
    "rules.existing": ["My_Rules"],
    "console.tokenSecret": ["My_Token"],
    "serviceAccount.name": ["My_Account"],
    "dropIn.serviceAccount.name": ["", "My_Account"],
    "customLabels": [{"team": "a b"}, {"team": "x" * 64}, {"-team": "x"}, {"team": 7}],
    "recommender.podLabels": [{"team": "a b"}, {"a/b/c": "x"}],
    "serviceMonitor.labels": [{"release": "a b"}],
    "nodeSelector": [{"disk": "very fast"}],
    "podAnnotations": [{"a b": "x"}, {"x" * 64: "x"}],
    "certManager.certDuration": ["..h", "720", "1d", "h"],
    "certManager.certRenewBefore": ["1.h", "720"],
    "metricsRelistInterval": ["30", ".5m"],
    "serviceMonitor.interval": ["30", "1.5m", ""],
    "certManager.certRevisionHistoryLimit": [0],
    "podDisruptionBudget.minAvailable": ["101%", "half"],
    "podDisruptionBudget.unhealthyPodEvictionPolicy": ["Always"],
    "strategy": [{"type": "OnDelete"}, {"rollingUpdate": {"maxUnavailable": "101%"}}],
    "livenessProbe": [{"failureTreshold": 3}, {"successThreshold": 2}],
    "readinessProbe": [{"timeoutSeconds": 0}],
    "resources": [{"request": {}}, {"limits": {"memory": "1GB"}}],
    "service.clusterIP": ["none", "10.0.0.7/24"],
    "service.ipDualStack.ipFamilies": [[], ["IPv5"], ["IPv4", "IPv4"]],
    "env": [[{"value": "x"}], [{"name": "WORKERS", "value": 1}], [{"name": "DEBUG", "value": True}]],
    "rollout.env": [[{"name": "WORKERS", "value": 1}]],
    "extraManifests": [[{"kind": "ConfigMap"}], [""]],
}
"""Values that are none by themselves, by where they stand."""


@pytest.mark.parametrize("wrong", list(zip_longest(*WRONG.values())))
def test_a_value_that_is_wrong_by_itself_is_named(wrong: tuple[Any, ...]) -> None:
    """All of a round are wrong at once, and helm names each of them."""
    given = {path: value for path, value in zip(WRONG, wrong, strict=True) if value is not None}
    said = refusal(together(*(at(path, value) for path, value in given.items())))
    assert {path for path in given if f"- at '/{path.replace('.', '/')}" in said} == given.keys()


def test_a_deployment_that_is_made_anew_has_no_rolling_update() -> None:
    (deployment,) = (item for item in render(at("strategy.type", "Recreate")) if item["kind"] == "Deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_no_name_is_longer_than_a_label_may_be() -> None:
    """The longest name there may be in front, and all objects behind."""
    on = {"enabled": True}
    values = {
        "fullnameOverride": "x" * 40, "certManager": on, "otlp": on, "recommender": on, "rollout": on, "console": on
    }  # fmt: skip
    named = {item["metadata"]["name"] for item in render(values) if item["kind"] in {"Service", "Issuer"}}
    assert max(len(name) for name in named) == 40 + len("-adapter-self-signed") <= 63


def test_labels_of_two_values_are_one() -> None:
    """YAML that has a key twice is none, and here a monitor's own label wins over that of every object."""
    values = {"customLabels": {"release": "all"}, "serviceMonitor": {"enabled": True, "labels": {"release": "own"}}}
    labels = {item["kind"]: item["metadata"]["labels"]["release"] for item in render(values)}
    assert (labels["ServiceMonitor"], labels["Service"]) == ("own", "all")
    assert template(values).count("release: own") == 1


def test_a_namespace_of_digits_is_text_everywhere() -> None:
    on = {"enabled": True}
    names = (
        "certManager",
        "otlp",
        "networkPolicy",
        "serviceMonitor",
        "podMonitor",
        "dropIn",
        "recommender",
        "rollout",
        "console",
    )
    made = render(dict.fromkeys(names, on), namespace="123")
    assert "123" in {value for item in made for value in leaves(item)}
    assert 123 not in {value for item in made for value in leaves(item)}
