"""Where a report reads from besides files: Prometheus' history, or metrics.k8s.io watched for a while."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from adapter.kube.autoscaling import CrossVersionObjectReference, HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.config import ConfigError, connect
from adapter.kube.errors import KubeError
from adapter.kube.objects import unix
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from adapter.program.tables import say
from adapter.units.quantity import Quantity, QuantityError
from recommender.estimate.hpa_guard import utilisation_targets
from recommender.input import history as prometheus_history
from recommender.input.feed import feed_rows
from recommender.input.history import History, HistoryError, Prometheus, chunks, points, read_namespace
from recommender.input.history import Rows as Samples
from recommender.input.owners import Owners, label
from recommender.input.usage_file import UsageError
from recommender.model import workloads
from recommender.model.buckets import Rows
from recommender.model.containers import MISSING, Model
from recommender.model.workloads import Workload
from recommender.objects import POD_METRICS, Pod, PodMetrics
from recommender.offline.entry import Request

NAMES_OTHERS: Final = "; --container-namespace-label and its like name others, --prometheus-cadvisor-job-name= any job"
SAMPLE_EVERY: Final = 15.0
"""s between two looks at metrics.k8s.io, which is fresh that often."""
MAX_NAMESPACES: Final = 5000


Utilised = Mapping[tuple[str, str], int]
"""(resource, container or '' for all) -> %: what an HPA of a workload holds of its requests"""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model, what is in it, and what its containers request now."""

    model: Model
    rows: Rows
    """The states of …"""
    names: Sequence[str]
    """… these containers."""
    now: float
    """Unix s: the time of the report"""
    requests: Mapping[str, Request] = field(default_factory=dict)
    """By container."""
    used: Mapping[str, Request] = field(default_factory=dict)
    """By container, the most that it used; where the source is a file."""
    hpas: Mapping[tuple[str, str, str], Utilised] = field(default_factory=dict)
    """By namespace, kind and name of the workload."""
    init: Collection[str] = ()
    """Those that are init containers, sidecars among them."""
    pods: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """container -> pod -> row of its instance; empty where the source knows no pods"""


class Gathering:
    """Containers of pods as they turn up: one state per workload's container, one instance per pod's."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._states: dict[str, int] = {}
        self.instances: dict[tuple[str, str, str], int] = {}
        """(namespace, pod, container) -> its row of the model"""
        self.requests: dict[str, Request] = {}
        self.hpas: dict[tuple[str, str, str], dict[tuple[str, str], int]] = {}
        self.init: set[str] = set()
        self._pods: dict[str, dict[str, int]] = {}

    def instance(self, namespace: str, pod: str, container: str, workload: Workload) -> int:
        """The row of a pod's container."""
        key = namespace, pod, container
        if key not in self.instances:
            name = f"{namespace}/{workload.kind}/{workload.name}/{container}"
            if name not in self._states:
                self._states[name] = int(self.model.states.take(1)[0])
            self.instances[key] = int(self.model.start(np.array([self._states[name]]))[0])
            self._pods.setdefault(name, {})[pod] = self.instances[key]
        return self.instances[key]

    def request(self, namespace: str, container: str, workload: Workload, resource: str, amount: int) -> None:
        """Notes what a container requests; the largest of its pods' counts."""
        name = f"{namespace}/{workload.kind}/{workload.name}/{container}"
        before = self.requests.get(name, Request(0, 0))
        self.requests[name] = before._replace(**{resource: max(getattr(before, resource), amount)})

    def result(self, now: float) -> Known:
        """What has been gathered. Raises UsageError where that is nothing."""
        if not self._states:
            raise UsageError("no container with samples was found")
        names = sorted(self._states)
        rows = np.array([self._states[name] for name in names], dtype=np.int64)
        return Known(
            model=self.model,
            rows=rows,
            names=names,
            now=now,
            requests=self.requests,
            hpas=self.hpas,
            init=self.init,
            pods=self._pods,
        )


