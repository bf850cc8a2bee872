"""Takes apart how a series is written: `name{label="value",…`, up to the closing brace, with the target's own labels.

Most series of a metric differ only between their quotes. What lies outside the quotes is their shape, which is read
once; a further series of a known shape costs one split and one tuple. Labels that are the same by where they come from,
the target's own and the metric's name, are one pair in memory for all series of the target, or of the shape.
"""

import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from adapter.metrics.owners import WIDE
from adapter.metrics.sample import Series

MAX_SHAPES = 2000
"""Of one target."""
SHAPES_BYTES = 2**20
"""Of its shapes, by estimate."""
_SHAPE_BYTES, _PART_BYTES = 600, 180
"""Of a shape, and of each of its parts, beside their texts."""
SEEN_ONCE = 500
"""Layouts of a target that are remembered as seen once: a shape is worth its memory where a second series has it."""

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

_Pair: TypeAlias = tuple[str, str]


class LineError(ValueError):
    """Why a line cannot be read."""


class LabelLimits(NamedTuple):
    """What one series may carry; a series with more is refused."""

    labels: int = 64
    name_length: int = 512
    value_length: int = 4096


class _Shape(NamedTuple):
    """What the values are called, in the text's order, and how to sort these pairs and the constant ones by name."""

    names: tuple[str, ...]
    order: Callable[[list[_Pair]], tuple[_Pair, ...]]
    constants: list[_Pair]


class SeriesReader:
    """Turns the text of a series into a Series with `extra` labels.

    A label of the text whose name is among `extra` is kept as `exported_<name>` (Prometheus' honor_labels: false).
    """

    def __init__(self, extra: Mapping[str, str], limits: LabelLimits) -> None:
        self._own = {key: (key, value) for key, value in extra.items() if value}
        self._limits = limits
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}
        self._seen_once: set[int] = set()
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
        return Series(shape.order([*zip(shape.names, values, strict=True), *shape.constants]))

    def _read_slowly(self, head: str) -> Series:
        return Series(tuple(self._pair(*label) for label in sorted(self._labels(head).items())))

    def _pair(self, key: str, value: str) -> _Pair:
        """The one pair of a label of the target's own, else a new one."""
        own = self._own.get(key)
        return own if own is not None and own[1] == value else (key, value)

    def _learn(self, layout: tuple[str, ...]) -> _Shape | None:
        """Read the layout with numbered holes for its values, to see which value goes where; not at its first sight."""
        weight = _SHAPE_BYTES + _PART_BYTES * len(layout) + WIDE * sum(map(len, layout))
        full = len(self._shapes) >= MAX_SHAPES or self._weight + weight > SHAPES_BYTES
        if layout in self._shapes or full or self._is_first(hash(layout)):
            return None
        self._weight += weight
        holes = [f'"{_HOLE}{index}"' for index in range(len(layout) - 1)]
        try:
            labels = self._labels("".join(map("".join, zip(layout, [*holes, ""], strict=True))))
        except LineError:
            labels = {}
        self._shapes[layout] = self._shape(labels, len(holes))
        return self._shapes[layout]

    def _is_first(self, layout: int) -> bool:
        if layout in self._seen_once:
            self._seen_once.remove(layout)
            return False
        if len(self._seen_once) >= SEEN_ONCE:
            self._seen_once.clear()
        self._seen_once.add(layout)
        return True

    def _shape(self, labels: dict[str, str], holes: int) -> _Shape | None:
        """None where a label's name is itself between quotes, or there are too few labels for a tuple."""
        if len(labels) < 2 or any(key.startswith(_HOLE) for key in labels):
            return None
        filled = {int(value[1:]): intern_name(key) for key, value in labels.items() if value.startswith(_HOLE)}
        constants = [
            self._pair(intern_name(key), value) for key, value in labels.items() if not value.startswith(_HOLE)
        ]
        names = tuple(filled[hole] for hole in range(holes))
        places = {name: place for place, name in enumerate([*names, *(key for key, _ in constants)])}
        return _Shape(names, itemgetter(*(places[name] for name in sorted(labels))), constants)

    def _labels(self, head: str) -> dict[str, str]:
        labels = _labels(head, self._limits)
        for key, value in self._own.values():
            if scraped := labels.pop(key, ""):
                exported = f"exported_{key}"
                while exported in labels or exported in self._own:
                    exported = f"exported_{exported}"
                labels[exported] = scraped
            labels[key] = value
        return labels


_names: dict[str, str] = {}


def intern_name(name: str) -> str:
    """One string for equal label names; as `sys.intern`, which never forgets in Python 3.12, but bounded."""
    if len(name) > SHARED_NAME:
        return name
    if len(_names) >= MAX_NAMES and name not in _names:
        _names.clear()
    return _names.setdefault(name, name)


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
        key = "__name__" if value is None else plain or _unescape(quoted)
        _add(labels, key, _unescape(quoted if value is None else value), limits)
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
    labels[intern_name(key)] = value
    if len(labels) > limits.labels + 1:
        raise LineError(f"there are more than {limits.labels} labels")


def _unescape(text: str) -> str:
    """An escape that the format does not know stays as it is, as in Prometheus."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[0]), text)


def cut(text: bytes | str, length: int = 60) -> str:
    """The beginning of a text from outside, quoted, fit for a message."""
    shown = text[: length + 1] if isinstance(text, str) else text[: length + 1].decode(errors="replace")
    return repr(shown.strip() if len(shown) <= length else f"{shown[:length]}…")
