"""A small evaluator of PromQL, slow and plain, for the shapes that rules have.

A world is a list of (labels with __name__, value). Functions of ranges take a series' one value times a number of their
own: what matters here is which series meet, not how a rate is taken.
"""

import math
import operator
import pathlib
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import promql_parser as ast
import pytest
import yaml

from adapter.kube.known import KNOWN
from adapter.metrics.promql.walk import grouping_side, is_on, is_without, matchers
from adapter.rules.resources import ResourceMapper

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "rules"


class Contradiction(Exception):  # noqa: N818 - a state of the data
    """Prometheus would fail the query."""


def _aggregate_values(operation: str, values: list[float]) -> float:
    mean = math.fsum(values) / len(values)
    spread = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return {
        "sum": math.fsum(values), "avg": mean, "min": min(values), "max": max(values), "count": float(len(values)),
        "group": 1.0, "stdvar": spread, "stddev": math.sqrt(spread),
    }[operation]  # fmt: skip


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else math.nan,
}
COMPARISON = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq}


def _matches(labels: dict[str, str], selector: Any) -> bool:
    wanted = list(matchers(selector)) + ([("__name__", "=", selector.name)] if selector.name else [])
    for name, op, value in wanted:
        actual = labels.get(name, "")
        hit = actual == value if op in ("=", "!=") else re.fullmatch(value, actual) is not None
        if hit == op.startswith("!"):
            return False
    return True


def _keep(labels: dict[Any, Any], names: set[Any]) -> dict[Any, Any]:
    return {name: value for name, value in labels.items() if name in names}


def _drop(labels: dict[Any, Any], names: set[str]) -> dict[Any, Any]:
    return {name: value for name, value in labels.items() if name not in names}


def _unique(vector: list[Any]) -> list[Any]:
    keys = [tuple(sorted(labels.items())) for labels, _ in vector]
    if len(set(keys)) != len(keys):
        raise Contradiction("two elements with the same labels")
    return vector


