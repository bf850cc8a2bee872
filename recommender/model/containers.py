"""What is known of every container: aggregate states (one per workload's container) and the instances that feed them.

The rules are VPA's (model/container.go, model/aggregate_container_state.go). States are rows of arrays; nothing here
loops over containers. Times are Unix seconds; a time that has not come yet is `NEVER`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import CPU, MEMORY, Amounts, Floats, Rows
from recommender.model.histogram import NEVER, Histograms
from recommender.model.peaks import OOM_MEMORY, Peaks
from recommender.model.table import Table

CPU_WEIGHT: Final = 0.1
"""The weight of a CPU sample (VPA's minSampleWeight)."""
PEAK_WEIGHT: Final = 1.0
"""The weight of a memory peak."""
DAY: Final = 86400.0
MOST: Final[Mapping[str, int]] = {"cpu": 7, "memory": 6}
"""Units of 8 buckets that a bounded histogram may take: at full resolution 0 to 2.8 cores, 0 to 1.8 GB; twice as
coarse to 47 cores, 21 GB; so that a container's state is at most 800 bytes."""
LEVEL: Final = 3600.0
"""s after which a CPU sample weighs 1/e in what an instance is said to use."""
RENEWED: Final = 120.0
"""s in which all pods' metrics are renewed: a sample that is older than a checkpoint's newest by less was in it."""
MISSING: Final = -1
"""Stands for 'no such sample' in arrays of amounts."""
MAX_AMOUNT: Final = 10**14
"""VPA's largest amount: 1e14 millicores or bytes."""

MAX_EPOCH: Final = 253402300800.0
"""Unix s of the year 10000: a larger one is in milliseconds."""


@dataclass(frozen=True)
class Aggregation:
    """How samples become histograms; the defaults are VPA's flags."""

    memory_interval: float = DAY
    """s: one memory peak is kept per interval and container instance."""
    memory_interval_count: int = 8
    memory_half_life: float = DAY
    cpu_half_life: float = DAY
    oom_bump_ratio: float = 1.2
    oom_min_bump: float = 100 * 1024 * 1024
    """bytes"""
    daily_peaks: bool = False
    """Whether the last four weeks' daily peaks are kept too, for the default mode."""
    bounded: bool = False
    """Whether a container's histograms are bounded in size: single precision, and coarser where use spreads widely."""
    first_zero_peak: bool = False
    """True is VPA's bug: where a window's first memory sample is 0, no later sample of that window counts."""


class States(Table):
    """Aggregate states: what is remembered of a workload's container, whichever pods ran it."""

    first_sample: Floats
    last_sample: Floats
    samples: Amounts
    """CPU samples; VPA counts only those."""
    bump_ratio: Floats
    bump_bytes: Floats
    interval: Floats
    """s: length of this container's memory window."""
    wanted: Amounts
    """bytes: what the default mode's policy asks for, as of …"""
    looked: Floats
    """… Unix time, s"""
    resumed: Floats
    """Unix time, s, of the newest sample in the checkpoint that it was resumed from"""

    def __init__(self, config: Aggregation) -> None:
        super().__init__(
            first_sample=NEVER, last_sample=NEVER, samples=0, wanted=0, looked=NEVER, resumed=NEVER,
            bump_ratio=config.oom_bump_ratio, bump_bytes=config.oom_min_bump, interval=config.memory_interval,
        )  # fmt: skip
        most = MOST if config.bounded else {}
        self.cpu = Histograms(CPU, config.cpu_half_life, most.get("cpu"))
        self.memory = Histograms(MEMORY, config.memory_half_life, most.get("memory"))
        self.peaks = Peaks()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return super().nbytes + self.cpu.nbytes + self.memory.nbytes + self.peaks.nbytes

    def grow(self, rows: int) -> None:
        """Room for `rows` more, empty."""
        super().grow(rows)
        self.cpu.extend(rows)
        self.memory.extend(rows)
        self.peaks.extend(rows)

    def release(self, rows: Rows) -> None:
        """Forgets rows; their numbers are used again."""
        super().release(rows)
        self.cpu.clear(rows)
        self.memory.clear(rows)
        self.peaks.clear(rows)


class Instances(Table):
    """Running containers: of each, which state it feeds and where its current memory window stands."""

    state: Amounts
    last_cpu: Floats
    last_memory: Floats
    last_read: Floats
    """Unix time, s, of the memory sample that came last"""
    cpu_level: Floats
    """millicores: an average in which a sample an hour old weighs 1/e of a new one"""
    window_end: Floats
    peak: Amounts
    """bytes: the largest usage of the window."""
    oom_peak: Amounts
    """bytes: the largest need estimated from an OOM kill in the window."""

    def __init__(self) -> None:
        super().__init__(
            state=0, last_cpu=NEVER, last_memory=NEVER, last_read=NEVER, cpu_level=0.0, window_end=NEVER, peak=0,
            oom_peak=0,
        )  # fmt: skip


class Model:
    """All states and instances, and what a sample does to them."""

    def __init__(self, config: Aggregation | None = None) -> None:
        self.config = config or Aggregation()
        self.states = States(self.config)
        self.instances = Instances()

    @property
    def nbytes(self) -> int:
        """Bytes held for all containers."""
        return self.states.nbytes + self.instances.nbytes

    def live(self) -> Rows:
        """The rows of all running instances."""
        return self.instances.rows()

    def live_states(self) -> Rows:
        """The rows of all states."""
        return self.states.rows()

    def stop(self, instances: Rows) -> None:
        """Ends instances (unique); what they fed into their states stays."""
        self.instances.release(instances)

    def start(self, states: Rows) -> Rows:
        """New instances that feed `states`; returns their rows."""
        rows = self.instances.take(len(states))
        self.instances.state[rows] = states
        return rows

    def observe_cpu(self, instances: Rows, millicores: Amounts, times: Floats) -> NDArray[np.bool_]:
        """Adds CPU samples, at most one per instance; returns which were taken (not late, repeated or negative)."""
        fresh: NDArray[np.bool_] = (millicores >= 0) & (times > self.instances.last_cpu[instances])
        taken, at = instances[fresh], times[fresh]
        states = self.instances.state[taken]
        self.states.cpu.add(states, millicores[fresh], CPU_WEIGHT, at)
        weight = -np.expm1((self.instances.last_cpu[taken] - at) / LEVEL)
        self.instances.cpu_level[taken] += weight * (millicores[fresh] - self.instances.cpu_level[taken])
        self.instances.last_cpu[taken] = at
        np.maximum.at(self.states.last_sample, states, at)
        first = self.states.first_sample
        unset = states[first[states] == NEVER]
        first[unset] = np.inf
        np.minimum.at(first, states, at)
        np.add.at(self.states.samples, states, 1)
        return fresh

    def observe_memory(self, instances: Rows, amounts: Amounts, times: Floats) -> NDArray[np.bool_]:
        """Adds memory samples, at most one per instance; returns which were taken (not late or negative).

        The daily peaks take late ones too, so that neither a kill nor a clock that was ahead hides what came before,
        but none twice: whoever looks more often than metrics are renewed would take a lone reading for a repeated one.
        """
        if self.config.daily_peaks:
            new = (amounts >= 0) & self.is_new(instances, times, self.instances.last_read[instances])
            self.states.peaks.add(self.instances.state[instances[new]], amounts[new], times[new])
            self.instances.last_read[instances] = times
        fresh: NDArray[np.bool_] = (amounts >= 0) & (times >= self.instances.last_memory[instances])
        taken, amounts, times = instances[fresh], amounts[fresh], times[fresh]
        self._window(taken, amounts, times, self.instances.peak)
        return fresh

    def is_new(self, instances: Rows, times: Floats, last: Floats) -> NDArray[np.bool_]:
        """Whether memory samples are others than the `last` of each, and than those that a checkpoint ended with."""
        resumed = self.states.resumed[self.instances.state[instances]]
        new: NDArray[np.bool_] = (times != last) & ((times > resumed) | (times <= resumed - RENEWED))
        return new

    def observe_oom(self, instances: Rows, requests: Amounts, times: Floats) -> NDArray[np.bool_]:
        """Records OOM kills, at most one per instance, with the memory request in force (0: none).

        The need is the larger of request and window peak, plus the larger of a share and a fixed amount; it counts as
        a peak. Kills older than the last sample by more than a window are not taken. To the daily peaks, which take
        late ones too, a kill is worth the request alone: what was read is there as readings. Where there are daily
        peaks, a kill of which neither a request nor any sample is known says nothing.
        """
        states = self.instances.state[instances]
        if self.config.daily_peaks:
            self.states.peaks.add_oom(states, self._memory_needed(states, requests), times, OOM_MEMORY)
        last = self.instances.last_memory[instances]
        fresh: NDArray[np.bool_] = (last == NEVER) | (times >= last - self.states.interval[states])
        if self.config.daily_peaks:
            fresh &= (requests > 0) | (last != NEVER)
        taken, states = instances[fresh], states[fresh]
        requests, times, peak = requests[fresh], times[fresh], self.instances.peak[taken]
        self._window(taken, self._memory_needed(states, np.maximum(requests, peak)), times, self.instances.oom_peak)
        return fresh

    def _memory_needed(self, states: Rows, used: Amounts) -> Amounts:
        """What would have been enough for what was killed at `used` bytes."""
        share = truncate(used * self.states.bump_ratio[states])
        needed: Amounts = np.maximum(used + truncate(self.states.bump_bytes[states]), share)
        return needed

    def _window(self, instances: Rows, amounts: Amounts, times: Floats, kind: Amounts) -> None:
        """Keeps one peak per window: a larger sample replaces the window's peak, both stamped with the window's end."""
        table = self.instances
        table.last_memory[instances] = times
        states = table.state[instances]
        end = table.window_end[instances]
        end = np.where(end == NEVER, times, end)
        interval = self.states.interval[states]
        new_window = times >= end
        end = np.where(new_window, end + np.floor((times - end) / interval) * interval + interval, end)
        table.window_end[instances] = end
        old = np.maximum(table.peak[instances], table.oom_peak[instances])
        raised = ~new_window & (amounts > old)
        replaced = raised & (old != 0)
        if self.config.first_zero_peak:
            raised = replaced
        table.peak[instances[new_window]] = 0
        table.oom_peak[instances[new_window]] = 0
        memory = self.states.memory
        # A window that began with 0 holds a sample of 0 in the histogram: it goes like any other peak.
        gone = replaced if self.config.first_zero_peak else raised
        memory.subtract(states[gone], old[gone], PEAK_WEIGHT, end[gone])
        added = raised | new_window
        memory.add(states[added], amounts[added], PEAK_WEIGHT, end[added])
        kind[instances[added]] = amounts[added]


def truncate(amounts: Floats | Amounts) -> Amounts:
    """Amounts as whole numbers, as VPA's resourceAmountFromFloat on amd64: toward zero, 0 to 1e14.

    NaN (an empty histogram without confidence: 0 × infinity) becomes the least number there, and the minimum that is
    applied last stands; so it is 0 here.
    """
    bounded = np.clip(np.nan_to_num(amounts, nan=0.0, posinf=MAX_AMOUNT, neginf=0.0), 0.0, float(MAX_AMOUNT))
    whole: Amounts = bounded.astype(np.int64)
    return whole
