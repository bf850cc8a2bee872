"""A raw mapping of somebody else's object, read field by field: what nobody took is a finding at the end. Pure."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from adapter.rollout.foreign.findings import Findings, Origin
from adapter.rollout.model.fields import describe, finite, printable
from adapter.units.duration import parse_go

NOTHING_LIKE_IT: Final = "nothing in a RolloutPolicy is like it"
LEAVE: Final = "look in docs/rollouts.md for what it was for"
_WHOLE: Final = re.compile(r"[0-9]{1,9}\Z")


class Why(NamedTuple):
    """Why a field does not map, and what to do instead."""

    says: str
    instead: str


class Raw:
    """Fields of a mapping; one that is missing, or no mapping, has none."""

    def __init__(self, origin: Origin, findings: Findings, path: str = "", value: object = None) -> None:
        self.origin, self.path = origin, path
        self._findings = findings
        self._fields: Mapping[Any, object] = value if isinstance(value, Mapping) else {}
        self._taken: set[Any] = set()
        if value is not None and not isinstance(value, Mapping):
            self._wrong(path, value, "a mapping")

    def has(self, field: str) -> bool:
        """Whether it is there and not null."""
        return self._fields.get(field) is not None

    def take(self, field: str) -> object:
        """The value as it is; None where there is none."""
        self._taken.add(field)
        return self._fields.get(field)

    def at(self, field: str) -> str:
        """The path of a field."""
        return f"{self.path}.{field}" if self.path else field

    def say(self, field: str, why: Why) -> None:
        """A finding about a field, or about the mapping itself where `field` is empty."""
        self._taken.add(field)
        where = self.at(field) if field else self.path
        self._findings.add(self.origin, where, says=why.says, instead=why.instead)

    def leave(self, reasons: Mapping[str, Why]) -> None:
        """Findings about those of the fields that are there; a switch that is off says nothing."""
        for field, why in reasons.items():
            if self.has(field) and self.take(field) is not False:
                self.say(field, why)

    def rest(self) -> None:
        """Findings about all that nobody took."""
        for field, value in self._fields.items():
            if field not in self._taken and value is not None:
                self._findings.add(self.origin, self.at(printable(field)), says=NOTHING_LIKE_IT, instead=LEAVE)

    def text(self, field: str) -> str:
        """A text; numbers and booleans are read as they are written. Empty where there is none."""
        value = self.take(field)
        if isinstance(value, str) or value is None:
            return value or ""
        if isinstance(value, bool):
            return str(value).lower()
        if finite(value) is not None:
            return describe(value)
        self._wrong(self.at(field), value, "a text")
        return ""

    def expect(self, field: str, *right: str) -> None:
        """Makes it a finding where the field holds another text than one of `right`."""
        value = self.text(field)
        if value and value not in right:
            self._wrong(self.at(field), value, " or ".join(right))

    def number(self, field: str) -> float | None:
        """A finite number, given as one or as a text."""
        value = self.take(field)
        if isinstance(value, str) and len(value) <= 40:
            with suppress(ValueError):
                value = float(value)
        number = finite(value)
        if number is None and value is not None:
            self._wrong(self.at(field), value, "a number")
        return number

    def whole(self, field: str, least: int, most: int) -> int | None:
        """A whole number; beyond the bounds it is the nearest one, and a finding."""
        number = self.number(field)
        if number is None:
            return None
        fitting = round(min(max(number, least), most))
        if fitting != number:
            self.say(field, Why(f"{number:.15g} is beyond {least} to {most}", f"{fitting} was put in"))
        return fitting

    def flag(self, field: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.take(field)
        if value is not None and not isinstance(value, bool):
            self._wrong(self.at(field), value, "true or false")
        return value if isinstance(value, bool) else default

    def seconds(self, field: str) -> float | None:
        """A duration as Go reads it, or a number of seconds; one below 0 is 0."""
        value = self.take(field)
        if isinstance(value, str) and not _WHOLE.match(value):
            try:
                return max(parse_go(value), 0.0)
            except ValueError:
                self._wrong(self.at(field), value, "a duration such as 30s")
                return None
        seconds = self.number(field)
        return None if seconds is None else max(seconds, 0.0)

    def inside(self, field: str) -> "Raw":
        """The mapping at a field; one without fields where there is none."""
        return Raw(self.origin, self._findings, self.at(field), self.take(field))

    def of(self, origin: Origin, path: str, value: object) -> "Raw":
        """A mapping of another object of the file, whose findings go to the same place."""
        return Raw(origin, self._findings, path, value)

    def each(self, field: str) -> Iterator["Raw"]:
        """The mappings of a list."""
        value = self.take(field)
        if value is not None and not isinstance(value, list):
            self._wrong(self.at(field), value, "a list")
            return
        for index, inner in enumerate(value or ()):
            yield Raw(self.origin, self._findings, f"{self.at(field)}[{index}]", inner)

    def _wrong(self, where: str, value: object, right: str) -> None:
        self._findings.add(self.origin, where, says=f"{describe(value)} is no good", instead=f"right would be {right}")
