"""Log likelihood ratios of one interval under several alternatives.

Bad events come in bursts: one client, one backend, many errors. `spread` is how many bad events are taken for one.
Where an interval has fewer than that, the ratio is the mean over the events, as if one drawn at random were all that
was seen: its expectation is 1 for bursts of any size. Where it has more, the product over the events is taken to the
power 1/spread, whose expectation is at most 1 while no burst is larger than `spread` (Jensen's inequality).
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ratios: TypeAlias = tuple[Floats, Floats]

RHOS: Final[Floats] = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0])
"""How many times as bad as still allowed the release may be."""
BELOW: Final[Floats] = np.array([0.01, 0.1, 0.25, 0.5])
"""How bad it may be, as a part of the limit."""
BELOW_STABLE: Final[Floats] = np.array([0.1, 0.2, 1 / 3, 0.5, 1 / 1.5, 1 / 1.25])
"""The same against what stable's share allows."""
SIGNS: Final[Floats] = np.array([0.6, 0.75, 0.9, 0.99])
"""The chance that a window comes out on one side."""


def share(*, canary: Floats, stable: Floats, most: float, rhos: Floats) -> Ratios:
    """Which arm a bad event is in, given that there is one: log ratios, (..., K): of a canary's, of a stable's.

    The arms' requests (..., 1) and `most`, the ratio of bad rates that is still allowed, give the odds under the null;
    `rhos` (K,) times these are the alternatives. The rate that both have in common cancels.
    """
    allowed = most * canary
    both = allowed + stable
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.log(both) - np.log(rhos * allowed + stable)
        up = np.log(rhos) + down
    return up, down


def rate(limit: Floats, rhos: Floats) -> Ratios:
    """The bad rate: log ratios of odds times `rhos` against `limit`, of one bad and one good request: (..., K)."""
    odds = limit / (1 - limit)
    changed = rhos * odds
    up = np.log(changed / (1 + changed)) - np.log(limit)
    down = -np.log1p(changed) - np.log1p(-limit)
    return up, down


def stake(times: Floats, rhos: Floats) -> Floats:
    """A bad rate that is seen to be `times` the limit, (..., 1), whatever the bursts: (..., K).

    1 is staked against the limit, 1 - 1/rho of it on the bad requests, which pay `times`: their expectation is at most
    1 where the rate is within the limit, however they hang together (Waudby-Smith and Ramdas, 2024).
    """
    return np.asarray(np.log(1 / rhos + (1 - 1 / rhos) * times))


def mean_of(ratios: Ratios, hits: Floats, misses: Floats) -> Floats:
    """The log of the mean ratio over the events; 0 where there are none. `hits` and `misses` are (..., 1)."""
    both = hits + misses
    part = np.divide(hits, both, out=np.zeros_like(both), where=both > 0)
    up, down = ratios
    value = np.log(part * np.exp(up) + (1 - part) * np.exp(down))
    return np.where(both > 0, value, 0.0)


def product_of(ratios: Ratios, hits: Floats, misses: Floats, spread: Floats) -> Floats:
    """The log of the product over the events, to the power 1/spread."""
    up, down = ratios
    return np.asarray((hits * up + misses * down) / spread)


def sign(worse: npt.NDArray[np.bool_]) -> Floats:
    """A window that came out worse, or did not, against a fair coin: (..., 4) for (..., 1)."""
    return np.where(worse, np.log(2 * SIGNS), np.log(2 * (1 - SIGNS)))
