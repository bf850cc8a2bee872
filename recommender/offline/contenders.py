"""Policies that are compared with each other: each sees a usage file up to a time and says what to ask for next."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np

from recommender.estimate.recommend import Mode, decide
from recommender.input.usage_file import Usage
from recommender.model.buckets import Amounts, Floats
from recommender.model.containers import DAY, MISSING, Model
from recommender.offline.replay import Replay

MIB: Final = 1024**2


class Targets(NamedTuple):
    """What n containers should request; 0 where nothing is known."""

    cpu: Amounts
    """millicores"""
    memory: Amounts
    """bytes"""


class Contender(Protocol):
    """A policy under test."""

    def see(self, until: float, limit: Amounts | None) -> None:
        """Takes in the rows before Unix time `until`. Where memory passed `limit` (bytes), the container was killed."""
        ...

    def decide(self, at: float) -> Targets:
        """What each container should request from `at` on."""
        ...


class Modelled:
    """A policy of the recommender itself: VPA's twin, or the default mode."""

    def __init__(self, usage: Usage, chosen: Mode) -> None:
        self._mode = chosen
        self._replay = Replay(Model(chosen.aggregation), usage, by_time=True)

    def see(self, until: float, limit: Amounts | None) -> None:
        """See Contender."""
        self._replay.limit(limit)
        self._replay.run(until)

    def decide(self, at: float) -> Targets:
        """See Contender."""
        rows = self._replay.rows
        made = decide(self._replay.model, rows, np.ones(len(rows), dtype=np.int64), at, self._mode)
        started = self._replay.started
        return Targets(np.where(started, made.cpu.target, 0), np.where(started, made.memory.target, 0))

    def risks(self, at: float, amounts: Sequence[Amounts]) -> Sequence[Floats] | None:
        """The chance (n) of a day above each of `amounts` (n), bytes, at Unix time `at`, s; None without a policy."""
        if self._mode.policy is None:
            return None
        days = self._replay.model.states.peaks.days(self._replay.rows, at)
        return [self._mode.policy.risk(days, each) for each in amounts]


class Windowed:
    """A policy over the raw samples of a container's last `days` days, without memory of its own."""

    def __init__(self, usage: Usage, days: float) -> None:
        self._usage, self._days = usage.group_by_container(by_time=True), days
        self._until = 0.0
        sizes = np.bincount(self._usage.container, minlength=len(usage.names))
        self._ends = np.cumsum(sizes)

    def see(self, until: float, limit: Amounts | None) -> None:
        """See Contender; kills change nothing."""
        self._until = until

    def decide(self, at: float) -> Targets:
        """See Contender."""
        count = len(self._usage.names)
        cpu, memory = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        for index, (start, end) in enumerate(self._ranges(at)):
            past = slice(start, end)
            cpu[index] = self.cpu(_present(self._usage.cpu[past]))
            memory[index] = self.memory(_present(self._usage.memory[past]))
        return Targets(cpu, memory)

    def cpu(self, samples: Amounts) -> int:
        """Millicores from the window's samples."""
        raise NotImplementedError

    def memory(self, samples: Amounts) -> int:
        """Bytes from the window's samples."""
        raise NotImplementedError

    def span(self, times: Floats, at: float) -> tuple[int, int]:
        """Which of a container's samples, at sorted `times`, count: the window ends with the newest that was seen."""
        last = int(np.searchsorted(times, self._until))
        newest = times[last - 1] if last else at
        return int(np.searchsorted(times, min(at, newest) - self._days * DAY)), last

    def _ranges(self, at: float) -> list[tuple[int, int]]:
        ranges, begin = [], 0
        for end in self._ends.tolist():
            first, last = self.span(self._usage.time[begin:end], at)
            ranges.append((begin + first, begin + last))
            begin = end
        return ranges


class Krr(Windowed):
    """KRR's `simple` strategy: p95 of CPU, memory 1.15 × the maximum, over 14 days, at least 10m and 100 MiB."""

    def __init__(self, usage: Usage) -> None:
        super().__init__(usage, days=14)

    def cpu(self, samples: Amounts) -> int:
        """p95 (linear, as quantile_over_time), rounded up, at least 10 millicores."""
        return max(int(np.ceil(np.quantile(samples, 0.95))), 10) if len(samples) else 0

    def memory(self, samples: Amounts) -> int:
        """1.15 × the maximum, rounded up to MiB, at least 100 MiB."""
        return max(int(np.ceil(samples.max() * 1.15 / MIB)) * MIB, 100 * MIB) if len(samples) else 0


class Largest(Windowed):
    """The largest sample of seven days, nothing added, with VPA's minimums."""

    def __init__(self, usage: Usage) -> None:
        super().__init__(usage, days=7)

    def cpu(self, samples: Amounts) -> int:
        """The maximum, at least 25 millicores."""
        return max(int(samples.max()), 25) if len(samples) else 0

    def memory(self, samples: Amounts) -> int:
        """The maximum, at least 250 MiB."""
        return max(int(samples.max()), 250 * MIB) if len(samples) else 0


class Oracle(Windowed):
    """What the next interval will need, to the byte: a bound that no policy reaches."""

    def __init__(self, usage: Usage, interval: float) -> None:
        """`interval` is s between decisions."""
        super().__init__(usage, days=interval / DAY)

    def span(self, times: Floats, at: float) -> tuple[int, int]:
        """The samples to come."""
        first, last = np.searchsorted(times, (at, at + self._days * DAY))
        return int(first), int(last)

    def cpu(self, samples: Amounts) -> int:
        """The maximum, at least 1 millicore."""
        return max(int(samples.max()), 1) if len(samples) else 0

    def memory(self, samples: Amounts) -> int:
        """The maximum, at least 1 byte."""
        return max(int(samples.max()), 1) if len(samples) else 0


class Fixed:
    """Asks for the same all the time: what containers request today."""

    def __init__(self, usage: Usage, requests: Mapping[str, tuple[int, int]]) -> None:
        """`requests` are millicores and bytes by container; others are not scored."""
        asked = [requests.get(name, (0, 0)) for name in usage.names]
        self._targets = Targets(*(np.array(column, dtype=np.int64) for column in zip(*asked, strict=True)))

    def see(self, until: float, limit: Amounts | None) -> None:
        """See Contender; usage changes nothing."""

    def decide(self, at: float) -> Targets:
        """See Contender."""
        return self._targets


def _present(samples: Amounts) -> Amounts:
    present: Amounts = samples[samples != MISSING]
    return present
