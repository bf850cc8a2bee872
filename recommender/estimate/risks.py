"""The chance that a day passes a memory target as it is written: after rounding, policies' limits and HPAs. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from adapter.units.quantity import Quantity
from recommender.estimate.policy import CHUNK, RiskPolicy
from recommender.estimate.recommend import LOOK_AGAIN
from recommender.model.containers import States

STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""What a chance is rounded up to, beside the ceiling: it moves from hour to hour, and each other number is a write."""

Container: TypeAlias = tuple[str, str, str]
"""Namespace, VPA, container."""


class Asked(NamedTuple):
    """A memory target as it is written, of the container whose state is `row`."""

    container: Container
    row: int
    memory: str


class _Known(NamedTuple):
    asked: Asked
    at: float
    """Unix s."""
    chance: float | None


class Risks:
    """Remembers what was reckoned, and reckons anew once an hour and where the target is another."""

    def __init__(self, policy: RiskPolicy) -> None:
        self._policy = policy
        self._steps = sorted({*STEPS, policy.ceiling})
        self._known: dict[Container, _Known] = {}

    @property
    def ceiling(self) -> float:
        """The most that a target's chance may be where nothing but the policy decides it, 0 to 1."""
        return self._policy.ceiling

    def of(self, states: States, asked: Sequence[Asked], now: float) -> Mapping[Container, float]:
        """The chances at Unix time `now`, s, rounded up; none of a container without daily peaks."""
        stale = [one for one in asked if not self._is_fresh(one, now)]
        for start in range(0, len(stale), CHUNK):
            self._reckon(states, stale[start : start + CHUNK], now)
        self._known = {one.container: self._known[one.container] for one in asked}
        return {name: known.chance for name, known in self._known.items() if known.chance is not None}

    def _is_fresh(self, one: Asked, now: float) -> bool:
        known = self._known.get(one.container)
        return known is not None and known.asked == one and abs(now - known.at) < LOOK_AGAIN

    def _reckon(self, states: States, stale: Sequence[Asked], now: float) -> None:
        days = states.peaks.days(np.array([one.row for one in stale], dtype=np.int64), now)
        amounts = np.array([Quantity.parse(one.memory).unit() for one in stale], dtype=np.int64)
        chances, most = self._policy.risk(days, amounts), days.highest.max(axis=1)
        for at, one in enumerate(stale):
            self._known[one.container] = _Known(one, now, self._round_up(chances[at]) if most[at] else None)

    def _round_up(self, chance: float) -> float:
        return next((step for step in self._steps if chance <= step), 1.0)
