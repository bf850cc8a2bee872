"""Regular expressions from outside, on RE2: matching takes time linear in the text, whatever the expression.

RE2 is what Go's regexp was made from and agrees with it (https://pkg.go.dev/regexp/syntax). What differs and is known:
`\\C` (a byte, which Go refuses) is refused here, two groups of one name (which Go takes) are refused by RE2, and an
expression that would need more memory than it may have is refused, where Go's bound is higher.
"""

import re
from typing import Any

import re2

MAX_SHOWN = 60
"""Characters of an expression in a message."""

_ANY_BYTE = re.compile(r"\\(?:Q.*?(?:\\E|\Z)|(C)|.)", re.DOTALL)


class RegexpError(ValueError):
    """An expression that Go would not compile, or that needs too much memory; the text says which part."""


def compile_pattern(pattern: str, *, memory: int, dot_matches_newline: bool = False) -> Any:
    """`pattern` for RE2, to be used as one of `re`; at most `memory` bytes are held for it. Raises RegexpError."""
    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    options.dot_nl = dot_matches_newline
    if any(match[1] for match in _ANY_BYTE.finditer(pattern)):
        raise _regexp_error(pattern, "\\C stands for a byte, which Go's expressions do not know")
    try:
        return re2.compile(pattern, options)
    except UnicodeEncodeError:
        raise _regexp_error(pattern, "it is not valid Unicode") from None
    except re2.error as error:
        cause = error.args[0] if error.args else error
        raise _regexp_error(
            pattern, cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
        ) from None
    finally:
        re2.purge()  # the module holds 128 expressions, in a cache that counts no bytes


def readable(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate, as Go reads what is not UTF-8."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _regexp_error(pattern: str, why: str) -> RegexpError:
    shown = pattern if len(pattern) <= MAX_SHOWN else pattern[: MAX_SHOWN - 3] + "..."
    return RegexpError(f"{shown!r} does not compile: {why}")
