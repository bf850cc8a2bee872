"""One expression of Go's (RE2 syntax) written again in the syntax of Python's `re`.

It is read piece by piece, so that what the two read differently means what Go means
(https://pkg.go.dev/regexp/syntax), and what Go refuses (look-around, back-references, possessive repeats) is refused
here too. Not carried over, each with a sentence: the flag U, and Unicode classes other than \\pL and \\pN.
"""

import re
from collections.abc import Mapping
from typing import Final

MAX_REPEAT = 1000
"""As in Go."""

_POSIX: Final[Mapping[str, str]] = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~",
    "space": "\\t\\n\\v\\f\\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_POSIX_NOT: Final[Mapping[str, str]] = {
    "alpha": "\\x00-@\\[-`{-\U0010ffff", "digit": "\\x00-/:-\U0010ffff", "space": "\\x00-\\x08\\x0e-\\x1f!-\U0010ffff",
    "word": "\\x00-/:-@\\[-^`{-\U0010ffff", "lower": "\\x00-`{-\U0010ffff", "upper": "\\x00-@\\[-\U0010ffff",
    "alnum": "\\x00-/:-@\\[-`{-\U0010ffff",
}  # fmt: skip
_CONTROLS = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_SPACES = "\\t\\n\\f\\r "  # Go's \s knows no \v
_REPEAT = re.compile(r"[*+?]|\{(\d+)(?:(,)(\d*))?\}", re.ASCII)
_GROUP = re.compile(
    r"\((?:\?(?:P?<(?P<name>[^>]*)>|(?P<flags>[imsU]*-?[imsU]*)(?P<end>[:)])|(?P<other>.?.?)))?", re.DOTALL
)
_NAME = re.compile(r"\w+", re.ASCII)


class RegexpError(ValueError):
    """An expression that Go would not compile, or that this port does not carry over; the text says which part."""


def translated(pattern: str) -> str:
    """`pattern` for Python, to be compiled with re.ASCII. Raises RegexpError."""
    return _Translation(pattern).text


