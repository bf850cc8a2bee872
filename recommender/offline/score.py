"""How good targets were: slack, overruns, throttling, changes; per container, pooled, and with bootstrap intervals."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.input.usage_file import Usage
from recommender.model.buckets import Amounts, Floats
from recommender.model.containers import MISSING

CHANGE: Final = 0.1
"""A target that moves by more than this share counts as a change."""
HOUR: Final = 3600.0
GIB: Final = 1024.0**3


class Prices(NamedTuple):
    """Money per hour; any currency."""

    core: float
    gib: float


@dataclass
class Tally:
    """Sums per container (n) over all scored intervals; the unit of the sums is one sample."""

    memory_asked: Floats
    """bytes × samples"""
    memory_idle: Floats
    """bytes × samples that were asked for and not used"""
    cpu_asked: Floats
    cpu_idle: Floats
    cpu_samples: Floats
    cpu_over: Floats
    """samples with more CPU than asked for"""
    cpu_unmet: Floats
    """millicores × samples above what was asked for"""
    days: Floats
    """intervals with at least one memory sample and a target"""
    overruns: Floats
    """intervals with a memory sample above the target"""
    changes: Floats
    """intervals whose memory target differs from the one before by more than 10 %"""

    @classmethod
    def empty(cls, count: int) -> "Tally":
        """Nothing scored yet, for `count` containers."""
        return cls(*(np.zeros(count) for _ in range(10)))

    def add(self, usage: Usage, rows: NDArray[np.int64], cpu: Amounts, memory: Amounts, before: Amounts | None) -> None:
        """Scores one interval: its `rows` of usage against the targets `cpu` and `memory` (n)."""
        container, count = usage.container[rows], len(memory)
        self.add_memory(container, usage.memory[rows], memory)
        self._cpu(container, usage.cpu[rows], cpu, count)
        if before is not None:
            known = (before > 0) & (memory > 0)
            self.changes += known & (np.abs(memory - before) > CHANGE * before)

    def add_memory(self, container: NDArray[np.int64], used: Amounts, target: Amounts) -> None:
        """Scores the memory of one interval's samples, `used` bytes by `container`, against `target` (n), bytes."""
        count = len(target)
        scored = (used != MISSING) & (target[container] > 0)
        container, used = container[scored], used[scored]
        asked = target[container].astype(np.float64)
        self.memory_asked += np.bincount(container, asked, minlength=count)
        self.memory_idle += np.bincount(container, np.maximum(asked - used, 0), minlength=count)
        self.days += np.bincount(container, minlength=count) > 0
        self.overruns += np.bincount(container, used > asked, minlength=count) > 0

    def _cpu(self, container: NDArray[np.int64], used: Amounts, target: Amounts, count: int) -> None:
        scored = (used != MISSING) & (target[container] > 0)
        container, used = container[scored], used[scored]
        asked = target[container].astype(np.float64)
        self.cpu_asked += np.bincount(container, asked, minlength=count)
        self.cpu_idle += np.bincount(container, np.maximum(asked - used, 0), minlength=count)
        self.cpu_samples += np.bincount(container, minlength=count)
        self.cpu_over += np.bincount(container, used > asked, minlength=count)
        self.cpu_unmet += np.bincount(container, np.maximum(used - asked, 0), minlength=count)


class Summary(NamedTuple):
    """The numbers of one policy over some containers."""

    memory_slack: float
    """share of the memory asked for that was idle, pooled over containers and time"""
    median_slack: float
    """the median container's own share"""
    cpu_slack: float
    overruns: int
    days: int
    throttled: float
    """share of CPU samples above the target"""
    changes: float
    """changes of the memory target by more than 10 %, per container-day"""
    cost: float
    """money for the scored time at the given prices, 0 without"""

    @property
    def overrun_rate(self) -> float:
        """Share of container-days with a memory overrun."""
        return self.overruns / self.days if self.days else 0.0


def summary(tally: Tally, members: NDArray[np.int64], step: float, prices: Prices | None = None) -> Summary:
    """The numbers over `members` (indices; repeats count again); `step` is seconds per sample."""
    asked, idle = tally.memory_asked[members], tally.memory_idle[members]
    days = tally.days[members].sum()
    scored = asked > 0
    own = idle[scored] / asked[scored]
    return Summary(
        memory_slack=_ratio(idle.sum(), asked.sum()),
        median_slack=float(np.median(own)) if len(own) else 0.0,
        cpu_slack=_ratio(tally.cpu_idle[members].sum(), tally.cpu_asked[members].sum()),
        overruns=int(tally.overruns[members].sum()),
        days=int(days),
        throttled=_ratio(tally.cpu_over[members].sum(), tally.cpu_samples[members].sum()),
        changes=_ratio(tally.changes[members].sum(), days),
        cost=_cost(tally, members, step, prices),
    )


def bootstrap(
    tallies: list[Tally], members: NDArray[np.int64], step: float, *, rounds: int, seed: int
) -> list[list[Summary]]:
    """Summaries of each policy over the same resampled containers: rounds × policies (a paired bootstrap)."""
    random = np.random.default_rng(seed)
    draws = (random.choice(members, len(members)) for _ in range(rounds))
    return [[summary(tally, drawn, step) for tally in tallies] for drawn in draws]


def interval(values: list[float], level: float = 0.95) -> tuple[float, float]:
    """The middle `level` of the values."""
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _cost(tally: Tally, members: NDArray[np.int64], step: float, prices: Prices | None) -> float:
    if prices is None:
        return 0.0
    cores = tally.cpu_asked[members].sum() / 1000 * step / HOUR
    gib = tally.memory_asked[members].sum() / GIB * step / HOUR
    return float(cores * prices.core + gib * prices.gib)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