class Evaluator:
    def __init__(self, world: list[Any]) -> None:
        self.world = world

    def of(self, node: Any) -> Any:
        if isinstance(node, ast.NumberLiteral):
            return node.val
        if isinstance(node, ast.ParenExpr):
            return self.of(node.expr)
        if isinstance(node, ast.UnaryExpr):
            return [(_drop(labels, {"__name__"}), -value) for labels, value in self.of(node.expr)]
        if isinstance(node, ast.VectorSelector):
            return [(labels, value) for labels, value in self.world if _matches(labels, node)]
        if isinstance(node, ast.MatrixSelector):
            return self.of(node.vector_selector)
        if isinstance(node, ast.SubqueryExpr):
            return self.of(node.expr)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.AggregateExpr):
            return self.aggregate(node)
        return self.binary(node)

    def call(self, node: Any) -> Any:
        name = node.func.name
        if name == "time":
            return 1000.0
        if name == "vector":
            return [({}, self.of(node.args[0]))]
        if name == "histogram_quantile":
            return self.histogram(node)
        if name == "label_replace":
            return self.label_replace(node)
        factor = {"rate": 0.5, "irate": 0.25, "max_over_time": 1.0, "avg_over_time": 0.75}.get(name)
        vector = self.of(node.args[0])
        if name == "clamp_max":
            limit = self.of(node.args[1])
            return _unique([(_drop(labels, {"__name__"}), min(value, limit)) for labels, value in vector])
        return _unique([(_drop(labels, {"__name__"}), value * factor) for labels, value in vector])

    def histogram(self, node: Any) -> list[Any]:
        """No quantile, but a number of all buckets of a group, which is all that grouping has to get right."""
        groups = defaultdict(list)
        for labels, value in self.of(node.args[1]):
            rest = tuple(sorted(_drop(labels, {"__name__", "le"}).items()))
            groups[rest].append((float(labels.get("le", "nan").replace("+Inf", "inf")), value))
        return [
            (dict(rest), sum(value * (i + 1) for i, (_, value) in enumerate(sorted(buckets))))
            for rest, buckets in groups.items()
        ]

    def label_replace(self, node: Any) -> list[Any]:
        vector, target, replacement, source, pattern = self.of(node.args[0]), *(arg.val for arg in node.args[1:])
        result = []
        for labels, value in vector:
            if match := re.fullmatch(pattern, labels.get(source, "")):
                new = replacement.replace("$1", match[1])
                labels = _drop(labels, {target}) | ({target: new} if new else {})
            result.append((labels, value))
        return _unique(result)

    def aggregate(self, node: Any) -> list[Any]:
        groups = defaultdict(list)
        names = set(node.modifier.labels) if node.modifier else set()
        for labels, value in self.of(node.expr):
            left = _drop(labels, names | {"__name__"}) if is_without(node) else _keep(labels, names)
            groups[tuple(sorted(left.items()))].append(value)
        return [(dict(key), _aggregate_values(str(node.op), values)) for key, values in groups.items()]

    def binary(self, node: Any) -> Any:
        left, right, op = self.of(node.lhs), self.of(node.rhs), str(node.op)
        if isinstance(left, float) and isinstance(right, float):
            return ARITHMETIC[op](left, right)
        if isinstance(left, float) or isinstance(right, float):
            vector = right if isinstance(left, float) else left
            pairs = [(labels, *((left, v) if isinstance(left, float) else (v, right)), v) for labels, v in vector]
            return self.combine_pairs(op, pairs)
        names = set(node.modifier.matching.labels) if node.modifier and node.modifier.matching else set()

        def signature(labels: dict[Any, Any]) -> tuple[Any, ...]:
            kept = _keep(labels, names) if is_on(node) else _drop(labels, names | {"__name__"})
            return tuple(sorted(kept.items()))

        if op in ("and", "or", "unless"):
            return self.sets(op, left, right, signature)
        return self.join(node, left, right, signature, names)

    def sets(self, op: str, left: list[Any], right: list[Any], signature: Callable[..., Any]) -> list[Any]:
        known = {signature(labels) for labels, _ in (left if op == "or" else right)}
        if op == "or":
            return left + [(labels, value) for labels, value in right if signature(labels) not in known]
        return [(labels, value) for labels, value in left if (signature(labels) in known) == (op == "and")]

    def join(
        self, node: Any, left: list[Any], right: list[Any], signature: Callable[..., Any], names: set[Any]
    ) -> list[Any]:
        side = grouping_side(node)
        many, one = (right, left) if side == "group_right" else (left, right)
        by_signature = {}
        for labels, value in one:
            if signature(labels) in by_signature:
                raise Contradiction("several elements on the one side")
            by_signature[signature(labels)] = labels, value
        seen, pairs = set(), []
        for labels, value in many:
            if (key := signature(labels)) not in by_signature:
                continue
            if side is None and key in seen:
                raise Contradiction("several elements on the many side of one to one")
            seen.add(key)
            other_labels, other = by_signature[key]
            if side is not None:
                taken = {name: other_labels[name] for name in node.modifier.group_labels or () if name in other_labels}
                out = _drop(labels, {"__name__", *(node.modifier.group_labels or ())}) | taken
            else:
                out = _keep(labels, names) if is_on(node) else _drop(labels, names | {"__name__"})
            pairs.append((out, *((other, value) if side == "group_right" else (value, other)), value))
        return _unique(self.combine_pairs(str(node.op), pairs))

    def combine_pairs(self, op: str, pairs: list[Any]) -> list[Any]:
        if op in ARITHMETIC:
            return [(_drop(labels, {"__name__"}), ARITHMETIC[op](a, b)) for labels, a, b, _ in pairs]
        return [(labels, value) for labels, a, b, value in pairs if COMPARISON[op](a, b)]


@pytest.fixture(scope="session")
def evaluate() -> Callable[..., Any]:
    """evaluate(promql, world) -> [(labels, value)]; raises Contradiction where Prometheus would fail the query."""
    return lambda promql, world: Evaluator(world).of(ast.parse(promql))


@pytest.fixture(scope="session")
def contradiction() -> type[Contradiction]:
    return Contradiction


@pytest.fixture(scope="session")
def golden() -> Any:
    """golden('custom.yaml') -> what stands in tests/golden/rules."""
    return lambda name: yaml.safe_load((GOLDEN / name).read_text())


@pytest.fixture(scope="session")
def mapper() -> ResourceMapper:
    return ResourceMapper(KNOWN)
