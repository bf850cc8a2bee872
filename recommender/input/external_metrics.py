"""Usage from external.metrics.k8s.io instead of metrics.k8s.io (VPA's --use-external-metrics)."""

# ruff: noqa: RUF012 - msgspec makes a fresh one of an empty default for every object

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.objects import Model, ObjectMeta
from adapter.kube.resources import Resource
from adapter.program.logs import Trouble
from recommender.model.cluster import TrackedVpa
from recommender.objects import ContainerMetrics, PodMetrics

log = structlog.get_logger(__name__)


class External(NamedTuple):
    """What is asked for."""

    metrics: Mapping[str, str]
    """resource -> name of its metric"""
    container_label: str


class Value(Model, frozen=True):
    """external.metrics.k8s.io/v1beta1 ExternalMetricValue."""

    metric_labels: dict[str, str] = {}
    timestamp: datetime | None = None
    value: str = ""


async def read(client: Client, vpas: Iterable[TrackedVpa], how: External) -> list[PodMetrics]:
    """The usage of the VPAs' pods, as metrics.k8s.io would tell it: one call per VPA and resource.

    VPA makes one per pod and resource; we let the VPA's selector choose and tell pods by their label. What cannot be
    had is left out and said.
    """
    pods: list[PodMetrics] = []
    trouble = Trouble()
    for tracked in vpas:
        namespace = tracked.vpa.key[0]
        usage: dict[str, dict[str, dict[str, str]]] = {}
        times: dict[str, datetime] = {}
        for resource, metric in how.metrics.items() if tracked.selector else ():
            path = Resource("external.metrics.k8s.io", "v1beta1", metric).path(namespace)
            try:
                values = (await client.list(path, Value, params={"labelSelector": str(tracked.selector)})).items
            except KubeError as error:
                trouble.add(f"{'/'.join(tracked.vpa.key)} {metric}", error)
                continue
            for value in values:
                pod, container = value.metric_labels.get("pod"), value.metric_labels.get(how.container_label)
                if pod and container and value.timestamp:
                    usage.setdefault(pod, {}).setdefault(container, {})[resource] = value.value
                    times[pod] = max(times.get(pod, value.timestamp), value.timestamp)
        for pod, containers in usage.items():
            meta = ObjectMeta(name=pod, namespace=namespace)
            used = tuple(ContainerMetrics(name, amounts) for name, amounts in containers.items())
            pods.append(PodMetrics(metadata=meta, timestamp=times[pod], containers=used))
    trouble.say(log, "external metrics not had")
    return pods
