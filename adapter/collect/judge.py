"""What becomes of a reading: served as which quantity, or left out and why. Pure: time is an argument."""

import enum
import math
from typing import NamedTuple

from adapter.collect.snapshot import Limits, Pace, Reading, admit, age_limit
from adapter.units.quantity import Quantity

MAX_MILLI = 2**63 - 1
"""Values are read as int64 milli-units by the HPA; a larger one is served as this."""


class LeftOut(enum.Enum):
    """Why a reading is not served; the value is the label in /metrics."""

    AGE = "age"
    VALUE = "value"
    TRANSITION = "transition"


class Judged(NamedTuple):
    """A reading and what becomes of it."""

    reading: Reading | None
    """None where there is none and the pod's state says why."""
    value: float | None
    """None where it is left out."""
    left_out: LeftOut | None = None
    """None where it is served."""
    why: str = ""
    """Why it is left out, one sentence without a full stop; '' where it is served."""


def judge_reading(reading: Reading, limits: Limits, pace: Pace, now: float) -> Judged:
    """What becomes of `reading` by the rule's limits at `now`, Unix s; for `pace` see `Table.pace`."""
    age, limit = now - reading.time, age_limit(limits, pace)
    if not -math.inf < age <= limit:  # nor where the time is no number
        return Judged(reading, None, LeftOut.AGE, f"its sample is {age:.0f} s old, the limit is {limit:.0f} s")
    value = admit(reading.value, limits)
    if value is None:
        return Judged(reading, None, LeftOut.VALUE, f"its value is {reading.value}")
    return Judged(reading, value)


def quantity(value: float) -> Quantity:
    """In milli-units, truncated as prometheus-adapter does, within what an int64 holds; not for NaN."""
    return Quantity.of_milli(int(max(-MAX_MILLI, min(value * 1000, MAX_MILLI))))
