"""Go's regular expressions, and its Expand."""

import re
from typing import Any

from adapter.units.regexp import RegexpError, compile_pattern, readable

MAX_PATTERN = 8192
"""Characters of one expression."""
MAX_MEMORY = 8 * 2**20
"""Bytes held for one expression of the operator's file, RE2's own default."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,7}")
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


class Regexp:
    """A compiled expression; matching is unanchored, as Go's MatchString, and takes time linear in the text."""

    def __init__(self, pattern: str) -> None:
        """Raises RegexpError."""
        self.pattern = pattern
        if len(pattern) > MAX_PATTERN:
            raise RegexpError(f"the expression has {len(pattern)} characters; at most {MAX_PATTERN} are read")
        self._compiled = compile_pattern(pattern, memory=MAX_MEMORY)
        self._names: frozenset[str] = frozenset(self._compiled.groupindex)

    @property
    def groups(self) -> int:
        """How many capturing groups there are, the whole match not counted."""
        return int(self._compiled.groups)

    def search(self, text: str) -> Any:
        """The leftmost match anywhere in `text`, to be used as one of `re`; None where there is none."""
        return self._compiled.search(readable(text))

    def expand(self, template: str, match: Any) -> str:
        """Go's Expand: `$1`, `${1}`, `$name`, `${name}` and `$$`.

        A name without braces is as long as it can be, so `$1_total` is the group named `1_total`; a group that is
        not there, or took no part, is empty. Any other `$` stays as it is.
        """

        def put(reference: re.Match[str]) -> str:
            name = reference[1] or reference[2]
            if name is None:
                return "$"
            if _NUMBER.fullmatch(name):
                return (match[int(name)] or "") if int(name) <= self.groups else ""
            return (match[name] or "") if name in self._names else ""

        return _REFERENCE.sub(put, template)
