"""The values that travel: a series and its points on the way in, samples on the way out."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias


class Series:
    """One time series: its labels, sorted by name, with the metric's name as `__name__` (Prometheus' data model).

    Immutable and hashable; the hash is computed once, since a series is looked up at every scrape.
    """

    __slots__ = ("_hash", "labels")

    def __init__(self, labels: tuple[tuple[str, str], ...]) -> None:
        self.labels = labels
        self._hash = hash(labels)

    @classmethod
    def of(cls, name: str, labels: Mapping[str, str]) -> "Series":
        """The series called `name` with `labels`; an empty label value is the same as no label."""
        pairs = {key: value for key, value in labels.items() if value}
        pairs["__name__"] = name
        return cls(tuple(sorted(pairs.items())))

    @property
    def name(self) -> str:
        """The metric's name, or an empty text where the series has none."""
        return dict(self.labels).get("__name__", "")

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Series) and self.labels == other.labels)

    def __repr__(self) -> str:
        return f"Series({dict(self.labels)!r})"


Point: TypeAlias = tuple[Series, float, float]
"""One observation on its way into a store: series, value, Unix time in seconds."""


class Sample(NamedTuple):
    """One element of a query's result (an instant vector)."""

    labels: Mapping[str, str]
    value: float
    time: float
    """Unix time, s: of the newest sample behind the value where the source knows it, else of the evaluation."""
    window: float = 0.0
    """s over which a rate was taken; 0 where the value is no rate or the source does not know."""