def from_prometheus(
    model: Model,
    history: History,
    namespaces: Sequence[str],
    now: float,
    progress: Callable[[str, int], Callable[[int], None]],
    source: Prometheus | None = None,
) -> Known:
    """What Prometheus remembers of `namespaces` (none: all that have containers). Raises UsageError."""
    try:
        asked = source or prometheus_history.connect(history)
        present = _namespaces(asked, history)
        wanted = list(namespaces) or present
        _doubt_two_of_one(asked, history)
        gathering = Gathering(model)
        parts = sum(1 for _ in chunks(now - history.length, now, history.resolution))
        told = progress("queries", 2 * parts * len(wanted))
        for namespace in wanted:
            owners = Owners(asked, namespace, history)
            _take_rows(gathering, owners, namespace, read_namespace(history, namespace, now, asked, told))
            _read_requests(gathering, owners, asked, history, namespace)
            _read_init(gathering, owners, asked, history, namespace)
            _read_hpas(gathering, asked, history, namespace)
    except HistoryError as error:
        raise UsageError(str(error)) from error
    if not gathering.instances:
        raise UsageError(history.nothing(wanted[0]))
    return gathering.result(now)


def from_metrics(model: Model, kubeconfig: str, namespace: str, seconds: float, told: Callable[[int], None]) -> Known:
    """What metrics.k8s.io says for `seconds`, a look every 15 s. Raises UsageError."""
    try:
        return asyncio.run(_watch(model, kubeconfig, namespace, seconds, told))
    except (KubeError, ConfigError) as error:
        raise UsageError(str(error)) from error


async def _watch(model: Model, kubeconfig: str, namespace: str, seconds: float, told: Callable[[int], None]) -> Known:
    async with Client(await connect(kubeconfig)) as client:
        return await watch(model, client, namespace, seconds, told)


async def watch(model: Model, client: Client, namespace: str, seconds: float, told: Callable[[int], None]) -> Known:
    """See `from_metrics`."""
    gathering = Gathering(model)
    await _list_hpas(gathering, client, namespace)
    looks = max(round(seconds / SAMPLE_EVERY), 1)
    for look in range(looks):
        pods = await client.list(PODS.path(namespace), Pod)
        listing = await client.list(POD_METRICS.path(namespace), PodMetrics)
        _take(gathering, pods.items, listing.items)
        told(1)
        if look < looks - 1:
            await asyncio.sleep(SAMPLE_EVERY)
    return gathering.result(time.time())


async def _list_hpas(gathering: Gathering, client: Client, namespace: str) -> None:
    """HPAs on the utilisation of a request; without leave to see them that is said, and none is known."""
    try:
        hpas = (await client.list(HORIZONTAL_POD_AUTOSCALERS.path(namespace), HorizontalPodAutoscaler)).items
    except KubeError as error:
        say(f"HPAs are not known, so a target may work against one: {error}")
        return
    for hpa in hpas:
        about = hpa.spec.scale_target_ref
        held = utilisation_targets([hpa], CrossVersionObjectReference(kind=about.kind, name=about.name))
        if held:
            gathering.hpas.setdefault((hpa.metadata.namespace, about.kind, about.name), {}).update(held)


def _take(gathering: Gathering, pods: Iterable[Pod], metrics: Iterable[PodMetrics]) -> None:
    owners: dict[tuple[str, str], Workload] = {}
    for pod in pods:
        meta = pod.metadata
        workload = owners[meta.namespace, meta.name] = workloads.of_pod(meta)
        for sidecar in pod.spec.sidecars:
            gathering.init.add(f"{meta.namespace}/{workload.kind}/{workload.name}/{sidecar.name}")
        for container in pod.running_containers:
            for resource, text in container.resources.requests.items():
                if resource in Request._fields:
                    gathering.request(meta.namespace, container.name, workload, resource, _amount(resource, text))
    instances, times, cpu, memory = [], [], [], []
    for entry in metrics:
        meta, at = entry.metadata, unix(entry.timestamp)
        for used in entry.containers if at is not None else ():
            workload = owners.get((meta.namespace, meta.name)) or workloads.of_name(meta.name)
            instances.append(gathering.instance(meta.namespace, meta.name, used.name, workload))
            times.append(at)
            cpu.append(_amount("cpu", used.usage.get("cpu", "")))
            memory.append(_amount("memory", used.usage.get("memory", "")))
    _feed(gathering.model, instances, times, cpu, memory)


def _take_rows(gathering: Gathering, owners: Owners, namespace: str, rows: Samples) -> None:
    instances, times, cpu, memory = [], [], [], []
    for (pod, container), samples in rows.items():
        row = gathering.instance(namespace, pod, container, owners.of(pod))
        for at in sorted(samples):
            instances.append(row)
            times.append(at)
            cpu.append(samples[at][0])
            memory.append(samples[at][1])
    _feed(gathering.model, instances, times, cpu, memory)


