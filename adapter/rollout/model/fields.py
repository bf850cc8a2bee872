"""Typed reading of raw mappings, with a sentence for each field that is wrong. Pure."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
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
                self.wrong(printable(key), f"no such field; right would be one of {', '.join(known)}")

    def text(self, field: str, pattern: re.Pattern[str], right: str, *, required: bool = False) -> str:
        value = self._raw.get(field)
        if value is None:
            if required:
                self.wrong(field, f"missing; right would be {right}")
            return ""
        if not isinstance(value, str) or not pattern.match(value):
            self.wrong(field, f"{describe(value)} is no good; right would be {right}")
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
            self.wrong(field, f"{describe(value)} is no number; right would be {span(least, most, inside=inside)}")
            return default
        if not least <= number <= most or (inside and number in (least, most)):
            self.wrong(field, f"{describe(value)} is out of range; right would be {span(least, most, inside=inside)}")
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
        self.wrong(field, f"{describe(value)} is no good; right would be one of {', '.join(words)}")
        return default

    def has(self, field: str) -> bool:
        return self._raw.get(field) is not None

    def whole(self, field: str, least: int, most: int, *, required: bool = False) -> int | None:
        """A whole number from `least` to `most`."""
        value = self._raw.get(field)
        if value is None:
            if required:
                self.wrong(field, f"missing; right would be from {least} to {most}")
            return None
        number = finite(value)
        if number is None or number != round(number):
            self.wrong(field, f"{describe(value)} is no whole number; right would be from {least} to {most}")
            return None
        if not least <= number <= most:
            self.wrong(field, f"{number:.15g} is out of range; right would be from {least} to {most}")
            return None
        return round(number)

    def is_true(self, field: str) -> bool:
        return self._raw.get(field) is True

    def flag(self, field: str) -> None:
        value = self._raw.get(field)
        if value is not None and not isinstance(value, bool):
            self.wrong(field, f"{describe(value)} is no switch; right would be true or false")

    def port(self, field: str, pattern: re.Pattern[str]) -> None:
        """A port's number or its name."""
        value = self._raw.get(field)
        number = finite(value)
        named = isinstance(value, str) and pattern.match(value)
        if value is not None and not named and number not in range(1, 65536):
            self.wrong(field, f"{describe(value)} is no port; right would be a container port's number or name")

    def texts(self, field: str, pattern: re.Pattern[str], right: str, *, least: int = 0, most: int) -> None:
        """A list of `least` to `most` texts; `right`: what each of them would be."""
        value = self._raw.get(field)
        if value is None:
            return
        if not isinstance(value, list) or not least <= len(value) <= most:
            self.wrong(field, f"{_describe_count(value)}; right would be a list of {least} to {most}, each {right}")
            return
        for index, text in enumerate(value):
            if not isinstance(text, str) or not pattern.match(text):
                self.wrong(f"{field}[{index}]", f"{describe(text)} is no good; right would be {right}")

    def all_texts(self) -> None:
        """Every value a text, as of labels."""
        for key, value in self._raw.items():
            if value is not None and not isinstance(value, str):
                self.wrong(printable(key), f"{describe(value)} is no text; right would be one, in quotes")

    def each(self, field: str, least: int, most: int, right: str) -> "Iterator[Fields]":
        """The mappings of a list of `least` to `most`."""
        value = self._raw.get(field)
        if not isinstance(value, list) or not least <= len(value) <= most:
            self.wrong(field, f"{_describe_count(value)}; right would be {right}, {least} to {most} of them")
            return
        for index, inner in enumerate(value):
            if isinstance(inner, Mapping):
                yield Fields(inner, f"{self._at(field)}[{index}]", self._problems)
            else:
                self.wrong(f"{field}[{index}]", f"{describe(inner)} is no mapping; right would be {right}")

    def mapping(self, field: str, right: str, *, required: bool = False) -> "Fields | None":
        """The fields of a mapping inside; None if there is none."""
        value = self._raw.get(field)
        if value is None:
            if required:
                self.wrong(field, f"missing; right would be {right}")
            return None
        if not isinstance(value, Mapping):
            self.wrong(field, f"{describe(value)} is no mapping; right would be {right}")
            return None
        return Fields(value, self._at(field), self._problems)

    def wrong(self, field: str, text: str) -> None:
        self._problems.append(f"{self._at(field)}: {text}")

    def _at(self, field: str) -> str:
        return f"{self._path}.{field}" if self._path else field


def span(least: float, most: float, *, inside: bool = False) -> str:
    """The numbers from `least` to `most`, for a sentence; `inside`: neither of them itself."""
    if not math.isfinite(most - least):
        return "a number"
    return f"a number between {least:g} and {most:g}" if inside else f"a number from {least:g} to {most:g}"


def _describe_count(value: object) -> str:
    return f"{len(value)} entries" if isinstance(value, list) else describe(value)


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


def describe(value: object) -> str:
    """A value for a sentence, short."""
    if not isinstance(value, str | int | float | bool):
        return KINDS.get(type(value), "something else")
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(key: object) -> str:
    """A key for a sentence: short, printable, one line."""
    text = str(key)
    text = text if text.isprintable() and text else repr(text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def without_nulls(raw: Any) -> Any:
    """A copy without the null fields of its mappings: null counts as absent, as in Go."""
    if isinstance(raw, dict):
        return {key: without_nulls(value) for key, value in raw.items() if value is not None}
    return [without_nulls(value) for value in raw] if isinstance(raw, list) else raw
