"""Parse PromQL, safely: the parser's recursion ends the process where a query is nested or chained too deeply."""

import re
from functools import lru_cache

import promql_parser

from adapter.metrics.source import UnsupportedQuery

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
def parse(text: str) -> promql_parser.Expr:
    """Raises UnsupportedQuery, with one sentence, where the text is no PromQL or too large."""
    _check_size(text)
    try:
        return promql_parser.parse(text)
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
