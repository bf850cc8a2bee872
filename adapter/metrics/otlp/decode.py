"""Turns what OpenTelemetry pushes (an ExportMetricsServiceRequest) into points of Prometheus' data model.

A bad data point is a problem and counts as rejected; the others are kept.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from cachetools import LRUCache
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from adapter.metrics.otlp.distribution import Buckets, Exponential, Number, Value
from adapter.metrics.otlp.measure import OtlpError, not_protobuf
from adapter.metrics.otlp.names import (
    RESOURCE_LABELS,
    attribute_labels,
    merge_labels,
    metric_name,
    resource_labels,
    value_text,
)
from adapter.metrics.otlp.remembered import Remembered
from adapter.metrics.otlp.streams import PointError, Streams
from adapter.metrics.otlp.values import value_of
from adapter.metrics.problems import Problems
from adapter.metrics.sample import Point, Series
from adapter.metrics.sender import SenderClock
from adapter.metrics.series_text import LabelLimits, cut

FUTURE_S = 600.0
MAX_TEXT = 4096
"""Characters of all names and values of a series together."""
MAX_POINT = 65_536
"""Bytes of a data point on the wire: a histogram of 1,000 buckets has 16,000."""
REMEMBERED_TEXT = 1024
"""A series with more is worked out each time, so that what is remembered stays small."""
SENDERS = 4096
"""Whose clocks are remembered: a few kB each."""
RESOURCE_ATTRIBUTES = 1024
"""Of one resource that are looked at: the first ones."""
_NO_RECORDED_VALUE = 1
_DELTA, _CUMULATIVE = 1, 2
_DATA = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


class Decoded(NamedTuple):
    """What a request, or a slice of it, said."""

    points: list[Point]
    problems: list[str]
    """'metric NAME: …', at most ten, then 'and N more'."""
    rejected: int
    """Data points that became problems."""


class Decoder:
    """Remembers streams between requests: deltas become running totals here."""

    def __init__(
        self,
        limit: int = 100_000,
        suffixes: bool = True,
        promoted: Mapping[str, str] = RESOURCE_LABELS,
        labels: LabelLimits = LabelLimits(),  # noqa: B008 - immutable
    ) -> None:
        """`limit` bounds the streams remembered, `suffixes` says whether units and `_total` become part of names,
        `promoted` which resource attributes become which labels."""
        self._streams = Streams(limit)
        self._suffixes = suffixes
        self._promoted = promoted
        self._labels = labels
        self._remembered = Remembered(limit)
        self._senders: LRUCache[int, SenderClock] = LRUCache(SENDERS)

    def decode(self, request: Any, now: float) -> Decoded:
        """All points of an ExportMetricsServiceRequest; times are their own, or `now` (Unix s) where they have none."""
        whole = Decoded([], [], 0)
        for part in self.decode_chunks(request, now):
            whole.points.extend(part.points)
            whole = Decoded(whole.points, [*whole.problems, *part.problems], whole.rejected + part.rejected)
        return whole

    def decode_chunks(
        self, request: Any, now: float, points_per_slice: int = 250, wall: float | None = None
    ) -> Iterator[Decoded]:
        """The same in slices, so that the caller can let others run between them; problems come with the last.

        Times are put into the clock of `now`; `wall`: see `SenderClock.begin`.
        """
        self._streams.expire(now)
        self._remembered.begin(now)
        problems, points, rejected, done = Problems(), list[Point](), 0, 0
        heard: dict[int, SenderClock] = {}
        for resource, metric in _metrics(request, self._promoted):
            done += 1
            if done >= points_per_slice:
                yield Decoded(points, [], 0)
                points, done = [], 0
            if metric is None:
                continue
            source = self._source(resource, metric)
            sender = self._sender(source, heard, now, wall)
            for number, data_point in enumerate(_data_points(metric)):
                try:
                    points += self._points(source, metric, data_point, sender, now)
                except PointError as error:
                    rejected += 1
                    problems.add(f"metric {cut(metric.name)}: data point {number}: {error}")
                done += 1
                if len(points) >= points_per_slice or done >= points_per_slice:
                    yield Decoded(points, [], 0)
                    points, done = [], 0
        for sender in heard.values():
            sender.end()
        yield Decoded(points, problems.take(), rejected)

    def _sender(self, source: "_Source", heard: dict[int, SenderClock], now: float, wall: float | None) -> SenderClock:
        """The clock of whoever sent the metric; `heard` are those of this request."""
        key = hash(source.resource)
        if key not in heard:
            heard[key] = self._senders.setdefault(key, SenderClock())
            heard[key].begin(now, wall)
        return heard[key]

    def _source(self, resource: Mapping[str, str], metric: Any) -> "_Source":
        kind = metric.WhichOneof("data")
        name = metric_name(
            metric.name,
            unit=metric.unit,
            kind=kind,
            monotonic=kind == "sum" and metric.sum.is_monotonic,
            suffixes=self._suffixes,
        )
        return _Source(name, tuple(resource.items()))

    def _points(self, source: "_Source", metric: Any, data_point: Any, sender: SenderClock, now: float) -> list[Point]:
        if data_point.flags & _NO_RECORDED_VALUE:
            return []
        kind = metric.WhichOneof("data")
        value = value_of(kind, data_point)
        base = self._base(source, data_point)
        start, end = _interval(data_point, hash(base), sender, now)
        zero_at_start = False
        temporality = getattr(getattr(metric, kind), "aggregation_temporality", _CUMULATIVE)
        if temporality == _DELTA:
            _check_delta(metric, kind, value)
            value, zero_at_start = self._streams.delta(base, value, start=start, end=end, now=now)
        elif temporality != _CUMULATIVE:
            raise PointError("its aggregation temporality must be delta or cumulative")
        elif kind != "gauge" and start:
            zero_at_start = self._streams.detect_restart(base, start=start, end=end, now=now)
        rows = [(self._row_series(base, suffix, label), number) for suffix, label, number in value.rows()]
        zeros = [(series, 0.0, start) for series, _ in rows] if zero_at_start and start < end else []
        return zeros + [(series, number, end) for series, number in rows]

    def _base(self, source: "_Source", data_point: Any) -> Series:
        """The data point's series without the suffixes and labels of its rows; remembered, as exports repeat them."""
        if data_point.ByteSize() > MAX_POINT:
            raise PointError(f"it has {data_point.ByteSize()} bytes; at most {MAX_POINT} are read")
        if len(data_point.attributes) > self._labels.labels:
            raise PointError(
                f"there are {len(data_point.attributes)} attributes; at most {self._labels.labels} are read"
            )
        attributes = tuple([(pair.key, value_text(pair.value)) for pair in data_point.attributes])
        key = (source, attributes)
        series = self._remembered.get(key)
        if series is None:
            labels = merge_labels(attribute_labels(attributes), dict(source.resource))
            self._check(source.name, labels)
            series = Series.of(source.name, labels)
            if _length(labels) <= REMEMBERED_TEXT:
                self._remembered.put(key, series, len(attributes))
        return series

    def _check(self, name: str, labels: Mapping[str, str]) -> None:
        limits = self._labels
        if not name or len(name) > limits.name_length:
            raise PointError(f"its name must have 1 to {limits.name_length} characters that a metric can have")
        if len(labels) > limits.labels:
            raise PointError(f"there are {len(labels)} labels; at most {limits.labels} are read")
        for key, text in labels.items():
            if len(key) > limits.name_length or len(text) > limits.value_length:
                raise PointError(
                    f"the label {cut(key)} is too long: at most {limits.name_length} characters in a name "
                    f"and {limits.value_length} in a value are read"
                )
        if _length(labels) > MAX_TEXT:
            raise PointError(f"its labels have {_length(labels)} characters; at most {MAX_TEXT} are read")

    def _row_series(self, base: Series, suffix: str, label: tuple[str, str] | None) -> Series:
        if not suffix and label is None:
            return base
        key = (base, suffix, label)
        series = self._remembered.get(key)
        if series is None:
            labels = dict(base.labels)
            name = labels.pop("__name__") + suffix
            series = Series.of(name, labels | dict([label] if label else []))
            if _length(labels) <= REMEMBERED_TEXT:
                self._remembered.put(key, series)
        return series


