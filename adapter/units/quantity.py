"""Numbers as Kubernetes writes them (`resource.Quantity`): '1500m', '64Mi', '1e3'.

Held exactly, as a whole number of billionths. The grammar, the rounding, the cap and the canonical form are those of
k8s.io/apimachinery/pkg/api/resource. Two texts that its scanner takes although its grammar does not (a lone sign, a
lone point) are refused here.
"""

import enum
import math
import re

NANO = 10**9
MILLION = 10**6
MAX_BINARY = (2**63 - 1) * NANO
"""Go caps what is written with a binary suffix here, silently; decimal forms are not capped."""
MAX_DIGITS = 64
MAX_EXPONENT = 200
"""Ours: no sane quantity is longer, and 10 to the power of a stranger's number must not be worked out."""

_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
    r"(?:(?P<decimal>[numkMGTPE]?)|(?P<binary>[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+))"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


class QuantityError(ValueError):
    """A text or a number that is no quantity; the message says what was wrong and what would be right."""


class Format(enum.Enum):
    """How a quantity is written; a parsed one keeps the format that it came in."""

    DECIMAL_SI = "DecimalSI"
    BINARY_SI = "BinarySI"
    DECIMAL_EXPONENT = "DecimalExponent"


class Resolution(enum.Enum):
    """The step at which `Quantity.of` cuts; the value is how many steps make 1."""

    UNIT = 1
    MILLI = 1000
    NANO = NANO


class Quantity:
    """A number with the format to write it in. Immutable; equality, order and hash are those of the number alone."""

    __slots__ = ("format", "nano")

    nano: int
    """The value times 1e9, exact."""
    format: Format

    def __init__(self, nano: int, format: Format = Format.DECIMAL_SI) -> None:  # noqa: A002 - Kubernetes' word
        object.__setattr__(self, "nano", nano)
        object.__setattr__(self, "format", format)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Quantity cannot be changed ({name})")

    __delattr__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type["Quantity"], tuple[int, Format]]:
        return Quantity, (self.nano, self.format)

    @classmethod
    def parse(cls, text: str) -> "Quantity":
        """Read a quantity; what is finer than a billionth is rounded away from zero. Raises QuantityError."""
        match = _QUANTITY.fullmatch(text) if len(text) <= MAX_DIGITS else None
        if match is None or not (match["whole"] or match["fraction"]):
            raise QuantityError(
                f"{text[:MAX_DIGITS]!r} is not a quantity: it must be digits with an optional sign and point, "
                "then one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei or an exponent such as e3"
            )
        fraction = match["fraction"] or ""
        digits = int(match["whole"] + fraction)
        if match["binary"]:
            nano, form = _binary(digits, len(fraction), _BINARY.index(match["binary"]))
        elif match["exponent"] is not None:
            nano, form = _decimal(digits, len(fraction), _exponent(match["exponent"], text)), Format.DECIMAL_EXPONENT
        else:
            nano, form = _decimal(digits, len(fraction), _DECIMAL[match["decimal"]]), Format.DECIMAL_SI
        return cls(-nano if match["sign"] == "-" else nano, form)

    @classmethod
    def of(
        cls,
        value: float,
        format: Format = Format.DECIMAL_SI,  # noqa: A002 - Kubernetes' word
        resolution: Resolution = Resolution.MILLI,
    ) -> "Quantity":
        """The quantity of a plain number, cut towards zero at `resolution`, as Go's int64(v*1000) does.

        Raises QuantityError for NaN and infinities, which no quantity can say.
        """
        steps = resolution.value
        if not math.isfinite(value):
            raise QuantityError(f"{value} is not a quantity: it must be finite")
        scaled = value * steps
        whole = int(scaled) if math.isfinite(scaled) else int(value) * steps  # so large a float is whole
        return cls(whole * (NANO // steps), format)

    @classmethod
    def of_milli(cls, milli: int) -> "Quantity":
        """The quantity of a whole number of thousandths."""
        return cls(milli * MILLION)

    def milli(self) -> int:
        """In thousandths, rounded away from zero (Go's MilliValue)."""
        return _away_from_zero(self.nano, MILLION)

    def unit(self) -> int:
        """In whole units, rounded away from zero (Go's Value)."""
        return _away_from_zero(self.nano, NANO)

    def __float__(self) -> float:
        return self.nano / NANO

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum, in the format of the first that is not zero (Go's Add)."""
        return Quantity(self.nano + other.nano, self.format if self.nano else other.format)

    def __sub__(self, other: "Quantity") -> "Quantity":
        return self + -other

    def __neg__(self) -> "Quantity":
        return Quantity(-self.nano, self.format)

    def __eq__(self, other: object) -> bool:
        return self.nano == other.nano if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: "Quantity") -> bool:
        return self.nano < other.nano

    def __le__(self, other: "Quantity") -> bool:
        return self.nano <= other.nano

    def __gt__(self, other: "Quantity") -> bool:
        return self.nano > other.nano

    def __ge__(self, other: "Quantity") -> bool:
        return self.nano >= other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __str__(self) -> str:
        """The canonical form: a whole mantissa and the largest suffix that loses nothing."""
        if self.format is Format.BINARY_SI and abs(self.nano) >= 1024 * NANO and self.nano % NANO == 0:
            return _binary_text(self.nano // NANO)
        return _decimal_text(self.nano, self.format)

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"


def _decimal(digits: int, places: int, exponent: int) -> int:
    """`digits` x 10^(exponent - places) in billionths, rounded up."""
    power = exponent - places + 9
    if power >= 0:
        return digits * int(10**power)
    return -(-digits // int(10**-power))


def _binary(digits: int, places: int, power: int) -> tuple[int, Format]:
    """`digits` x 10^-places x 1024^power in billionths, rounded up and capped; below 1 it is written as a decimal."""
    nano = min(-(-digits * 1024**power * NANO // 10**places), MAX_BINARY)
    return nano, Format.DECIMAL_SI if 0 < nano < NANO else Format.BINARY_SI


def _exponent(text: str, whole: str) -> int:
    exponent = int(text)
    if exponent > MAX_EXPONENT:
        raise QuantityError(f"{whole!r} is not a quantity: its exponent must be at most {MAX_EXPONENT}")
    return max(exponent, -2 * MAX_EXPONENT)  # far below a billionth already: the same 1n


def _away_from_zero(value: int, divisor: int) -> int:
    return -(-value // divisor) if value >= 0 else value // divisor


def _binary_text(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < len(_BINARY) - 1:
        value //= 1024
        power += 1
    return f"{value}{_BINARY[power]}"


def _decimal_text(nano: int, form: Format) -> str:
    """Go falls back to an exponent where there is no suffix left: 1000E is '1e21'."""
    if nano == 0:
        return "0"
    exponent = -9
    while nano % 1000 == 0:
        nano //= 1000
        exponent += 3
    if form is Format.DECIMAL_EXPONENT or exponent > 18:
        return f"{nano}e{exponent}" if exponent else str(nano)
    return f"{nano}{_DECIMAL_SUFFIX[exponent]}"
