"""Asks what the HPA's formula wants over the stable pods alone, for the floor that is held while a sibling exists.

Pods, Resource and ContainerResource metrics are read, as they are values of pods. An Object or External metric is
left to the HPA itself: with AverageValue it asks no pod; with Value `lint` warns.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from adapter.hpa.fields import HpaError
from adapter.hpa.model import HpaSpec, Invalid, Metric, Observed, PodValue, PodValues, Scale, Source
from adapter.hpa.read import read_spec
from adapter.kube import objects
from adapter.kube.objects import unix
from adapter.program.podstate import pod_state
from adapter.rollout.decide.context import Context
from adapter.rollout.decide.wants import stable_pods
from adapter.rollout.floor import Memory, look
from adapter.rollout.model.fields import without_nulls
from adapter.rollout.model.observation import Hpa, Json
from adapter.rollout.values import PodUsage, Values, nano
from adapter.units.duration import parse_go

log = structlog.get_logger(__name__)
EVERY: Final = 15.0
"""Seconds between two looks: the HPA controller's own period."""
MOST_RELEASES: Final = 1000
WINDOW: Final = 60.0
"""Seconds that a value covers which does not tell; the formula reads it for cpu alone, which does."""


class _Known(NamedTuple):
    time: float
    replicas: int | None = None
    memory: Memory = Memory()


class Stable:
    """What the HPA would do if there were no sibling; what it remembers is bounded, by release."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._known: dict[str, _Known] = {}

    async def replicas_wanted(self, ctx: Context) -> int | None:
        """The HPA's replicas; None without a sibling, without an HPA whose floor is held, or before any value.

        While values are away the last answer stays: a floor that falls and rises again would scale for nothing.
        """
        hpa, key = _held_hpa(ctx), ctx.release.id
        if hpa is None:
            self._known.pop(key, None)
            return None
        known = self._known.get(key)
        if known is None or ctx.now - known.time >= EVERY:
            known = await self._look(ctx, hpa, known or _Known(ctx.now))
            self._known[key] = known
            while len(self._known) > MOST_RELEASES:
                del self._known[next(iter(self._known))]
        return known.replicas

    async def _look(self, ctx: Context, hpa: Hpa, known: _Known) -> _Known:
        least = ctx.status.saved.min_replicas if ctx.status.saved else None
        try:
            spec = read_spec(_own(hpa, least))
            pods = [pod_state(msgspec.convert(without_nulls(pod.raw), objects.Pod)) for pod in stable_pods(ctx)]
        except (HpaError, msgspec.ValidationError) as error:
            log.info("floor not computed", hpa=hpa.name, cause=str(error))
            return _Known(ctx.now, known.replicas, known.memory)
        observed = await self._observe(ctx, hpa, spec, {pod.name for pod in pods})
        scale = Scale(ctx.deployment.replicas, ctx.deployment.existing)
        answer = look(spec, scale, observed, pods, known.memory, ctx.now)
        return _Known(ctx.now, known.replicas if answer.replicas is None else answer.replicas, answer.memory)

    async def _observe(self, ctx: Context, hpa: Hpa, spec: HpaSpec, names: set[str]) -> list[Observed]:
        """An answer per metric of `spec`, of the pods in `names` alone."""
        written = hpa.spec.get("metrics") or [{}] * len(spec.metrics)
        resource = any(metric.source in (Source.RESOURCE, Source.CONTAINER_RESOURCE) for metric in spec.metrics)
        usage = [pod for pod in await self._values.usage(ctx) if pod.metadata.name in names] if resource else []
        answers = list[Observed]()
        for metric, raw in zip(spec.metrics, written, strict=True):
            if metric.source in (Source.RESOURCE, Source.CONTAINER_RESOURCE):
                answers.append(_answer(_usage(metric, usage)))
            elif metric.source is Source.PODS:
                answers.append(_answer(await self._pods(ctx, metric, raw, names)))
            else:
                answers.append(Invalid("the HPA itself reads it"))
        return answers

    async def _pods(self, ctx: Context, metric: Metric, raw: Json, names: set[str]) -> Mapping[str, PodValue]:
        selector = ((raw.get("pods") or {}).get("metric") or {}).get("selector")
        items = await self._values.custom(ctx, metric.name, selector) or []
        values = {item.described_object.name: (nano(item.value), unix(item.timestamp)) for item in items}
        return {
            name: PodValue(-(-value // 1_000_000), time or 0.0, WINDOW)
            for name, (value, time) in values.items()
            if name in names and value is not None
        }


def _held_hpa(ctx: Context) -> Hpa | None:
    """The HPA whose minReplicas is held, while a sibling exists."""
    hpa, saved = ctx.seen.hpa, ctx.status.saved
    sibling = ctx.seen.sibling(ctx.release.sibling)
    beside = sibling is not None or ctx.policy.in_place
    return hpa if hpa and saved and saved.hpa == hpa.name and beside else None


def _own(hpa: Hpa, least: int | None) -> Mapping[str, Any]:
    """The HPA with the minReplicas that it had before the release."""
    return {**hpa.raw, "spec": {**without_nulls(hpa.spec), "minReplicas": 1 if least is None else least}}


def _usage(metric: Metric, pods: Sequence[PodUsage]) -> Mapping[str, PodValue]:
    """A resource of the containers that count; pods without it are missing."""
    values = dict[str, PodValue]()
    for pod in pods:
        texts = [
            one.usage[metric.name] for one in pod.containers if _counts(metric, one.name) and metric.name in one.usage
        ]
        amounts = [amount for text in texts if (amount := nano(text)) is not None]
        if texts and len(amounts) == len(texts):
            milli = sum(-(-amount // 1_000_000) for amount in amounts)  # rounded up one by one, as MilliValue does
            values[pod.metadata.name] = PodValue(milli, unix(pod.timestamp) or 0.0, _window(pod.window))
    return values


def _counts(metric: Metric, container: str) -> bool:
    return metric.container in ("", container)


def _window(text: str) -> float:
    try:
        return parse_go(text)
    except ValueError:
        return WINDOW


def _answer(values: Mapping[str, PodValue]) -> Observed:
    return PodValues(values) if values else Invalid("no stable pod has a value")
