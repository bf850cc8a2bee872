"""Label selectors: the text that kubectl's -l takes, and metav1.LabelSelector.

Grammar, validation and meaning are those of k8s.io/apimachinery/pkg/labels (of which `==` is read as `=`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain

from adapter.units.matching import Matcher
from adapter.units.requirement import (
    EXPRESSIONS,
    INEQUALITIES,
    LISTS,
    Operator,
    Requirement,
    integer,
    key_problem,
    metric_value_problem,
    value_problem,
)

MAX_TEXT = 65536
"""Characters of a selector; a URL that holds a longer one is refused before it comes here."""
MAX_METRIC_REQUIREMENTS = 64
"""Of a metric's selector: a series has no more labels."""
MAX_METRIC_VALUES = 1000
"""Of all requirements of a metric's selector together."""

_SPACE = " \t\r\n"
_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!<>(),]|[^ \t\r\n=!<>(),]+|$)")
_SYMBOLS = frozenset(("==", "!=", *"=!<>(),"))


class SelectorError(ValueError):
    """A selector that cannot be read; the message names the place and what would be right."""


_BINARY = {
    "=": Operator.EQUALS, "==": Operator.EQUALS, "!=": Operator.NOT_EQUALS, "in": Operator.IN,
    "notin": Operator.NOT_IN, ">": Operator.GREATER, "<": Operator.LESS,
}  # fmt: skip


