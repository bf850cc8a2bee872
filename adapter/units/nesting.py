"""JSON that is nested beyond what a decoder's recursion takes: what lies too deep is left out, the rest can be read."""

import re

MAX_DEPTH = 100
"""Open brackets; nothing that we read lies half as deep."""
MAX_BYTES = 8 * 2**20
"""Of a text that is looked through, some 0.1 s; a longer one stays as it is."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|(?P<open>[\[{])|[\]}]', re.DOTALL)
"""A string that does not end is one to the end of the text: looked for anew at each quote, it would take the square."""


def prune(text: bytes) -> bytes:
    """`text` with null for each list or object inside MAX_DEPTH others; only strings and brackets are read."""
    if len(text) > MAX_BYTES:
        return text
    kept: list[bytes] = []
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        if token["open"]:
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept += text[begin : token.start()], b"null"
        elif token[0] in b"]}":
            if depth == MAX_DEPTH + 1:
                begin = token.end()
            depth -= 1
    return b"".join([*kept, text[begin:] if depth <= MAX_DEPTH else b""])
