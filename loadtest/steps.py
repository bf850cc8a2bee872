"""One measurement of scaling latency: services under load, their HPAs watched, steps of the load taken."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.informer import Informer
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.units.quantity import Quantity
from loadtest import latency
from loadtest.latency import Change, Step
from loadtest.machine import Meter
from loadtest.pods import PodsLoad
from tests.cluster.adapter import agreeing, hpa, pods_metric
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import PORT, sample_deployment

METRIC = "http_requests_per_second"
LOW, HIGH, TARGET = 120.0, 240.0, 68
"""Requests/s on a Deployment before and after the step, and the HPA's target per pod. 2 pods at 60/s are under target,
240/s need 3.53 replicas: 4 is right for whatever is measured between 204 and 272, 15 and 13 % off."""
BEFORE, AFTER, MOST = 2, 4, 8
HPA_PERIOD_S = 15.0
STAGGER_S = 60.0
"""First steps come at random within it and second ones likewise: new pods of 20 Deployments at once would be a test of
how fast the machine starts containers."""
POLL_S = 0.5
WARM_UP_S = 45.0
"""From the beginning of the load: the adapter has seen 9 samples by then."""


@dataclass(frozen=True)
class Trial:
    """What to do."""

    scrapes: tuple[float, ...] = (5.0, 2.0)
    hpas: int = 20
    rounds: int = 2
    watch_s: float = 60.0
    """How long an HPA is watched after its step."""
    rest_s: float = 60.0
    """How long the load is low before the next step, at least."""
    seed: int | None = None
    reflex: bool = False
    """Whether the adapter asks the HPA controller to look now (--reflex)."""


@dataclass
class Service:
    """One Deployment, its load and what was heard of its HPA."""

    name: str
    load: PodsLoad
    heard: list[Change] = field(default_factory=list)
    served: tuple[float, float] | None = None
    """When the adapter was first seen to serve what needs AFTER replicas since the last step, and its newest sample."""

    @property
    def desired(self) -> int:
        return self.heard[-1].replicas if self.heard else 0


class Measurement:
    """One scrape interval: services under load, their HPAs watched, steps taken."""

    def __init__(self, bed: Kubectl, client: Client, namespace: str, trial: Trial) -> None:
        self.bed, self.namespace, self.trial = bed, namespace, trial
        self.steps: list[Step] = []
        self.meter = Meter()
        self.services = {
            name: Service(name, PodsLoad(client, namespace=namespace, selector=f"app={name}", port=PORT, rate=LOW))
            for name in (f"web-{number:02}" for number in range(trial.hpas))
        }
        self._client = client
        self._hpas = Informer(client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler, namespace=namespace)
        self._hpas.index.on_change(self._on_hpa)
        self._random = random.Random(trial.seed)

    @property
    def total(self) -> int:
        """How many steps there will be."""
        return self.trial.hpas * self.trial.rounds

    async def run(self) -> None:
        """All of it; returns when the last step was watched."""
        async with self._under_load(), asyncio.TaskGroup() as group:
            started = time.time()
            await self._create_hpas()
            await asyncio.sleep(max(0.0, WARM_UP_S - (time.time() - started)))
            self.meter.shares.clear()
            offsets = latency.spread(len(self.services), STAGGER_S, self._random)
            for service, offset in zip(self.services.values(), offsets, strict=True):
                group.create_task(self._rounds(service, offset))

    @asynccontextmanager
    async def _under_load(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._hpas.running())
            group = await stack.enter_async_context(asyncio.TaskGroup())
            jobs = [self.meter.run(), self._poll(), *(service.load.run() for service in self.services.values())]
            tasks = [group.create_task(job) for job in jobs]
            stack.callback(lambda: [task.cancel() for task in tasks])
            yield

    async def _create_hpas(self) -> None:
        """Over one HPA period, so that their phases within it differ."""
        pause = HPA_PERIOD_S / len(self.services)
        for service in self.services.values():
            made = hpa(service.name, self.namespace, pods_metric(METRIC, str(TARGET)), low=BEFORE, high=MOST, down=10)
            made = agreeing(made) if self.trial.reflex else made
            began = time.monotonic()
            await asyncio.to_thread(self.bed.apply, made)
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - began)))

    async def _rounds(self, service: Service, offset: float) -> None:
        await asyncio.sleep(offset)
        for number in range(self.trial.rounds):
            if number:  # a rest of its own length: the HPA's phase must not be that of the step before
                await asyncio.sleep(self.trial.rest_s + self._random.uniform(0, HPA_PERIOD_S))
            await self._calm(service)
            self.steps.append(await self._step(service))
            service.load.rate = LOW

    async def _calm(self, service: Service) -> None:
        """Wait until the HPA is where a step begins; SystemExit where it does not get there."""
        for _ in range(240):
            if service.desired == BEFORE:
                return
            await asyncio.sleep(0.5)
        raise SystemExit(f"HPA {service.name} wants {service.desired} replicas at {LOW:g} requests/s, not {BEFORE}")

    async def _step(self, service: Service) -> Step:
        before, service.served, at = service.desired, None, time.time()
        service.load.rate = HIGH
        await asyncio.sleep(self.trial.watch_s)
        until = time.time()
        served, sampled = service.served or (None, None)
        changes = latency.changes(service.heard, at, until)
        return Step(
            f"{self.namespace}/{service.name}",
            at=at,
            until=until,
            before=before,
            wanted=AFTER,
            changes=changes,
            served=served,
            sampled=sampled,
        )

    def _on_hpa(self, _: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> None:
        if new is not None and new.metadata.name in self.services:
            self.services[new.metadata.name].heard.append(Change(time.time(), new.status.desired_replicas))

    async def _poll(self) -> None:
        """What the adapter serves, by way of the API server's aggregator, as the HPA controller asks."""
        path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{self.namespace}/pods/*/{METRIC}"
        while True:
            with contextlib.suppress(KubeError):
                self._note_served(json.loads(await self._client.get(path))["items"], time.time())
            await asyncio.sleep(POLL_S)

    def _note_served(self, items: Sequence[Mapping[str, Any]], now: float) -> None:
        for name, (total, newest) in sums(items).items():
            service = self.services.get(name)
            if service is None or service.load.rate != HIGH or service.served is not None:
                continue
            if latency.replicas_for(total, TARGET) >= AFTER:
                service.served = now, newest


def sums(items: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Of a MetricValueList of pods: the sum of values of each Deployment's pods, and their newest time, Unix s."""
    by_deployment: dict[str, tuple[float, float]] = {}
    for item in items:
        name = item["describedObject"]["name"].rsplit("-", 2)[0]  # a pod is called DEPLOYMENT-HASH-RANDOM
        moment = datetime.fromisoformat(item["timestamp"]).timestamp()
        total, newest = by_deployment.get(name, (0.0, 0.0))
        by_deployment[name] = total + float(Quantity.parse(item["value"])), max(newest, moment)
    return by_deployment


def prepare(bed: Kubectl, namespace: str, trial: Trial) -> None:
    """The Deployments, ready."""
    bed.create_namespace(namespace)
    made = [sample_deployment(f"web-{number:02}", namespace, BEFORE)[0] for number in range(trial.hpas)]
    for deployment in made:
        _probe_seldom(deployment["spec"]["template"]["spec"]["containers"][0])
    bed.apply(made)
    everything = ["wait", "deployment", "--all", "--for=condition=Available", "-n", namespace, "--timeout=240s"]
    bed.kubectl(*everything, seconds=260)


def _probe_seldom(container: dict[str, Any]) -> None:
    """Every second only until it is up: 80 probes a second would be a load of their own."""
    container["startupProbe"] = {**container["readinessProbe"], "failureThreshold": 60}
    container["readinessProbe"] = {**container["readinessProbe"], "periodSeconds": 10, "timeoutSeconds": 5}
