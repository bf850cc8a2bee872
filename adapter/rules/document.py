"""A YAML text as plain values that still know their lines.

All scalars come as the text that was written: what a rule's field means is decided by the field, as it is in Go, where
`as: 5` is the string "5". Duplicate keys are refused, as prometheus-adapter's strict reading does; anchors, aliases and
merge keys work.
"""

import re
from typing import TypeAlias

import yaml

from adapter.units.layers import first_below

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
        self._count = 0
        if len(text) > MAX_TEXT:
            raise RulesError(f"{place}: the file has {len(text)} characters; at most {MAX_TEXT} are read")
        loader = None
        try:
            if line := first_below(text, MAX_DEPTH):
                raise RulesError(f"{place}, line {line}: the file holds too many values, or too deep ones")
            loader = yaml.CSafeLoader(text)
            node = loader.get_single_node()
            self.value: Plain = None if node is None else self._plain(node, (), loader)
        except yaml.MarkedYAMLError as error:
            raise RulesError(_sentence(error, place)) from None
        except (yaml.YAMLError, RecursionError) as error:
            raise RulesError(f"{place}: this is no YAML: {' '.join(str(error).split())}") from None
        finally:
            if loader is not None:
                loader.dispose()

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of the nearest one around it that is there."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)

    def at(self, path: Path) -> str:
        """'rules[2].name.as, line 31'."""
        return f"{dotted(path)}, line {self.line(path)}"

    def _plain(self, node: yaml.Node, path: Path, loader: yaml.CSafeLoader) -> Plain:
        self._count += 1
        line = node.start_mark.line + 1
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise RulesError(f"{self.place}, line {line}: the file holds too many values, or too deep ones")
        self._lines[path] = line
        if isinstance(node, yaml.MappingNode):
            self._refuse_duplicates(node)
            loader.flatten_mapping(node)
            return {key.value: self._plain(value, (*path, key.value), loader) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(value, (*path, index), loader) for index, value in enumerate(node.value)]
        return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise RulesError(f"{self.place}, line {line}: a key is a list or a mapping; right would be a word")
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise RulesError(
                    f"{self.place}, line {line}: the key {key.value!r} is there twice; right would be once"
                )
            seen.add(key.value)


def dotted(path: Path) -> str:
    """('rules', 2, 'name') -> 'rules[2].name'."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def path_of(text: str) -> Path:
    """The path in a message of msgspec: '$.name.as' -> ('name', 'as'); what it cannot name ends the path."""
    parts: list[str | int] = []
    for word, number in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", text):
        parts.append(int(number) if number else word)
    return tuple(parts)


def _sentence(error: yaml.MarkedYAMLError, place: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f", line {mark.line + 1}" if mark else ""
    why = " ".join(filter(None, (error.context, error.problem)))
    return f"{place}{where}: this is no YAML: {why}"
