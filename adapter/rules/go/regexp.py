"""Go's regular expressions (RE2 syntax) on Python's `re`, and Go's Expand."""

import re

from adapter.rules.go.translate import RegexpError, translated

MAX_PATTERN = 8192
"""Characters of one expression."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,7}")
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


class Regexp:
    """A compiled expression; matching is unanchored, as Go's MatchString."""

    def __init__(self, pattern: str) -> None:
        """Raises RegexpError."""
        self.pattern = pattern
        if len(pattern) > MAX_PATTERN:
            raise RegexpError(f"the expression has {len(pattern)} characters; at most {MAX_PATTERN} are read")
        try:
            self._compiled = re.compile(translated(pattern), re.ASCII)
        except (re.error, RecursionError, OverflowError) as error:
            raise RegexpError(f"{pattern!r} does not compile: {error}") from None

    @property
    def groups(self) -> int:
        """How many capturing groups there are, the whole match not counted."""
        return self._compiled.groups

    def search(self, text: str) -> re.Match[str] | None:
        """The leftmost match anywhere in `text`."""
        return self._compiled.search(text)

    def expand(self, template: str, match: re.Match[str]) -> str:
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
            return (match[name] or "") if name in self._compiled.groupindex else ""

        return _REFERENCE.sub(put, template)
