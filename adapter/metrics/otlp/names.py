"""How OpenTelemetry's names become Prometheus': metrics, labels, and which resource attributes become labels.

The rules are those of 'Prometheus and OpenMetrics Compatibility' in OpenTelemetry's specification.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from adapter.metrics.labels import label_name

MAX_STRUCTURE = 65_536
"""Bytes on the wire of a list or map that is written out as a label's text."""
RESOURCE_LABELS: Mapping[str, str] = {
    "k8s.namespace.name": "namespace",
    "k8s.pod.name": "pod",
    "k8s.container.name": "container",
    "k8s.node.name": "node",
    "service.instance.id": "instance",
}
"""Resource attribute -> label. `job` is made of service.namespace and service.name; the rest is not a label."""

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "m": "meters",
    "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius", "Hz": "hertz",
    "%": "percent", "1": "",
}  # fmt: skip
_PER_UNITS = {
    "s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}  # fmt: skip
_NOT_METRIC = re.compile(r"[^a-zA-Z0-9:]+")
_ANNOTATION = re.compile(r"\{[^{}]*+\}")


def metric_name(name: str, *, unit: str, kind: str, monotonic: bool = False, suffixes: bool = True) -> str:
    """The Prometheus name of a metric; '' where nothing is left of it.

    With `suffixes` the unit, `ratio` (a gauge of unit 1) and `total` (a monotonic sum) are appended, each only once.
    """
    words = [word for word in _NOT_METRIC.sub("_", name).split("_") if word]
    if suffixes and words:
        total = kind == "sum" and monotonic
        if total:
            words = [word for word in words if word != "total"] or words
        words += [word for word in _unit_words(unit, kind) if f"_{word}_" not in f"_{'_'.join(words)}_"]
        if total and words[-1] != "total":
            words.append("total")
    joined = "_".join(words)
    return f"_{joined}" if joined[:1].isdigit() else joined


def _unit_words(unit: str, kind: str) -> list[str]:
    """'By/s' -> ['bytes', 'per_second']; what stands in {} says nothing."""
    if unit == "1":
        return ["ratio"] if kind == "gauge" else []
    main, slash, per = _ANNOTATION.sub("", unit).strip().partition("/")
    name = _unit_name(_UNITS, main)
    per_name = _unit_name(_PER_UNITS, per) if slash else ""
    return [word for word in (name, per_name and f"per_{per_name}") if word]


def _unit_name(known: Mapping[str, str], unit: str) -> str:
    unit = unit.strip()
    return "_".join(word for word in _NOT_METRIC.sub("_", known.get(unit, unit)).split("_") if word)


def attribute_labels(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Labels of a data point's attributes; where two names become one, their values are joined by ';'."""
    labels: dict[str, str] = {}
    for key, value in sorted(attributes):
        name = label_name(key)
        if name and value:
            labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def resource_labels(attributes: Iterable[Any], promoted: Mapping[str, str] = RESOURCE_LABELS) -> dict[str, str]:
    """Labels that all points of a resource carry."""
    wanted = (*promoted, "service.name", "service.namespace")
    texts = {pair.key: value_text(pair.value) for pair in attributes if pair.key in wanted}
    labels = {label: texts[key] for key, label in promoted.items() if texts.get(key)}
    if name := texts.get("service.name"):
        labels["job"] = f"{texts['service.namespace']}/{name}" if texts.get("service.namespace") else name
    return labels


def merge_labels(labels: dict[str, str], resource: Mapping[str, str]) -> dict[str, str]:
    """A point's labels and its resource's, which win; the point's are kept as `exported_<name>`."""
    for key in resource:
        if key in labels:
            exported = f"exported_{key}"
            while exported in labels or exported in resource:
                exported = f"exported_{exported}"
            labels[exported] = labels.pop(key)
    return {**labels, **resource}


def value_text(value: Any) -> str:
    """An AnyValue as the text of a label; structures as JSON, one that is far too long as none, bytes as base64."""
    match value.WhichOneof("value"):
        case "string_value":
            return str(value.string_value)
        case None:
            return ""
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "double_value":
            return number_text(value.double_value)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "array_value" | "kvlist_value" if value.ByteSize() > MAX_STRUCTURE:
            return ""
        case "array_value" | "kvlist_value":
            return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)
        case kind:
            return str(getattr(value, kind))


def _plain(value: Any) -> object:
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
        case None:
            return None
        case "bytes_value":
            return value_text(value)
        case kind:
            plain: object = getattr(value, kind)
            return plain


def number_text(number: float) -> str:
    """A number as it stands in `le` and `quantile`: '5', '0.25', '+Inf'."""
    if number == float("inf"):
        return "+Inf"
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
