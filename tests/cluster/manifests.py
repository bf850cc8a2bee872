"""Builders of the objects that tests apply."""

import copy
from collections.abc import Mapping
from typing import Any

from tests.cluster.images import SAMPLE

Manifest = dict[str, Any]
PORT = 8080


def sample_deployment(name: str, namespace: str, replicas: int = 1, **env: object) -> list[Manifest]:
    """A Deployment of the sample service with annotations for scraping, and its Service on port 80.

    `env` are the sample's settings, such as `WORK_MS=20` (see loadtest/sample/settings.py).
    """
    labels = {"app": name}
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "prometheus.io/path": "/metrics"}
    template = {"metadata": {"labels": labels, "annotations": scrape}, "spec": _pod(env)}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    return [deployment, service(name, namespace, labels)]


def apart(objects: list[Manifest]) -> list[Manifest]:
    """The Deployment of `sample_deployment` with no two of its pods on one node."""
    deployment, *others = copy.deepcopy(objects)
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": deployment["spec"]["selector"],
    }
    deployment["spec"]["template"]["spec"]["topologySpreadConstraints"] = [spread]
    return [deployment, *others]


def service(name: str, namespace: str, selector: Mapping[str, str]) -> Manifest:
    ports = [{"name": "http", "port": 80, "targetPort": PORT}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(selector)},
        "spec": {"selector": dict(selector), "ports": ports},
    }


def _pod(env: Mapping[str, object]) -> Manifest:
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    variables = [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()]
    variables += [{"name": key, "value": str(value)} for key, value in {"PORT": PORT, **env}.items()]
    container = {
        "name": "sample",
        "image": SAMPLE,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": variables,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
    }
    return {"containers": [container], "terminationGracePeriodSeconds": 10}


def host_service(name: str, namespace: str, address: str, port: int, service_port: int) -> list[Manifest]:
    """A Service without selector, its one endpoint a process outside the cluster (an ExternalName does not serve)."""
    metadata = {"name": name, "namespace": namespace}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-host", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "host", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
    ports = [{"name": "host", "port": service_port, "targetPort": port, "protocol": "TCP"}]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}, endpoints]


def of_endpoints(objects: list[Manifest]) -> list[Manifest]:
    """What `host_service` makes, with Endpoints in place of the slice."""
    service, made = objects
    addresses = [{"ip": address} for one in made["endpoints"] for address in one["addresses"]]
    subsets = [{"addresses": addresses, "ports": made["ports"]}]
    return [service, {"apiVersion": "v1", "kind": "Endpoints", "metadata": service["metadata"], "subsets": subsets}]


def fake_node(name: str, tainted: bool) -> Manifest:
    """A node that kwok plays; tainted, when there is a real one too, so that pods come to it only by choice."""
    resources = {"cpu": "64", "memory": "256Gi", "pods": "500"}
    node: Manifest = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {},
        "status": {"allocatable": resources, "capacity": resources},
    }
    if tainted:
        node["spec"]["taints"] = [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]
    return node
