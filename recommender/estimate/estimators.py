"""From histograms to numbers: percentile, margin, confidence, minimum, for all containers at once (VPA's logic/)."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.containers import DAY, States, truncate
from recommender.model.gomath import power
from recommender.model.histogram import Histograms

MINUTE: Final = 60.0


class Fractions(NamedTuple):
    """Which share of the weight each number covers, 0 to 1."""

    target: float = 0.9
    lower: float = 0.5
    upper: float = 0.95


DEFAULT_FRACTIONS: Final = Fractions()


@dataclass(frozen=True)
class Estimation:
    """The settings of the estimators; the defaults are VPA's flags."""

    margin: float = 0.15
    """Share added on top of a percentile."""
    cpu: Fractions = DEFAULT_FRACTIONS
    memory: Fractions = DEFAULT_FRACTIONS
    cpu_confidence: float = DAY
    """s of history (at a sample a minute) that count as confidence 1."""
    memory_confidence: float = DAY
    pod_minimum_cpu: float = 25
    """millicores for all containers of a pod together"""
    pod_minimum_memory: float = 250
    """MiB for all containers of a pod together"""
    inside_buckets: bool = False
    """False is VPA's: a percentile is the end of its bucket, so that idle is 10 millicores. True: a place inside it."""


@dataclass(frozen=True)
class Bounds:
    """One resource's numbers for n containers: millicores or bytes."""

    target: Amounts
    lower: Amounts
    upper: Amounts
    known: NDArray[np.bool_]
    """Whether there is a number: where there is none, the others are 0. VPA gives one even without any sample."""


@dataclass(frozen=True)
class Recommendation:
    """Both resources' numbers for n containers."""

    cpu: Bounds
    memory: Bounds


def recommend(states: States, rows: Rows, containers: Amounts, settings: Estimation) -> Recommendation:
    """VPA's recommendation for `rows`; `containers` (n) is how many share each one's pod and so the pod's minimum."""
    minimum_cpu, minimum_memory = minimums(containers, settings)
    cpu_confidence = confidence(states, rows, settings.cpu_confidence)
    memory_confidence = confidence(states, rows, settings.memory_confidence)
    return Recommendation(
        cpu=_bounds(
            states.cpu, rows, settings, fractions=settings.cpu, confidences=cpu_confidence, minimum=minimum_cpu
        ),
        memory=_bounds(
            states.memory,
            rows,
            settings,
            fractions=settings.memory,
            confidences=memory_confidence,
            minimum=minimum_memory,
        ),
    )


def minimums(containers: Amounts, settings: Estimation) -> tuple[Amounts, Amounts]:
    """Each container's least CPU, millicores, and memory, bytes: an equal share of the pod's."""
    share = 1.0 / np.maximum(containers, 1)
    cpu = truncate(np.array([settings.pod_minimum_cpu * 0.001 * 1000.0]))
    memory = truncate(np.array([settings.pod_minimum_memory * 1024 * 1024]))
    return truncate(np.multiply(cpu, share)), truncate(np.multiply(memory, share))


def confidence(states: States, rows: Rows, interval: float) -> Floats:
    """How much history there is: N for N intervals of one CPU sample a minute, less where samples are rarer."""
    lifespan = (states.last_sample[rows] - states.first_sample[rows]) / interval
    return np.minimum(lifespan, states.samples[rows] / (interval / MINUTE))


def with_margin(amounts: Amounts, margin: float) -> Amounts:
    """The amounts and the share `margin` of them, truncated apart."""
    return np.add(amounts, truncate(np.multiply(amounts, margin)))


def with_confidence(amounts: Amounts, multiplier: float, exponent: float, confidences: Floats) -> Amounts:
    """amount × (1 + multiplier / confidence)^exponent; without any confidence the factor is infinite, or 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return truncate(np.multiply(amounts, power(1.0 + multiplier / confidences, exponent)))


def _bounds(
    histograms: Histograms,
    rows: Rows,
    settings: Estimation,
    *,
    fractions: Fractions,
    confidences: Floats,
    minimum: Amounts,
) -> Bounds:
    wanted = (fractions.target, fractions.lower, fractions.upper)
    values = histograms.percentiles(wanted, rows, settings.inside_buckets)
    amounts = (truncate(value * histograms.buckets.per_unit) for value in values)
    target, lower, upper = (with_margin(amount, settings.margin) for amount in amounts)
    return Bounds(
        target=np.maximum(target, minimum),
        lower=np.maximum(with_confidence(lower, 0.001, -2.0, confidences), minimum),
        upper=np.maximum(with_confidence(upper, 1.0, 1.0, confidences), minimum),
        known=np.ones(len(rows), dtype=np.bool_),
    )