class _Translation:
    """One pass over a pattern; `text` is the same expression for Python."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.written: list[str] = []
        self.names: set[str] = set()
        # Per open group: the flag groups opened in it, as '(?i:', which `|` closes and opens anew; and whether
        # (?m) holds in it.
        self.flags: list[list[str]] = [[]]
        self.multiline = [False]
        self.repeatable = False
        self.run()
        self.text = "".join(self.written)

    def run(self) -> None:
        while self.position < len(self.pattern):
            character = self.pattern[self.position]
            if self.repetition():
                continue
            self.repeatable = character not in "|("
            match character:
                case "\\":
                    self.escape()
                case "[":
                    self.bracket()
                case "(":
                    self.group()
                case _:
                    self.plain(character)
        if len(self.flags) > 1:
            raise RegexpError(f"{self.pattern!r} does not compile: a parenthesis is not closed")
        self.written.append(")" * len(self.flags[0]))

    def repetition(self) -> bool:
        match = _REPEAT.match(self.pattern, self.position)
        if match is None:
            return False
        if not self.repeatable:
            raise self.refuse("repeats nothing, or a repetition", match[0])
        least, most = int(match[1] or 0), int(match[3] or match[1] or 0)
        if max(least, most) > MAX_REPEAT or least > most:
            raise self.refuse(f"is no repetition of at most {MAX_REPEAT}", match[0])
        self.position = match.end()
        lazy = self.pattern.startswith("?", self.position)
        self.position += lazy
        self.written.append(match[0] + "?" * lazy)
        self.repeatable = False
        return True

    def plain(self, character: str) -> None:
        self.position += 1
        match character:
            case "|":
                self.written.append(")" * len(self.flags[-1]) + "|" + "".join(self.flags[-1]))
            case ")":
                if len(self.flags) == 1:
                    raise RegexpError(f"{self.pattern!r} does not compile: a parenthesis is closed that was not opened")
                self.written.append(")" * len(self.flags.pop()) + ")")
                self.multiline.pop()
            case "$":
                self.written.append("(?m:$)" if self.multiline[-1] else "\\Z")
            case "^":
                self.written.append("(?m:^)" if self.multiline[-1] else "\\A")
            case ".":
                self.written.append(".")
            case _:
                self.written.append(re.escape(character))

    def group(self) -> None:
        match = _GROUP.match(self.pattern, self.position)
        assert match is not None
        self.position = match.end()
        self.repeatable = False
        if match["flags"] is not None:
            self.flagged(match)
            return
        if match["other"] is not None:
            raise self.refuse("is no group that RE2 knows (look-around and the like are not in Go)", match[0])
        if (name := match["name"]) is not None and (not _NAME.fullmatch(name) or name in self.names):
            raise self.refuse("is no new group's name", name)
        self.names.add(name or "")
        self.open("(" if name is None else self.named(name))

    def named(self, name: str) -> str:
        if name[0].isdigit():  # Go takes such names, Python does not
            raise self.refuse("is a group's name that starts with a digit, which is not supported", name)
        return f"(?P<{name}>"

    def open(self, text: str) -> None:
        self.written.append(text)
        self.flags.append([])
        self.multiline.append(self.multiline[-1])

    def flagged(self, match: re.Match[str]) -> None:
        """`(?i:…)`, or `(?i)` which holds up to the end of the group around it, over every `|`."""
        switched_on, _, switched_off = match["flags"].partition("-")
        if "U" in match["flags"]:
            raise self.refuse("sets the flag U, which is not supported; write *? for *", match[0])
        if match["flags"].endswith("-") or (not match["flags"] and match["end"] == ")"):
            raise self.refuse("lacks a flag", match[0])
        multiline = (self.multiline[-1] or "m" in switched_on) and "m" not in switched_off
        on, off = _without_m(switched_on), _without_m(switched_off)
        text = f"(?{on}{'-' * bool(off)}{off}:"
        if match["end"] == ":":
            self.open(text)
        else:
            self.written.append(text)
            self.flags[-1].append(text)
        self.multiline[-1] = multiline

    def escape(self) -> None:
        letter = self.pattern[self.position + 1 : self.position + 2]
        match letter:
            case "A":
                self.skip("\\A")
            case "z":
                self.skip("\\Z")
            case "b" | "B" | "d" | "D" | "w" | "W":
                self.skip("\\" + letter)
            case "s" | "S":
                self.skip(f"[{'^' * (letter == 'S')}{_SPACES}]")
            case "p" | "P":
                self.unicode_class()
            case "Q":
                end = self.pattern.find("\\E", self.position)
                end = len(self.pattern) if end < 0 else end
                self.written.append(re.escape(self.pattern[self.position + 2 : end]))
                self.position = min(len(self.pattern), end + 2)
            case _:
                self.written.append(re.escape(self.character()))

    def skip(self, text: str) -> None:
        self.position += 2
        self.written.append(text)

    def unicode_class(self) -> None:
        match = re.compile(r"\\([pP])(?:\{(\^?)(\w+)\}|(\w))").match(self.pattern, self.position)
        name = match and (match[3] or match[4])
        if match is None or name not in ("L", "N"):
            raise self.refuse(
                "is not supported; of Unicode's classes only \\pL and \\pN are", self.pattern[self.position :][:6]
            )
        inverted = (match[1] == "P") != bool(match[2])
        positive = "[^\\W\\d_]" if name == "L" else "\\d"
        negative = "[\\W\\d_]" if name == "L" else "\\D"
        self.position = match.end()
        self.written.append(f"(?u:{negative if inverted else positive})")

    def character(self) -> str:
        """One escaped character (`\\.`, `\\n`, `\\x41`, `\\101`), taken off the pattern."""
        match = re.compile(
            r"\\(?:x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,6})\}|(0[0-7]{0,2}|[1-7][0-7]{1,2})|(.))", re.DOTALL
        ).match(self.pattern, self.position)
        if match is None:
            raise self.refuse("ends the expression", "\\")
        self.position = match.end()
        if digits := match[1] or match[2]:
            return self.code(int(digits, 16), match[0])
        if match[3]:
            return chr(int(match[3], 8))
        letter = match[4]
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter.isalnum() or not letter.isascii():
            raise self.refuse("is no escape that RE2 knows", match[0])
        return letter

    def code(self, code: int, text: str) -> str:
        if code > 0x10FFFF:
            raise self.refuse("is beyond Unicode", text)
        return chr(code)

    def bracket(self) -> None:
        """A class such as `[^a-z[:digit:]_]`."""
        start = self.position
        self.position += 1
        inverted = self.pattern.startswith("^", self.position)
        self.position += inverted
        parts: list[str] = []
        while not parts or not self.pattern.startswith("]", self.position):
            if self.position >= len(self.pattern):
                raise self.refuse("is not closed with ]", self.pattern[start:][:20])
            parts.append(self.member())
        self.position += 1
        self.written.append(f"[{'^' * inverted}{''.join(parts)}]")

    def member(self) -> str:
        """One class, character or range within brackets."""
        posix = re.compile(r"\[:(\^?)(\w*):\]").match(self.pattern, self.position)
        if posix:
            table = _POSIX_NOT if posix[1] else _POSIX
            if posix[2] not in table:
                raise self.refuse("is no class that is supported", posix[0])
            self.position = posix.end()
            return table[posix[2]]
        two = self.pattern[self.position : self.position + 2]
        if two in ("\\d", "\\D", "\\w", "\\W", "\\s", "\\S"):
            self.position += 2
            return {"\\s": _SPACES, "\\S": "\\x00-\\x08\\x0b\\x0e-\\x1f!-\U0010ffff"}.get(two, two)
        if two in ("\\p", "\\P", "\\Q"):
            raise self.refuse("is not supported within brackets", two)
        low = self.single()
        if not self.ranges():
            return _in_class(low)
        self.position += 1
        high = self.single()
        if high < low:
            raise self.refuse("is no ascending range", f"{low}-{high}")
        return f"{_in_class(low)}-{_in_class(high)}"

    def ranges(self) -> bool:
        following = self.pattern[self.position : self.position + 2]
        return following.startswith("-") and len(following) == 2 and following[1] != "]"

    def single(self) -> str:
        if self.pattern[self.position] == "\\":
            return self.character()
        self.position += 1
        return self.pattern[self.position - 1]

    def refuse(self, problem: str, part: str) -> RegexpError:
        return RegexpError(f"{self.pattern!r} does not compile: {part!r} {problem}")


def _without_m(flags: str) -> str:
    """Unique flags; m is dealt with where ^ and $ are written."""
    return "".join(sorted(set(flags) - {"m"}))


def _in_class(character: str) -> str:
    return f"\\{character}" if character in "\\]^-[&~|" else character
