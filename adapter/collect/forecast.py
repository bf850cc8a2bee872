"""What an HPA will do, and why: the formula (`adapter.hpa`) over the values that are served now.

The target's /scale, and pods of which only metadata are held, are asked for when somebody wants to know: for one HPA
at a time.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from adapter.collect.answer import NO_ANSWER, Answers, CustomQuestion, ExternalQuestion, Missing, PodUsage, Unavailable
from adapter.collect.catalogue import Catalogue
from adapter.collect.declared import want_of
from adapter.collect.demand import ExternalWant
from adapter.collect.follow import resource_of
from adapter.hpa.decide import Decision, decide
from adapter.hpa.fields import HpaError
from adapter.hpa.model import (
    ExternalValues,
    HpaSpec,
    Invalid,
    Metric,
    ObjectValue,
    Observed,
    PodState,
    PodValue,
    PodValues,
    Scale,
    Source,
)
from adapter.hpa.read import read_history, read_spec
from adapter.kube import autoscaling
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.index import Index
from adapter.kube.objects import Pod
from adapter.kube.resources import PODS, Resource
from adapter.program.podstate import pod_state
from adapter.rules.resources import PODS as POD_METRICS
from adapter.units.selector import EVERYTHING, Selector, SelectorError

MEMORY = (
    "The controller's memory of the last minutes is not known here: stabilization windows and policies count from now."
)
TIMEOUT = 10.0
"""s for an explanation: each value that is not in memory may take one."""
DEFAULT_WINDOW = 60.0
"""s over which a value counts that does not tell; the formula reads it for the cpu resource alone, which does."""


class Target(NamedTuple):
    """What an HPA scales: how large it is, and which pods are its own."""

    scale: Scale
    selector: Selector


class Forecast(NamedTuple):
    """What an HPA will do. `pods`: its target's."""

    spec: HpaSpec
    target: Target
    pods: Sequence[PodState]
    decision: Decision


def spec_of(hpa: autoscaling.HorizontalPodAutoscaler) -> HpaSpec:
    """Its spec as the formula reads it. Raises HpaError."""
    return read_spec(msgspec.to_builtins(hpa))


