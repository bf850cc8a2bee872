"""A Go template's text cut into pieces: text, and actions as tokens."""

import re
from typing import NamedTuple

from adapter.rules.go.render import TemplateError, place

_TOKEN = re.compile(
    r"""(?P<close>(?:[ \t\r\n]+-)?>>)|(?P<space>[ \t\r\n]+)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\.)+')|(?P<sign>:=|[=|(),])|(?P<number>[+-]?\.?[0-9][\w.]*(?:(?<=[eE])[+-][0-9]+)?)
    |(?P<field>\.[^\W\d]\w*)|(?P<dot>\.)|(?P<variable>\$\w*)|(?P<word>[^\W\d]\w*)""",
    re.VERBOSE,
)
_CLOSE = re.compile(r"(?:[ \t\r\n]+-)?>>")
_BLANKS = re.compile(r"[ \t\r\n]*")
_SPACE = " \t\r\n"


class Token(NamedTuple):
    """A piece of an action; the last one is of kind `end`."""

    kind: str
    text: str
    at: int
    adjoins: bool
    """Whether nothing stands between it and the token before."""


class Lexer:
    """One pass over a template: text and actions in turn; an action is lexed whole, and then its tokens are taken."""

    def __init__(self, source: str) -> None:
        self.tokens: list[Token] = []
        self.next = 0
        self._source = source
        self._position = 0
        self._trims_next = False

    @property
    def at_end(self) -> bool:
        """Whether nothing is left of the template."""
        return self._position >= len(self._source)

    def text(self) -> str:
        """The text up to the next action, trimmed where the actions around it say so."""
        start = self._position
        opening = self._source.find("<<", start)
        end = len(self._source) if opening < 0 else opening
        self._position = end
        text = self._source[start:end]
        if self._trims_next:
            text = text.lstrip(_SPACE)
        self._trims_next = False
        return text.rstrip(_SPACE) if self._trims_before(opening) else text

    def _trims_before(self, at: int) -> bool:
        return at >= 0 and self._source[at + 2 : at + 3] == "-" and self._source[at + 3 : at + 4] in tuple(_SPACE)

    def action(self) -> bool:
        """Lex the action that starts here; False for a comment."""
        at = self._position
        self._position += 3 if self._trims_before(at) else 2
        blanks = _BLANKS.match(self._source, self._position)
        if blanks is not None and self._source.startswith("/*", blanks.end()):
            self._comment(blanks.end())
            return False
        self.tokens, self.next = [], 0
        adjoins = False
        while True:
            match = _TOKEN.match(self._source, self._position)
            if match is None:
                raise self._lexical(at)
            kind = match.lastgroup or ""
            self._position = match.end()
            if kind == "close":
                self._trims_next = "-" in match[0]
                self.tokens.append(Token("end", "", match.start(), False))
                return True
            if kind != "space":
                self.tokens.append(Token(kind, match[0], match.start(), adjoins))
            adjoins = kind != "space"

    def _comment(self, at: int) -> None:
        """Skip the comment that begins at `at`. It ends with the first `*/`, after which the action must end, too."""
        end = self._source.find("*/", at + 2)
        close = _CLOSE.match(self._source, end + 2) if end >= 0 else None
        if close is None:
            raise self.error("a comment is not closed with `*/>>`", at)
        self._trims_next = "-" in close[0]
        self._position = close.end()

    def _lexical(self, start: int) -> TemplateError:
        rest = self._source[self._position : self._position + 1]
        if not rest:
            return self.error("an action is not closed with `>>`", start)
        if rest in "\"'`":
            return self.error("a quoted text is not closed", self._position)
        return self.error(f"{rest!r} has no meaning in an action", self._position)

    def peek(self) -> Token:
        """The next token of the action."""
        return self.tokens[self.next]

    def take(self) -> Token:
        """The next token, taken off; the end of the action stays."""
        token = self.tokens[self.next]
        if token.kind != "end":
            self.next += 1
        return token

    def end_of_action(self) -> None:
        """Raises TemplateError where more stands in the action."""
        if (token := self.peek()).kind != "end":
            raise self.error(f"{token.text!r} cannot stand here", token.at)

    def error(self, problem: str, at: int) -> TemplateError:
        """`problem` with the place of the character `at`."""
        return TemplateError(f"{place(self._source, at)}: {problem}")
