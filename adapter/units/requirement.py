"""One condition of a label selector: its words, what it matches, and which names and values there can be.

The rules are those of k8s.io/apimachinery (pkg/labels, pkg/util/validation).
"""

import enum
import re
from collections.abc import Mapping
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
MAX_METRIC_VALUE = 1024
"""Characters of a value that is asked of a metric's label; Kubernetes' own have 63."""


class Operator(enum.Enum):
    """What a requirement asks of a label's value."""

    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER = "gt"
    LESS = "lt"


EXPRESSIONS: Mapping[str, Operator] = {
    "In": Operator.IN, "NotIn": Operator.NOT_IN, "Exists": Operator.EXISTS, "DoesNotExist": Operator.DOES_NOT_EXIST,
}  # fmt: skip
"""The operators of metav1.LabelSelectorRequirement, as objects write them."""
EXPRESSION_OF: Mapping[Operator, str] = {
    **{operator: word for word, operator in EXPRESSIONS.items()},
    Operator.EQUALS: "In",
    Operator.NOT_EQUALS: "NotIn",
}
"""How an object writes each operator; it has no word for > and <."""
LISTS = (Operator.IN, Operator.NOT_IN)
INEQUALITIES: Mapping[Operator, str] = {Operator.GREATER: ">", Operator.LESS: "<"}
_PRESENCE = (Operator.EXISTS, Operator.DOES_NOT_EXIST)


class Requirement(NamedTuple):
    """One condition on one label; `values` is sorted, without duplicates."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet it; != and notin hold where the label is absent, > and < only between integers."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.EQUALS | Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
        number, bound = integer(value), integer(self.values[0])
        if number is None or bound is None:
            return False
        return number > bound if self.operator is Operator.GREATER else number < bound

    def order(self) -> tuple[str, str, tuple[str, ...]]:
        """Where it stands in a selector."""
        return self.key, self.operator.value, self.values

    def __str__(self) -> str:
        if self.operator in _PRESENCE:
            return f"!{self.key}" if self.operator is Operator.DOES_NOT_EXIST else self.key
        if self.operator in LISTS:
            return f"{self.key} {self.operator.value} ({','.join(self.values)})"
        return f"{self.key}{INEQUALITIES.get(self.operator, self.operator.value)}{self.values[0]}"


def key_problem(key: str) -> str:
    """What keeps `key` from being a qualified name; '' where nothing does."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return "must have a DNS name of at most 253 lower-case characters before its only '/'"
    if not _NAME.fullmatch(name):
        return "must be 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends"
    return ""


def value_problem(value: str) -> str:
    """What keeps `value` from being a label's value; '' where nothing does."""
    if value and not _NAME.fullmatch(value):
        return "must be at most 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends"
    return ""


def metric_value_problem(value: str) -> str:
    """What keeps `value` from being asked of a metric's label; '' where nothing does.

    It may be more than a label's value in Kubernetes: those of metrics are paths, queues and URLs, and `in (…)` takes
    regular expressions.
    """
    if len(value) > MAX_METRIC_VALUE:
        return f"must have at most {MAX_METRIC_VALUE} characters"
    if not value.isprintable():
        return "must have printable characters only"
    return ""


def integer(text: str | None) -> int | None:
    """A 64-bit integer as > and < compare it; None where `text` is none."""
    if text is None or len(text) > 20 or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None
