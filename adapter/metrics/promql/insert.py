"""What a template writes of names and values from outside keeps its place in the query.

Names come from scraped pages and from Prometheus, values from clients' selectors: neither may end the string that it
stands in, nor be more than one word where it stands in none. (prometheus-adapter writes both as they are.)
"""

import re

from adapter.units.text import quote

_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:ms|[smhdwy])?")
_WORD_ENDS = re.compile(r"[a-zA-Z0-9_:]\Z")
_RESERVED = frozenset((
    "and", "or", "unless", "atan2", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool",
    "start", "end", "nan", "inf",
))  # fmt: skip
"""Words of PromQL that change what stands around them, and those that are numbers."""
_OPENS = re.compile(r"[\"'`#{}]")
_TURNS = {
    '"': re.compile(r'[\\"]'), "'": re.compile(r"[\\']"), "`": re.compile("`"), "#": re.compile("\n"), "": _OPENS,
}  # fmt: skip
"""What matters next, by what is open."""
_BLANKS = " \t\r\n"
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\x00"}


class Promql(str):
    """A piece of PromQL of our own making, to be written as it is."""

    __slots__ = ()


class Name(str):
    """A metric's name: alone of what is worked out it may read a series where it stands."""

    __slots__ = ()


class InsertError(ValueError):
    """A name or a value that cannot stand where the template puts it; one sentence."""


class Inserter:
    """Follows a query while it is written: whether a text or a comment is open."""

    def __init__(self) -> None:
        self._open = ""  # the quote of an open text, # in a comment
        self._escaping = False  # the last character was a backslash within a text
        self._within_word = False
        self._braces = 0
        self._quoted = ""  # a metric's name that is no word: it goes into the braces that follow

    def literal(self, text: str) -> str:
        """A piece of the template itself. Raises InsertError."""
        name = self._quoted if text.strip(_BLANKS) else ""
        if name:
            self._quoted = ""
            text = _with_name(name, text)
        return self._follow(text)

    def end(self) -> str:
        """What is still to be written when the template is at its end."""
        name, self._quoted = self._quoted, ""
        return _with_name(name, "") if name else ""

    def _follow(self, text: str) -> str:
        at = int(self._escaping and bool(text))
        self._escaping = self._escaping and not text
        while match := _TURNS[self._open].search(text, at):
            at = match.end()
            if match[0] == "\\":
                self._escaping = at == len(text)
                at += 1
            elif match[0] in "{}":
                self._braces += 1 if match[0] == "{" else -1
            else:
                self._open = "" if self._open else match[0]
        if text:
            self._within_word = not self._open and _WORD_ENDS.search(text) is not None
        return text

    def insert(self, text: str) -> str:
        """What is written for `text`, which the template works out. Raises InsertError."""
        if self._quoted:
            return self.end() + self.insert(text)
        if isinstance(text, Promql) and not self._open:
            return self.literal(text)
        if self._escaping:
            raise InsertError(f"{text[:60]!r} would stand after a backslash in the query")
        match self._open:
            case "":
                return self.literal(self._word(text))
            case "#" if "\n" not in text and "\r" not in text:
                return text
            case "`" if "`" not in text:
                return text
            case '"' | "'" as quote:
                return "".join(f"\\{quote}" if sign == quote else _ESCAPES.get(sign, sign) for sign in text)
        raise InsertError(f"{text[:60]!r} would end the text or the comment that it stands in")

    def _word(self, text: str) -> str:
        if self._within_word and re.fullmatch("[a-zA-Z0-9_:]*", text):
            return text
        may_be_word = isinstance(text, Name) or self._braces > 0  # within braces it can be no more than a label
        if may_be_word and _WORD.fullmatch(text) and text.lower() not in _RESERVED:
            return text
        if not isinstance(text, Name) and (not text or _NUMBER.fullmatch(text)):
            return text
        if isinstance(text, Name) and not self._braces and not self._within_word and _is_name(text):
            self._quoted = text
            return ""
        raise InsertError(
            f"{text[:60]!r} is no classic metric name and no number, so it cannot stand in a query outside of quotes"
        )


def _is_name(text: str) -> bool:
    """Whether a metric can be called so where names are not limited to words (Prometheus 3): any Unicode text."""
    return bool(text) and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _with_name(name: str, text: str) -> str:
    """`text`, which follows a metric's name that is no word, with the name inside its braces or in ones of its own.

    `{__name__="a.b"}` is read by every Prometheus; `{"a.b"}` only by those from 3.0 on. Raises InsertError.
    """
    inside = f"{{__name__={quote(name)}"
    rest = text.lstrip(_BLANKS)
    if rest.startswith("{"):
        return inside + ("" if rest[1:].lstrip(_BLANKS).startswith("}") else ",") + rest[1:]
    if _WORD_ENDS.match(text[:1]):
        raise InsertError(f"{name[:60]!r} is no classic metric name, so nothing can be put after it to make another")
    return inside + "}" + text
