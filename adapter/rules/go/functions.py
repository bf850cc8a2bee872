"""The functions of Go's text/template that rules can call, and Go's way of printing values."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from adapter.units.text import quote


class _Nothing:
    """A marker that prints as Go prints it."""

    def __init__(self, text: str) -> None:
        self.text = text


NIL: Final = _Nothing("<nil>")
NO_VALUE: Final = _Nothing("<no value>")
"""What a map gives for a key that it does not have."""

Value: TypeAlias = str | bool | int | float | Sequence[str] | Mapping[str, str] | _Nothing

_VERB = re.compile(r"%(?P<flags>[-+ 0#]*)(?P<width>\d{0,3})(?:\.(?P<precision>\d{0,3}))?(?P<verb>.|$)", re.DOTALL)


class FunctionError(ValueError):
    """A call that Go would refuse; the text says why."""


def show(value: Value) -> str:
    """As Go's %v prints it: `[a b]`, `map[a:b]`, `true`."""
    match value:
        case _Nothing():
            return value.text
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case float():
            return _float(value)
        case Mapping():
            return f"map[{' '.join(f'{key}:{show(item)}' for key, item in sorted(value.items()))}]"
    return f"[{' '.join(map(show, value))}]"


def _float(value: float) -> str:
    """Go's %v of a float64: the shortest digits, with an exponent below 1e-4 and from 1e21."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", text)


def truth(value: Value) -> bool:
    """Whether `if` takes it: anything but false, 0, nil and what is empty."""
    return not isinstance(value, _Nothing) and bool(value)


def call(name: str, arguments: Sequence[Value]) -> Value:
    """The function's value. Raises FunctionError."""
    least, most, function = FUNCTIONS[name]
    if len(arguments) < least or (most is not None and len(arguments) > most):
        wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        raise FunctionError(f"has {len(arguments)} arguments and takes {wanted}")
    return function(*arguments)


def _index(item: Value, *keys: Value) -> Value:
    for key in keys:
        item = _element(item, key)
    return item


def _element(item: Value, key: Value) -> Value:
    if isinstance(item, Mapping):
        if not isinstance(key, str):
            raise FunctionError(f"a map's key is a string, not {show(key)}")
        return item.get(key, "")
    if isinstance(item, _Nothing | bool | int | float):
        raise FunctionError(f"{show(item)} has no elements; it takes a list or a map")
    if isinstance(key, bool) or not isinstance(key, int):
        raise FunctionError(f"a list's index is an integer, not {quote(show(key))}")
    elements: Sequence[str] | bytes = item.encode() if isinstance(item, str) else item
    if not 0 <= key < len(elements):
        raise FunctionError(f"the index {key} is out of range; there are {len(elements)} elements")
    return elements[key]


def _slice(item: Value, *bounds: Value) -> Value:
    if isinstance(item, Mapping | _Nothing | bool | int | float):
        raise FunctionError(f"{show(item)} cannot be sliced; it takes a list or a string")
    raw: Sequence[str] | bytes = item.encode() if isinstance(item, str) else item
    limits = [bound for bound in bounds if isinstance(bound, int) and not isinstance(bound, bool)]
    if len(limits) != len(bounds) or sorted([0, *limits, len(raw)]) != [0, *limits, len(raw)]:
        raise FunctionError("the bounds are no ascending integers within the value")
    start, end = [*limits, len(raw)][:2] if limits else (0, len(raw))
    part = raw[start:end]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _len(item: Value) -> int:
    if isinstance(item, _Nothing | bool | int | float):
        raise FunctionError(f"{show(item)} has no length")
    return len(item.encode() if isinstance(item, str) else item)


def _kind(value: Value) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "string"
    raise FunctionError(f"{show(value)} cannot be compared")


def _equal(first: Value, *others: Value) -> bool:
    for other in others:
        if _kind(first) != _kind(other):
            raise FunctionError(f"{show(first)} and {show(other)} are of different types")
        if first == other:
            return True
    return False


def _less(first: Value, second: Value) -> bool:
    if _kind(first) != _kind(second) or isinstance(first, bool):
        raise FunctionError(f"{show(first)} and {show(second)} have no order")
    return first < second  # type: ignore[operator]  # both are numbers or both strings


def _print(*values: Value) -> str:
    """Go's fmt.Sprint: a space between two neighbours of which neither is a string."""
    text = ""
    for index, value in enumerate(values):
        spaced = index > 0 and not isinstance(value, str) and not isinstance(values[index - 1], str)
        text += (" " if spaced else "") + show(value)
    return text


def _println(*values: Value) -> str:
    return " ".join(map(show, values)) + "\n"


def _printf(layout: Value, *values: Value) -> str:
    if not isinstance(layout, str):
        raise FunctionError(f"the layout is a string, not {show(layout)}")
    waiting = list(values)

    def put(match: re.Match[str]) -> str:
        if match["verb"] == "%":
            return "%"
        if not waiting:
            raise FunctionError(f"no value is left for {match[0]!r}")
        return _format(match, waiting.pop(0))

    text = _VERB.sub(put, layout)
    if waiting:
        raise FunctionError(f"the layout {layout!r} leaves {len(waiting)} values over")
    return text


def _format(match: re.Match[str], value: Value) -> str:
    verb, flags, width, precision = match["verb"], match["flags"], match["width"], match["precision"]
    if verb in ("s", "q") and isinstance(value, str):
        text = value if precision is None else value[: int(precision or 0)]
        return _pad(quote(text) if verb == "q" else text, flags, width)
    if verb == "q" and isinstance(value, Sequence):
        return _pad(f"[{' '.join(map(quote, value))}]", flags, width)
    if (
        verb == "v"
        or (verb == "s" and isinstance(value, Mapping | Sequence))
        or (verb == "t" and isinstance(value, bool))
    ):
        return _pad(show(value), flags, width)
    number = isinstance(value, int) and not isinstance(value, bool)
    if (verb in ("d", "x", "X", "o") and number) or (verb in ("f", "e", "g") and isinstance(value, float)):
        digits = f".{precision or 0}" if precision is not None else ""
        return f"%{flags}{width}{digits}{verb}" % value
    raise FunctionError(f"{match[0]!r} does not fit {show(value)!r}; known are %s %q %v %d %t %f %e %g %x %o")


def _pad(text: str, flags: str, width: str) -> str:
    if not width:
        return text
    if "-" in flags:
        return text.ljust(int(width))
    return text.rjust(int(width), "0" if "0" in flags else " ")


FUNCTIONS: Final[Mapping[str, tuple[int, int | None, Callable[..., Value]]]] = {
    "and": (1, None, lambda *values: values[-1]),
    "or": (1, None, lambda *values: values[-1]),
    "not": (1, 1, lambda value: not truth(value)),
    "len": (1, 1, _len),
    "index": (1, None, _index),
    "slice": (1, 3, _slice),
    "print": (0, None, _print),
    "println": (0, None, _println),
    "printf": (1, None, _printf),
    "eq": (2, None, _equal),
    "ne": (2, 2, lambda first, second: not _equal(first, second)),
    "lt": (2, 2, _less),
    "le": (2, 2, lambda first, second: _equal(first, second) or _less(first, second)),
    "gt": (2, 2, lambda first, second: _less(second, first)),
    "ge": (2, 2, lambda first, second: _equal(first, second) or _less(second, first)),
}
"""Name -> fewest arguments, most (None: any number), what it does. `gorender` evaluates `and` and `or` lazily."""
