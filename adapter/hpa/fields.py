"""Fields of decoded JSON with their place, so that each refusal names it."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

from adapter.units.quantity import NANO, Quantity, QuantityError

E = TypeVar("E", bound=StrEnum)


class HpaError(ValueError):
    """An object that the API server would not take: the field, what was wrong, what would be right; one sentence."""


class Field(NamedTuple):
    """A value somewhere in an object; None where it is absent, or null, which is the same to Go."""

    path: str
    value: object

    def __bool__(self) -> bool:
        return self.value is not None

    def of(self, name: str) -> "Field":
        """A field of this map. Raises HpaError."""
        return Field(f"{self.path}.{name}" if self.path else name, self._map().get(name))

    def require(self) -> "Field":
        """Itself. Raises HpaError where it is absent."""
        if self.value is None:
            raise self.error("is missing")
        return self

    def items(self) -> Iterator["Field"]:
        """The elements of this list, none where it is absent. Raises HpaError."""
        if self.value is None:
            return
        if not isinstance(self.value, list | tuple):
            raise self.error("must be a list")
        for number, item in enumerate(self.value):
            yield Field(f"{self.path}[{number}]", item)

    def text(self) -> str:
        """A text of at least one character. Raises HpaError."""
        if not isinstance(self.value, str) or not self.value:
            raise self.error("must be a text that is not empty")
        return self.value

    def whole(self, least: int, most: int) -> int:
        """A whole number within bounds. Raises HpaError."""
        value = self.value
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.error(f"must be a whole number from {least} to {most}, not {self._short_repr()}")
        return value

    def choice(self, kind: type[E]) -> E:
        """A member of an enum. Raises HpaError."""
        chosen = next((member for member in kind if member.value == self.value), None)
        if chosen is None:
            raise self.error(f"must be one of {', '.join(kind)}, not {self._short_repr()}")
        return chosen

    def quantity(self) -> Quantity:
        """A quantity, written as a text or a number. Raises HpaError."""
        if not isinstance(self.value, str | int | float) or isinstance(self.value, bool):
            raise self.error("must be a quantity such as 500m or 10")
        try:
            return Quantity.parse(str(self.value))
        except QuantityError as error:
            raise self.error(str(error)) from None

    def milli(self) -> int:
        """A quantity greater than 0, in thousandths as the controller takes it. Raises HpaError."""
        milli = self.quantity().milli()
        if not 0 < milli < 2**63:
            raise self.error(f"must be greater than 0 and at most {2**63 - 1}m, not {self._short_repr()}")
        return milli

    def fraction(self) -> float:
        """A quantity of 0 or more as a float. Raises HpaError."""
        fraction = self.quantity().nano / NANO
        if fraction < 0:
            raise self.error(f"must be 0 or more, not {self._short_repr()}")
        return fraction

    def error(self, problem: str) -> HpaError:
        """The refusal of this field."""
        return HpaError(f"{self.path or 'the object'} {problem}")

    def _map(self) -> Mapping[str, object]:
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            raise self.error("must be a map")
        return self.value

    def _short_repr(self) -> str:
        return repr(self.value)[:80]
