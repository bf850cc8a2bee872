"""Typed reading of raw mappings, with a sentence for each field that is wrong. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import NoneType
from typing import Any, Final, TypeVar

Word = TypeVar("Word", bound=StrEnum)


class Fields:
    """Typed reading of a mapping's fields; what is wrong goes to `problems`, and the default is taken."""

    def __init__(self, raw: Mapping[Any, object], path: str, problems: list[str]) -> None:
        self._raw, self._path, self._problems = raw, path, problems

    def only(self, known: Sequence[str]) -> None:
        for key in self._raw:
            if key not in known:
                self.wrong(named(key), f"no such field; right would be one of {', '.join(known)}")

    def text(self, field: str, pattern: re.Pattern[str], right: str, *, required: bool = False) -> str:
        value = self._raw.get(field)
        if value is None:
            if required:
                self.wrong(field, f"missing; right would be {right}")
            return ""
        if not isinstance(value, str) or not pattern.match(value):
            self.wrong(field, f"{shown(value)} is no good; right would be {right}")
            return ""
        return value

    def number(
        self,
        field: str,
        default: float | None,
        least: float = -math.inf,
        most: float = math.inf,
        *,
        inside: bool = False,
    ) -> float | None:
        """A finite number from `least` to `most`; `inside`: neither of them itself."""
        value = self._raw.get(field)
        if value is None:
            return default
        number = finite(value)
        if number is None:
            self.wrong(field, f"{shown(value)} is no number")
            return default
        if not least <= number <= most or (inside and number in (least, most)):
            word = "between" if inside else "from"
            self.wrong(field, f"{number:g} is out of range; right would be {word} {least:g} to {most:g}")
            return default
        return number

    def word(self, field: str, default: Word) -> Word:
        value = self._raw.get(field)
        if value is None:
            return default
        words = type(default)
        for word in words:
            if value == word.value:
                return word
        self.wrong(field, f"{shown(value)} is none of {', '.join(words)}")
        return default

    def mapping(self, field: str, right: str) -> "Fields | None":
        """The fields of a mapping inside; None if there is none."""
        value = self._raw.get(field)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.wrong(field, f"{shown(value)} is no mapping; right would be {right}")
            return None
        return Fields(value, f"{self._path}.{field}", self._problems)

    def wrong(self, field: str, text: str) -> None:
        self._problems.append(f"{self._path}.{field}: {text}")


def finite(value: object) -> float | None:
    """The finite number that `value` is; None for anything else, booleans among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


KINDS: Final = {dict: "a mapping", list: "a list", tuple: "a list", NoneType: "nothing"}


def shown(value: object) -> str:
    """A value for a sentence, short."""
    if not isinstance(value, str | int | float | bool):
        return KINDS.get(type(value), "something else")
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def named(key: object) -> str:
    """A key for a sentence: short, printable, one line."""
    text = str(key)
    text = text if text.isprintable() and text else repr(text)
    return text if len(text) <= 60 else f"{text[:57]}..."
