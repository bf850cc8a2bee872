"""How the value of a flag is read and shown, by the type of its setting: as Go's strconv, flag and pflag do."""

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple

from adapter.units import duration


class Seconds(float):
    """A duration in Go's form: `1h30m`, `100us`, `1.5s`."""


class PrometheusSeconds(Seconds):
    """A duration in Prometheus' form, with days, weeks and years: `8d`."""


class PlainSeconds(Seconds):
    """A duration in Go's form, or a bare number of seconds, as of kubectl's --request-timeout."""


class Address(str):
    """Where to listen: `:8942`, `127.0.0.1:8942`, `[::1]:8942`."""

    __slots__ = ()

    @property
    def host(self) -> str:
        """The host without brackets; empty: all addresses."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """0 to 65535."""
        return int(self.rpartition(":")[2])


class Kind(NamedTuple):
    """One type of value."""

    read: Callable[[str], Any]
    """Text to value; ValueError holds what is wanted."""
    show: Callable[[Any], str]
    """Value to a text that reads as the same value."""


_TRUTH: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
"""strconv.ParseBool."""
_INTEGER: Final = re.compile(r"([+-]?)(0[xX]_?[0-9a-fA-F_]+|0[bB]_?[01_]+|0[oO]_?[0-7_]+|0[0-7_]*|[1-9][0-9_]*)")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]++\.?+[0-9]*+|\.[0-9]++)([eE][+-]?[0-9]++)?")
_BARE: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_HEXADECIMAL: Final = re.compile(r"[+-]?0[xX]([0-9a-fA-F]++\.?+[0-9a-fA-F]*+|\.[0-9a-fA-F]++)[pP][+-]?[0-9]++")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]*):([0-9]{1,5})")


def truth(text: str) -> bool:
    """strconv.ParseBool. Raises ValueError."""
    if text not in _TRUTH:
        raise ValueError("true or false is wanted")
    return _TRUTH[text]


def whole(text: str) -> int:
    """strconv.ParseInt in base 0, 64 bits: `10`, `0x1f`, `010` is eight, `1_000` is a thousand. Raises ValueError."""
    match = _INTEGER.fullmatch(text)
    if match is None or "__" in text or text.endswith("_"):
        raise ValueError("a whole number is wanted")
    digits = match[2]
    is_octal = re.fullmatch(r"0[0-7_]+", digits) is not None
    if len(digits) > 80:
        raise ValueError("a whole number of at most 64 bits is wanted")
    value = int(digits, 8) if is_octal else int(digits, 0)
    value = -value if match[1] == "-" else value
    if not -(2**63) <= value < 2**63:
        raise ValueError("a whole number of at most 64 bits is wanted")
    return value


def number(text: str) -> float:
    """strconv.ParseFloat, but for NaN and infinity, which no setting can mean. Raises ValueError."""
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            raise ValueError("a finite number is wanted") from None
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError("a finite number is wanted")
    return value


def address(text: str) -> Address:
    """`host:port` or `:port`. Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise ValueError("host:port or :port is wanted, the port from 0 to 65535")
    return Address(text)


def string_list(text: str) -> tuple[str, ...]:
    """pflag's StringSlice: one line of CSV; empty parts are dropped. Raises ValueError."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error:
        raise ValueError('values separated by commas are wanted, one with a comma or quotes like "a,b"') from None
    return tuple(part for row in rows for part in row if part)


def _show_list(parts: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(parts)
    return out.getvalue() if parts else ""


def _show_seconds(value: float) -> str:
    """The shortest of Go's texts: 90 -> '1m30s', 0.25 -> '250ms'; down to the nanosecond."""
    left = round(Fraction(value) * 10**9)
    sign, left = ("-" if left < 0 else ""), abs(left)
    text = ""
    for unit, size in (("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" * bool(count)
    return sign + (text or "0s")


def _show_truth(value: bool) -> str:
    return str(value).lower()


def _plain(text: str) -> PlainSeconds:
    return PlainSeconds(duration.parse_go(f"{text}s" if _BARE.fullmatch(text) else text))


def _switch(text: str) -> bool | None:
    return truth(text) if text else None


KINDS: Final[Mapping[Any, Kind]] = {
    str: Kind(str, str),
    bool: Kind(truth, _show_truth),
    bool | None: Kind(_switch, lambda value: "" if value is None else _show_truth(value)),
    int: Kind(whole, str),
    float: Kind(number, repr),
    Seconds: Kind(lambda text: Seconds(duration.parse_go(text)), _show_seconds),
    PrometheusSeconds: Kind(
        lambda text: PrometheusSeconds(duration.parse_prometheus(text)),
        lambda value: duration.show(round(value * 1000)),
    ),
    PlainSeconds: Kind(_plain, _show_seconds),
    Address: Kind(address, str),
    tuple[str, ...]: Kind(string_list, _show_list),
}
"""By the annotation of a setting's field; `bool | None` is a switch that follows something else until it is given."""


def is_bare(annotation: Any) -> bool:
    """Whether a flag of this type needs no value."""
    return annotation in (bool, bool | None)
