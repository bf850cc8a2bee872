"""The objects of the metrics APIs as they go over the wire, in the order of fields that Kubernetes writes.

Times are whole seconds (metav1.Time), quantities are canonical texts. How they become bytes: see `encode` and
`protobuf`.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import UNSET, Struct, UnsetType

_EPOCH_LIMIT = 253402300799
"""The last second of the year 9999, which is as far as RFC 3339 goes."""
_MAX_INT64 = 2**63 - 1


def moment(unix: float) -> datetime:
    """A Unix time in s as it is written: UTC, in whole seconds, never before 1970 and never after 9999."""
    return _moment(int(min(max(0, unix), _EPOCH_LIMIT)))


@lru_cache(maxsize=4096)
def _moment(unix: int) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def seconds(window: float | None) -> int | UnsetType:
    """A window in s as it is written: whole, as an int64 holds it; unset where it is unknown or no number."""
    if window is None or not math.isfinite(window):
        return UNSET
    return round(max(-_MAX_INT64, min(window, _MAX_INT64)))


class Duration:
    """A metav1.Duration: text in JSON ('5m0s'), nanoseconds in protobuf."""

    __slots__ = ("nanoseconds",)

    def __init__(self, seconds: float) -> None:
        nanoseconds = seconds * 1e9 if math.isfinite(seconds) else 0.0
        self.nanoseconds = round(max(-_MAX_INT64, min(nanoseconds, _MAX_INT64)))

    def __str__(self) -> str:
        """As Go's time.Duration prints whole milliseconds of one second or more."""
        milliseconds = max(self.nanoseconds, 0) // 10**6
        hours, rest = divmod(milliseconds, 3_600_000)
        minutes, rest = divmod(rest, 60_000)
        seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
        if hours:
            return f"{hours}h{minutes}m{seconds}"
        return f"{minutes}m{seconds}" if minutes else seconds


class Part(Struct, rename="camel"):
    """A part of an object."""


class Object(Struct, rename="camel"):
    """An object that says what it is (metav1.TypeMeta)."""

    kind: str
    api_version: str


class ListMeta(Part):
    """metav1.ListMeta; our lists have no versions and no pages, so it is always empty."""


NO_LIST_META = ListMeta()


class ObjectMeta(Part):
    """The fields of metav1.ObjectMeta that metrics have."""

    name: str
    namespace: str | UnsetType = UNSET
    creation_timestamp: datetime | UnsetType = UNSET
    labels: Mapping[str, str] | UnsetType = UNSET


# ---- errors


class StatusCause(Part):
    """metav1.StatusCause."""

    reason: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    field: str | UnsetType = UNSET


class StatusDetails(Part):
    """metav1.StatusDetails."""

    name: str | UnsetType = UNSET
    group: str | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    causes: Sequence[StatusCause] | UnsetType = UNSET
    retry_after_seconds: int | UnsetType = UNSET


class Status(Object):
    """metav1.Status of a failure."""

    metadata: ListMeta
    status: str
    message: str
    reason: str
    details: StatusDetails | UnsetType
    code: int


# ---- custom.metrics.k8s.io and external.metrics.k8s.io


class Described(Part):
    """The fields of v1.ObjectReference that a described object has."""

    kind: str
    namespace: str | UnsetType
    name: str
    api_version: str


class LabelSelectorRequirement(Part):
    """metav1.LabelSelectorRequirement; the operator is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: Sequence[str] | UnsetType = UNSET


class LabelSelector(Part):
    """metav1.LabelSelector."""

    match_labels: Mapping[str, str] | UnsetType = UNSET
    match_expressions: Sequence[LabelSelectorRequirement] | UnsetType = UNSET


class MetricValueV1beta1(Part):
    """custom.metrics.k8s.io/v1beta1 MetricValue; the window is in seconds."""

    described_object: Described
    metric_name: str
    timestamp: datetime
    window: int | UnsetType
    value: str
    selector: LabelSelector | None


class MetricIdentifier(Part):
    """custom.metrics.k8s.io/v1beta2 MetricIdentifier."""

    name: str
    selector: LabelSelector | None


class MetricValueV1beta2(Part):
    """custom.metrics.k8s.io/v1beta2 MetricValue."""

    described_object: Described
    metric: MetricIdentifier
    timestamp: datetime
    window_seconds: int | UnsetType
    value: str


class ExternalMetricValue(Part):
    """external.metrics.k8s.io/v1beta1 ExternalMetricValue; the window is in seconds."""

    metric_name: str
    metric_labels: Mapping[str, str]
    timestamp: datetime
    window: int | UnsetType
    value: str


class ItemList(Object):
    """Any list: MetricValueList, ExternalMetricValueList, PodMetricsList, NodeMetricsList."""

    metadata: ListMeta
    items: Sequence[Struct]


# ---- metrics.k8s.io


class NodeMetrics(Object):
    """metrics.k8s.io/v1beta1 NodeMetrics."""

    metadata: ObjectMeta
    timestamp: datetime
    window: Duration
    usage: Mapping[str, str]


class ContainerMetrics(Part):
    """metrics.k8s.io/v1beta1 ContainerMetrics."""

    name: str
    usage: Mapping[str, str]


class PodMetrics(Object):
    """metrics.k8s.io/v1beta1 PodMetrics."""

    metadata: ObjectMeta
    timestamp: datetime
    window: Duration
    containers: Sequence[ContainerMetrics]


class NodeMetricsItem(Part):
    """A NodeMetrics inside a list, where it does not say what it is."""

    metadata: ObjectMeta
    timestamp: datetime
    window: Duration
    usage: Mapping[str, str]


class PodMetricsItem(Part):
    """A PodMetrics inside a list."""

    metadata: ObjectMeta
    timestamp: datetime
    window: Duration
    containers: Sequence[ContainerMetrics]


class Column(Part):
    """metav1.TableColumnDefinition."""

    name: str
    type: str
    format: str
    description: str
    priority: int


class Row(Part):
    """metav1.TableRow."""

    cells: Sequence[str]
    object: Any = UNSET


class Table(Object):
    """metav1.Table."""

    metadata: ListMeta
    column_definitions: Sequence[Column]
    rows: Sequence[Row]


class PartialObjectMetadata(Object):
    """metav1.PartialObjectMetadata."""

    metadata: ObjectMeta
