"""What a count of releases says about a chance."""

import math

import numpy as np


def upper(hits: int, count: int, confidence: float = 0.95) -> float:
    """The exact upper bound of a chance after `hits` of `count` (Clopper and Pearson), one-sided."""
    if hits >= count:
        return 1.0
    low, high = hits / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(hits, count, middle) > 1 - confidence else (low, middle)
    return high


def at_most(hits: int, count: int, chance: float) -> float:
    """The chance of at most `hits` of `count`."""
    if chance in (0.0, 1.0):
        return float(chance == 0 or hits >= count)
    some = np.arange(hits + 1)
    choose = math.lgamma(count + 1) - np.array([math.lgamma(n + 1) + math.lgamma(count - n + 1) for n in some])
    return float(np.exp(choose + some * math.log(chance) + (count - some) * math.log1p(-chance)).sum())
