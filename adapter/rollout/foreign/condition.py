"""Conditions of an AnalysisTemplate (`result[0] >= 0.95`) -> bounds. Pure.

Understood are comparisons of the result with a number, joined by && or ||, and looks at whether there is a result at
all: these fall away, for no value is no evidence here.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

MOST_CHARACTERS: Final = 500
_VALUE: Final = r"(?:asFloat\(|default\()?result(?:\[0\])?(?:,-?[0-9.]{1,20}\)|\))?"
_NUMBER: Final = r"(-?[0-9]{0,20}\.?[0-9]{1,20})"
_RIGHT: Final = re.compile(rf"{_VALUE}(<=|>=|<|>|==){_NUMBER}\Z")
_LEFT: Final = re.compile(rf"{_NUMBER}(<=|>=|<|>){_VALUE}\Z")
_PRESENCE: Final = re.compile(
    r"!?(?:isNaN|isInf|isNil)\(result(?:\[0\])?\)\Z|len\(result\)(?:==|!=|>|>=|<)[01]\Z|result(?:==|!=)nil\Z"
)
_TURNED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class Bound(NamedTuple):
    """A value is good up to `limit`; where `lower` is worse, from it on."""

    limit: float
    lower: bool


class Condition(NamedTuple):
    """What must hold of the value, and whether a look at its presence fell away."""

    bounds: tuple[Bound, ...] = ()
    presence: bool = False


Reader: TypeAlias = Callable[[str], Condition | None]


def success(text: str) -> Condition | None:
    """What has to hold; None where it cannot be said by limits."""
    return _read(text, joined="&&", failure=False)


def failure(text: str) -> Condition | None:
    """What must not hold, said as what has to."""
    return _read(text, joined="||", failure=True)


def _read(text: str, *, joined: str, failure: bool) -> Condition | None:
    text = _bare("".join(text.split())) if len(text) <= MOST_CHARACTERS else ""
    if "&&" in text and "||" in text:
        return None
    parts = [_bare(part) for part in re.split(r"&&|\|\|", text)]
    compared = [part for part in parts if not _PRESENCE.match(part)]
    if len(compared) > 1 and joined not in text:
        return None
    bounds = [_parse_bound(part, failure) for part in compared]
    if not bounds or None in bounds or not _apart(bounds):
        return None
    return Condition(tuple(bound for bound in bounds if bound), presence=len(compared) < len(parts))


def _bare(text: str) -> str:
    """Without parentheses around the whole."""
    while text.startswith("(") and text.endswith(")") and "(" not in text[1:-1]:
        text = text[1:-1]
    return text


def _parse_bound(part: str, failure: bool) -> Bound | None:
    if match := _RIGHT.match(part):
        sign, limit = match[1], float(match[2])
    elif match := _LEFT.match(part):
        sign, limit = _TURNED[match[2]], float(match[1])
    else:
        return None
    if sign == "==":  # none at all is the one equality that a limit can say
        return Bound(0.0, lower=False) if limit == 0 and not failure else None
    return Bound(limit, lower=(sign[0] == ">") != failure)


def _apart(bounds: Sequence[Bound | None]) -> bool:
    """Whether no two bounds limit the value on the same side."""
    sides = [bound.lower for bound in bounds if bound]
    return len(set(sides)) == len(sides)
