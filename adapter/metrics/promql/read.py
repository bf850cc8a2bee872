"""Text to tree, safely.

The `promql-parser` package has three weaknesses, all kept in here. Its recursion ends the process where a query is
nested or chained too deeply. It panics on some numbers (`x @ -1`), or fails only when a node is looked at. And it
compiles every pattern into as much as 12 MB, which only the source needs: it is not shown any (they are set aside).
"""

import re
from collections.abc import Iterator

import promql_parser as ast

from adapter.metrics.promql.walk import SET_ASIDE, children
from adapter.metrics.source import UnsupportedQuery
from adapter.rooms import Room

MAX_CHARACTERS = 1_048_576
"""Of a query: a request's own query may list 10,000 pods with names of 100 characters."""
MAX_DEPTH = 100
"""Open brackets at any place: time grows with the square of the depth, the stack overflows at thousands."""
MAX_OPERATORS = 500
"""Of the whole query, signs of matchers included: `a + b + c` is nested, too."""
CACHE_BYTES = 24 * 2**20
"""Of all trees that are remembered."""

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]++|\\.)*+"?|'(?:[^'\\]++|\\.)*+'?|`[^`]*+`?)|(?P<comment>\#[^\n]*)|(?P<match>[=!]~)"""
    r"""|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<operator>[-+*/%^<>=]|\b(?:and|or|unless|atan2)\b)""",
    re.DOTALL | re.IGNORECASE,
)


class PromQLError(UnsupportedQuery):
    """A text that is no PromQL, that is beyond the bounds, or that cannot be written again; one sentence."""


_remembered: Room[str, ast.Expr] = Room("queries", CACHE_BYTES)


def parse(text: str) -> ast.Expr:
    """The tree of a query; whatever `walk` and `write` look at can be looked at. Raises PromQLError."""
    if (remembered := _remembered.get(text)) is not None:
        return remembered
    return _remembered.put(text, _parse(text), _size(text))


def _size(text: str) -> int:
    """Bytes of a query and its tree, estimated from above: measured are 4 kB, 4 a character and 300 a node."""
    return 4096 + 8 * len(text) + 512 * sum(map(text.count, "=+-*/%^<>(,"))


def _parse(text: str) -> ast.Expr:
    if len(text) > MAX_CHARACTERS:
        raise PromQLError(f"the query has more than {MAX_CHARACTERS} characters")
    prepared = "".join(_set_patterns_aside(text))
    try:
        expression = ast.parse(prepared)
        _look_at_all(expression)
    except (ValueError, OverflowError, RecursionError) as error:
        raise PromQLError(f"the query is no PromQL: {' '.join(str(error).split())[:300]}") from None
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":  # a panic of the parser, which is no Exception
            raise
        raise PromQLError("the query is no PromQL: it has a number that cannot be") from None
    return expression


def _set_patterns_aside(text: str) -> Iterator[str]:
    """The text in pieces, its patterns marked as set aside. Raises PromQLError beyond the bounds."""
    at = depth = operators = 0
    matching: re.Match[str] | None = None
    for token in _TOKEN.finditer(text):
        if token["comment"]:
            continue
        depth += bool(token["open"]) - bool(token["close"])
        operators += bool(token["operator"] or token["match"])
        if depth > MAX_DEPTH:
            raise PromQLError(f"the query is nested deeper than {MAX_DEPTH} brackets")
        if operators > MAX_OPERATORS:
            raise PromQLError(f"the query has more than {MAX_OPERATORS} operators")
        if matching is not None and token["text"]:
            yield text[at : matching.start()] + ("=" if matching[0] == "=~" else "!=")
            yield text[matching.end() : token.start() + 1] + SET_ASIDE
            at = token.start() + 1
        matching = token if token["match"] else None
    yield text[at:]


def _look_at_all(expression: ast.Expr) -> None:
    """Read every number of every node once: some fail, or panic, only then."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        for name in ("offset", "range", "step", "val"):
            getattr(node, name, None)
        moment = getattr(node, "at", None)
        if moment is not None and moment.at is not None:
            moment.at.timestamp()
        waiting += children(node)
