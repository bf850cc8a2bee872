"""Takes apart how a series is written: `name{label="value",…`, up to the closing brace, with the target's own labels.

Most series of a metric differ only between their quotes. What lies outside the quotes is their shape, which is read
once; a further series of a known shape costs one split and one tuple.
"""

import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import NamedTuple

from adapter.metrics.owners import WIDE
from adapter.metrics.sample import Series

MAX_SHAPES = 2000
"""Of one target."""
SHAPES_BYTES = 2**20
"""Of its shapes, by estimate."""
_SHAPE_BYTES, _PART_BYTES = 600, 180
"""Of a shape, and of each of its parts, beside their texts."""

MAX_NAMES, SHARED_NAME = 5_000, 64
"""Names of labels that are shared by all series, each of at most so many characters: at most some 2 MB."""

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_QUOTED = r'"((?:[^"\\]++|\\.)*+)"'
_LABEL = re.compile(
    rf"[ \t]*+(?:([a-zA-Z_][a-zA-Z0-9_]*+)|{_QUOTED})[ \t]*+(?:=[ \t]*+{_QUOTED}[ \t]*+)?(,|$)", re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_HOLE = "\0"


class LineError(ValueError):
    """Why a line cannot be read."""


class LabelLimits(NamedTuple):
    """What one series may carry; a series with more is refused."""

    labels: int = 64
    name_length: int = 512
    value_length: int = 4096


class _Shape(NamedTuple):
    """Names in order, and how to put values and constants into the same order."""

    names: tuple[str, ...]
    order: Callable[[list[str]], tuple[str, ...]]
    constants: list[str]


class SeriesReader:
    """Turns the text of a series into a Series with `extra` labels.

    A label of the text whose name is among `extra` is kept as `exported_<name>` (Prometheus' honor_labels: false).
    """

    def __init__(self, extra: Mapping[str, str], limits: LabelLimits) -> None:
        self._extra = {key: value for key, value in extra.items() if value}
        self._limits = limits
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}
        self._weight = 0

    def read(self, head: str) -> Series:
        """The series of `head`. Raises LineError."""
        parts = head.split('"')
        values = parts[1::2]
        if "" in values or "\\" in head or len(head) > self._limits.value_length:
            return self._read_slowly(head)
        layout = tuple(parts[::2])
        shape = self._shapes.get(layout)
        if shape is None and (shape := self._learn(layout)) is None:
            return self._read_slowly(head)
        return Series(tuple(zip(shape.names, shape.order(values + shape.constants), strict=True)))

    def _read_slowly(self, head: str) -> Series:
        return Series(tuple(sorted(self._labels(head).items())))

    def _learn(self, layout: tuple[str, ...]) -> _Shape | None:
        """Read the layout with numbered holes for its values, to see which value goes where."""
        weight = _SHAPE_BYTES + _PART_BYTES * len(layout) + WIDE * sum(map(len, layout))
        full = len(self._shapes) >= MAX_SHAPES or self._weight + weight > SHAPES_BYTES
        if layout in self._shapes or full:
            return None
        self._weight += weight
        holes = [f'"{_HOLE}{index}"' for index in range(len(layout) - 1)]
        try:
            labels = self._labels("".join(map("".join, zip(layout, [*holes, ""], strict=True))))
        except LineError:
            labels = {}
        self._shapes[layout] = _shape(labels, len(holes))
        return self._shapes[layout]

    def _labels(self, head: str) -> dict[str, str]:
        labels = _labels(head, self._limits)
        for key, value in self._extra.items():
            if scraped := labels.pop(key, ""):
                exported = f"exported_{key}"
                while exported in labels or exported in self._extra:
                    exported = f"exported_{exported}"
                labels[exported] = scraped
            labels[key] = value
        return labels


_names: dict[str, str] = {}


def shared(name: str) -> str:
    """The one text of a label's name; as `sys.intern`, which never forgets in Python 3.12, but bounded."""
    if len(name) > SHARED_NAME:
        return name
    if len(_names) >= MAX_NAMES and name not in _names:
        _names.clear()
    return _names.setdefault(name, name)


def _shape(labels: dict[str, str], holes: int) -> _Shape | None:
    """None where a label's name is itself between quotes, or there are too few labels for a tuple."""
    if len(labels) < 2 or any(key.startswith(_HOLE) for key in labels):
        return None
    names = tuple(map(shared, sorted(labels)))
    constants = [value for value in labels.values() if not value.startswith(_HOLE)]
    free = iter(range(holes, holes + len(constants)))
    places = {key: int(value[1:]) if value.startswith(_HOLE) else next(free) for key, value in labels.items()}
    return _Shape(names, itemgetter(*(places[name] for name in names)), constants)


def _labels(head: str, limits: LabelLimits) -> dict[str, str]:
    """All labels of `head`, the metric's name as `__name__`: with blanks, escapes, quoted names. Raises LineError."""
    name, brace, block = head.partition("{")
    name = name.strip(" \t")
    if not brace or (name and not _METRIC.fullmatch(name)):
        raise LineError(f"{cut(head)} is not a metric's name with its labels in braces")
    labels = {"__name__": name} if name else {}
    position = 0
    while position < len(block):
        match = _LABEL.match(block, position)
        if match is None:
            if not block[position:].strip(" \t"):
                break
            raise LineError(f'after {cut(head[: len(head) - len(block) + position])} name="value" must follow')
        plain, quoted, value, _ = match.groups()
        if value is None and (quoted is None or labels):
            raise LineError(f"the label {cut(plain or quoted)} has no value")
        key = "__name__" if value is None else plain or _unescaped(quoted)
        _add(labels, key, _unescaped(quoted if value is None else value), limits)
        position = match.end()
    if not labels.get("__name__"):
        raise LineError("the metric has no name")
    return {key: value for key, value in labels.items() if value}


def _add(labels: dict[str, str], key: str, value: str, limits: LabelLimits) -> None:
    if not key or key in labels:
        raise LineError(f"the label {cut(key)} is there twice" if key else "a label has no name")
    if len(key) > limits.name_length or len(value) > limits.value_length:
        raise LineError(
            f"the label {cut(key)} is too long: at most {limits.name_length} characters in a name "
            f"and {limits.value_length} in a value are read"
        )
    labels[shared(key)] = value
    if len(labels) > limits.labels + 1:
        raise LineError(f"there are more than {limits.labels} labels")


def _unescaped(text: str) -> str:
    """An escape that the format does not know stays as it is, as in Prometheus."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[0]), text)


def cut(text: bytes | str, length: int = 60) -> str:
    """The beginning of a text from outside, quoted, fit for a message."""
    shown = text[: length + 1] if isinstance(text, str) else text[: length + 1].decode(errors="replace")
    return repr(shown.strip() if len(shown) <= length else f"{shown[:length]}…")
