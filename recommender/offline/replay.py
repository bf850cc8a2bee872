"""Replays a usage file through the model, as if its samples arrived now: each container is its own workload."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from recommender.input.usage_file import Usage
from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.containers import MISSING, Model
from recommender.model.runs import observe_runs


class Replay:
    """A model fed from a usage file, round by round: the k-th row of every container is one whole-array step."""

    def __init__(self, model: Model, usage: Usage, by_time: bool) -> None:
        """Rows of one container arrive in file order (what VPA would see), or sorted by time."""
        self.model, self.usage = model, usage.group_by_container(by_time)
        self.rows: Rows = model.states.take(len(usage.names))
        """The state of each container, in the order of `usage.names`."""
        self.instances = model.start(self.rows)
        self.late = 0
        """CPU samples not taken because a later one had been seen (or one of the same time)."""
        self.kills = 0
        """OOM kills that `limit` made."""
        sizes = np.bincount(self.usage.container, minlength=len(usage.names))
        self._end = np.cumsum(sizes)
        self._first = self._end - sizes
        self._next = self._first.copy()
        self._limit: Amounts | None = None
        self._alive: NDArray[np.bool_] = np.ones(len(usage.names), dtype=np.bool_)

    @property
    def started(self) -> NDArray[np.bool_]:
        """Which containers have had a row."""
        started: NDArray[np.bool_] = self._next > self._first
        return started

    def limit(self, limit: Amounts | None) -> None:
        """From here on memory above `limit`, bytes per container (0: none), is cut to it, as no process could have it.

        The first such sample of a container is also an OOM kill, once until `limit` is set anew.
        """
        self._limit = None if limit is None else np.where(limit > 0, limit, np.iinfo(np.int64).max)
        self._alive[:] = True

    def run_all(self) -> None:
        """Feeds everything; at once where that gives the same: by time, without kills, not in mode vpa."""
        usage = self.usage
        ordered = not np.any((np.diff(usage.time) < 0) & (np.diff(usage.container) == 0))
        if not ordered or (usage.oom != MISSING).any() or self.model.config.first_zero_peak or self._limit is not None:
            self.run()
            return
        self.late += observe_runs(self.model, self.instances[usage.container], usage.time, usage.cpu, usage.memory)
        self._next = self._end.copy()

    def run(self, until: float = np.inf, told: Callable[[int], None] | None = None) -> None:
        """Feeds what comes before Unix time `until` (per container: up to its first row that does not).

        `told` hears of the number of rows of every round.
        """
        for rows in self._rounds(until):
            self._feed(rows)
            if told:
                told(len(rows))

    def _rounds(self, until: float) -> Iterator[Rows]:
        active = np.flatnonzero(self._next < self._end)
        while len(active):
            rows = self._next[active]
            due = self.usage.time[rows] < until
            active, rows = active[due], rows[due]
            if len(rows):
                yield rows
            self._next[active] += 1
            active = active[self._next[active] < self._end[active]]

    def _feed(self, rows: Rows) -> None:
        usage, time = self.usage, self.usage.time[rows]
        containers = usage.container[rows]
        instances = self.instances[containers]
        present = usage.cpu[rows] != MISSING
        taken = self.model.observe_cpu(instances[present], usage.cpu[rows][present], time[present])
        self.late += int(np.count_nonzero(~taken))
        limit = None if self._limit is None else self._limit[containers]
        memory = usage.memory[rows] if limit is None else np.minimum(usage.memory[rows], limit)
        present = usage.memory[rows] != MISSING
        self.model.observe_memory(instances[present], memory[present], time[present])
        self._kill(usage.oom[rows] != MISSING, instances, usage.oom[rows], time)
        if limit is not None:
            over = self._alive[containers] & (usage.memory[rows] > limit)
            self._alive[containers[over]] = False
            self.kills += int(np.count_nonzero(over))
            self._kill(over, instances, limit, time)

    def _kill(self, killed: NDArray[np.bool_], instances: Rows, requests: Amounts, times: Floats) -> None:
        if killed.any():
            self.model.observe_oom(instances[killed], requests[killed], times[killed])
