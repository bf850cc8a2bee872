"""A file of YAML documents -> plain values as Kubernetes reads them.

Kubernetes' reading differs from PyYAML's: 1e-2 is a number, a date is a text, a key that is there twice is an error.
Aliases are written out, bounded, so that a small file cannot grow without end.
"""

import re
from typing import Any, Final, TypeAlias

import yaml

from adapter.units.yamltext import MERGE, Budget, YamlError, documents, line

MOST_BYTES: Final = 4 << 20
MOST_VALUES: Final = 200_000
MOST_DEPTH: Final = 60

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"

_NUMBER: Final = re.compile(r"[-+]?(?:\d++(?:\.\d*+)?+|\.\d++)[eE][-+]?\d++\Z")
_TAG: Final = "tag:yaml.org,2002:"


class ManifestError(ValueError):
    """The file cannot be used; the text says where, what was wrong and what would be right."""


def objects(data: bytes, place: str) -> list[Plain]:
    """The values of all documents of a file, a List's items one by one, and nothing for an empty document.

    `place` names the file in messages. Raises ManifestError.
    """
    plain_values: list[Plain] = []
    for value in values(data, place):
        items = value.get("items") if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") else None
        plain_values += items if isinstance(items, list) else [] if value is None else [value]
    return plain_values


def values(data: bytes, place: str) -> list[Plain]:
    """One for each document of a file. Raises ManifestError."""
    if len(data) > MOST_BYTES:
        raise ManifestError(f"{place}: the file has more than {MOST_BYTES} bytes; right would be less")
    try:
        reader = _Reader()
        return [reader.plain(node, 0) for node in documents(data.decode("utf-8-sig"), MOST_DEPTH)]
    except UnicodeDecodeError as error:
        raise ManifestError(f"{place}: byte {error.start + 1} is no UTF-8; right would be a text file") from None
    except YamlError as error:
        raise ManifestError(f"{place}{f', line {error.line}' if error.line else ''}: {error}") from None


class _Reader:
    """Nodes -> values, counting. Raises YamlError."""

    def __init__(self) -> None:
        self._budget = Budget(values=MOST_VALUES, depth=MOST_DEPTH)
        self._scalars = yaml.constructor.SafeConstructor()

    def plain(self, node: yaml.Node, depth: int) -> Plain:
        self._budget.spend(node, depth)
        if isinstance(node, yaml.MappingNode):
            self._refuse_twice(node)
            pairs = self._budget.pairs(node, depth)
            return {_key(key): self.plain(value, depth + 1) for key, value in pairs}
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(value, depth + 1) for value in node.value]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Plain:
        text = str(node.value)
        if node.tag == f"{_TAG}str":
            plain = isinstance(node, yaml.ScalarNode) and not node.style
            return float(text) if plain and _NUMBER.match(text) else text
        if node.tag in (f"{_TAG}timestamp", f"{_TAG}binary", f"{_TAG}value"):
            return text
        try:
            value: Plain = self._scalars.construct_object(node)
        except yaml.MarkedYAMLError as error:
            raise YamlError(f"this is no YAML: {error.problem}", line(node)) from None
        except (ValueError, LookupError, AttributeError, TypeError):  # PyYAML's own faults at a tag that does not fit
            raise YamlError(f"{text[:40]!r} cannot be read", line(node)) from None
        return value

    def _refuse_twice(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            word = _key(key)
            if word in seen and key.tag != MERGE:
                raise YamlError(f"the key {word[:60]!r} is there twice; right would be once", line(key))
            seen.add(word)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise YamlError("a key is a list or a mapping; right would be a word", line(node))
    return str(node.value)


def mappings(data: bytes, place: str) -> list[dict[str, Any]]:
    """Of `objects` the mappings. Raises ManifestError."""
    return [each for each in objects(data, place) if isinstance(each, dict)]
