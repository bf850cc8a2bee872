"""Label matchers (PromQL's = != =~ !~), in time linear in the value whatever the pattern."""

import re
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeAlias

from adapter.metrics.source import UnsupportedQuery
from adapter.rooms import Room
from adapter.units.regexp import RegexpError, compile_pattern, readable

MAX_PATTERN = 4096
"""Characters of a pattern that is no plain list of alternatives."""
MAX_MEMORY = 2**19
"""Bytes held for one such pattern."""
CACHE_BYTES = 32 * 2**20
"""Of all predicates that are remembered."""
INSTRUCTIONS = 32
"""Of RE2's program of a pattern, for which a character counts once: it may have to try all of them, 1.8 ns each."""
WEIGHTS_BYTES = 4 * 2**20
"""Of what is remembered of predicates longer than these themselves."""
_PER_ALTERNATIVE = 160
"""Bytes of one text in a set, beside its characters."""

_PLAIN = re.compile(r"(?:[\w \-/:,=@%&#~;<>!\"']|\\[.\-+*?()|\[\]{}^$\\/])*+", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")


class Operator(Enum):
    """How a label's value is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCH = "=~"
    NOT_MATCH = "!~"


Matches: TypeAlias = Callable[[str], bool]


class Predicate(NamedTuple):
    """Whether a pattern matches a text."""

    matches: Matches
    weight: int = 0
    """How often each character of the text counts as work; 0 where that is a look-up, not an expression."""


class Matching:
    """One matcher. A label that a series lacks has the empty text as its value."""

    __slots__ = ("_operator", "_value", "equals", "expression", "label", "weight")

    def __init__(self, label: str, operator: Operator, value: str) -> None:
        """Raises UnsupportedQuery for a pattern that cannot be read."""
        self.label = label
        self.equals = value if operator is Operator.EQUAL else None
        self._operator, self._value = operator, value
        weight = _weight(value) if operator in (Operator.MATCH, Operator.NOT_MATCH) else 0
        self.weight = max(weight, 1)
        """How often each character of a value counts as work."""
        self.expression = (operator, value) if weight else None
        """The same for matchers that say the same of each text; None where a verdict is not worth remembering."""

    @property
    def matches(self) -> Matches:
        """To be kept for as long as it is used: a query of many expressions would hold each for as long as it lasts."""
        if self._operator is Operator.EQUAL:
            return self._value.__eq__
        if self._operator is Operator.NOT_EQUAL:
            return self._value.__ne__
        matches, _ = full_match(self._value)
        return matches if self._operator is Operator.MATCH else lambda text: not matches(text)


_remembered: Room[str, Predicate] = Room("predicates", CACHE_BYTES)
_weights: Room[str, int] = Room("weights of predicates", WEIGHTS_BYTES)


def _weight(pattern: str) -> int:
    """Of its predicate, which need not be made anew for that. Raises UnsupportedQuery."""
    if (known := _weights.get(pattern)) is not None:
        return known
    return _weights.put(pattern, full_match(pattern).weight, 2 * len(pattern) + 256)


def full_match(pattern: str) -> Predicate:
    """Prometheus' anchored match of `pattern`, in which a dot stands for newlines, too.

    A list of plain alternatives (`a|b|c`, of any length: the peer's templates list every pod) becomes a set; anything
    else goes to RE2. Raises UnsupportedQuery.
    """
    if (predicate := _remembered.get(pattern)) is not None:
        return predicate
    made, size = _alternatives(pattern) or _expression(pattern)
    return _remembered.put(pattern, made, size)


def _alternatives(pattern: str) -> tuple[Predicate, int] | None:
    """The predicate of a plain list and its size in bytes; None where `pattern` is none."""
    alternatives = pattern.split("|")
    if "\\|" in pattern or not all(_PLAIN.fullmatch(alternative) for alternative in alternatives):
        return None
    listed = frozenset(_ESCAPED.sub(r"\1", alternative) for alternative in alternatives)
    return Predicate(listed.__contains__), 2 * len(pattern) + _PER_ALTERNATIVE * len(listed)


def _expression(pattern: str) -> tuple[Predicate, int]:
    if len(pattern) > MAX_PATTERN:
        raise UnsupportedQuery(
            f'the pattern "{pattern[:57]}..." has {len(pattern)} characters; the embedded store takes lists of names'
            f" (a|b|c) of any length and other patterns of up to {MAX_PATTERN}"
        )
    try:
        expression = compile_pattern(pattern, memory=MAX_MEMORY, dot_matches_newline=True)
    except RegexpError as error:
        raise UnsupportedQuery(f"the pattern {error}; right would be an expression of RE2") from None
    weight = max(1, round(expression.programsize / INSTRUCTIONS))
    made = Predicate(lambda text: expression.fullmatch(readable(text)) is not None, weight)
    return made, MAX_MEMORY + 5 * len(pattern)
