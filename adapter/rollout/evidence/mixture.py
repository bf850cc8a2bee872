"""An e-value from many likelihood ratios: multiplied over intervals per alternative, then averaged.

Half of the weight lies on alternatives that hold from the start, half on ones that begin later: with weight
1 / ((j + 1)(j + 2)) at interval j. So a release that was good for an hour and then turns bad is found as well. The
average of products that each have expectation at most 1 has it too, and by Ville's inequality the chance that it
*ever* reaches 1/alpha is at most alpha, however often one looks.
"""

from typing import NamedTuple

import numpy as np

from adapter.rollout.evidence.likelihood import Floats

NOTHING = -1e9
"""The log of next to nothing; finite, so that it can be written as JSON."""


class Mixture(NamedTuple):
    """Logs. `whole`, `late`: (..., K); `age`, intervals so far: (..., 1)."""

    whole: Floats
    late: Floats
    age: Floats


def begin(shape: tuple[int, ...], alternatives: int) -> Mixture:
    zeros = np.zeros((*shape, alternatives))
    return Mixture(zeros, np.full_like(zeros, NOTHING), np.zeros((*shape, 1)))


def hear(mixture: Mixture, ratios: Floats) -> Mixture:
    """One interval's log ratios, (..., K)."""
    starts = -np.log(mixture.age + 1) - np.log(mixture.age + 2)
    late = np.logaddexp(mixture.late, starts) + ratios
    return Mixture(mixture.whole + ratios, np.maximum(late, NOTHING), mixture.age + 1)


def value(mixture: Mixture) -> Floats:
    """The log of the e-value: (...)."""
    unborn = -np.log(mixture.age[..., 0] + 1)
    late = np.logaddexp(average(mixture.late), unborn)
    return np.asarray(np.logaddexp(average(mixture.whole), late) - np.log(2))


def average(logs: Floats) -> Floats:
    """The log of the mean over the last axis."""
    return np.asarray(np.logaddexp.reduce(logs, axis=-1) - np.log(logs.shape[-1]))
