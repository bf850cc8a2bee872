"""The very requests of an HPA, as paths. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from adapter.doctor.snapshot import CUSTOM, EXTERNAL, RESOURCE
from adapter.kube.autoscaling import HorizontalPodAutoscaler, MetricSpec
from adapter.kube.resources import segment


def questions(hpa: HorizontalPodAutoscaler, selector: str, versions: Mapping[str, str]) -> Iterator[str]:
    """A path for each metric that can be asked for: of pods, external, of CPU and memory. `versions`: by API group."""
    for metric in hpa.spec.metrics:
        try:
            path = _path(hpa.metadata.namespace, metric, selector, versions)
        except ValueError:  # a name that can be no part of a path, so that the HPA cannot ask for it either
            continue
        if path:
            yield path


def _path(namespace: str, metric: MetricSpec, selector: str, versions: Mapping[str, str]) -> str:
    """'' for a metric that is not asked for. Raises ValueError."""
    if metric.type == "Pods" and metric.pods and CUSTOM in versions:
        query = _query(labelSelector=selector, metricLabelSelector=_text(metric.pods.metric.selector))
        return f"{_base(CUSTOM, versions, namespace)}/pods/*/{segment(metric.pods.metric.name)}{query}"
    if metric.type == "External" and metric.external and EXTERNAL in versions:
        query = _query(labelSelector=_text(metric.external.metric.selector))
        return f"{_base(EXTERNAL, versions, namespace)}/{segment(metric.external.metric.name)}{query}"
    if metric.type in ("Resource", "ContainerResource") and RESOURCE in versions:
        return f"{_base(RESOURCE, versions, namespace)}/pods{_query(labelSelector=selector)}"
    return ""


def _base(group: str, versions: Mapping[str, str], namespace: str) -> str:
    return f"/apis/{group}/{versions[group]}/namespaces/{segment(namespace)}"


def _query(**parameters: str) -> str:
    given = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items() if value)
    return f"?{given}" if given else ""


def _text(selector: Mapping[str, Any] | None) -> str:
    """A selector's equalities as text; expressions are left out, so that more is found and never less."""
    labels = (selector or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
