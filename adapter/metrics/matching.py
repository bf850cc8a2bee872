"""Label matchers (PromQL's = != =~ !~), in time linear in the value whatever the pattern."""

import re
from collections.abc import Callable
from enum import Enum

from adapter.metrics.source import UnsupportedQuery
from adapter.rooms import Room
from adapter.units.regexp import RegexpError, compiled, readable

MAX_PATTERN = 4096
"""Characters of a pattern that is no plain list of alternatives."""
MAX_MEMORY = 2**19
"""Bytes held for one such pattern."""
CACHE_BYTES = 32 * 2**20
"""Of all predicates that are remembered."""
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


class Matching:
    """One matcher. A label that a series lacks has the empty text as its value."""

    __slots__ = ("equals", "label", "matches")

    def __init__(self, label: str, operator: Operator, value: str) -> None:
        """Raises UnsupportedQuery for a pattern that cannot be read."""
        self.label = label
        self.equals = value if operator is Operator.EQUAL else None
        self.matches: Callable[[str], bool] = _predicate(operator, value)


def _predicate(operator: Operator, value: str) -> Callable[[str], bool]:
    if operator is Operator.EQUAL:
        return value.__eq__
    if operator is Operator.NOT_EQUAL:
        return value.__ne__
    matches = full_match(value)
    return matches if operator is Operator.MATCH else lambda text: not matches(text)


_remembered: Room[str, Callable[[str], bool]] = Room("predicates", CACHE_BYTES)


def full_match(pattern: str) -> Callable[[str], bool]:
    """A predicate for Prometheus' anchored match of `pattern`, in which a dot stands for newlines, too.

    A list of plain alternatives (`a|b|c`, of any length: the peer's templates list every pod) becomes a set; anything
    else goes to RE2. Raises UnsupportedQuery.
    """
    if (found := _remembered.get(pattern)) is not None:
        return found
    made, size = _alternatives(pattern) or _expression(pattern)
    return _remembered.put(pattern, made, size)


def _alternatives(pattern: str) -> tuple[Callable[[str], bool], int] | None:
    """The predicate of a plain list and its size in bytes; None where `pattern` is none."""
    alternatives = pattern.split("|")
    if "\\|" in pattern or not all(_PLAIN.fullmatch(alternative) for alternative in alternatives):
        return None
    listed = frozenset(_ESCAPED.sub(r"\1", alternative) for alternative in alternatives)
    return listed.__contains__, 2 * len(pattern) + _PER_ALTERNATIVE * len(listed)


def _expression(pattern: str) -> tuple[Callable[[str], bool], int]:
    if len(pattern) > MAX_PATTERN:
        raise UnsupportedQuery(
            f'the pattern "{pattern[:57]}..." has {len(pattern)} characters; the embedded store takes lists of names'
            f" (a|b|c) of any length and other patterns of up to {MAX_PATTERN}"
        )
    try:
        expression = compiled(pattern, memory=MAX_MEMORY, dot_matches_newline=True)
    except RegexpError as error:
        raise UnsupportedQuery(f"the pattern {error}; right would be an expression of RE2") from None
    return lambda text: expression.fullmatch(readable(text)) is not None, MAX_MEMORY + 5 * len(pattern)
