"""What a selector asks of a set of labels, arranged so that a match costs what the labels are, not what is asked.

A selector may have thousands of requirements, an object some ten labels. More labels needed than there are decide at
once; requirements that a label may break are looked up for each label there is.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from adapter.units.requirement import Operator, Requirement, integer


class Range(NamedTuple):
    """What > and < leave of the integers; no value fits where either bound is none."""

    above: int = -(2**63) - 1
    below: int = 2**63
    valid: bool = True

    def holds(self, value: str | None) -> bool:
        number = integer(value)
        return self.valid and number is not None and self.above < number < self.below


class Matcher:
    """All requirements of a selector together."""

    def __init__(self, requirements: Iterable[Requirement]) -> None:
        self._allowed: dict[str, frozenset[str]] = {}
        self._present: set[str] = set()
        self._ranges: dict[str, Range] = {}
        self._absent: set[str] = set()
        self._forbidden: dict[str, frozenset[str]] = {}
        for key, operator, values in requirements:
            self._take(key, operator, values)
        self._needed = self._present | self._allowed.keys() | self._ranges.keys()

    def _take(self, key: str, operator: Operator, values: tuple[str, ...]) -> None:
        match operator:
            case Operator.EQUALS | Operator.IN:
                these = frozenset(values)
                self._allowed[key] = self._allowed.get(key, these) & these
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                self._forbidden[key] = self._forbidden.get(key, frozenset()) | frozenset(values)
            case Operator.EXISTS:
                self._present.add(key)
            case Operator.DOES_NOT_EXIST:
                self._absent.add(key)
            case Operator.GREATER | Operator.LESS:
                self._narrow_range(key, operator, integer(values[0]))

    def _narrow_range(self, key: str, operator: Operator, bound: int | None) -> None:
        known = self._ranges.get(key, Range())
        if bound is None:
            known = known._replace(valid=False)
        elif operator is Operator.GREATER:
            known = known._replace(above=max(known.above, bound))
        else:
            known = known._replace(below=min(known.below, bound))
        self._ranges[key] = known

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet all of them."""
        if len(self._needed) > len(labels) or not self._needed <= labels.keys():
            return False
        if any(labels[key] not in values for key, values in self._allowed.items()):
            return False
        if any(not allowed.holds(labels[key]) for key, allowed in self._ranges.items()):
            return False
        if not self._absent.isdisjoint(labels):
            return False
        if not self._forbidden:
            return True
        return all(value not in self._forbidden.get(key, ()) for key, value in labels.items())
