"""Snapshots in few words, as the API server's JSON is decoded, and certificates."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from adapter.doctor.checks import findings
from adapter.doctor.finding import Finding
from adapter.doctor.objects import APIService, Deployment, Hpa, Lease, Policy, Vpa
from adapter.doctor.snapshot import Program, Snapshot
from adapter.kube.objects import Node

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
T = TypeVar("T")
Json = dict[str, Any]


def decode_as(kind: type[T], value: Json) -> T:
    return msgspec.convert(value, kind, strict=False)


def at(seconds: float) -> str:
    """So many seconds from NOW, as the API writes it."""
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def make_snapshot(**fields: Any) -> Snapshot:
    return Snapshot(now=NOW.timestamp(), **fields)


def finding_lines(snapshot: Snapshot) -> list[str]:
    return [f"{finding.object}: {finding.says}" for finding in findings(snapshot)]


def one(snapshot: Snapshot) -> Finding:
    (finding,) = findings(snapshot)
    return finding


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def api_json(
    name: str = "v1beta2.custom.metrics.k8s.io", service: str = "streamgate/streamgate-adapter", **more: Any
) -> Json:
    """An APIService that is available, unless `available` says otherwise; `service` '' is a local one."""
    version, _, group = name.partition(".")
    namespace, _, short = service.partition("/")
    available = more.pop("available", condition("Available", "True", "Passed"))
    spec: Json = {"group": group, "version": version, **more}
    if service:
        spec["service"] = {"namespace": namespace, "name": short, "port": 443}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [available]}}


def api(*given: Any, **more: Any) -> APIService:
    return decode_as(APIService, api_json(*given, **more))


def pods_metric(name: str) -> Json:
    return {
        "type": "Pods",
        "pods": {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": "10"}},
    }


def utilization(resource: str) -> Json:
    target = {"type": "Utilization", "averageUtilization": 60}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


def hpa_json(
    name: str = "web",
    *metrics: Json,
    target: str = "web",
    conditions: tuple[Json, ...] = (),
    values: Sequence[Json] = (),
) -> Json:
    """`values`: what the status holds of its metrics."""
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "maxReplicas": 5,
            "metrics": list(metrics),
        },
        "status": {"currentReplicas": 2, "conditions": list(conditions), "currentMetrics": list(values)},
    }


def hpa(*given: Any, **more: Any) -> Hpa:
    return decode_as(Hpa, hpa_json(*given, **more))


CPU_50: Json = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 50}}}
ACTIVE = condition("ScalingActive", "True", "ValidMetricFound", "")
STARVING = condition("ScalingActive", "False", "FailedGetPodsMetric", "unable to get metric http_requests")


def vpa(name: str = "web", mode: str = "Auto", policies: tuple[Json, ...] = (), target: str = "web") -> Vpa:
    return decode_as(Vpa, {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "updatePolicy": {"updateMode": mode},
            **({"resourcePolicy": {"containerPolicies": list(policies)}} if policies else {}),
        },
    })  # fmt: skip


def policy(phase: str = "Idle", **status: Any) -> Policy:
    return decode_as(Policy, {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"progressDeadlineSeconds": 600},
        "status": {"phase": phase, **status},
    })  # fmt: skip


def deployment_json(
    kind: str = "adapter", *args: str, replicas: int = 2, available: int = 2, secret: str = "", rules: str = ""
) -> Json:
    name = f"streamgate-{kind}"
    namespace = "streamgate" if kind == "adapter" else name
    container: Json = {"name": "main", "image": "streamgate/adapter:0.1.0", "args": list(args), "volumeMounts": []}
    volumes: list[Json] = []
    if secret:
        container["args"].append("--tls-cert-file=/tls/tls.crt")
        container["volumeMounts"].append({"name": "tls", "mountPath": "/tls"})
        volumes.append({"name": "tls", "secret": {"secretName": secret}})
    if rules:
        container["args"].append("--config=/etc/adapter/config.yaml")
        container["volumeMounts"].append({"name": "rules", "mountPath": "/etc/adapter/"})
        volumes.append({"name": "rules", "configMap": {"name": rules}})
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": name}},
                "spec": {
                    "serviceAccountName": name,
                    "volumes": volumes,
                    "containers": [container],
                },
            },
        },
        "status": {"availableReplicas": available},
    }


def program(kind: str = "adapter", *args: str, **more: Any) -> Program:
    return Program(kind, decode_as(Deployment, deployment_json(kind, *args, **more)))


def lease_json(name: str, renewed: float, namespace: str = "kube-node-lease") -> Json:
    """Renewed so many seconds from NOW, by its holder's clock."""
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"renewTime": at(renewed)}}


def lease(name: str, renewed: float, namespace: str = "kube-node-lease") -> Lease:
    return decode_as(Lease, lease_json(name, renewed, namespace))


def node(name: str, ready: str = "True") -> Node:
    return decode_as(Node, {"metadata": {"name": name}, "status": {"conditions": [condition("Ready", ready)]}})


class Authority:
    """A CA that signs; certificates as base64 of PEM, as APIServices and Secrets hold them."""

    def __init__(self, name: str = "ca", days: int = 365) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._sign(self._name, self._key.public_key(), NOW - timedelta(days=30), days, is_ca=True)
        self.bundle = base64.b64encode(self.pem).decode()

    def certificate(self, days: int = 90, begins: datetime = NOW - timedelta(days=30)) -> str:
        """Of a server, ending so many days from NOW."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "streamgate-adapter")])
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return base64.b64encode(self._sign(name, key, begins, days, is_ca=False)).decode()

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, days: int, *, is_ca: bool
    ) -> bytes:
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(NOW + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        return built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
