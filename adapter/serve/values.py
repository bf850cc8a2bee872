"""The three metrics APIs: a question to `Answers`, and what it says put into the API's objects."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec import UNSET, Struct

from adapter.collect.answer import (
    Answers,
    BadQuestion,
    CustomQuestion,
    CustomValue,
    ExternalQuestion,
    ExternalValue,
    Missing,
    NodeUsage,
    PodUsage,
    Unanswerable,
    Unavailable,
    Usage,
)
from adapter.serve import wire
from adapter.serve.discovery import CUSTOM, EXTERNAL, RESOURCE
from adapter.serve.encode import BATCH, batches
from adapter.serve.questions import custom_question, external_question, field_selector, label_selector
from adapter.serve.requestinfo import RequestInfo
from adapter.serve.status import (
    StatusError,
    bad_request,
    method_not_allowed,
    no_such_path,
    not_found,
    unanswerable,
    unavailable,
)
from adapter.units.requirement import EXPRESSION_OF, Operator
from adapter.units.selector import Selector

T = TypeVar("T")


class Values:
    """Answers requests of the three groups; every method raises StatusError."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def answer(self, info: RequestInfo, user: str) -> wire.Object:
        """The object for a GET of a resource in one of the groups that are served."""
        try:
            if info.group == CUSTOM:
                return await self._custom(info, user)
            if info.group == EXTERNAL:
                return await self._external(info, user)
            return await self._resource(info)
        except (Unavailable, Unanswerable, BadQuestion) as error:
            raise _status_error(error) from error

    async def explain(self, info: RequestInfo, user: str) -> Mapping[str, object]:
        """How the answer to a custom metric comes about, or what an HPA will do: whichever the path names."""
        match info.parts:
            case ("horizontalpodautoscalers" | "horizontalpodautoscalers.autoscaling", name) if info.namespace:
                return await self._explain_hpa(namespace=info.namespace, name=name, user=user)
        question = custom_question(info, user)
        try:
            return self._answers.explain(question)
        except Missing as error:
            raise _no_metric(question, str(error)) from error
        except (Unavailable, Unanswerable, BadQuestion) as error:
            raise _status_error(error) from error

    async def _explain_hpa(self, *, namespace: str, name: str, user: str) -> Mapping[str, object]:
        try:
            return await self._answers.explain_hpa(namespace=namespace, name=name, user=user)
        except Missing as error:
            raise not_found(str(error), wire.StatusDetails(name, "autoscaling", "horizontalpodautoscalers")) from error
        except (Unavailable, Unanswerable, BadQuestion) as error:
            raise _status_error(error) from error

    async def _custom(self, info: RequestInfo, user: str) -> wire.Object:
        question = custom_question(info, user)
        try:
            values = await self._answers.custom(question)
        except Missing as error:
            raise _no_metric(question, str(error)) from error
        selector = _echo(question.metric_selector) if "metricLabelSelector" in info.query else None
        build = _items_v1beta1 if info.version == "v1beta1" else _items_v1beta2
        items = await _in_turns(values, lambda batch: build(batch, question.metric, selector))
        return wire.ItemList("MetricValueList", f"{CUSTOM}/{info.version}", wire.NO_LIST_META, items)

    async def _external(self, info: RequestInfo, user: str) -> wire.Object:
        question = external_question(info, user)
        try:
            values = await self._answers.external(question)
        except Missing as error:
            raise _no_external(question, str(error)) from error
        items = await _in_turns(values, lambda batch: [_external_item(question.metric, value) for value in batch])
        return wire.ItemList("ExternalMetricValueList", f"{EXTERNAL}/{info.version}", wire.NO_LIST_META, items)

    async def _resource(self, info: RequestInfo) -> wire.Object:
        if info.verb == "watch":
            raise _no_watch(info)
        match info.parts:
            case ("nodes",) if not info.namespace:
                return await self._nodes(info)
            case ("nodes", name) if not info.namespace:
                return self._node(name)
            case ("pods",):
                return await self._pods(info)
            case ("pods", name) if info.namespace:
                return self._pod(info.namespace, name)
            case _:
                raise no_such_path()

    async def _nodes(self, info: RequestInfo) -> wire.Object:
        fields = field_selector(info)
        nodes: Sequence[NodeUsage] = ()
        if not fields.get("metadata.namespace"):
            nodes = self._answers.node_usage(fields.get("metadata.name"), label_selector(info))
        items = await _in_turns(nodes, lambda batch: [wire.NodeMetricsItem(*_node_parts(node)) for node in batch])
        return wire.ItemList("NodeMetricsList", f"{RESOURCE}/v1beta1", wire.NO_LIST_META, items)

    def _node(self, name: str) -> wire.Object:
        nodes = self._answers.node_usage(name, Selector())
        if not nodes:
            raise _no_usage("nodes", name, "")
        return wire.NodeMetrics("NodeMetrics", f"{RESOURCE}/v1beta1", *_node_parts(nodes[0]))

    async def _pods(self, info: RequestInfo) -> wire.Object:
        fields = field_selector(info)
        namespace = info.namespace or fields.get("metadata.namespace") or None
        pods: Sequence[PodUsage] = ()
        if fields.get("metadata.namespace", namespace) == namespace:
            pods = self._answers.pod_usage(namespace, fields.get("metadata.name"), label_selector(info))
        items = await _in_turns(pods, lambda batch: [wire.PodMetricsItem(*_pod_parts(pod)) for pod in batch])
        return wire.ItemList("PodMetricsList", f"{RESOURCE}/v1beta1", wire.NO_LIST_META, items)

    def _pod(self, namespace: str, name: str) -> wire.Object:
        pods = self._answers.pod_usage(namespace, name, Selector())
        if not pods:
            raise _no_usage("pods", name, namespace)
        return wire.PodMetrics("PodMetrics", f"{RESOURCE}/v1beta1", *_pod_parts(pods[0]))