def _read_requests(gathering: Gathering, owners: Owners, source: Prometheus, history: History, namespace: str) -> None:
    for series in source.instant(f"kube_pod_container_resource_requests{history.label_matchers(namespace=namespace)}"):
        resource = label(series, "resource")
        if resource in Request._fields:
            workload = owners.of(label(series, "pod"))
            for _, value in points([series.get("value", ())]):
                amount = int(value * (1000 if resource == "cpu" else 1))
                gathering.request(namespace, label(series, "container"), workload, resource, amount)


def _read_init(gathering: Gathering, owners: Owners, source: Prometheus, history: History, namespace: str) -> None:
    """Which containers are init containers, as kube-state-metrics knows them."""
    for series in source.instant(f"kube_pod_init_container_info{history.label_matchers(namespace=namespace)}"):
        workload = owners.of(label(series, "pod"))
        gathering.init.add(f"{namespace}/{workload.kind}/{workload.name}/{label(series, 'container')}")


def _read_hpas(gathering: Gathering, source: Prometheus, history: History, namespace: str) -> None:
    """HPAs on the utilisation of a request, as kube-state-metrics knows them."""
    chosen = history.label_matchers(namespace=namespace)
    targets = {
        label(series, "horizontalpodautoscaler"): (
            namespace,
            label(series, "scaletargetref_kind"),
            label(series, "scaletargetref_name"),
        )
        for series in source.instant(f"kube_horizontalpodautoscaler_info{chosen}")
    }
    utilised = history.label_matchers(namespace=namespace, metric_target_type="utilization")
    for series in source.instant(f"kube_horizontalpodautoscaler_spec_target_metric{utilised}"):
        target = targets.get(label(series, "horizontalpodautoscaler"))
        for _, value in points([series.get("value", ())]):
            if target and label(series, "metric_name") in Request._fields:
                held = gathering.hpas.setdefault(target, {})
                held[label(series, "metric_name"), label(series, "container")] = round(value)


def _namespaces(source: Prometheus, history: History) -> list[str]:
    """The namespaces with containers now; none: HistoryError with a hint, before thousands of queries."""
    by = history.namespace_label
    counts = source.instant(f"count by ({by}) ({history.memory_metric}{history.of_all()})")
    names = sorted({label(series, by) for series in counts} - {""})
    if not names:
        jobs = source.instant(f"count by (job) ({history.memory_metric}{history.of_all(any_job=True)})")
        known = ", ".join(sorted({label(series, "job") for series in jobs} - {""})[:10])
        other = f"; it has {known}: --prometheus-cadvisor-job-name={known.split(', ')[0]}" if known else ""
        raise HistoryError(
            f"{history.url}: no {history.memory_metric}{history.of_all()} with the label {by}{other or NAMES_OTHERS}"
        )
    return names[:MAX_NAMESPACES]


def _doubt_two_of_one(source: Prometheus, history: History) -> None:
    """Says so where one pod's container is reported from two nodes at once: two clusters in one Prometheus."""
    by, memory = f"{history.namespace_label}, {history.pod_label}, {history.container_label}", history.memory_metric
    own = f"count by ({by}) (count by ({by}, instance) ({memory}{history.of_all()}))"
    for series in source.instant(f"count by ({history.namespace_label}) ({own} > 1)"):
        for _, count in points([series.get("value", ())]):
            say(
                f"namespace {label(series, history.namespace_label)}: {count:.0f} containers are reported by more than "
                "one instance; where these are clusters, --prometheus-matcher names one: cluster=eu"
            )


def _feed(
    model: Model, instances: Sequence[int], times: Sequence[float | None], cpu: Sequence[int], memory: Sequence[int]
) -> None:
    rows, at = np.array(instances, dtype=np.int64), np.array(times, dtype=np.float64)
    feed_rows(model, rows, at, np.array(cpu, dtype=np.int64), np.array(memory, dtype=np.int64))


def _amount(resource: str, text: str) -> int:
    try:
        quantity = Quantity.parse(text)
    except QuantityError:
        return MISSING
    return MISSING if quantity.nano < 0 else quantity.milli() if resource == "cpu" else quantity.unit()
