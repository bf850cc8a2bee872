"""How the formula's numbers are said to people, and how Go's fixed-width integers come out of them."""

import math
from collections.abc import Sequence
from typing import Final

from adapter.hpa.model import Metric, Source, TargetType

MAX_INT32: Final = 2**31 - 1
MIN_INT32: Final = -(2**31)
MAX_INT64: Final = 2**63 - 1


def int32(value: int) -> int:
    """`value` in 32 bits with Go's wrap-around."""
    return (value + 2**31) % 2**32 - 2**31


def int64(value: int) -> int:
    """`value` in 64 bits with Go's wrap-around."""
    return (value + 2**63) % 2**64 - 2**63


def quotient(dividend: int, divisor: int) -> int:
    """Integer division towards zero, as Go divides (Python rounds down)."""
    whole = abs(dividend) // abs(divisor)
    return whole if (dividend < 0) == (divisor < 0) else -whole


def ratio(usage: int, target: float) -> float:
    """usage / target in float64; without a divisor infinite, or NaN for 0 / 0, as in Go."""
    if target:
        return float(usage) / float(target)
    return math.nan if usage == 0 else math.copysign(math.inf, usage)


def ceil32(value: float) -> int:
    """int32(math.Ceil(value)) as amd64 computes it: what does not fit becomes the smallest int32."""
    if not math.isfinite(value):
        return MIN_INT32
    whole = math.ceil(value)
    return whole if MIN_INT32 <= whole <= MAX_INT32 else MIN_INT32


def amount(metric: Metric, milli: int) -> str:
    """A metric's value for reading: cores in m, memory in Mi, all else as a plain number."""
    if metric.source in (Source.RESOURCE, Source.CONTAINER_RESOURCE):
        if metric.name == "cpu":
            return f"{milli}m"
        if metric.name == "memory":
            return f"{number(milli / 1000 / 2**20)}Mi"
    return number(milli / 1000)


def target(metric: Metric) -> str:
    """A metric's target for reading."""
    if metric.target.type is TargetType.UTILIZATION:
        return f"{metric.target.value} %"
    return amount(metric, metric.target.value)


def describe_metrics(metrics: Sequence[Metric]) -> str:
    """Metrics by what tells them apart: "cpu of container app, queue_length of Service web"."""
    of = (f"container {one.container}" if one.container else one.described for one in metrics)
    return ", ".join(f"{one.name} of {about}" if about else one.name for one, about in zip(metrics, of, strict=True))


def number(value: float) -> str:
    """At most three decimals, no exponent, no trailing zeros; ratios stay exact enough to be checked by hand."""
    if not math.isfinite(value):
        return str(value)
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def count(number_of: int, noun: str = "pod") -> str:
    """ "1 pod", "3 pods"."""
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"


def remain(replicas: int) -> str:
    """ "1 replica remains", "3 replicas remain"."""
    return f"{count(replicas, 'replica')} remain{'s' if replicas == 1 else ''}"