class Selector:
    """Requirements that must all hold; without any it matches everything. Immutable and hashable."""

    def __init__(self, requirements: Iterable[Requirement] = ()) -> None:
        self.requirements: tuple[Requirement, ...] = tuple(sorted(set(requirements), key=Requirement.order))
        self._hash = hash(self.requirements)

    @classmethod
    def parse(cls, text: str, strict_values: bool = True) -> "Selector":
        """Read the syntax of kubectl: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`. Raises SelectorError.

        `strict_values=False` is for a metric's selector: it takes values that no label in Kubernetes can have, to pass
        a regular expression through, as in `path in (/api/(v1|v2)/.*)`, where a parenthesis opens a nested group. These
        values, and the number of requirements, have bounds of their own.
        """
        return cls(_enforce_limits(_Reader(text, strict_values).read(), strict_values))

    @classmethod
    def from_object(cls, selector: Mapping[str, object], strict_values: bool = True) -> "Selector":
        """Read a metav1.LabelSelector as JSON gives it: matchLabels and matchExpressions. Raises SelectorError."""
        requirements = chain(_match_labels(selector, strict_values), _match_expressions(selector, strict_values))
        return cls(_enforce_limits(requirements, strict_values))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with `labels` is selected."""
        return self._matcher.matches(labels)

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self.requirements)

    @cached_property
    def weight(self) -> int:
        """Characters of all its names and values: what it costs to keep."""
        return sum(len(key) + sum(map(len, values)) + 1 for key, _, values in self.requirements)

    @cached_property
    def equals(self) -> Mapping[str, str]:
        """The labels that a selected object has for certain: equalities and lists of one, for an index."""
        return {
            key: values[0]
            for key, operator, values in self.requirements
            if operator in (Operator.EQUALS, Operator.IN) and len(values) == 1
        }

    @property
    def empty(self) -> bool:
        """Whether it matches everything."""
        return not self.requirements

    def __eq__(self, other: object) -> bool:
        return self.requirements == other.requirements if isinstance(other, Selector) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        """The canonical text, sorted by key: `Selector.parse` gives an equal selector back."""
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"Selector({str(self)!r})"


EVERYTHING = Selector()
"""Matches whatever there is."""


class _Reader:
    """One pass over a selector's text, token by token."""

    def __init__(self, text: str, strict_values: bool) -> None:
        if len(text) > MAX_TEXT:
            raise SelectorError(f"the selector has {len(text)} characters; at most {MAX_TEXT} are read")
        self.text = text
        self.strict_values = strict_values
        self.position = 0

    def read(self) -> Iterator[Requirement]:
        if not self.peek():
            return
        while True:
            yield self.requirement()
            if not (part := self.take()):
                return
            if part != ",":
                raise self.error(f"found {part!r} where ',' or the end belongs", part)

    def requirement(self) -> Requirement:
        absent = self.peek() == "!" and bool(self.take())
        key = self.take()
        if not key or key in _SYMBOLS:
            raise self.error(f"found {key!r} where a label's name belongs", key)
        self.check(key, key_problem(key), key)
        if absent or self.peek() in ("", ","):
            return Requirement(key, Operator.DOES_NOT_EXIST if absent else Operator.EXISTS)
        token = self.take()
        if token not in _BINARY:
            raise self.error(f"found {token!r} where one of = == != in notin > < belongs", token)
        operator = _BINARY[token]
        values = self.values() if operator in LISTS else [self.value()]
        return Requirement(key, operator, tuple(sorted({self.check_value(value, operator) for value in values})))

    def value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.take()
        if token in _SYMBOLS:
            raise self.error(f"found {token!r} where a value belongs", token)
        return token

    def values(self) -> list[str]:
        if (part := self.take()) != "(":
            raise self.error(f"found {part!r} where '(' belongs", part)
        if not self.strict_values:
            return self.nested_values()
        values = []
        while True:
            values.append("" if self.peek() in (",", ")") else self.value())
            if (part := self.take()) == ")":
                return values
            if part != ",":
                raise self.error(f"found {part!r} where ',' or ')' belongs", part)

    def nested_values(self) -> list[str]:
        """Up to the ')' that closes the list; commas part values only outside inner parentheses."""
        values, depth, start = [], 0, self.position
        for at in range(start, len(self.text)):
            char = self.text[at]
            depth += (char == "(") - (char == ")")
            if depth < 0 or (char == "," and depth == 0):
                values.append(self.text[start:at].strip(_SPACE))
                start = self.position = at + 1
            if depth < 0:
                return values
        self.position = len(self.text)
        raise self.error("found '' where ')' belongs", "")

    def peek(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        return match[1] if match else ""

    def take(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match[1]

    def check_value(self, value: str, operator: Operator) -> str:
        self.check(value, (value_problem if self.strict_values else metric_value_problem)(value), value)
        if operator in INEQUALITIES and integer(value) is None:
            raise self.error(f"{value!r} must be a 64-bit integer after > and <", value)
        return value

    def check(self, what: str, problem: str, token: str) -> None:
        if problem:
            raise self.error(f"{what[:260]!r} {problem}", token)

    def error(self, problem: str, token: str) -> SelectorError:
        """With the place, counted from 1, where `token`, just taken, begins."""
        place = max(self.position - len(token), 0) + 1
        shown = self.text if len(self.text) <= 200 else f"{self.text[:200]}…"
        return SelectorError(f"cannot read the selector {shown!r}: at character {place}: {problem}")


def _enforce_limits(requirements: Iterable[Requirement], strict_values: bool) -> Iterator[Requirement]:
    """Yields the requirements; raises SelectorError where a metric's selector has too many."""
    values = 0
    for number, requirement in enumerate(requirements, 1):
        values += len(requirement.values)
        if not strict_values and (number > MAX_METRIC_REQUIREMENTS or values > MAX_METRIC_VALUES):
            raise SelectorError(
                f"the selector has more than {MAX_METRIC_REQUIREMENTS} requirements or {MAX_METRIC_VALUES} values; "
                "as many are read of a metric's labels"
            )
        yield requirement


def _match_labels(selector: Mapping[str, object], strict_values: bool) -> Iterator[Requirement]:
    labels = selector.get("matchLabels") or {}
    if not isinstance(labels, Mapping):
        raise SelectorError("matchLabels must be a map of names to values")
    for key, value in labels.items():
        yield _from_field(f"matchLabels[{str(key)[:260]!r}]", key, Operator.EQUALS, [value], strict_values)


def _match_expressions(selector: Mapping[str, object], strict_values: bool) -> Iterator[Requirement]:
    expressions = selector.get("matchExpressions") or []
    if not isinstance(expressions, list):
        raise SelectorError("matchExpressions must be a list")
    for index, expression in enumerate(expressions):
        place = f"matchExpressions[{index}]"
        if not isinstance(expression, Mapping):
            raise SelectorError(f"{place} must be a map with key, operator and values")
        operator = EXPRESSIONS.get(str(expression.get("operator")))
        if operator is None:
            raise SelectorError(f"{place}.operator must be one of {', '.join(EXPRESSIONS)}")
        values = expression.get("values") or []
        if not isinstance(values, list) or bool(values) != (operator in LISTS):
            raise SelectorError(f"{place}.values must be a list, empty only for Exists and DoesNotExist")
        yield _from_field(place, expression.get("key"), operator, values, strict_values)


def _from_field(place: str, key: object, operator: Operator, values: list[object], strict: bool) -> Requirement:
    if not isinstance(key, str) or (problem := key_problem(key)):
        raise SelectorError(f"{place}: {str(key)[:260]!r} {problem if isinstance(key, str) else 'must be a text'}")
    texts: set[str] = set()
    for value in values:
        if not isinstance(value, str) or (problem := (value_problem if strict else metric_value_problem)(value)):
            reason = problem if isinstance(value, str) else "must be a text"
            raise SelectorError(f"{place}: the value {str(value)[:260]!r} {reason}")
        texts.add(value)
    return Requirement(key, operator, tuple(sorted(texts)))