def oldest_moment(message: wire.Object) -> datetime | None:
    """The time of the oldest value of an answer, None where it has none."""
    items: Sequence[Any] = message.items if isinstance(message, wire.ItemList) else [message]
    return min((item.timestamp for item in items), default=None)


# ---- objects


async def _in_turns(values: Sequence[T], build: Callable[[Sequence[T]], Sequence[Struct]]) -> Sequence[Struct]:
    """The items of a list, built piece by piece, so that a long one does not hold the event loop."""
    if len(values) <= BATCH:
        return build(values)
    items: list[Struct] = []
    for batch in batches(values):
        items += build(batch)
        await asyncio.sleep(0)
    return items


def _items_v1beta1(
    values: Iterable[CustomValue], metric: str, selector: wire.LabelSelector | None
) -> Sequence[wire.MetricValueV1beta1]:
    return [
        wire.MetricValueV1beta1(
            _object_reference(value),
            metric,
            wire.moment(value.time),
            wire.seconds(value.window),
            str(value.value),
            selector,
        )
        for value in values
    ]


def _items_v1beta2(
    values: Iterable[CustomValue], metric: str, selector: wire.LabelSelector | None
) -> Sequence[wire.MetricValueV1beta2]:
    identifier = wire.MetricIdentifier(metric, selector)
    return [
        wire.MetricValueV1beta2(
            _object_reference(value), identifier, wire.moment(value.time), wire.seconds(value.window), str(value.value)
        )
        for value in values
    ]


def _object_reference(value: CustomValue) -> wire.Described:
    reference = value.described
    return wire.Described(reference.kind, reference.namespace or UNSET, reference.name, reference.api_version)


def _external_item(metric: str, value: ExternalValue) -> wire.ExternalMetricValue:
    return wire.ExternalMetricValue(
        metric, value.labels, wire.moment(value.time), wire.seconds(value.window), str(value.value)
    )


def _echo(selector: Selector) -> wire.LabelSelector:
    """The selector as metav1.ParseToLabelSelector writes it: `=` in matchLabels, the rest in matchExpressions."""
    labels = {key: values[0] for key, operator, values in selector.requirements if operator is Operator.EQUALS}
    expressions = [
        wire.LabelSelectorRequirement(key, EXPRESSION_OF[operator], values or UNSET)
        for key, operator, values in selector.requirements
        if operator is not Operator.EQUALS
    ]
    return wire.LabelSelector(labels or UNSET, expressions or UNSET)


def _node_parts(node: NodeUsage) -> tuple[wire.ObjectMeta, datetime, wire.Duration, Mapping[str, str]]:
    at = wire.moment(node.time)
    meta = wire.ObjectMeta(node.name, UNSET, at, node.labels or UNSET)
    return meta, at, wire.Duration(node.window), _usage(node.usage)


def _pod_parts(pod: PodUsage) -> tuple[wire.ObjectMeta, datetime, wire.Duration, Sequence[wire.ContainerMetrics]]:
    at = wire.moment(pod.time)
    meta = wire.ObjectMeta(pod.name, pod.namespace, at, pod.labels or UNSET)
    containers = [wire.ContainerMetrics(name, _usage(usage)) for name, usage in pod.containers]
    return meta, at, wire.Duration(pod.window), containers


def _usage(usage: Usage) -> Mapping[str, str]:
    return {"cpu": str(usage.cpu), "memory": str(usage.memory)}


# ---- errors


def _status_error(error: Unavailable | Unanswerable | BadQuestion) -> StatusError:
    match error:
        case Unavailable():
            return unavailable(str(error) or "the values cannot be had now", soon=error.soon)
        case Unanswerable():
            return unanswerable(str(error))
        case BadQuestion():
            return bad_request(str(error))


def _no_metric(question: CustomQuestion, cause: str) -> StatusError:
    of = str(question.resource) + ("" if question.name == "*" else f" {question.name}")
    message = f"the server could not find the metric {question.metric} for {of}"
    return not_found(_because(message, cause), wire.StatusDetails(question.metric, CUSTOM, str(question.resource)))


def _no_external(question: ExternalQuestion, cause: str) -> StatusError:
    message = f"the server could not find the metric {question.metric} for namespace {question.namespace}"
    return not_found(_because(message, cause), wire.StatusDetails(question.metric, EXTERNAL, question.metric))


def _no_usage(resource: str, name: str, namespace: str) -> StatusError:
    where = f" in namespace {namespace}" if namespace else ""
    message = f'{resource}.{RESOURCE} "{name}" not found: there is no usage of that name{where}'
    return not_found(message, wire.StatusDetails(name, RESOURCE, resource))


def _because(message: str, cause: str) -> str:
    return f"{message}: {cause}" if cause else message


def _no_watch(info: RequestInfo) -> StatusError:
    message = f'watch is not supported on resources of kind "{info.resource}.{info.group}"'
    return method_not_allowed(message, wire.StatusDetails(group=info.group, kind=info.resource))
