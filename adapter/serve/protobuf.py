"""Kubernetes' protobuf, written by hand: 'k8s\\0', then runtime.Unknown with the object's bytes inside.

Field numbers are those of generated.proto in k8s.io/{api,apimachinery,metrics}. As in Go, a plain field is written even
when it is empty, a pointer, list or map only when it has something, and maps go in the order of their keys.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from adapter.serve import wire, wire_discovery

MAGIC = b"k8s\x00"
_VARINT, _BYTES = 0, 2
_LIST_META = b"\x0a\x00\x12\x00\x1a\x00"


def envelope(message: wire.Object) -> bytes:
    """A whole answer. Raises KeyError for an object that has no protobuf form (Table)."""
    return _wrap(message, _ENCODERS[type(message)](message))


def items(batch: Iterable[Struct]) -> bytes:
    """A piece of a list."""
    return _each(2, batch)


def list_envelope(message: wire.ItemList, pieces: Iterable[bytes]) -> bytes:
    """A whole list as an answer; `pieces` are its items, written by `items`."""
    return _wrap(message, _bytes_field(1, _LIST_META) + b"".join(pieces))


def _wrap(message: wire.Object, raw: bytes) -> bytes:
    kind = _text(1, message.api_version) + _text(2, message.kind)
    return MAGIC + _bytes_field(1, kind) + _bytes_field(2, raw) + b"\x1a\x00\x22\x00"


def supports(message: object) -> bool:
    """Whether the object has a protobuf form."""
    return type(message) in _ENCODERS


def _varint(number: int) -> bytes:
    if 0 <= number < 128:
        return bytes((number,))
    number &= (1 << 64) - 1  # negative numbers are ten bytes of two's complement
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return bytes((field << 3 | _VARINT,)) + _varint(value)


def _bytes_field(field: int, value: bytes) -> bytes:
    size = len(value)
    if size < 128:  # nearly all of them, so this is worth a branch
        return bytes((field << 3 | _BYTES, size)) + value
    return bytes((field << 3 | _BYTES,)) + _varint(size) + value


def _text(field: int, value: str | UnsetType) -> bytes:
    return _bytes_field(field, b"" if value is UNSET else value.encode())


def _texts(field: int, values: Iterable[str] | UnsetType) -> bytes:
    return b"" if values is UNSET else b"".join(_text(field, value) for value in values)


def _each(field: int, values: Iterable[Struct] | UnsetType) -> bytes:
    return b"" if values is UNSET else b"".join(_bytes_field(field, _ENCODERS[type(value)](value)) for value in values)


def _mapping(field: int, pairs: Mapping[str, str] | UnsetType) -> bytes:
    if pairs is UNSET:
        return b""
    return b"".join(_bytes_field(field, _text(1, key) + _text(2, pairs[key])) for key in sorted(pairs))


def _optional_number(field: int, value: int | UnsetType) -> bytes:
    return b"" if value is UNSET else _number(field, value)


def _time(field: int, value: datetime | UnsetType) -> bytes:
    return _bytes_field(field, b"" if value is UNSET else _number(1, int(value.timestamp())) + _number(2, 0))


def _quantity(field: int, value: str) -> bytes:
    return _bytes_field(field, _text(1, value))


def _usage(field: int, usage: Mapping[str, str]) -> bytes:
    return b"".join(_bytes_field(field, _text(1, key) + _quantity(2, usage[key])) for key in sorted(usage))


def _object_meta(meta: wire.ObjectMeta) -> bytes:
    empty = b"\x22\x00\x2a\x00\x32\x00\x38\x00"  # selfLink, uid, resourceVersion, generation
    return (
        _text(1, meta.name)
        + b"\x12\x00"
        + _text(3, meta.namespace)
        + empty
        + _time(8, meta.creation_timestamp)
        + _mapping(11, meta.labels)
    )


def _status(status: wire.Status) -> bytes:
    details = b"" if status.details is UNSET else _bytes_field(5, _details(status.details))
    head = _bytes_field(1, _LIST_META) + _text(2, status.status) + _text(3, status.message) + _text(4, status.reason)
    return head + details + _number(6, status.code)


def _details(details: wire.StatusDetails) -> bytes:
    retry = 0 if details.retry_after_seconds is UNSET else details.retry_after_seconds
    head = _text(1, details.name) + _text(2, details.group) + _text(3, details.kind)
    return head + _each(4, details.causes) + _number(5, retry) + b"\x32\x00"


def _cause(cause: wire.StatusCause) -> bytes:
    return _text(1, cause.reason) + _text(2, cause.message) + _text(3, cause.field)


def _object_reference(described: wire.Described) -> bytes:
    head = _text(1, described.kind) + _text(2, described.namespace) + _text(3, described.name)
    return head + b"\x22\x00" + _text(5, described.api_version) + b"\x32\x00\x3a\x00"  # uid, resourceVersion, fieldPath


def _selector(field: int, selector: wire.LabelSelector | None) -> bytes:
    if selector is None:
        return b""
    return _bytes_field(field, _mapping(1, selector.match_labels) + _each(2, selector.match_expressions))


def _requirement(requirement: wire.LabelSelectorRequirement) -> bytes:
    return _text(1, requirement.key) + _text(2, requirement.operator) + _texts(3, requirement.values)


def _metric_value_v1beta1(item: wire.MetricValueV1beta1) -> bytes:
    head = (
        _bytes_field(1, _object_reference(item.described_object))
        + _text(2, item.metric_name)
        + _time(3, item.timestamp)
    )
    return head + _optional_number(4, item.window) + _quantity(5, item.value) + _selector(6, item.selector)


def _metric_value_v1beta2(item: wire.MetricValueV1beta2) -> bytes:
    metric = _text(1, item.metric.name) + _selector(2, item.metric.selector)
    head = (
        _bytes_field(1, _object_reference(item.described_object)) + _bytes_field(2, metric) + _time(3, item.timestamp)
    )
    return head + _optional_number(4, item.window_seconds) + _quantity(5, item.value)


def _external_metric_value(item: wire.ExternalMetricValue) -> bytes:
    head = _text(1, item.metric_name) + _mapping(2, item.metric_labels) + _time(3, item.timestamp)
    return head + _optional_number(4, item.window) + _quantity(5, item.value)


def _window(window: wire.Duration) -> bytes:
    return _bytes_field(3, _number(1, window.nanoseconds))


def _node_metrics(node: wire.NodeMetrics | wire.NodeMetricsItem) -> bytes:
    return (
        _bytes_field(1, _object_meta(node.metadata))
        + _time(2, node.timestamp)
        + _window(node.window)
        + _usage(4, node.usage)
    )


def _pod_metrics(pod: wire.PodMetrics | wire.PodMetricsItem) -> bytes:
    head = _bytes_field(1, _object_meta(pod.metadata)) + _time(2, pod.timestamp) + _window(pod.window)
    return head + _each(4, pod.containers)


def _container_metrics(container: wire.ContainerMetrics) -> bytes:
    return _text(1, container.name) + _usage(2, container.usage)


def _list(item_list: wire.ItemList) -> bytes:
    return _bytes_field(1, _LIST_META) + _each(2, item_list.items)


def _group_version(version: wire_discovery.GroupVersion) -> bytes:
    return _text(1, version.group_version) + _text(2, version.version)


def _group(group: wire_discovery.Group | wire_discovery.APIGroup) -> bytes:
    return _text(1, group.name) + _each(2, group.versions) + _bytes_field(3, _group_version(group.preferred_version))


def _resource(resource: wire_discovery.APIResource) -> bytes:
    head = _text(1, resource.name) + _number(2, int(resource.namespaced)) + _text(3, resource.kind)
    verbs = _bytes_field(4, _texts(1, resource.verbs))
    return head + verbs + _text(6, resource.singular_name) + b"\x42\x00\x4a\x00\x52\x00"  # group, version, storage hash


def _resource_list(resources: wire_discovery.APIResourceList) -> bytes:
    return _text(1, resources.group_version) + _each(2, resources.resources)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    wire.Status: _status,
    wire.StatusCause: _cause,
    wire.LabelSelectorRequirement: _requirement,
    wire.MetricValueV1beta1: _metric_value_v1beta1,
    wire.MetricValueV1beta2: _metric_value_v1beta2,
    wire.ExternalMetricValue: _external_metric_value,
    wire.NodeMetrics: _node_metrics,
    wire.NodeMetricsItem: _node_metrics,
    wire.PodMetrics: _pod_metrics,
    wire.PodMetricsItem: _pod_metrics,
    wire.ContainerMetrics: _container_metrics,
    wire.ItemList: _list,
    wire_discovery.GroupVersion: _group_version,
    wire_discovery.Group: _group,
    wire_discovery.APIGroup: _group,
    wire_discovery.APIGroupList: lambda groups: _each(1, groups.groups),
    wire_discovery.APIResource: _resource,
    wire_discovery.APIResourceList: _resource_list,
}
