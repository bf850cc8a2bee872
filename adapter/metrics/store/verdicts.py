"""What expressions said of labels' values, so that each value is looked at once and not at every evaluation."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.store.ring import Ints
from adapter.rooms import Room

VERDICTS_BYTES = 32 * 2**20
"""Of all verdicts that one store remembers."""
EACH = 9
"""Bytes of one: a number and a verdict."""
FIRST_LOOK = 1024
"""Verdicts of one expression from which on those are forgotten whose values are gone."""

Flags: TypeAlias = npt.NDArray[np.bool_]


class _Said(NamedTuple):
    """By one expression."""

    codes: Ints
    """Of values, sorted."""
    verdicts: Flags
    look_at: int
    """When there are more than so many, those of values that are gone are forgotten."""


class Verdicts:
    """By matcher and by the number of a value; numbers are never given twice."""

    def __init__(self) -> None:
        self._room: Room[tuple[Operator, str], _Said] = Room("verdicts", VERDICTS_BYTES)

    @property
    def weight(self) -> int:
        """Bytes that are held."""
        return self._room.weight

    def of(self, matching: Matching, codes: Ints) -> tuple[Flags, Flags]:
        """For each of `codes`, sorted: whether it is known what `matching` says of it, and that."""
        said = self._room.get(matching.expression) if matching.expression else None
        if said is None or not len(said.codes):
            return np.zeros(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
        places = np.searchsorted(said.codes, codes).clip(max=len(said.codes) - 1)
        known = said.codes[places] == codes
        return known, said.verdicts[places] & known

    def add(self, matching: Matching, codes: Ints, verdicts: Flags, exists: Callable[[int], bool]) -> None:
        """Remember what `matching` says of each of `codes`, sorted; `exists`: whether a value is still there."""
        if matching.expression is None:
            return
        before = self._room.get(matching.expression)
        look_at = FIRST_LOOK
        if before is not None:
            look_at = before.look_at
            codes, places = np.unique(np.concatenate([before.codes, codes]), return_index=True)
            verdicts = np.concatenate([before.verdicts, verdicts])[places]
        if len(codes) > look_at:
            there = np.fromiter(map(exists, codes.tolist()), dtype=bool, count=len(codes))
            codes, verdicts = codes[there], verdicts[there]
            look_at = max(FIRST_LOOK, 2 * len(codes))
        weight = EACH * len(codes) + 5 * len(matching.expression[1]) + 512
        self._room.put(matching.expression, _Said(codes, verdicts, look_at), weight)
