"""Read PromQL, safely: the parser's recursion ends the process where a query is nested or chained too deeply."""

import re
from collections.abc import Iterable
from functools import lru_cache

import promql_parser as ast

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.source import UnsupportedQuery
from adapter.metrics.store.vector import NAME

SUPPORTED = (
    "sum, avg, min, max, count and group by or without labels; rate, irate, increase, *_over_time and timestamp of"
    " plain selectors; histogram_quantile; + - * / % ^ with numbers or one-to-one between vectors; and, or, unless"
)

MAX_CHARACTERS = 262_144
"""Templates may list every pod of a large namespace."""
MAX_DEPTH = 50
"""Open brackets at any place; the parser's stack overflows at some thousand."""
MAX_OPERATORS = 500
"""Of the whole query, signs of matchers included; each is a level of recursion."""

_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|`[^`]*`?|\#[^\n]*)"""
    r"""|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<operator>[-+*/%^<>=!]+|\b(?:and|or|unless|atan2)\b)""",
    re.DOTALL | re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def parse(text: str) -> ast.Expr:
    """Raises UnsupportedQuery, with one sentence, where the text is no PromQL or too large."""
    _check_size(text)
    try:
        return ast.parse(text)
    except (ValueError, RecursionError) as error:
        raise UnsupportedQuery(f"the query is no PromQL: {' '.join(str(error).split())[:300]}") from None


def _check_size(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise UnsupportedQuery(f"the query has {len(text)} characters, more than the {MAX_CHARACTERS} that are allowed")
    depth = operators = 0
    for token in _TOKEN.finditer(text):
        depth += bool(token["open"]) - bool(token["close"])
        operators += len(token["operator"] or "")
        if depth > MAX_DEPTH:
            raise UnsupportedQuery(f"the query is nested deeper than {MAX_DEPTH} brackets")
        if operators > MAX_OPERATORS:
            raise UnsupportedQuery(f"the query has more than {MAX_OPERATORS} operators")


def matchings(selector: ast.VectorSelector) -> list[Matching]:
    """The matchers of a selector, the metric's name among them. Raises UnsupportedQuery."""
    if selector.offset is not None or selector.at is not None:
        raise unsupported("'offset' and '@'")
    if selector.matchers.or_matchers:
        raise unsupported("'or' between matchers")
    found = [Matching(m.name, _OPERATORS[str(m.op)], m.value) for m in selector.matchers.matchers]
    return found if selector.name is None else [Matching(NAME, Operator.EQUAL, selector.name), *found]


_OPERATORS = {
    str(ast.MatchOp.Equal): Operator.EQUAL,
    str(ast.MatchOp.NotEqual): Operator.NOT_EQUAL,
    str(ast.MatchOp.Re): Operator.MATCH,
    str(ast.MatchOp.NotRe): Operator.NOT_MATCH,
}


def unsupported(construct: str) -> UnsupportedQuery:
    return UnsupportedQuery(f"the embedded store does not evaluate {construct}; it evaluates {SUPPORTED}")


def unwrap(node: ast.Expr) -> ast.Expr:
    while isinstance(node, ast.ParenExpr):
        node = node.expr
    return node


def kept_labels(labels: Iterable[str], modifier: ast.AggModifier | None) -> list[str]:
    """Those of `labels` that a by or without clause leaves."""
    if modifier is None:
        return []
    if modifier.type == ast.AggModifierType.By:
        return [label for label in labels if label in modifier.labels]
    return [label for label in labels if label not in modifier.labels and label != NAME]
