"""YAML of a file as nodes. What nests, repeats or merges without end is refused before it costs anything.

libyaml composes by recursion in C, so deep nesting would end the process; an alias stands for all that it names, and a
merge key for all that it merges, so a small file could become any size.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml

MERGE = "tag:yaml.org,2002:merge"
Pair: TypeAlias = "tuple[yaml.Node, yaml.Node]"


class YamlError(ValueError):
    """A text that is no YAML, or too much of it: one clause without the place."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line
        """From 1; 0 where nobody knows."""


def check_nesting(text: str | bytes, most: int, *, merges: bool = True) -> None:
    """Raises YamlError where more than `most` lists and mappings are inside each other, yaml.YAMLError for no YAML.

    Without `merges` also where there is a merge key.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif not merges and isinstance(event, yaml.ScalarEvent) and event.value == "<<" and not event.style:
            raise YamlError("it has a merge key ('<<'); right would be none", _line(event.start_mark))
        if depth > most:
            raise YamlError(f"it is more than {most} levels deep; right would be fewer", _line(event.start_mark))


def check_values(text: str | bytes, *, values: int, depth: int) -> None:
    """Raises YamlError for more `values` (aliases, merges written out) or deeper ones, yaml.YAMLError for no YAML."""
    check_nesting(text, depth)
    budget = Budget(values=values, depth=depth)
    for root in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        _count(budget, root, 0)


def _count(budget: "Budget", node: yaml.Node, depth: int) -> None:
    budget.spend(node, depth)
    within = node.value if isinstance(node, yaml.SequenceNode) else ()
    if isinstance(node, yaml.MappingNode):
        within = [value for _, value in budget.pairs(node, depth)]
    for value in within:
        _count(budget, value, depth + 1)


def documents(text: str, most_depth: int) -> list[yaml.Node]:
    """The root node of each document. Raises YamlError."""
    try:
        check_nesting(text, most_depth)
        return list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        why = " ".join(filter(None, (error.context, error.problem)))
        raise YamlError(f"this is no YAML: {why}", _line(error.problem_mark or error.context_mark)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"this is no YAML: {' '.join(str(error).split())[:200]}") from None


class Budget:
    """Counts the values of one file with its aliases and merges written out."""

    def __init__(self, *, values: int, depth: int) -> None:
        self._left, self._depth = values, depth

    def spend(self, node: yaml.Node, depth: int, values: int = 1) -> None:
        """Raises YamlError where these are too many, or too deep."""
        self._left -= values
        if self._left < 0 or depth > self._depth:
            raise YamlError("the file holds too many values, or too deep ones", line(node))

    def pairs(self, node: yaml.MappingNode, depth: int) -> list[Pair]:
        """Keys and values, with what its merge keys name before its own, the first of these last. Raises YamlError."""
        self.spend(node, depth, len(node.value))
        merged: list[Pair] = []
        own: list[Pair] = []
        for key, value in node.value:
            if key.tag == MERGE:
                merged += self._pairs_to_merge(value, depth)
            else:
                own.append((key, value))
        return merged + own

    def _pairs_to_merge(self, value: yaml.Node, depth: int) -> Iterator[Pair]:
        for source in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(source, yaml.MappingNode):
                raise YamlError("'<<' takes a mapping or a list of mappings", line(value))
            yield from self.pairs(source, depth + 1)


def line(node: yaml.Node) -> int:
    """On which line it begins, from 1."""
    return _line(node.start_mark)


def _line(mark: Any) -> int:
    return mark.line + 1 if mark else 0
