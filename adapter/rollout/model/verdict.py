"""What the judge tells `decide`."""

from enum import StrEnum
from typing import NamedTuple


class Said(StrEnum):
    """The judge's answer over all gates of a stage."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    HOLD = "hold"


class Verdict(NamedTuple):
    """The answer with its numbers in a sentence; `blind`: nothing was heard of late, so no step is taken either.

    `step`: a gate that every step has to pass has not passed this one.
    """

    said: Said
    reason: str = ""
    blind: bool = False
    step: bool = False


class Stage(StrEnum):
    """Which gates are asked: blue-green's before and after the switch; a canary's at every step."""

    PRE = "pre"
    POST = "post"
    CANARY = "canary"


FREE = Verdict(Said.PROMOTE, "the policy names no gate here")
