"""The very requests of an HPA, as paths. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from adapter.doctor.snapshot import CUSTOM, EXTERNAL, RESOURCE
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.resources import segment


def questions(hpa: HorizontalPodAutoscaler, selector: str, versions: Mapping[str, str]) -> Iterator[str]:
    """A path for each metric that can be asked for: of pods, external, of CPU and memory. `versions`: by API group."""
    namespace = segment(hpa.metadata.namespace)
    for metric in hpa.spec.metrics:
        if metric.type == "Pods" and metric.pods and CUSTOM in versions:
            name = segment(metric.pods.metric.name)
            query = _query(labelSelector=selector, metricLabelSelector=_text(metric.pods.metric.selector))
            yield f"/apis/{CUSTOM}/{versions[CUSTOM]}/namespaces/{namespace}/pods/*/{name}{query}"
        elif metric.type == "External" and metric.external and EXTERNAL in versions:
            name = segment(metric.external.metric.name)
            query = _query(labelSelector=_text(metric.external.metric.selector))
            yield f"/apis/{EXTERNAL}/{versions[EXTERNAL]}/namespaces/{namespace}/{name}{query}"
        elif metric.type in ("Resource", "ContainerResource") and RESOURCE in versions:
            yield f"/apis/{RESOURCE}/{versions[RESOURCE]}/namespaces/{namespace}/pods{_query(labelSelector=selector)}"


def _query(**parameters: str) -> str:
    given = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items() if value)
    return f"?{given}" if given else ""


def _text(selector: Mapping[str, Any] | None) -> str:
    """A selector's equalities as text; expressions are left out, so that more is found and never less."""
    labels = (selector or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
