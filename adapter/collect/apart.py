"""Which wants are asked together. Pure: time is an argument.

One query may serve all wants of a topic. But one of them can fail it for all: two of its series contradict a join, or
it has too many. So when a query for several wants is refused, its halves are asked next, and so on, until what fails,
fails alone: at most twice the logarithm of their number in queries for each want that fails. What was asked apart is
asked with the others again KEPT_APART after the last refusal.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import count
from typing import NamedTuple

from adapter.collect.demand import ExternalWant, Want
from adapter.metrics.slices import Slices
from adapter.units.requirement import Operator
from adapter.units.selector import Selector

KEPT_APART = 600.0
"""s after the last refusal until a want is asked together with others again."""


BATCH = 100
"""Wants that are sorted in one slice: about 1 ms."""


class _Part(NamedTuple):
    """Which query a want is part of: wants with the same number are asked together."""

    number: int
    until: float
    alone: bool
    """Whether it was refused by itself."""


class Apart:
    """The wants that are asked apart from the others of their topic."""

    def __init__(self) -> None:
        self._parts: dict[Want, _Part] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._parts)

    def note_refusal(self, wants: Sequence[Want], now: float) -> bool:
        """One query for all `wants` was refused at `now`, s. True: they are asked otherwise from now on."""
        if len(wants) == 1:
            before = self._parts.get(wants[0])
            self._parts[wants[0]] = _Part(next(self._numbers), now + KEPT_APART, alone=True)
            return before is None or not before.alone
        half = len(wants) // 2
        for part in (wants[:half], wants[half:]):
            placed = _Part(next(self._numbers), now + KEPT_APART, alone=False)
            self._parts.update(dict.fromkeys(part, placed))
        return True

    def alone(self, want: Want) -> bool:
        """Whether its own query was refused."""
        part = self._parts.get(want)
        return part is not None and part.alone

    @property
    def failing(self) -> int:
        """How many wants were refused by themselves."""
        return sum(part.alone for part in self._parts.values())

    def parts(self, wants: Iterable[Want]) -> list[list[Want]]:
        """`wants`, of one topic, as they are asked: those that nothing is known against first."""
        if not self._parts:
            return [list(wants)]
        parts: dict[int, list[Want]] = defaultdict(list)
        for want in wants:
            part = self._parts.get(want)
            parts[part.number if part else 0].append(want)
        return [parts[number] for number in sorted(parts)]

    def keep(self, wants: Collection[Want], now: float) -> None:
        """Forget what is over at `now`, and all but `wants`."""
        self._parts = {want: part for want, part in self._parts.items() if now < part.until and want in wants}


def topics(wants: Iterable[Want]) -> Slices[list[list[Want]]]:
    """Wants that one query might serve, in their order; each that must name its very objects alone."""
    groups: dict[Hashable, list[Want]] = defaultdict(list)
    for number, want in enumerate(wants, 1):
        groups[_topic(want)].append(want)
        if number % BATCH == 0:
            yield
    return list(groups.values())


def _topic(want: Want) -> Hashable:
    """The same for wants that one query might serve."""
    if isinstance(want, ExternalWant):
        labels = tuple(requirement.key for requirement in want.selector.requirements)
        return want.metric, labels if _equalities(want.selector) else want
    if want.objects is None:
        return want.resource, want.metric, want.metric_selector
    return want


def _equalities(selector: Selector) -> bool:
    return all(requirement.operator is Operator.EQUALS for requirement in selector.requirements)
