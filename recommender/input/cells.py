"""Cells of usage files: one by one, with a sentence for what is wrong, or many at once where nothing is. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from recommender.model.buckets import Amounts, Floats
from recommender.model.containers import MAX_AMOUNT, MAX_EPOCH, MISSING

OOM_COLUMN: Final = "oom_request_bytes"
"""The column that a line need not have."""


def read_cell(cells: list[str], place: int) -> str:
    """One cell. Raises ValueError, like all here: one sentence."""
    if place >= len(cells):
        raise ValueError(f"{len(cells)} cells, at least {place + 1} are wanted")
    return cells[place].strip()


def read_name(text: str) -> str:
    """A container's name."""
    if not text or "\ufffd" in text or not text.isprintable() or len(text) > 1024:
        raise ValueError(f"container {text[:40]!r} is no name (1 to 1024 printable characters of UTF-8 are wanted)")
    return text


def all_numbers(texts: Sequence[str]) -> Floats | None:
    """The texts as numbers that are finite and not negative; None where one of them is not, or it is not sure."""
    try:
        numbers = np.array(texts).astype(np.float64)
    except ValueError:
        return None
    joined = "".join(texts)
    sure = "_" not in joined and "\0" not in joined  # numpy takes no notice of a NUL at the end
    return numbers if sure and np.isfinite(numbers).all() and (numbers >= 0).all() else None


def all_amounts(texts: Sequence[str]) -> Amounts | None:
    """The texts as `read_amount` reads each; None where one may be wrong, which that function then names."""
    given = [text for text in texts if text]
    numbers = all_numbers(given) if given else np.zeros(0)
    if numbers is None or (numbers > MAX_AMOUNT).any():
        return None
    amounts = np.full(len(texts), MISSING, dtype=np.int64)
    amounts[[bool(text) for text in texts]] = np.ceil(numbers)
    return amounts


def is_fraction(text: str) -> bool:
    """Whether the text, which is an amount or empty, is no whole number."""
    return any(mark in text for mark in ".eE") and not float(text).is_integer()


def read_epoch(text: str) -> float:
    """Unix seconds."""
    value = _number(text, "epoch_s")
    if not 0 <= value < MAX_EPOCH:
        raise ValueError(f"epoch_s {text[:40]!r} is not in 0 to {MAX_EPOCH:.0f}: Unix seconds are wanted")
    return value


def read_amount(cells: list[str], places: Mapping[str, int], column: str) -> int:
    """A whole amount; fractions are rounded up, as Kubernetes does with quantities; empty is MISSING."""
    place = places[column]
    if place >= len(cells) and column == OOM_COLUMN:
        return MISSING
    text = read_cell(cells, place)
    if not text:
        return MISSING
    value = _number(text, column)
    if not 0 <= value <= MAX_AMOUNT:
        raise ValueError(f"{column} {text[:40]!r} is not in 0 to {MAX_AMOUNT}")
    return math.ceil(value)


def _number(text: str, column: str) -> float:
    try:
        value = float("" if "_" in text else text)
    except ValueError:
        raise ValueError(f"{column} {text[:40]!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{column} {text[:40]!r} is not finite")
    return value
