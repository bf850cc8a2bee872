"""Replays a usage file through the model, as if its samples arrived now: each container is its own workload."""

from collections.abc import Iterator

import numpy as np

from recommender.buckets import Rows
from recommender.model import Model
from recommender.usage import MISSING, Usage


class Replay:
    """A model fed from a usage file, round by round: the k-th row of every container is one whole-array step."""

    def __init__(self, model: Model, usage: Usage, by_time: bool) -> None:
        """Rows of one container arrive in file order (what VPA would see), or sorted by time."""
        self.model, self.usage = model, usage.ordered(by_time)
        self.rows: Rows = model.states.take(len(usage.names))
        """The state of each container, in the order of `usage.names`."""
        self.instances = model.start(self.rows)
        self.late = 0
        """CPU samples not taken because a later one had been seen (or one of the same time)."""
        self._sizes = np.bincount(self.usage.container, minlength=len(usage.names))
        self._next = np.concatenate(([0], np.cumsum(self._sizes)[:-1]))
        self._end = np.cumsum(self._sizes)

    def run(self, until: float = np.inf) -> None:
        """Feeds what comes before Unix time `until` (per container: up to its first row that does not)."""
        for rows in self._rounds(until):
            self._feed(rows)

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
        usage = self.usage
        instances, time = self.instances[usage.container[rows]], usage.time[rows]
        for amounts, observe in (
            (usage.cpu[rows], self.model.observe_cpu),
            (usage.memory[rows], self.model.observe_memory),
        ):
            present = amounts != MISSING
            taken = observe(instances[present], amounts[present], time[present])
            if observe == self.model.observe_cpu:
                self.late += int(np.count_nonzero(~taken))
        killed = usage.oom[rows] != MISSING
        if killed.any():
            self.model.observe_oom(instances[killed], usage.oom[rows][killed], time[killed])
