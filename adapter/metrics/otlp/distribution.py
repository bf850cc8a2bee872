"""What one data point of OTLP says, as values that can be added and told in Prometheus' rows.

Exponential histograms become explicit buckets on one fixed grid, powers of 2^(1/4), or a coarser one (every second
bound of the finer) where they would be too many: merging neighbours is exact, so a bound's count always means the same.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol, Self

from adapter.metrics.otlp.names import number_text

GRID_SCALE = 2
"""4 buckets for each doubling: a quantile is at most 19 % off."""
MAX_BUCKETS = 80
"""Of an exponential histogram, as rows; 80 quarter steps cover six decades."""

Row = tuple[str, tuple[str, str] | None, float]
"""Suffix of the name, one more label or None, value."""


class Value(Protocol):
    """A data point's value."""

    def plus(self, other: Self) -> Self:
        """The sum; where the two cannot be added, `other` alone, which then reads as a counter's reset."""
        ...

    def rows(self) -> Iterator[Row]:
        """What Prometheus would hold."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """Of a gauge or a sum."""

    value: float

    def plus(self, other: "Number") -> "Number":
        return Number(self.value + other.value)

    def rows(self) -> Iterator[Row]:
        yield "", None, self.value


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a summary."""

    quantiles: tuple[tuple[float, float], ...]
    count: float
    sum: float

    def plus(self, other: "Quantiles") -> "Quantiles":
        return other

    def rows(self) -> Iterator[Row]:
        for quantile, value in self.quantiles:
            yield "", ("quantile", number_text(quantile)), value
        yield "_sum", None, self.sum
        yield "_count", None, self.count


@dataclass(frozen=True, slots=True)
class Buckets:
    """Of a histogram: `counts` has one entry more than `bounds`, which are upper bounds and increase."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    count: float
    sum: float | None

    def plus(self, other: "Buckets") -> "Buckets":
        if self.bounds != other.bounds:
            return other
        counts = tuple(map(sum, zip(self.counts, other.counts, strict=True)))
        return Buckets(self.bounds, counts, self.count + other.count, _sum(self.sum, other.sum))

    def rows(self) -> Iterator[Row]:
        for bound, total in zip(self.bounds, accumulate(self.counts), strict=False):
            yield "_bucket", ("le", number_text(bound)), total
        yield "_bucket", ("le", "+Inf"), self.count
        if self.sum is not None:
            yield "_sum", None, self.sum
        yield "_count", None, self.count


@dataclass(frozen=True, slots=True)
class Exponential:
    """Of an exponential histogram: counts by index i, for values in (b^i, b^(i+1)] with b = 2^(2^-scale)."""

    scale: int
    positive: Mapping[int, float]
    negative: Mapping[int, float]
    zero: float
    zero_threshold: float
    count: float
    sum: float | None

    def plus(self, other: "Exponential") -> "Exponential":
        scale = min(self.scale, other.scale)
        one, two = self.at(scale), other.at(scale)
        return Exponential(
            scale=scale,
            positive=_add_counts(one.positive, two.positive),
            negative=_add_counts(one.negative, two.negative),
            zero=self.zero + other.zero,
            zero_threshold=max(self.zero_threshold, other.zero_threshold),
            count=self.count + other.count,
            sum=_sum(self.sum, other.sum),
        ).fit_to_grid()

    def at(self, scale: int) -> "Exponential":
        """At a lower scale: 2^(difference) neighbours become one bucket."""
        shift = self.scale - scale
        if shift <= 0:
            return self
        return replace(
            self,
            scale=scale,
            positive=_merge_neighbours(self.positive, shift),
            negative=_merge_neighbours(self.negative, shift),
        )

    def fit_to_grid(self) -> "Exponential":
        """On the grid, with at most MAX_BUCKETS buckets."""
        fitting = self.at(GRID_SCALE)
        while _span(fitting.positive) + _span(fitting.negative) > MAX_BUCKETS:
            fitting = fitting.at(fitting.scale - 1)
        return fitting

    def buckets(self) -> Buckets:
        """As explicit buckets, from the most negative upwards."""
        fitting = self.fit_to_grid()
        bounds: list[float] = []
        counts: list[float] = []
        for index in reversed(_range(fitting.negative)):
            bounds.append(-_bound(fitting.scale, index))
            counts.append(fitting.negative.get(index, 0.0))
        if fitting.zero or fitting.negative:
            bounds.append(fitting.zero_threshold)
            counts.append(fitting.zero)
        for index in _range(fitting.positive):
            bounds.append(_bound(fitting.scale, index + 1))
            counts.append(fitting.positive.get(index, 0.0))
        return Buckets(*_distinct(bounds, counts), self.count, self.sum)

    def rows(self) -> Iterator[Row]:
        return self.buckets().rows()


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _merge_neighbours(counts: Mapping[int, float], shift: int) -> Mapping[int, float]:
    merged: dict[int, float] = {}
    for index, count in counts.items():
        merged[index >> shift] = merged.get(index >> shift, 0.0) + count
    return merged


def _add_counts(one: Mapping[int, float], other: Mapping[int, float]) -> Mapping[int, float]:
    return {index: one.get(index, 0.0) + other.get(index, 0.0) for index in one.keys() | other.keys()}


def _range(counts: Mapping[int, float]) -> range:
    return range(min(counts), max(counts) + 1) if counts else range(0)


def _span(counts: Mapping[int, float]) -> int:
    return max(counts) - min(counts) + 1 if counts else 0


def _bound(scale: int, index: int) -> float:
    """2^(index / 2^scale); infinity beyond the floats."""
    try:
        return math.pow(2.0, math.ldexp(index, -scale))
    except OverflowError:
        return math.inf


def _distinct(bounds: list[float], counts: list[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bounds that increase: where a zero threshold or an underflow swallows buckets, they count with the last."""
    merged: dict[float, float] = {}
    highest = -math.inf
    for bound, count in zip(bounds, counts, strict=True):
        highest = max(bound, highest)
        merged[highest] = merged.get(highest, 0.0) + count
    merged.pop(math.inf, None)
    return tuple(merged), (*merged.values(), 0.0)
