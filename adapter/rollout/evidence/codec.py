"""Evidence as JSON values, for the policy's status, and back. Small: some hundred numbers per gate."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from adapter.rollout.evidence.likelihood import Floats

Tree = TypeVar("Tree", bound="tuple[Any, ...]")

DIGITS = 12
LARGE = 1e100


class EvidenceError(ValueError):
    """What was stored is no evidence of this shape."""


def pack(tree: tuple[Any, ...]) -> list[Any]:
    """Nested NamedTuples of arrays -> nested lists of numbers."""
    return [pack(part) if isinstance(part, tuple) else _round(part).tolist() for part in tree]


def _round(part: Floats) -> Floats:
    """Rounds to DIGITS; values above LARGE stay, as numpy multiplies by 10**DIGITS on the way."""
    large = np.abs(part) > LARGE
    return np.where(large, part, np.round(np.where(large, 0.0, part), DIGITS))


def unpack(like: Tree, raw: object) -> Tree:
    """The inverse, in the shape of `like`. Raises EvidenceError."""
    if not isinstance(raw, list) or len(raw) != len(like):
        raise EvidenceError(f"{len(like)} parts are wanted")
    make = cast("Callable[..., Tree]", type(like))
    return make(*(_part(part, value) for part, value in zip(like, raw, strict=True)))


def _part(like: object, raw: object) -> object:
    if isinstance(like, tuple):
        return unpack(like, raw)
    shape = np.shape(cast("Any", like))
    try:
        array = np.array(raw, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise EvidenceError("numbers are wanted") from None
    if array.shape != shape or not np.isfinite(array).all():
        raise EvidenceError(f"finite numbers of shape {shape} are wanted")
    return array
