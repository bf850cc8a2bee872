"""For each value of the chart: the values under which it matters, and another value than it has by itself."""

from typing import Any

NOTHING: dict[str, Any] = {}
PROMETHEUS = {"prometheus": {"url": "http://prometheus"}}
RULE = {"seriesQuery": '{__name__="queue"}', "metricsQuery": "sum(<<.Series>>) by (<<.GroupBy>>)"}
EXTERNAL = {"rules": {"external": [RULE]}}
CERT_MANAGER = {"certManager": {"enabled": True}}
PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n"
TLS = {"tls": {"enable": True, "ca": PEM.format("ca"), "certificate": PEM.format("own"), "key": KEY.format("key")}}
DROP_IN = {"dropIn": {"enabled": True}}
LEAST = {"replicas": 3, "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": None}}
DUAL_STACK = {"service": {"ipDualStack": {"enabled": True}}}
MONITORED = {"serviceMonitor": {"enabled": True}}
RECOMMENDER = {"recommender": {"enabled": True}}
PODS_MONITORED = {"podMonitor": {"enabled": True}, **RECOMMENDER}
CONSOLE = {"console": {"enabled": True}}
RECOMMENDER_DROP_IN = {"recommender": {"dropIn": {"enabled": True}}}
ROLLOUT = {"rollout": {"enabled": True}}
TOLERATION = {"key": "spot", "operator": "Exists"}
SPREAD = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
PROBE = {"httpGet": {"path": "/healthz", "port": "https", "scheme": "HTTPS"}, "periodSeconds": 7}

