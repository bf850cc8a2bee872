"""One recommendation for many containers: VPA's estimators, and on top of them what the default mode does better."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.estimate.estimators import Bounds, Estimation, Recommendation, minimums, recommend
from recommender.estimate.policy import CostPolicy
from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.containers import OOM_MEMORY, Aggregation, Model
from recommender.model.peaks import DAYS

LOOK_AGAIN: Final = 3600.0
"""s after which a target is reckoned anew although no peak changed: the day has moved on."""


@dataclass(frozen=True)
class Mode:
    """Everything that decides what numbers come out."""

    aggregation: Aggregation
    estimation: Estimation
    cost: CostPolicy | None
    """None: memory as VPA does it."""


def decide(model: Model, rows: Rows, containers: Amounts, now: float, chosen: Mode) -> Recommendation:
    """The recommendation for states `rows`, each one of `containers` in its pod, at Unix time `now`, s."""
    found = recommend(model.states, rows, containers, chosen.estimation)
    if chosen.cost is None:
        return found
    minimum = minimums(containers, chosen.estimation)[1]
    return replace(found, memory=by_cost(model, rows, found.memory, minimum, now, chosen.cost))


def by_cost(model: Model, rows: Rows, memory: Bounds, minimum: Amounts, now: float, cost: CostPolicy) -> Bounds:
    """VPA's memory bounds with the target replaced by the cheapest one; the bounds are moved to enclose it.

    Looks anew only at states whose peaks have changed, or that were looked at an hour ago; a model is asked with one
    policy only.
    A state without daily peaks (resumed from another recommender's checkpoint) keeps VPA's target.
    """
    states, peaks = model.states, model.states.peaks
    stale = rows[peaks.changed[rows] | (np.abs(now - states.looked[rows]) >= LOOK_AGAIN)]
    states.cheapest[stale] = cost.targets(peaks.recent(stale, cost.ring), peaks.elapsed(stale, now))
    states.looked[stale] = now
    peaks.changed[stale] = False
    return _enclosed(states.cheapest[rows], _needed(model, rows, now), memory, minimum)


@dataclass(frozen=True)
class Evidence:
    """All that the memory targets of n containers are decided from at one time, but the policy."""

    peaks: NDArray[np.float32]
    """(n, ring), as CostPolicy.targets takes them"""
    elapsed: Floats
    memory: Bounds
    """VPA's way"""
    minimum: Amounts
    needed: Amounts
    """bytes: what an OOM kill that is still remembered showed to be needed, else 0"""

    def decide(self, cost: CostPolicy) -> Bounds:
        """What `by_cost` makes of it with this policy."""
        return _enclosed(cost.targets(self.peaks, self.elapsed), self.needed, self.memory, self.minimum)


def evidence(model: Model, rows: Rows, containers: Amounts, now: float, estimation: Estimation) -> Evidence:
    """What is known of states `rows` at Unix time `now`, s; many policies can decide from it."""
    memory = recommend(model.states, rows, containers, estimation).memory
    peaks = model.states.peaks
    known = peaks.recent(rows, DAYS), peaks.elapsed(rows, now)
    return Evidence(*known, memory, minimums(containers, estimation)[1], _needed(model, rows, now))


def _needed(model: Model, rows: Rows, now: float) -> Amounts:
    peaks = model.states.peaks
    needed: Amounts = np.where(peaks.oom_time[rows] >= now - OOM_MEMORY, peaks.oom[rows], 0)
    return needed


def _enclosed(cheapest: Amounts, needed: Amounts, memory: Bounds, minimum: Amounts) -> Bounds:
    wanted = np.maximum(cheapest, needed)
    target = np.where(wanted > 0, np.maximum(wanted, minimum), memory.target)
    return Bounds(target, np.minimum(memory.lower, target), np.maximum(memory.upper, target))
