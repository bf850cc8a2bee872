"""Our memory target: the amount at which memory and the risk of an overrun together cost least.

Two sentences: tomorrow's peak is expected to be like one of the last three weeks' daily peaks, recent ones counting
more, or like what the same weekday always needed, with a chance (smaller the longer the history) of one never seen.
The target is the amount for which the memory paid, plus that chance of a day above it times its price, is least.

Why not a percentile (VPA): a percentile covers the same share of peaks whether a step up costs 1 % or 1,000 % more
memory. This covers a peak when that is cheap compared with the risk, and only then.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Amounts, Floats

GIB: Final = 1024**3
LEAST: Final = -3.5
"""The lowest level looked at, as the logarithm of its ratio to the largest peak."""
MOST: Final = 0.8
STEP: Final = 0.025
"""Logarithmic distance of two levels, so 2.5 %."""
SAME_WEEKDAYS: Final = 4
"""How many of the same weekday are looked at."""
CHUNK: Final = 1024
SMALLEST: Final = 1e6
"""bytes: smaller peaks count as this"""


@dataclass(frozen=True)
class CostPolicy:
    """The knobs, and tables made from them. What they are worth where they were not chosen: `backtest --tune`."""

    price: float = 20.0
    """What avoiding one day with an overrun is worth, in GiB-days, for a container whose median peak is 1 GiB."""
    scale: float = 0.5
    """How that price grows with a container's median peak: its exponent; 0 is one price for all."""
    days: int = 21
    """Daily peaks that count."""
    half_life: float = 2.25
    """Days in which a peak loses half its weight."""
    weekly: bool = True
    """Whether what the same weekday always needed counts as its own evidence."""
    spread: float = 0.055
    """How far a day like a past one may lie from it: the standard deviation of the logarithm."""
    surprise: float = 0.6
    """The chance of a peak above all seen is this over (days seen + 1)."""
    tail: float = 1.6
    """Larger surprises are rarer: the chance of one r times the largest peak falls as r to the minus this."""
    _ratios: Floats = field(init=False, repr=False, compare=False)
    """The levels looked at, as shares of the largest peak."""
    _blur: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels = np.arange(LEAST, MOST + STEP / 2, STEP)
        object.__setattr__(self, "_ratios", np.exp(levels))
        known = levels[levels <= STEP]
        distance = (levels[None, :] - known[:, None]) / self.spread
        object.__setattr__(self, "_blur", _normal_tail(distance).astype(np.float32))

    @property
    def ring(self) -> int:
        """How many days of peaks it wants to see: the weekday's record reaches further back than `days`."""
        return max(self.days, SAME_WEEKDAYS * 7)

    def targets(self, peaks: NDArray[np.float32], elapsed: Floats | None = None) -> Amounts:
        """Bytes for containers of which `peaks` (n, ring; newest first; 0: no samples that day) are known.

        `elapsed` (n) is how much of the newest day is over, 0 to 1; all of it if not given.
        """
        passed = np.ones(len(peaks)) if elapsed is None else elapsed
        parts = [slice(start, start + CHUNK) for start in range(0, len(peaks), CHUNK)]
        chunks = [self._targets(peaks[part], passed[part]) for part in parts]
        return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int64)

    def curve(self, peaks: NDArray[np.float32], elapsed: Floats | None = None) -> tuple[Floats, Floats, Floats]:
        """(levels in bytes, chance of a day above, price in bytes of such a day) per container: (n, m), (n, m), (n)."""
        passed = np.ones(len(peaks)) if elapsed is None else elapsed
        recent = peaks[:, : self.days]
        largest = np.maximum(recent.max(axis=1, initial=0.0).astype(np.float64), SMALLEST)
        chance = self._chance(recent, passed, largest)
        if self.weekly:
            today = np.minimum(2 * (1 - passed), 1.0)[:, None] * self._same_weekday(peaks[:, 7::7], largest)
            tomorrow = np.minimum(2 * passed, 1.0)[:, None] * self._same_weekday(peaks[:, 6::7], largest)
            chance = np.maximum(chance, np.maximum(today, tomorrow))
        return largest[:, None] * self._ratios, chance, self._price(recent, passed)

    def _targets(self, peaks: NDArray[np.float32], passed: Floats) -> Amounts:
        levels, chance, price = self.curve(peaks, passed)
        best = (levels + price[:, None] * chance).argmin(axis=1)
        chosen = np.ceil(levels[np.arange(len(peaks)), best])
        found: Amounts = np.where((peaks > 0).any(axis=1), chosen, 0.0).astype(np.int64)
        return found

    def _chance(self, peaks: NDArray[np.float32], passed: Floats, largest: Floats) -> Floats:
        """The chance that the next day's peak is above each level: (n, levels).

        The newest day, of which only a part has passed, counts whole as evidence above a level that it has passed,
        and by its part as evidence below: it may yet rise. So nothing jumps when a day ends and the next begins.
        """
        seen = peaks > 0
        age = np.arange(peaks.shape[1]) - 1 + passed[:, None]
        weights = np.where(seen, 2.0 ** (-age / self.half_life), 0.0)
        weights[:, 0] = seen[:, 0]
        newest = self._blurred(peaks[:, :1], weights[:, :1], largest)
        above = self._blurred(peaks, weights, largest)
        missing = ((1 - passed) * seen[:, 0])[:, None]
        whole = weights.sum(axis=1, keepdims=True) - missing * (1 - newest)
        surprise = np.minimum(self.surprise / (seen.sum(axis=1, keepdims=True) - missing + 1), 1.0)
        known = np.minimum(above / np.maximum(whole, 1e-12), 1.0)
        chance: Floats = (1 - surprise) * known + surprise * np.minimum(1.0, self._ratios**-self.tail)
        return chance

    def _blurred(self, peaks: NDArray[np.float32], weights: Floats, largest: Floats) -> Floats:
        """The sum of `weights` (n, k) of `peaks` (n, k), each spread out, above each level: (n, levels)."""
        place = (np.log(np.maximum(peaks, SMALLEST) / largest[:, None]) - LEAST) / STEP
        place = np.clip(place, 0, len(self._blur) - 1.001)
        low = place.astype(np.int64)
        high_share = place - low
        cell = low + np.arange(len(peaks))[:, None] * len(self._blur)
        cells = np.concatenate((cell, cell + 1), axis=None)
        shares = np.concatenate((weights * (1 - high_share), weights * high_share), axis=None)
        mass = np.bincount(cells, shares, len(peaks) * len(self._blur)).astype(np.float32).reshape(len(peaks), -1)
        return (mass @ self._blur).astype(np.float64)

    def _same_weekday(self, same: NDArray[np.float32], largest: Floats) -> Floats:
        """The chance of a peak above each level, where all n >= 2 peaks of the `same` weekday were: (n+1)/(n+2).

        That is Laplace's rule of succession, for the least of those peaks.
        """
        count = (same > 0).sum(axis=1)
        least = np.where(same > 0, same, np.inf).min(axis=1, initial=np.inf)
        enough = count >= 2
        chance = np.where(enough, (count + 1) / (count + 2), 0.0)
        return self._blurred(np.where(enough, least, 0.0)[:, None].astype(np.float32), chance[:, None], largest)

    def _price(self, peaks: NDArray[np.float32], passed: Floats) -> Floats:
        """Bytes for which a day with an overrun would be traded; a day counts from its half on."""
        seen = peaks > 0
        seen[:, 0] &= (passed >= 0.5) | ~seen[:, 1:].any(axis=1)
        ordered = np.sort(np.where(seen, peaks, np.inf), axis=1)
        count = np.maximum(seen.sum(axis=1), 1)
        row = np.arange(len(peaks))
        middle = (ordered[row, (count - 1) // 2].astype(np.float64) + ordered[row, count // 2]) / 2
        median = np.where(seen.any(axis=1), np.maximum(middle, 1e7), GIB)
        price: Floats = self.price * GIB * (median / GIB) ** self.scale
        return price


def _normal_tail(x: Floats) -> Floats:
    """The share of a normal distribution above x (Bowling's logistic form; off by at most 0.00014)."""
    tail: Floats = 1.0 / (1.0 + np.exp(np.clip(1.5976 * x + 0.07056 * x**3, -80, 80)))
    return tail
