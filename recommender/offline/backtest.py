"""Walks forward over usage: decide from the past only, score the next interval, replay OOM kills."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.config import mode
from recommender.estimate.policy import RiskPolicy
from recommender.input.usage_file import Usage
from recommender.model.buckets import Amounts
from recommender.model.containers import DAY, MISSING
from recommender.offline.calibration import AROUND, Calibrations
from recommender.offline.contenders import Contender, Krr, Largest, Modelled, Oracle, Targets
from recommender.offline.score import Tally
from recommender.settings import Settings


@dataclass(frozen=True)
class Walk:
    """How a backtest walks."""

    interval: float = DAY
    """s between decisions, which is what one 'day' of the metrics is"""
    warmup: float = 7 * DAY
    """s of history before the first decision"""
    kills: bool = True
    """Whether usage above the target is told to the policies as an OOM kill (once per interval and container)."""


POLICIES: Final[Mapping[str, Callable[[Usage, Walk], Contender]]] = {
    "vpa": lambda usage, how: Modelled(usage, mode(Settings(mode="vpa"))),
    "vpa-fixed": lambda usage, how: Modelled(usage, mode(Settings(mode="vpa", fix_zero_peak=True))),
    "krr": lambda usage, how: Krr(usage),
    "max": lambda usage, how: Largest(usage),
    "oracle": lambda usage, how: Oracle(usage, how.interval),
    "default": lambda usage, how: Modelled(usage, mode(Settings())),
}
"""By name: vpa to the last bit, vpa without its zero-peak bug, KRR's simple strategy, the week's maximum, the next
interval's maximum (which nobody can know: the least slack without an overrun), ours."""


def with_risk_ceiling(risk: float) -> Callable[[Usage], Contender]:
    """Our policy with another ceiling of the risk: a point of the cost-against-risk curve."""
    chosen = replace(mode(Settings()), policy=RiskPolicy(ceiling=risk))
    return lambda usage: Modelled(usage, chosen)


def with_safety_margin(margin: float) -> Callable[[Usage], Contender]:
    """VPA's policy (vpa-fixed) with another safety margin: a point of its curve."""
    return lambda usage: Modelled(usage, mode(Settings(mode="vpa", fix_zero_peak=True, margin=margin)))


def intervals(ordered: Usage, how: Walk) -> Iterator[tuple[float, NDArray[np.int64]]]:
    """Each decision's Unix time, s, with the rows of usage in the interval after it; the first after the warm-up."""
    start = float(ordered.time.min()) + how.warmup
    edges = np.arange(start, float(ordered.time.max()) + how.interval, how.interval)
    slot = np.floor((ordered.time - start) / how.interval).astype(np.int64)
    by_slot = np.argsort(slot, kind="stable")
    borders = np.searchsorted(slot[by_slot], np.arange(len(edges) + 1))
    for index, edge in enumerate(edges):
        yield float(edge), by_slot[borders[index] : borders[index + 1]]


def walk(usage: Usage, contender: Contender, how: Walk, calibrations: Calibrations | None = None) -> Tally:
    """The tally of one policy over the whole file; `calibrations` takes in the risks that it prints, if it does."""
    ordered = usage.group_by_container(by_time=True)
    tally = Tally.empty(len(usage.names))
    before: Targets | None = None
    for edge, rows in intervals(ordered, how):
        contender.see(edge, _limit(before, how))
        targets = contender.decide(edge)
        tally.add(ordered, rows, targets.cpu, targets.memory, before.memory if before else None)
        if calibrations is not None and isinstance(contender, Modelled):
            _calibrate(calibrations, contender, edge, targets.memory, ordered.select(rows))
        before = targets
    return tally


def _calibrate(calibrations: Calibrations, contender: Modelled, at: float, targets: Amounts, after: Usage) -> None:
    """Compares the risks printed at Unix time `at`, s, with what was used after it."""
    risks = contender.risks(at, [(targets * multiple).astype(np.int64) for multiple in AROUND])
    if risks is None:
        return
    present = after.memory != MISSING
    peaks = np.zeros(len(targets), dtype=np.int64)
    np.maximum.at(peaks, after.container[present], after.memory[present])
    seen = np.bincount(after.container[present], minlength=len(targets)) > 0
    calibrations.add(targets, risks, peaks, seen & (targets > 0))


def _limit(before: Targets | None, how: Walk) -> Amounts | None:
    return before.memory if before is not None and how.kills else None


def sample_step(usage: Usage) -> float:
    """The usual distance of two samples of a container, s."""
    ordered = usage.group_by_container(by_time=True)
    steps = np.diff(ordered.time)[np.diff(ordered.container) == 0]
    return float(np.median(steps)) if len(steps) else 60.0


def halves(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A random split of containers 0 … count - 1 in two: to tune on, to report on."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])
