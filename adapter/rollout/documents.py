"""A file of YAML documents -> plain values as Kubernetes reads them, and the RolloutPolicy among them. Pure.

Kubernetes' reading differs from PyYAML's: 1e-2 is a number, a date is a text, a key that is there twice is an error.
Aliases are written out, bounded, so that a small file cannot grow without end.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import yaml

from adapter.units.layers import first_below

API_VERSION: Final = "streamgate.io/v1alpha1"
KIND: Final = "RolloutPolicy"
MOST_BYTES: Final = 4 << 20
MOST_VALUES: Final = 200_000
MOST_DEPTH: Final = 60

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"

_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")
_TAG: Final = "tag:yaml.org,2002:"


class DocumentError(ValueError):
    """The file cannot be used; the text says where, what was wrong and what would be right."""


def policy_of(data: bytes, place: str) -> dict[str, Any]:
    """The one RolloutPolicy of a file, raw. `place` names the file in messages. Raises DocumentError."""
    found = [each for each in objects(data, place) if each.get("kind") == KIND]
    if len(found) != 1:
        raise DocumentError(f"{place}: the file holds {len(found)} objects of kind {KIND}; right would be one")
    version = found[0].get("apiVersion")
    if version != API_VERSION:
        raise DocumentError(f"{place}: apiVersion of the {KIND} is {str(version)[:60]!r}; right would be {API_VERSION}")
    return found[0]


def objects(data: bytes, place: str) -> list[dict[str, Any]]:
    """All mappings of a file, a List's items one by one. Raises DocumentError."""
    found: list[dict[str, Any]] = []
    for value in documents(data, place):
        items = value.get("items") if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") else None
        found += (each for each in (items if isinstance(items, list) else [value]) if isinstance(each, dict))
    return found


def documents(data: bytes, place: str) -> list[Plain]:
    """All documents of a file. Raises DocumentError."""
    if len(data) > MOST_BYTES:
        raise DocumentError(f"{place}: the file has more than {MOST_BYTES} bytes; right would be less")
    try:
        text = data.decode("utf-8-sig")
        _bounded(text, place)
        loader = yaml.CSafeLoader(text)
        try:
            return [_Reader(loader, place).plain(node, 0) for node in _nodes(loader)]
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise DocumentError(f"{place}: byte {error.start + 1} is no UTF-8; right would be a text file") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        why = " ".join(filter(None, (error.context, error.problem)))
        raise DocumentError(f"{place}{where}: this is no YAML: {why}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(f"{place}: this is no YAML: {' '.join(str(error).split())[:200]}") from None


def _bounded(text: str, place: str) -> None:
    """Refuse what nests so deep that composing it would exhaust the stack."""
    if line := first_below(text, MOST_DEPTH):
        raise DocumentError(f"{place}, line {line}: more than {MOST_DEPTH} levels deep; right would be fewer")


def _nodes(loader: yaml.CSafeLoader) -> Iterator[yaml.Node]:
    while loader.check_node():
        node = loader.get_node()
        assert node is not None, "check_node said that there is one"
        yield node


class _Reader:
    """Nodes -> values, counting."""

    def __init__(self, loader: yaml.CSafeLoader, place: str) -> None:
        self._loader, self._place, self._count = loader, place, 0

    def plain(self, node: yaml.Node, depth: int) -> Plain:
        self._count += 1
        if self._count > MOST_VALUES or depth > MOST_DEPTH:
            raise self._error(node, "the document holds too many values, or too deep ones")
        if isinstance(node, yaml.MappingNode):
            self._refuse_twice(node)
            self._loader.flatten_mapping(node)
            return {self._key(key): self.plain(value, depth + 1) for key, value in node.value}
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
            value: Plain = self._loader.construct_object(node)
        except ValueError:  # such as an integer of thousands of digits
            raise self._error(node, f"{text[:40]!r} cannot be read") from None
        return value

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a key is a list or a mapping; right would be a word")
        return str(node.value)

    def _refuse_twice(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            word = self._key(key)
            if word in seen and key.tag != f"{_TAG}merge":
                raise self._error(key, f"the key {word[:60]!r} is there twice; right would be once")
            seen.add(word)

    def _error(self, node: yaml.Node, text: str) -> DocumentError:
        return DocumentError(f"{self._place}, line {node.start_mark.line + 1}: {text}")


def spec_of(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """A policy's raw spec; empty where there is none, so that its reader says what is missing."""
    spec = policy.get("spec")
    return spec if isinstance(spec, Mapping) else {}
