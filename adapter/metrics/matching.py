"""Label matchers (PromQL's = != =~ !~), with a bound on the time that a pattern can take."""

import re
import warnings
from collections.abc import Callable
from enum import Enum
from functools import lru_cache

from adapter.metrics.source import UnsupportedQuery

MAX_PATTERN = 1000
"""Characters of a pattern that is no plain list of alternatives."""
UNBOUNDED = 100
"""Counts to be tried of an unbounded repetition, for the estimate of a pattern's cost."""
MAX_COST = 20_000
"""Ways to match a pattern: two unbounded repetitions and a choice, or a dozen choices; some milliseconds at worst."""

_PLAIN = re.compile(r"(?:[\w \-/:,=@%&#~;<>!\"']|\\[.\-+*?()|\[\]{}^$\\/])*", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")
_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"  # an escape, a class
    r"|(?P<open>\((?:\?(?:P?<\w+>|[a-zA-Z-]*:))?)|\(\?[a-zA-Z-]+\)|(?P<close>\))|(?P<choice>\|)"
    r"|(?:(?P<sign>[*+?])|\{(?P<low>\d+)(?P<comma>,?)(?P<high>\d*)\})\??|.",
    re.DOTALL,
)
_POSIX_CLASS = re.compile(r"\[:\^?\w+:\]")


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
        """Raises UnsupportedQuery for a pattern that cannot be bounded."""
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


@lru_cache(maxsize=256)
def full_match(pattern: str) -> Callable[[str], bool]:
    """A predicate for RE2's anchored match of `pattern`.

    A list of plain alternatives (`a|b|c`, of any length: the peer's templates list every pod) becomes a set. Anything
    else goes to `re`, which backtracks where RE2 does not: patterns that could take long are refused.
    Raises UnsupportedQuery.
    """
    alternatives = pattern.split("|")
    if "\\|" not in pattern and all(_PLAIN.fullmatch(alternative) for alternative in alternatives):
        return frozenset(_ESCAPED.sub(r"\1", alternative) for alternative in alternatives).__contains__
    _check_cost(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # a class such as [a--b], which RE2 reads otherwise
            compiled = re.compile(pattern, re.ASCII | re.DOTALL)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise _refused(pattern, f"is not understood ({error})") from None
    return lambda text: compiled.fullmatch(text) is not None


def _refused(pattern: str, why: str) -> UnsupportedQuery:
    shown = pattern if len(pattern) <= 60 else pattern[:57] + "..."
    return UnsupportedQuery(
        f'the pattern "{shown}" {why}; the embedded store takes lists of names (a|b|c) and patterns of up to'
        f" {MAX_PATTERN} characters with at most two unbounded repetitions (a .* at the end is free), none repeated"
    )


def _check_cost(pattern: str) -> None:
    """Bound the backtracking: no repetition of what holds a repetition or a choice, and a bounded product of the rest.

    `.*` at the end does not count: whatever comes before, it takes the rest at the first try.
    """
    if len(pattern) > MAX_PATTERN:
        raise _refused(pattern, f"has {len(pattern)} characters")
    if _POSIX_CLASS.search(pattern):
        raise _refused(pattern, "has a POSIX class, which Python reads otherwise")
    cost = 1
    groups = [False]  # of each open group: does it hold a repetition or a choice?
    before = False  # the same of what ended just before the token
    for token in _TOKEN.finditer(pattern.removesuffix(".*").removesuffix(".+")):
        repeats = token["sign"] is not None or token["low"] is not None
        if repeats and before:
            raise _refused(pattern, "repeats what holds a repetition or a choice")
        before = repeats
        if token["open"]:
            groups.append(False)
        elif token["close"] and len(groups) > 1:
            before = groups.pop()
            groups[-1] |= before
        elif repeats or token["choice"]:
            # A choice outside of any group is tried once from the start: it adds, where others multiply.
            cost *= _tries(token) if repeats else 2 if len(groups) > 1 else 1
            groups[-1] = True
        if cost > MAX_COST:
            raise _refused(pattern, "could take too long to match")


def _tries(repetition: re.Match[str]) -> int:
    """How many counts of a repetition may have to be tried."""
    if repetition["sign"]:
        return 2 if repetition["sign"] == "?" else UNBOUNDED
    if not repetition["comma"]:
        return 1
    return int(repetition["high"]) - int(repetition["low"]) + 1 if repetition["high"] else UNBOUNDED
