"""Tree to text.

The `promql-parser` package reads PromQL; what it prints is not always what it read (quotes are not escaped, `[300ms]`
becomes `[0s]`, `[5m:]` loses its colon), so the writing is done here. Grouping labels, matchings and matchers can be
replaced on the way, node by node.
"""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta

import promql_parser as ast

from adapter.metrics.promql.read import PromQLError
from adapter.metrics.promql.walk import grouping_side, is_on, is_without, matchers
from adapter.units import duration
from adapter.units.text import quote

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Writer:
    """Writes an expression; `labels` gives what stands in a `by` or `on` instead, `inside` what stands in braces."""

    def __init__(
        self,
        labels: Callable[[ast.Expr, Sequence[str]], Sequence[str]] = lambda _, labels: labels,
        inside: Callable[[Sequence[tuple[str, str, str]]], Sequence[str]] | None = None,
    ) -> None:
        self._labels = labels
        self._inside = inside or (lambda matchers: [f"{label(name)}{op}{quote(value)}" for name, op, value in matchers])

    def write(self, node: ast.Expr) -> str:
        """The expression as text. Raises PromQLError."""
        match node:
            case ast.AggregateExpr():
                return self._aggregate(node)
            case ast.BinaryExpr():
                return f"{self.write(node.lhs)} {self._operator(node)} {self.write(node.rhs)}"
            case ast.Call():
                return f"{node.func.name}({', '.join(map(self.write, node.args))})"
            case ast.UnaryExpr():
                return f"-{self.write(node.expr)}"
            case ast.ParenExpr():
                return f"({self.write(node.expr)})"
            case ast.SubqueryExpr() if node.range is not None:
                step = "" if node.step is None else span(node.step)
                return f"{self.write(node.expr)}[{span(node.range)}:{step}]{_offset_and_at(node)}"
            case ast.MatrixSelector():
                selector = node.vector_selector
                return f"{self._selector(selector)}[{span(node.range)}]{_offset_and_at(selector)}"
            case ast.VectorSelector():
                return self._selector(node) + _offset_and_at(node)
            case ast.NumberLiteral():
                return number(node.val)
            case ast.StringLiteral():
                return quote(node.val)
        raise PromQLError(f"{type(node).__name__} cannot be written again")

    def _aggregate(self, node: ast.AggregateExpr) -> str:
        inner = self.write(node.expr)
        if node.param is not None:
            inner = f"{self.write(node.param)}, {inner}"
        without = node.modifier is not None and is_without(node)
        grouping = list(node.modifier.labels) if node.modifier is not None else []
        if not without:
            grouping = list(self._labels(node, grouping))
        if node.modifier is None and not grouping:
            return f"{node.op}({inner})"
        return f"{node.op} {'without' if without else 'by'} ({_join_labels(grouping)}) ({inner})"

    def _operator(self, node: ast.BinaryExpr) -> str:
        words = [str(node.op)]
        if (modifier := node.modifier) is None:
            return words[0]
        if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
            raise PromQLError("a fill of missing sides cannot be written again")
        if modifier.return_bool:
            words.append("bool")
        if modifier.matching is not None:
            on = is_on(node)
            matching = self._labels(node, modifier.matching.labels) if on else modifier.matching.labels
            words.append(f"{'on' if on else 'ignoring'} ({_join_labels(matching)})")
        if (group := grouping_side(node)) is not None:
            words.append(f"{group} ({_join_labels(modifier.group_labels or ())})")
        return " ".join(words)

    def _selector(self, node: ast.VectorSelector) -> str:
        inside = list(self._inside(matchers(node)))
        name = node.name or ""
        if name and not _METRIC.fullmatch(name):
            inside.insert(0, f"__name__={quote(name)}")
            name = ""
        return f"{name}{{{','.join(inside)}}}" if inside or not name else name


def label(name: str) -> str:
    """A label's name as it stands in a query; quoted where it is no classic name."""
    return name if _LABEL.fullmatch(name) else quote(name)


def span(length: timedelta) -> str:
    """A duration as PromQL writes it: '5m', '300ms'."""
    return duration.show(round(length / timedelta(milliseconds=1)))


def number(value: float) -> str:
    """A number literal that reads back as the same float."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _join_labels(labels: Sequence[str]) -> str:
    return ", ".join(map(label, labels))


def _offset_and_at(node: ast.VectorSelector | ast.SubqueryExpr) -> str:
    """`offset` and `@`."""
    text = "" if node.offset is None else f" offset {span(node.offset)}"
    if node.at is None:
        return text
    kind = str(node.at.type).rpartition(".")[2]
    moment = f"{node.at.at.timestamp():.3f}" if kind == "At" and node.at.at is not None else f"{kind.lower()}()"
    return f"{text} @ {moment}"
