"""The bucket boundaries of a usage histogram, in whole amounts (millicores, bytes)."""

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommender.model.gomath import power

Amounts: TypeAlias = NDArray[np.int64]
"""CPU in millicores or memory in bytes."""
Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int64]
"""Indices of histograms or states."""
Indices: TypeAlias = NDArray[np.int16]
"""Indices of buckets."""


def distinct(rows: Rows) -> Rows:
    """Each of the rows once; a loop's come in order, so that nothing need be sorted."""
    return rows if is_rising(rows) else np.unique(rows)


def is_rising(rows: Rows) -> bool:
    """Whether each is larger than the one before."""
    return bool((rows[1:] > rows[:-1]).all())


class Buckets:
    """Exponentially growing buckets: the first is `first` wide, each next `ratio` times the one before.

    VPA's layout (util/histogram_options.go). Its bucket of a value is a logarithm, and numpy's differs from it in the
    last bit at a few boundaries; so the least whole amount of every bucket is found once by the scalar formula, and
    a bucket is then found by binary search over integers, exactly.
    """

    def __init__(self, maximum: float, first: float, ratio: float, per_unit: float) -> None:
        """`maximum` and `first` in units (cores, bytes); an amount is a `per_unit`-th of a unit."""
        self.first, self.ratio, self.per_unit = first, ratio, per_unit
        self.count: Final = math.ceil(self._log(maximum * (ratio - 1) / first + 1)) + 1
        self.starts: Final[Floats] = np.array([self._start(bucket) for bucket in range(self.count)])
        self.ends: Final[Floats] = np.append(self.starts[1:], self.starts[-1])
        """The end of each bucket, units; the last bucket has none, so its start stands for it."""
        self.least: Final[Amounts] = np.array([self._least(bucket) for bucket in range(self.count)], dtype=np.int64)
        """The least amount in each bucket."""

    def find(self, amounts: Amounts) -> Indices:
        """The bucket of each amount (any shape); the last bucket is open to the right, negatives fall in the first."""
        buckets = np.searchsorted(self.least, amounts, side="right") - 1
        return np.maximum(buckets, 0).astype(np.int16)

    def _log(self, value: float) -> float:
        return math.log(value) / math.log(self.ratio)

    def _start(self, bucket: int) -> float:
        return 0.0 if bucket == 0 else self.first * (power(self.ratio, bucket) - 1) / (self.ratio - 1)

    def _scalar(self, amount: int) -> int:
        """VPA's formula for one amount."""
        value = amount / self.per_unit
        if value < self.first:
            return 0
        return min(int(self._log(value * (self.ratio - 1) / self.first + 1)), self.count - 1)

    def _least(self, bucket: int) -> int:
        near = math.floor(self.starts[bucket] * self.per_unit)
        return next(amount for amount in range(max(near - 2, 0), near + 4) if self._scalar(amount) >= bucket)


CPU: Final = Buckets(maximum=1000.0, first=0.01, ratio=1.05, per_unit=1000)
"""VPA's 176 buckets of CPU, cores."""
MEMORY: Final = Buckets(maximum=1e12, first=1e7, ratio=1.05, per_unit=1)
"""VPA's 176 buckets of memory, bytes."""
