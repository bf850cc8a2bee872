"""The objects that the field is furnished with: pods, HPAs, series."""

from collections.abc import Mapping, Sequence
from typing import Any

NAMESPACE = "shop"
PODS = ("web-0", "web-1", "web-2")


def pods_metric(name: str, selector: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A metric of pods as an HPA's spec has it."""
    metric = {"name": name} | ({"selector": selector} if selector else {})
    return {"type": "Pods", "pods": {"metric": metric, "target": {"type": "AverageValue", "averageValue": "5"}}}


def usual_series() -> list[tuple[dict[str, str], str]]:
    """What Prometheus knows of the three pods: labels and value."""
    here = [{"namespace": NAMESPACE, "pod": name} for name in PODS]
    names = ("queue_depth", "queue_requests_total", "shop_jobs")
    return [({"__name__": name, **labels}, "7") for name in names for labels in here]


def pod(name: str, port: int, labels: Mapping[str, str]) -> dict[str, Any]:
    """A pod that is ready and is scraped at /pages/NAME."""
    notes = {"scrape": "true", "port": str(port), "path": f"/pages/{name}"}
    annotations = {f"prometheus.io/{key}": value for key, value in notes.items()}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels), "annotations": annotations},
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [ready],
        },
    }


def hpa(name: str, namespace: str, metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An HPA on Deployment web."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 10, "metrics": list(metrics)}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
