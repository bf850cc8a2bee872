"""What is found, and what of the cluster's text is shown."""

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


def plain(text: str) -> str:
    """Text from the cluster, safe to print: one line, no control characters, not longer than LONGEST."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * LONGEST])
    line = " ".join(shown.split())
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"
