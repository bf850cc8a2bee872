"""One recommendation for many containers: VPA's estimators, and on top of them what the default mode does better."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.estimate.estimators import Bounds, Estimation, Recommendation, minimums, recommend
from recommender.estimate.policy import RiskPolicy
from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.containers import Aggregation, Model, States
from recommender.model.histogram import NEVER
from recommender.model.peaks import Days, level

LOWEST: Final = int(level(np.ones(1))[0])
"""The level of what is below 1 MB"""
LOOK_AGAIN: Final = 3600.0
"""s after which a target is reckoned anew although no peak changed: the day has moved on."""


@dataclass(frozen=True)
class Mode:
    """Everything that decides what numbers come out."""

    aggregation: Aggregation
    estimation: Estimation
    policy: RiskPolicy | None
    """None: memory as VPA does it."""
    needs_samples: bool = False
    """Whether a resource of which no sample is known gets no number; VPA says the minimum."""


def decide(model: Model, rows: Rows, containers: Amounts, now: float, chosen: Mode) -> Recommendation:
    """The recommendation for states `rows`, each one of `containers` in its pod, at Unix time `now`, s."""
    by_percentile = recommend(model.states, rows, containers, chosen.estimation)
    cpu, memory = by_percentile.cpu, by_percentile.memory
    if chosen.policy is not None:
        minimum = minimums(containers, chosen.estimation)[1]
        memory = by_risk(model, rows, now, memory=memory, minimum=minimum, policy=chosen.policy)
    if chosen.needs_samples:
        sampled = has_samples(model.states, rows)
        cpu, memory = _of_known(cpu, sampled[0]), _of_known(memory, sampled[1])
    return Recommendation(cpu, memory)


def has_samples(states: States, rows: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(whether each of `rows` has samples of CPU, whether it has samples of memory).

    No process runs in less than 1 MB: where every reading of four weeks is below, nothing was measured.
    """
    peaks = states.peaks
    memory = (states.memory.total[rows] > 0) | (peaks.first[rows] != NEVER)
    empty = (peaks.newest(rows) <= LOWEST) & (peaks.oom[rows] == 0)
    doubtful = np.flatnonzero(empty)
    empty[doubtful] = peaks.ring[rows[doubtful]].max(axis=1, initial=0) == LOWEST
    return states.cpu.total[rows] > 0, memory & ~empty


def since(states: States, rows: Rows) -> Floats:
    """Unix time, s (n): from when on every resource that has samples has had them; infinite where that is not known.

    Memory's first sample is the daily peaks' (a checkpoint of VPA's own has none of them), else taken as CPU's.
    """
    cpu, memory = has_samples(states, rows)
    first, first_peak = states.first_sample[rows], states.peaks.first[rows]
    memory_first = np.where(first_peak != NEVER, first_peak, first)
    begun = np.maximum(np.where(cpu, first, -np.inf), np.where(memory, memory_first, -np.inf))
    never = (cpu & (first == NEVER)) | (memory & (memory_first == NEVER)) | ~(cpu | memory)
    start: Floats = np.where(never, np.inf, begun)
    return start


def by_risk(model: Model, rows: Rows, now: float, *, memory: Bounds, minimum: Amounts, policy: RiskPolicy) -> Bounds:
    """VPA's memory bounds with the target replaced by the policy's; the bounds are moved to enclose it.

    Looks anew only at states whose peaks have changed, or that were looked at an hour ago; a model is asked with one
    policy only.
    A state without daily peaks (resumed from another recommender's checkpoint) keeps VPA's target.
    """
    states, peaks = model.states, model.states.peaks
    stale = rows[peaks.changed[rows] | (np.abs(now - states.looked[rows]) >= LOOK_AGAIN)]
    states.wanted[stale] = policy.targets(peaks.days(stale, now))
    states.looked[stale] = now
    peaks.changed[stale] = False
    return _enclose(states.wanted[rows], memory, minimum)


@dataclass(frozen=True)
class Evidence:
    """All that the memory targets of n containers are decided from at one time, but the policy."""

    days: Days
    memory: Bounds
    """VPA's way"""
    minimum: Amounts

    def decide(self, policy: RiskPolicy) -> Bounds:
        """What `by_risk` makes of it with this policy."""
        return _enclose(policy.targets(self.days), self.memory, self.minimum)


def evidence(model: Model, rows: Rows, containers: Amounts, now: float, estimation: Estimation) -> Evidence:
    """What is known of states `rows` at Unix time `now`, s; many policies can decide from it."""
    memory = recommend(model.states, rows, containers, estimation).memory
    return Evidence(model.states.peaks.days(rows, now), memory, minimums(containers, estimation)[1])


def _enclose(wanted: Amounts, memory: Bounds, minimum: Amounts) -> Bounds:
    target = np.where(wanted > 0, np.maximum(wanted, minimum), memory.target)
    return Bounds(target, np.minimum(memory.lower, target), np.maximum(memory.upper, target), memory.known)


def _of_known(bounds: Bounds, sampled: NDArray[np.bool_]) -> Bounds:
    """No numbers where nothing was sampled."""
    target, lower, upper = (np.where(sampled, each, 0) for each in (bounds.target, bounds.lower, bounds.upper))
    return Bounds(target, lower, upper, sampled)