# What each program has: the adapter by the bare name, the others below theirs.
PROGRAM: dict[str, Any] = {
    "replicas": 3,
    "logLevel": 6,
    "extraArguments": ["--v=7"],
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "resources": {"requests": {"cpu": "1"}},
    "nodeSelector": {"disk": "fast"},
    "affinity": {"nodeAffinity": {}},
    "tolerations": [TOLERATION],
    "topologySpreadConstraints": [SPREAD],
    "priorityClassName": "system-cluster-critical",
    "podLabels": {"team": "platform"},
    "podAnnotations": {"team": "platform"},
    "serviceAccount.create": False,
    "serviceAccount.name": "other",
    "serviceAccount.annotations": {"role": "reader"},
}
EFFECTS: dict[str, tuple[dict[str, Any], Any]] = {
    **{name: (NOTHING, value) for name, value in PROGRAM.items()},
    **{f"recommender.{name}": (RECOMMENDER, value) for name, value in PROGRAM.items()},
    **{f"rollout.{name}": (ROLLOUT, value) for name, value in PROGRAM.items()},
    **{f"console.{name}": (CONSOLE, value) for name, value in PROGRAM.items()},
    "nameOverride": (NOTHING, "other"),
    "fullnameOverride": (NOTHING, "other"),
    "namespaceOverride": (NOTHING, "other"),
    "image.repository": (NOTHING, "registry.example/streamgate/adapter"),
    "image.tag": (NOTHING, "0.2.0"),
    "image.pullPolicy": (NOTHING, "Always"),
    "image.pullSecrets": (NOTHING, ["registry"]),
    "customLabels": (NOTHING, {"team": "platform"}),
    "customAnnotations": (NOTHING, {"team": "platform"}),
    "podSecurityContext": (NOTHING, {"fsGroup": 10001}),
    "securityContext": (NOTHING, {"runAsUser": 10001}),
    "rbac.create": (NOTHING, False),
    "rbac.useAuthReaderClusterRole": (NOTHING, True),
    "automountServiceAccountToken": (NOTHING, False),
    "serviceAccount.automountServiceAccountToken": (NOTHING, True),
    "rbac.customMetrics.resources": (NOTHING, ["pods/queue"]),
    "rbac.externalMetrics.resources": (EXTERNAL, ["queue"]),
    "adapter.enabled": (NOTHING, False),
    "prometheus.url": (NOTHING, "http://prometheus"),
    "prometheus.port": (PROMETHEUS, 80),
    "prometheus.path": (PROMETHEUS, "/prometheus"),
    "rules.default": ({"rules": {"custom": [RULE]}}, False),
    "rules.custom": (NOTHING, [RULE]),
    "rules.external": (NOTHING, [RULE]),
    "rules.resource": (NOTHING, {"cpu": {"containerLabel": "container"}}),
    "rules.existing": (NOTHING, "rules"),
    "apis.custom": (NOTHING, False),
    "apis.external": (EXTERNAL, False),
    "apis.resource": (NOTHING, True),
    "strategy": (NOTHING, {"type": "Recreate"}),
    "listenPort": (NOTHING, 8443),
    "metricsRelistInterval": (NOTHING, "30s"),
    "extraVolumes": (NOTHING, [{"name": "token", "secret": {"secretName": "token"}}]),
    "extraVolumeMounts": (NOTHING, [{"name": "tmp", "mountPath": "/var/tmp"}]),
    "extraContainers": (NOTHING, [{"name": "proxy", "image": "proxy"}]),
    "startupProbe": (NOTHING, PROBE),
    "livenessProbe": (NOTHING, PROBE),
    "readinessProbe": (NOTHING, PROBE),
    "deploymentAnnotations": (NOTHING, {"team": "platform"}),
    "hostNetwork.enabled": (NOTHING, True),
    "dnsPolicy": (NOTHING, "ClusterFirstWithHostNet"),
    "dnsConfig": (NOTHING, {"nameservers": ["192.0.2.1"]}),
    "service.type": (NOTHING, "NodePort"),
    "service.port": (NOTHING, 8443),
    "service.clusterIP": (NOTHING, "10.0.0.7"),
    "service.annotations": (NOTHING, {"team": "platform"}),
    "service.ipDualStack.enabled": (NOTHING, True),
    "service.ipDualStack.ipFamilies": (DUAL_STACK, ["IPv4", "IPv6"]),
    "service.ipDualStack.ipFamilyPolicy": (DUAL_STACK, "RequireDualStack"),
    "podDisruptionBudget.enabled": (NOTHING, False),
    "podDisruptionBudget.minAvailable": (LEAST, 2),
    "podDisruptionBudget.maxUnavailable": (NOTHING, "50%"),
    "podDisruptionBudget.unhealthyPodEvictionPolicy": (NOTHING, "IfHealthyBudget"),
    "tls.enable": ({"tls": {**TLS["tls"], "enable": False}}, True),
    "tls.ca": (TLS, PEM.format("other")),
    "tls.certificate": (TLS, PEM.format("other")),
    "tls.key": (TLS, KEY.format("other")),
    "certManager.enabled": (NOTHING, True),
    "certManager.caCertDuration": (CERT_MANAGER, "43800h"),
    "certManager.certDuration": (CERT_MANAGER, "8760h"),
    "certManager.certRenewBefore": (CERT_MANAGER, "240h"),
    "certManager.caCertRevisionHistoryLimit": (CERT_MANAGER, 2),
    "certManager.certRevisionHistoryLimit": (CERT_MANAGER, 2),
    "extraManifests": (NOTHING, [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}}]),
    "otlp.enabled": (NOTHING, True),
    "reflex.enabled": (NOTHING, True),
    "networkPolicy.enabled": (NOTHING, True),
    "observers": (NOTHING, [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]),
    "serviceMonitor.enabled": (NOTHING, True),
    "serviceMonitor.interval": (MONITORED, "15s"),
    "serviceMonitor.labels": (MONITORED, {"release": "monitoring"}),
    "podMonitor.enabled": (RECOMMENDER, True),
    "podMonitor.interval": (PODS_MONITORED, "15s"),
    "podMonitor.labels": (PODS_MONITORED, {"release": "monitoring"}),
    "dropIn.enabled": (NOTHING, True),
    "dropIn.serviceAccount.name": (DROP_IN, "other"),
    "dropIn.serviceAccount.namespace": (DROP_IN, "other"),
    "recommender.enabled": (NOTHING, True),
    "recommender.name": (RECOMMENDER, "streamgate"),
    "recommender.apply": (RECOMMENDER, "in-place"),
    "recommender.dropIn.enabled": (NOTHING, True),
    "recommender.dropIn.serviceAccount.name": (RECOMMENDER_DROP_IN, "other"),
    "recommender.dropIn.serviceAccount.namespace": (RECOMMENDER_DROP_IN, "other"),
    "console.enabled": (NOTHING, True),
    "console.tokenSecret": (CONSOLE, "other"),
    "rollout.enabled": (NOTHING, True),
    "rollout.gateway": (ROLLOUT, True),
    "rollout.nginx": (ROLLOUT, True),
    "rollout.notifications": (ROLLOUT, True),
    "rollout.triggers": (ROLLOUT, True),
}
WITHOUT = {"psp.create", "global"}
"""Taken so that other charts' values files need no change; both say so."""