class _Source(NamedTuple):
    """What the data points of a metric share."""

    name: str
    resource: tuple[tuple[str, str], ...]


def from_protobuf(body: bytes) -> Any:
    """The ExportMetricsServiceRequest in `body`. Raises OtlpError."""
    try:
        return ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise not_protobuf() from error


def from_json(body: bytes) -> Any:
    """The same in OTLP's JSON. Exemplars are left out: their ids are hex there, and nobody reads them here.

    Over a hundred times slower than protobuf (5.7 MB took 1.2 s): call it outside the event loop. Raises OtlpError.
    """
    try:
        document = msgspec.json.decode(body, type=dict)
        _drop_exemplars(document, 0)
        return json_format.ParseDict(document, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    except (ValueError, json_format.ParseError, RecursionError, TypeError, AttributeError) as error:
        raise OtlpError(f"the body is not an ExportMetricsServiceRequest in JSON: {str(error)[:200]}") from error


def _drop_exemplars(node: object, depth: int) -> None:
    """They sit 7 levels deep at most: lists and maps in turn from resourceMetrics to a data point."""
    if isinstance(node, dict):
        node.pop("exemplars", None)
        node = list(node.values())
    if isinstance(node, list) and depth < 16:
        for child in node:
            _drop_exemplars(child, depth + 1)


def _metrics(request: Any, promoted: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], Any]]:
    """Resource's labels and metric; None as metric for a resource and for a scope, which are work, too."""
    for resource_metrics in request.resource_metrics:
        labels = resource_labels(islice(resource_metrics.resource.attributes, RESOURCE_ATTRIBUTES), promoted)
        yield labels, None
        for scope_metrics in resource_metrics.scope_metrics:
            yield labels, None
            for metric in scope_metrics.metrics:
                yield labels, metric


def _data_points(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind in _DATA else ()


def _interval(data_point: Any, series: int, sender: SenderClock, now: float) -> tuple[float, float]:
    """(start or 0, end) in Unix s by our clock."""
    start, end = data_point.start_time_unix_nano / 1e9, data_point.time_unix_nano / 1e9
    time = sender.ours(series, end) if end else now
    if end + sender.correction > now + FUTURE_S:
        raise PointError(f"its time lies over {FUTURE_S:.0f} s ahead")
    return (min(start + sender.correction, time) if start else 0.0), time


def _length(labels: Mapping[str, str]) -> int:
    return sum(map(len, labels)) + sum(map(len, labels.values()))


def _check_delta(metric: Any, kind: str, value: Value) -> None:
    """What would spoil a running total for good."""
    if isinstance(value, Number) and not math.isfinite(value.value):
        raise PointError("a delta must be finite")
    if isinstance(value, Number) and kind == "sum" and metric.sum.is_monotonic and value.value < 0:
        raise PointError("a delta of a monotonic sum must not be negative")
    if isinstance(value, Buckets | Exponential) and value.sum is not None and not math.isfinite(value.sum):
        raise PointError("a delta's sum must be finite")
