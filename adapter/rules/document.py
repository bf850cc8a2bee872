"""A YAML text as plain values that still know their lines.

All scalars come as the text that was written: what a rule's field means is decided by the field, as it is in Go, where
`as: 5` is the string "5". Duplicate keys are refused, as prometheus-adapter's strict reading does; anchors, aliases and
merge keys work.
"""

import re
from typing import TypeAlias

import yaml

from adapter.units.yamltext import MERGE, Budget, YamlError, documents, line

MAX_TEXT = 8 << 20
"""Bytes of a file; a ConfigMap holds 1 MiB."""

MAX_VALUES = 100_000
"""Values of a file with its aliases written out, so that a small file cannot grow without bound."""

MAX_DEPTH = 20

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | None"
Path: TypeAlias = tuple[str | int, ...]


class RulesError(ValueError):
    """A file that cannot be read as a whole; the text names file and line."""


class Document:
    """Values and the lines, from 1, on which they stand."""

    def __init__(self, text: str, place: str) -> None:
        """`place` names the file in messages. Raises RulesError."""
        self.place = place
        self._lines: dict[Path, int] = {}
        self._budget = Budget(values=MAX_VALUES, depth=MAX_DEPTH)
        if len(text) > MAX_TEXT:
            raise RulesError(f"{place}: the file has {len(text)} characters; at most {MAX_TEXT} are read")
        try:
            nodes = documents(text, MAX_DEPTH + 1)
            if len(nodes) > 1:
                raise YamlError("this is no YAML of one document: a second one begins", line(nodes[1]))
            self.value: Plain = self._plain(nodes[0], ()) if nodes else None
        except YamlError as error:
            where = f", line {error.line}" if error.line else ""
            raise RulesError(f"{place}{where}: {error}") from None

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of the nearest one around it that is there."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)

    def at(self, path: Path) -> str:
        """'rules[2].name.as, line 31'."""
        return f"{format_path(path)}, line {self.line(path)}"

    def _plain(self, node: yaml.Node, path: Path) -> Plain:
        self._budget.spend(node, len(path))
        self._lines[path] = line(node)
        if isinstance(node, yaml.MappingNode):
            self._refuse_duplicates(node)
            pairs = self._budget.pairs(node, len(path))
            return {key.value: self._plain(value, (*path, key.value)) for key, value in pairs}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(value, (*path, index)) for index, value in enumerate(node.value)]
        return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError("a key is a list or a mapping; right would be a word", line(key))
            if key.value in seen and key.tag != MERGE:
                raise YamlError(f"the key {key.value!r} is there twice; right would be once", line(key))
            seen.add(key.value)


def format_path(path: Path) -> str:
    """('rules', 2, 'name') -> 'rules[2].name'."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def path_of(text: str) -> Path:
    """The path in a message of msgspec: '$.name.as' -> ('name', 'as'); what it cannot name ends the path."""
    parts: list[str | int] = []
    for word, number in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", text):
        parts.append(int(number) if number else word)
    return tuple(parts)
