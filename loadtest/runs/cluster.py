"""A world in a cluster, whosever it is: an HPA with a Pods metric, its target's pods, and the Service before them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from adapter.kube.autoscaling import HorizontalPodAutoscaler, PodsMetricSource, Scale
from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound
from adapter.kube.informer import Informer
from adapter.kube.objects import Model, ObjectMeta, Pod
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS, Resource
from adapter.rollout.model.actions import ENDPOINT_SLICES
from adapter.rollout.observe import selector_text
from adapter.units.quantity import Quantity
from loadtest.pods import takes_traffic
from loadtest.runs.record import Kind
from loadtest.runs.world import Heard, Told, WorldError

SYNCED_S = 20.0
HELD_S = 120.0
"""Within which a fixed fleet must stand in the endpoints: the HPA looks, pods start and become ready."""
METRICS_API, VERSIONS = "/apis/custom.metrics.k8s.io", ("v1beta2", "v1beta1")
"""prometheus-adapter's chart registers v1beta1 alone; both answer with a value and its time."""
SILENT_LOOKS = 20
"""In a row, half a second apart, until it is told that nothing is served: a new fleet's first values take less."""
PLURALS = {"Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}


class EndpointConditions(Model, frozen=True):
    """An absent `ready` means yes, as the API says."""

    ready: bool | None = None


class TargetRef(Model, frozen=True):
    """The pod behind an endpoint."""

    kind: str = ""
    name: str = ""


class Endpoint(Model, frozen=True):
    """One of an EndpointSlice."""

    conditions: EndpointConditions = EndpointConditions()
    target_ref: TargetRef | None = None


class EndpointSlice(Model, frozen=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: ObjectMeta = ObjectMeta()
    endpoints: tuple[Endpoint, ...] | None = ()


class Place(NamedTuple):
    """Which HPA, and where its pods are reached."""

    namespace: str
    hpa: str
    host: str
    work_ms: float = 0.0
    description: str = ""
    headroom: float = 0.0
    """The share by which the HPA's target is below what a pod bears."""


class Cluster:
    """See loadtest.runs.world.World."""

    def __init__(self, client: Client, place: Place, hpa: HorizontalPodAutoscaler, selector: str) -> None:
        """`selector` finds the pods of the HPA's target. Raises WorldError."""
        metric = _metric(place, hpa)
        self.headroom = place.headroom
        self.per_pod = float(Quantity.parse(metric.target.average_value or "")) / (1 - place.headroom)
        self.low, self.high = hpa.spec.min_replicas or 1, hpa.spec.max_replicas
        self.behavior = msgspec.to_builtins(hpa.spec.behavior) if hpa.spec.behavior else {}
        self.host, self.work_ms = place.host.rstrip("/"), place.work_ms
        self.description = place.description or f"the cluster at {client.connection.server}, HPA {_full_name(place)}"
        self.heard = Heard()
        self.patience = HELD_S
        """s for a fixed fleet."""
        self._client, self._place, self._hpa = client, place, hpa
        self._path = f"namespaces/{place.namespace}/pods/*/{metric.metric.name}"
        self._versions: tuple[str, ...] = VERSIONS
        """What answered last is asked first."""
        self._silent = 0
        """Looks in a row that told nothing."""
        self._params = {"labelSelector": selector}
        if metric.metric.selector:
            self._params["metricLabelSelector"] = selector_text(metric.metric.selector)
        near, named = place.namespace, f"metadata.name={place.hpa}"
        self._hpas = Informer(
            client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler, namespace=near, field_selector=named
        )
        self._pods = Informer(client, PODS, Pod, namespace=near, label_selector=selector)
        self._slices = Informer(client, ENDPOINT_SLICES, EndpointSlice, namespace=near)

    @classmethod
    async def find(cls, client: Client, place: Place) -> "Cluster":
        """The HPA's target and pods are looked up. Raises WorldError, KubeError."""
        path = HORIZONTAL_POD_AUTOSCALERS.path(place.namespace, place.hpa)
        hpa = await client.get(path, HorizontalPodAutoscaler)
        target = hpa.spec.scale_target_ref
        if target.kind not in PLURALS:
            raise WorldError(f"{_full_name(place)} scales a {target.kind}; one of {', '.join(PLURALS)} would be right")
        resource = Resource("apps", "v1", PLURALS[target.kind])
        scale = await client.get(resource.path(place.namespace, target.name, "scale"), Scale)
        return cls(client, place, hpa, scale.status.selector)

    @asynccontextmanager
    async def running(self, *, fixed: int | None) -> AsyncIterator[None]:
        """Watched; with `fixed` the HPA's bounds are that for the time, and are put back. Raises WorldError."""
        async with AsyncExitStack() as stack:
            for informer in (self._pods, self._hpas, self._slices):
                informer.index.on_change(lambda *_: self._note_counts())
                await stack.enter_async_context(informer.running())
            for watched in (self._pods, self._hpas, self._slices):
                if not await watched.wait_synced(SYNCED_S):
                    raise WorldError(f"{watched.resource.plural} in {self._place.namespace}: {watched.waiting()}")
            self._note_counts()
            if fixed is not None:
                await stack.enter_async_context(self._hold_size(fixed))
            yield

    @asynccontextmanager
    async def _hold_size(self, replicas: int) -> AsyncIterator[None]:
        try:
            await self._set_bounds(replicas, replicas)
            await self._there(replicas)
            yield
        finally:
            await self._set_bounds(self._hpa.spec.min_replicas, self._hpa.spec.max_replicas)

    async def _there(self, replicas: int) -> None:
        until = time.monotonic() + self.patience
        while (now := self.heard.now[Kind.ENDPOINTS]) != replicas:
            if time.monotonic() > until:
                raise WorldError(
                    f"{_full_name(self._place)}: {self.patience:g} s after its bounds became {replicas}, {now} of its"
                    f" target's pods are in a Service's endpoints; {replicas} would be right, for a fleet fixed at that"
                )
            await asyncio.sleep(0.1)

    async def _set_bounds(self, low: int | None, high: int) -> None:
        path = HORIZONTAL_POD_AUTOSCALERS.path(self._place.namespace, self._place.hpa)
        body = {"spec": {"minReplicas": low, "maxReplicas": high}}
        await self._client.patch(path, body, HorizontalPodAutoscaler)

    def _note_counts(self) -> None:
        """Note the counts of replicas and pods as the watches have them now."""
        pods = {pod.metadata.name: pod for pod in self._pods.index if pod.metadata.deletion_timestamp is None}
        self.heard.names.update(pods)
        for hpa in self._hpas.index:
            self.heard.note(Kind.DESIRED, hpa.status.desired_replicas)
        self.heard.note(Kind.CREATED, len(pods))
        self.heard.note(Kind.READY, sum(map(takes_traffic, pods.values())))
        self.heard.note(Kind.ENDPOINTS, len(receiving(self._slices.index) & pods.keys()))

    async def ask_metrics_api(self) -> Told | None:
        """Ask through the API server's aggregator, as the HPA controller does; None where there is no value.

        SILENT_LOOKS of these in a row are a trouble.
        """
        try:
            told, why = await self._ask(), "no value for any pod"
        except KubeError as error:
            told, why = None, str(error)
        self._silent = 0 if told else self._silent + 1
        if self._silent == SILENT_LOOKS:
            self.heard.trouble(
                f"{METRICS_API}: {' or '.join(VERSIONS)} has told nothing at {self._path} for {SILENT_LOOKS} looks"
                f" ({why}); while none does, nothing is served to an HPA, and no scale-up can be split into its parts"
            )
        return told

    async def _ask(self) -> Told | None:
        """In the version that answered last, or in one that does. Raises KubeError, NotFound where there is none."""
        refusals = []
        for version in self._versions:
            try:
                answer = await self._client.get(f"{METRICS_API}/{version}/{self._path}", params=self._params)
            except NotFound as error:
                refusals.append(f"{version}: {error.message}")
                continue
            self._versions = (version, *(other for other in VERSIONS if other != version))
            return sum_values(json.loads(answer).get("items", ()))
        raise NotFound(404, "NotFound", "; ".join(refusals))


def _full_name(place: Place) -> str:
    return f"HorizontalPodAutoscaler {place.namespace}/{place.hpa}"


def _metric(place: Place, hpa: HorizontalPodAutoscaler) -> PodsMetricSource:
    """The one that tells what a pod bears."""
    for metric in hpa.spec.metrics:
        if metric.pods is not None and metric.pods.target.average_value:
            return metric.pods
    raise WorldError(
        f"{_full_name(place)} has no metric of type Pods; one with a target.averageValue of requests per second would"
        " be right, since it says what load a pod bears"
    )


def receiving(slices: Iterable[EndpointSlice]) -> set[str]:
    """The names of the pods to which some Service sends requests."""
    return {
        endpoint.target_ref.name
        for one in slices
        for endpoint in one.endpoints or ()
        if endpoint.target_ref is not None and endpoint.conditions.ready is not False
    }


def sum_values(items: Iterable[Mapping[str, Any]]) -> Told | None:
    """The sum, the number and the newest time of a MetricValueList's items; None where it is empty."""
    samples = [
        (float(Quantity.parse(item["value"])), datetime.fromisoformat(item["timestamp"]).timestamp()) for item in items
    ]
    if not samples:
        return None
    return Told(sum(value for value, _ in samples), len(samples), max(moment for _, moment in samples))
