"""What one data point of OTLP holds, as a value that Prometheus has rows for."""

import math
from typing import Any

from adapter.metrics.otlp.distribution import Buckets, Exponential, Number, Quantiles, Value
from adapter.metrics.otlp.streams import PointError

MAX_BOUNDS = 512
"""Buckets or quantiles of one data point, as sent."""
SCALES = range(-10, 21)
"""Of exponential histograms, as in OpenTelemetry's SDKs."""


def value_of(kind: str, data_point: Any) -> Value:
    """The value of a data point of a metric of that kind (its field in OTLP). Raises PointError."""
    if kind in ("gauge", "sum"):
        field = data_point.WhichOneof("value")
        if field is None:
            raise PointError("it has no value")
        return Number(float(getattr(data_point, field)))
    if kind == "summary":
        _check_size(len(data_point.quantile_values))
        quantiles = tuple((pair.quantile, pair.value) for pair in data_point.quantile_values)
        return Quantiles(quantiles, float(data_point.count), data_point.sum)
    total = data_point.sum if data_point.HasField("sum") else None
    return _buckets(data_point, total) if kind == "histogram" else _exponential(data_point, total)


def _buckets(data_point: Any, total: float | None) -> Buckets:
    _check_size(len(data_point.bucket_counts))
    bounds, counts = tuple(data_point.explicit_bounds), tuple(map(float, data_point.bucket_counts))
    if len(counts) != len(bounds) + 1 and (counts or bounds):
        raise PointError(f"it has {len(counts)} buckets, which must be one more than its {len(bounds)} bounds")
    if any(not low < high for low, high in zip((-math.inf, *bounds), bounds, strict=False)):
        raise PointError("its bounds must increase")
    if bounds and bounds[-1] == math.inf:
        bounds, counts = bounds[:-1], counts[:-1]
    return Buckets(bounds, counts, float(data_point.count), total)


def _exponential(data_point: Any, total: float | None) -> Exponential:
    _check_size(len(data_point.positive.bucket_counts) + len(data_point.negative.bucket_counts))
    if data_point.scale not in SCALES:
        raise PointError(f"its scale is {data_point.scale}; it must be {SCALES[0]} to {SCALES[-1]}")
    if not 0 <= data_point.zero_threshold < math.inf:
        raise PointError("its zero threshold must be a number from 0")
    return Exponential(
        scale=data_point.scale,
        positive=_sparse(data_point.positive),
        negative=_sparse(data_point.negative),
        zero=float(data_point.zero_count),
        zero_threshold=data_point.zero_threshold,
        count=float(data_point.count),
        sum=total,
    ).fit_to_grid()


def _sparse(buckets: Any) -> dict[int, float]:
    return {buckets.offset + place: float(count) for place, count in enumerate(buckets.bucket_counts) if count}


def _check_size(size: int) -> None:
    if size > MAX_BOUNDS:
        raise PointError(f"it has {size} buckets or quantiles; at most {MAX_BOUNDS} are read")
