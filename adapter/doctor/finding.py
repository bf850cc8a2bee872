"""What is found, and what of the cluster's text is shown."""

import shlex
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

LONGEST: Final = 400
"""Characters of the cluster's own text in a sentence."""


class About(StrEnum):
    """What a finding is about."""

    API = "api"
    CERTIFICATE = "certificate"
    PROGRAM = "program"
    RIGHTS = "rights"
    RULES = "rules"
    HPA = "hpa"
    VPA = "vpa"
    RELEASE = "release"
    CLOCK = "clock"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong."""

    about: About
    object: str
    """Kind and name, with the namespace: 'HPA shop/web'."""
    says: str
    """One sentence."""
    next: str
    """The next command to type."""


class Unseen(msgspec.Struct, frozen=True):
    """What could not be looked at."""

    what: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """All that a look found."""

    served: dict[str, str]
    """API -> who serves it."""
    findings: Sequence[Finding]
    unseen: Sequence[Unseen]


def one_line(text: str) -> str:
    """Text, safe to print: one line, no control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def plain(text: str) -> str:
    """A text of the cluster for a sentence: one line, not longer than LONGEST."""
    line = one_line(text[: 4 * LONGEST])
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"


def word(text: str) -> str:
    """Text of the cluster as one word of a command: names of targets and metrics may hold what a shell acts on."""
    return shlex.quote(one_line(text))


def who_wants(hpas: Sequence[str], what: str = "it") -> str:
    """Who wants something: 'HPA shop/web wants it', or '2 HPAs want it, shop/web among them'. `hpas` is not empty."""
    if len(hpas) == 1:
        return f"HPA {hpas[0]} wants {what}"
    return f"{len(hpas)} HPAs want {what}, {hpas[0]} among them"
