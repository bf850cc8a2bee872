"""A Deployment that ought to stay as it is: a steady load, an HPA that is content with it, every change recorded.

200 requests/s at a target of 80 are ceil(2.5) = 3 replicas, and stay so from 160 to 264 (the tolerance is a tenth):
20 % either way, 6 times what chance moves the count of 5 s (sqrt(200 / 5) = 6.3 requests/s). No stabilisation window
hides a wrong number on the way down, no policy one on the way up: whatever the HPA concludes is seen.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from adapter.kube.client import Client
from adapter.kube.informer import Informer
from adapter.kube.objects import Model, ObjectMeta
from adapter.kube.resources import Resource
from adapter.units.quantity import Quantity
from loadtest.pods import PodsLoad
from tests.cluster.adapter import CUSTOM, hpa, pods_metric, try_raw
from tests.cluster.background import in_background
from tests.cluster.bed import Bed
from tests.cluster.manifests import PORT, sample_deployment
from tests.cluster.processes import CommandError, wait_until

REPLICAS, TARGET, RATE = 3, 80, 200
PERIOD = 5
"""s between two looks of the HPA controller here, in place of 15: each fault then lasts for three of them."""
METRIC = "http_requests_per_second"
DEPLOYMENTS = Resource("apps", "v1", "deployments")


class DeploymentSpec(Model, frozen=True):
    """What of it is recorded."""

    replicas: int = 0


class Deployment(Model, frozen=True):
    """apps/v1 Deployment."""

    metadata: ObjectMeta = ObjectMeta()
    spec: DeploymentSpec = DeploymentSpec()


class Change(NamedTuple):
    """The Deployment's spec at one time; the API server counts its changes in `generation`, so none is overlooked."""

    time: float
    generation: int
    replicas: int


class Recorder:
    """Follows the Deployments of a namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.changes: list[Change] = []
        self._informer = Informer(client, DEPLOYMENTS, Deployment, namespace=namespace)
        self._informer.index.on_change(self._record_change)
        self.run = self._informer.run

    def _record_change(self, old: Deployment | None, new: Deployment | None) -> None:
        if new is not None and (old is None or old.metadata.generation != new.metadata.generation):
            self.changes.append(Change(time.time(), new.metadata.generation, new.spec.replicas))


class Steady:
    """The Deployment `web` in `namespace`, its load and its record."""

    def __init__(self, bed: Bed, namespace: str, load: PodsLoad, recorder: Recorder) -> None:
        self.bed, self.namespace, self.load, self.recorder = bed, namespace, load, recorder
        self.path = f"namespaces/{namespace}/pods/*/{METRIC}?labelSelector=app%3Dweb"

    @contextmanager
    def undisturbed(self, seconds: float = 60) -> Iterator[None]:
        """Whatever the body does, the Deployment's spec is not changed, and the metric is served within `seconds`."""
        self.wait_served(30)
        before = self._generation()
        yield
        self.wait_served(seconds)
        time.sleep(2 * PERIOD)
        assert wait_until(lambda: self.active()["status"] == "True", 30, every=0.5), self.active()
        changes = [change for change in self.recorder.changes if change.generation > before]
        assert not changes, f"{changes} at {time.time():.0f}; served: {self.served_items()}"
        assert self._generation() == before

    def _generation(self) -> int:
        deployment = self.bed.get("deployment", "web", "-n", self.namespace)
        assert deployment["spec"]["replicas"] == REPLICAS
        return int(deployment["metadata"]["generation"])

    def wait_served(self, seconds: float) -> float:
        """Wait until a value of each of the Deployment's pods is served; how long that took, s."""
        began = time.monotonic()
        if not wait_until(lambda: len(self.served_items()) >= REPLICAS, seconds, every=0.25):
            raise AssertionError(f"{METRIC} is not served of all pods: {try_raw(self.bed, f'{CUSTOM}/{self.path}')}")
        return time.monotonic() - began

    def served_items(self) -> dict[str, Any]:
        """What the API serves through the aggregator: items by the name of their pod, none where it fails."""
        try:
            items = self.bed.raw(f"{CUSTOM}/{self.path}")["items"]
        except CommandError:
            return {}
        return {item["describedObject"]["name"]: item for item in items}

    def total(self) -> float:
        """requests/s, as served."""
        return sum(float(Quantity.parse(item["value"])) for item in self.served_items().values())

    def active(self) -> dict[str, str]:
        """The HPA's condition ScalingActive: whether it can tell how many are needed."""
        status = self.bed.get("hpa", "web", "-n", self.namespace).get("status", {})
        conditions = [item for item in status.get("conditions", ()) if item["type"] == "ScalingActive"]
        return conditions[0] if conditions else {"status": "Unknown", "reason": "", "message": ""}

    def wait_inactive(self, seconds: float) -> str:
        """Wait until the HPA cannot tell; its own words for why."""
        assert wait_until(lambda: self.active()["status"] == "False", seconds, every=0.5), self.active()
        assert self.active()["reason"] == "FailedGetPodsMetric"
        return self.active()["message"]


@contextmanager
def quick_hpas(bed: Bed) -> Iterator[None]:
    """The HPA controller looks every PERIOD seconds."""
    name = "kube-controller-manager"
    bed.restart(name, f"--horizontal-pod-autoscaler-sync-period={PERIOD}s")
    try:
        yield
    finally:
        bed.restart(name)


@contextmanager
def steady_deployment(bed: Bed) -> Iterator[Steady]:
    """Use with an adapter that runs; returns when the HPA is content."""
    namespace = f"steady-{secrets.token_hex(4)}"
    bed.create_namespace(namespace)
    try:
        bed.apply(sample_deployment("web", namespace, REPLICAS))
        bed.rollout("web", namespace)
        with in_background(
            bed.kubeconfig,
            lambda client: [
                PodsLoad(client, namespace=namespace, selector="app=web,pod-template-hash", port=PORT, rate=RATE),
                Recorder(client, namespace),
            ],
        ) as (load, recorder):
            steady = Steady(bed, namespace, load, recorder)
            assert wait_until(lambda: abs(steady.total() - RATE) < RATE / 20, 90, every=1), steady.served_items()
            scaler = hpa("web", namespace, pods_metric(METRIC, str(TARGET)), high=10, down=0)
            bed.apply(scaler)
            assert wait_until(lambda: steady.active()["status"] == "True", 60, every=0.5), steady.active()
            yield steady
    finally:
        bed.delete_namespace(namespace)