class Forecaster:
    """Decides as the HPA controller will at its next look. `pods` holds whole pods, or their metadata."""

    def __init__(
        self,
        hpas: Index[autoscaling.HorizontalPodAutoscaler],
        pods: Index[Any],
        client: Client | None,
        catalogue: Catalogue,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hpas = hpas
        self._held = pods
        self._client = client
        self._catalogue = catalogue
        self._clock = clock
        self._turn = asyncio.Lock()

    async def explain(self, answers: Answers, *, namespace: str, name: str, user: str) -> Mapping[str, object]:
        """The decision for an HPA, in words and numbers. Raises Missing, Unavailable."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._explain(answers, namespace=namespace, name=name, user=user)
        except TimeoutError as error:
            raise Unavailable(f"scale, pods and values were not here within {TIMEOUT:g} s") from error

    async def _explain(self, answers: Answers, *, namespace: str, name: str, user: str) -> Mapping[str, object]:
        hpa = self._hpas.get(namespace, name)
        if hpa is None:
            raise Missing(f"no HorizontalPodAutoscaler {namespace}/{name} is known here")
        async with self._turn:
            target = await self._scale(hpa)
        forecast = await self.forecast(answers, hpa, user=user, target=target)
        named, (scale, _), spec = hpa.spec.scale_target_ref, forecast.target, forecast.spec
        return {
            "hpa": f"{namespace}/{name}",
            "target": f"{named.kind} {named.name}",
            "replicas": {"spec": scale.spec, "status": scale.status, "min": spec.min, "max": spec.max},
            "pods": len(forecast.pods),
            **_describe(forecast.decision),
        }

    async def forecast(
        self, answers: Answers, hpa: autoscaling.HorizontalPodAutoscaler, *, user: str, target: Target | None = None
    ) -> Forecast:
        """The decision for `hpa`. `target`: as it is known already; else it is asked for. Raises Unavailable."""
        namespace, name = hpa.metadata.namespace, hpa.metadata.name
        try:
            spec, history = spec_of(hpa), read_history(msgspec.to_builtins(hpa))
        except HpaError as error:
            raise Unavailable(f"HorizontalPodAutoscaler {namespace}/{name} cannot be read: {error}") from error
        target = target or await self._scale(hpa)
        pods = await self._pods(namespace, target.selector)
        asked = _Asked(answers, self._catalogue, namespace=namespace, selector=target.selector, user=user)
        written = hpa.spec.metrics or (None,) * len(spec.metrics)
        observed = [await asked.of(metric, one) for metric, one in zip(spec.metrics, written, strict=True)]
        decision = decide(spec, target.scale, observed, pods, history, self._clock())
        return Forecast(spec, target, pods, decision)

    async def _scale(self, hpa: autoscaling.HorizontalPodAutoscaler) -> Target:
        """The target's scale, and which pods are its own. Raises Unavailable."""
        target = hpa.spec.scale_target_ref
        resource = resource_of(self._catalogue.mapper, target.api_version, target.kind)
        if resource is None:
            raise Unavailable(f"the cluster has no resource for kind {target.kind} of {target.api_version or 'v1'}")
        if self._client is None:
            raise Unavailable("without a cluster nobody tells the scale of a target")
        api = self._catalogue.mapper.api(resource)
        version = target.api_version.rpartition("/")[2] or api.version
        try:
            path = Resource(api.group, version, api.plural).path(hpa.metadata.namespace, target.name, "scale")
            scale = await self._client.get(path, autoscaling.Scale)
            selector = Selector.parse(scale.status.selector)
        except (KubeError, SelectorError, ValueError) as error:
            raise Unavailable(f"the scale of {target.kind} {target.name} cannot be had: {error}") from error
        if selector.empty:
            raise Unavailable(f"the scale of {target.kind} {target.name} has no selector of pods")
        return Target(Scale(scale.spec.replicas, scale.status.replicas), selector)

    async def _pods(self, namespace: str, selector: Selector) -> list[PodState]:
        """Raises Unavailable."""
        held = self._held.select(namespace, selector)
        if self._client is None or (held and all(isinstance(pod, Pod) for pod in held)):
            return [pod_state(pod) for pod in held]
        try:
            listing = await self._client.list(PODS.path(namespace), Pod, params={"labelSelector": str(selector)})
        except KubeError as error:
            raise Unavailable(f"the target's pods cannot be listed: {error}") from error
        return [pod_state(pod) for pod in listing.items]


class _Asked:
    """The values that one HPA's metrics find, asked for as the HPA controller asks."""

    def __init__(
        self, answers: Answers, catalogue: Catalogue, *, namespace: str, selector: Selector, user: str
    ) -> None:
        self._answers = answers
        self._catalogue = catalogue
        self._namespace = namespace
        self._selector = selector
        self._user = user

    async def of(self, metric: Metric, written: autoscaling.MetricSpec | None) -> Observed:
        """What is served for `metric`, which `written` is the object's own form of; None for the default metric."""
        try:
            if written is None or metric.source in (Source.RESOURCE, Source.CONTAINER_RESOURCE):
                return self._usage(metric)
            return await self._value(metric, written)
        except (*NO_ANSWER, SelectorError, LookupError) as error:
            return Invalid(str(error.args[0]) if error.args else "it is not served")

    async def _value(self, metric: Metric, written: autoscaling.MetricSpec) -> Observed:
        want = want_of(written, self._namespace, self._resource_of)
        if want is None:
            return Invalid("nobody serves it")
        if isinstance(want, ExternalWant):
            external = ExternalQuestion(
                namespace=self._namespace, metric=want.metric, selector=want.selector, user=self._user
            )
            return ExternalValues([item.value.milli() for item in await self._answers.external(external)])
        name, selector = "*", self._selector
        if written.object:
            name, selector = written.object.described_object.name, EVERYTHING
        question = CustomQuestion(
            resource=want.resource,
            namespace=want.namespace,
            name=name,
            metric=want.metric,
            selector=selector,
            metric_selector=want.metric_selector,
            user=self._user,
        )
        values = await self._answers.custom(question)
        if metric.source is Source.OBJECT:
            return ObjectValue(values[0].value.milli())
        assert want.resource == POD_METRICS
        return PodValues({
            item.described.name: PodValue(item.value.milli(), item.time, item.window or DEFAULT_WINDOW)
            for item in values
        })  # fmt: skip

    def _resource_of(self, api_version: str, kind: str) -> Any:
        return resource_of(self._catalogue.mapper, api_version, kind)

    def _usage(self, metric: Metric) -> Observed:
        if not self._answers.serves_resource:
            return Invalid("metrics.k8s.io is not served by this adapter, so its values are not known here")
        if metric.name not in ("cpu", "memory"):
            return Invalid(f"metrics.k8s.io has no {metric.name}")
        values: dict[str, PodValue] = {}
        for pod in self._answers.pod_usage(self._namespace, None, self._selector):
            amounts = _amounts(pod, metric)
            if amounts:
                values[pod.name] = PodValue(sum(amounts), pod.time, pod.window)
        return PodValues(values)


def _amounts(pod: PodUsage, metric: Metric) -> Sequence[int]:
    """A resource of the containers that count, milli."""
    return [
        (usage.cpu if metric.name == "cpu" else usage.memory).milli()
        for name, usage in pod.containers
        if metric.container in ("", name)
    ]


def _describe(decision: Decision) -> dict[str, object]:
    return {
        "desired": decision.desired,
        "rescales": decision.rescales,
        "why": decision.explanation,
        "metrics": [
            {
                "name": proposal.metric.name,
                "type": proposal.metric.source.value,
                "replicas": proposal.replicas,
                "why": proposal.why.removeprefix(": "),
            }
            for proposal in decision.proposals
        ],
        "conditions": [
            {"type": one.type, "status": str(one.status), "reason": one.reason, "message": one.message}
            for one in decision.conditions
        ],
        "memory": MEMORY,
    }
