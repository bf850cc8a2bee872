"""Whether a printed risk is true: of the days to which a chance was printed, the share that passed the amount."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Amounts, Floats
from recommender.offline.score import interval

EDGES: Final = (0.01, 0.02, 0.035, 0.055, 0.08, 0.12, 0.2, 0.35)
"""Printed risks at which buckets end."""
ENOUGH: Final = 100.0
"""Expected overruns below which a bucket is merged with the next: fewer say little."""
AROUND: Final = (0.6, 0.8, 1.0, 1.25, 1.6)
"""Multiples of the target at which a risk is printed too, as `report` does for the request in force."""


@dataclass(frozen=True)
class Bucket:
    """Container-days to which a risk from `low` to `high` was printed."""

    low: float
    high: float
    days: int
    expected: float
    """overruns: the sum of the printed risks"""
    realised: int
    interval: tuple[float, float]
    """95 % of a bootstrap over containers: realised over expected"""

    @property
    def ratio(self) -> float:
        """Realised over printed; 0 where nothing was expected."""
        return self.realised / self.expected if self.expected else 0.0

    def record(self, what: str) -> dict[str, Any]:
        """For tables and CSV."""
        return {
            "amounts": what,
            "printed_risk": f"{self.low:.1%} to {self.high:.1%}",
            "days": self.days,
            "printed": self.expected / max(self.days, 1),
            "realised": self.realised / max(self.days, 1),
            "ratio": self.ratio,
            "ratio_95": f"{self.interval[0]:.2f} to {self.interval[1]:.2f}",
        }


class Calibration:
    """Printed risks and what became of them, by bucket and container."""

    def __init__(self, containers: int) -> None:
        shape = len(EDGES) + 1, containers
        self._days, self._expected, self._realised = (np.zeros(shape) for _ in range(3))

    def add(self, risk: Floats, passed: NDArray[np.bool_], scored: NDArray[np.bool_]) -> None:
        """One day of all containers (n): what was printed, whether the peak was above, whether there was any sample."""
        container = np.flatnonzero(scored)
        cell = np.searchsorted(EDGES, risk[container]), container
        np.add.at(self._days, cell, 1)
        np.add.at(self._expected, cell, risk[container])
        np.add.at(self._realised, cell, passed[container])

    @property
    def has_any(self) -> bool:
        """Whether any risk was printed."""
        return bool(self._days.any())

    def buckets(self, rounds: int = 1000, seed: int = 1) -> list[Bucket]:
        """The buckets from the lowest risk up, merged so that each has enough expected overruns."""
        random, count = np.random.default_rng(seed), self._days.shape[1]
        draws = [np.bincount(random.integers(count, size=count), minlength=count) for _ in range(rounds)]
        edges = (0.0, *EDGES, 1.0)
        merged = []
        for first, last in self._groups():
            cells = slice(first, last + 1)
            days, expected, realised = (
                each[cells].sum(axis=0) for each in (self._days, self._expected, self._realised)
            )
            ratios = [float(realised @ drawn / max(expected @ drawn, 1e-9)) for drawn in draws]
            sums = int(days.sum()), float(expected.sum()), int(realised.sum())
            merged.append(Bucket(edges[first], edges[last + 1], *sums, interval(ratios) if ratios else (0.0, 0.0)))
        return merged

    def _groups(self) -> list[tuple[int, int]]:
        """First and last cell of each bucket; what is left at the end joins the one before."""
        expected = self._expected.sum(axis=1)
        groups, first = [], 0
        for last in range(len(expected)):
            if expected[first : last + 1].sum() >= ENOUGH:
                groups.append((first, last))
                first = last + 1
        if first < len(expected) and (expected[first:].sum() > 0 or not groups):
            groups = [*groups[:-1], (groups[-1][0] if groups else 0, len(expected) - 1)]
        return groups


class Calibrations:
    """Of one walk: of the targets, and of the amounts around them."""

    def __init__(self, containers: int) -> None:
        self.at_target, self.around = Calibration(containers), Calibration(containers)

    def add(self, amounts: Amounts, risks: Sequence[Floats], peaks: Amounts, scored: NDArray[np.bool_]) -> None:
        """One day: targets and peaks, bytes (n), and the risks (n) printed to each of AROUND times the targets."""
        for multiple, risk in zip(AROUND, risks, strict=True):
            passed = peaks > (amounts * multiple).astype(np.int64)
            self.around.add(risk, passed, scored)
            if multiple == 1.0:
                self.at_target.add(risk, passed, scored)

    @property
    def has_any(self) -> bool:
        """Whether any risk was printed."""
        return self.at_target.has_any

    def records(self, rounds: int = 1000) -> list[dict[str, Any]]:
        """One per bucket."""
        kinds = (("targets", self.at_target), ("0.6 to 1.6 x targets", self.around))
        return [bucket.record(what) for what, kind in kinds for bucket in kind.buckets(rounds)]
