"""PromQL's functions over ranges of samples, for many rows at once."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.metrics.store import rate
from adapter.metrics.store.ring import Floats


class RangeResult(NamedTuple):
    """One entry per row."""

    values: Floats
    windows: Floats
    """s over which a rate was taken, 0 otherwise."""
    present: npt.NDArray[np.bool_]
    """Whether there were samples enough for a value."""


RangeFunction: TypeAlias = Callable[[Floats, Floats], RangeResult]
"""Takes times and values as `Ring.tail` gives them."""


def _rate(take: Callable[[Floats, Floats], tuple[Floats, Floats]]) -> RangeFunction:
    def apply(times: Floats, values: Floats) -> RangeResult:
        rates, windows = take(times, values)
        return RangeResult(rates, windows, windows > 0)

    return apply


def _increase(times: Floats, values: Floats) -> RangeResult:
    _, windows = rate.fixed_rate(times, values)
    return RangeResult(rate.increase(times, values), windows, windows > 0)


def _over_time(reduce: Callable[[Floats, npt.NDArray[np.bool_]], Floats]) -> RangeFunction:
    def apply(times: Floats, values: Floats) -> RangeResult:
        inside = ~np.isnan(times)
        return RangeResult(reduce(values, inside), np.zeros(len(values)), inside[:, -1])

    return apply


RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "rate": _rate(rate.fixed_rate),
    "irate": _rate(rate.instant_rate),
    "increase": _increase,
    "avg_over_time": _over_time(lambda v, inside: np.where(inside, v, 0).sum(axis=1) / inside.sum(axis=1)),
    "sum_over_time": _over_time(lambda v, inside: np.where(inside, v, 0).sum(axis=1)),
    "max_over_time": _over_time(lambda v, inside: np.fmax.reduce(np.where(inside, v, np.nan), axis=1)),
    "min_over_time": _over_time(lambda v, inside: np.fmin.reduce(np.where(inside, v, np.nan), axis=1)),
    "count_over_time": _over_time(lambda v, inside: inside.sum(axis=1).astype(float)),
    "last_over_time": _over_time(lambda v, inside: v[:, -1]),
}
LAST = RANGE_FUNCTIONS["last_over_time"]
