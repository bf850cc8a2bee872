"""What is remembered of each OTLP stream: the running total of deltas, and when a cumulative one began."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from adapter.metrics.otlp.distribution import Value
from adapter.metrics.owners import Owners, Refusal, owner_of
from adapter.metrics.sample import Series

V = TypeVar("V", bound=Value)

IDLE_S = 900.0
"""A stream silent for so long is forgotten; when it comes back its total starts at zero, a counter's reset."""
OVERLAP_S = 0.001
"""Ends and starts of neighbouring intervals may be apart by so much because of rounding."""


class PointError(ValueError):
    """Why a data point cannot be taken."""


@dataclass(slots=True)
class _Stream(Generic[V]):
    start: float
    end: float
    seen: float
    total: V | None


class Streams:
    """Bounded by `limit` streams, each identified by its series."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._streams: dict[Series, _Stream[Value]] = {}
        self._owners = Owners(limit, counts_names=False)
        self._expired_at = 0.0

    def __len__(self) -> int:
        return len(self._streams)

    def delta(self, series: Series, value: V, *, start: float, end: float, now: float) -> tuple[V, bool]:
        """Add what happened in (start, end], Unix s; the total, and whether it was zero at `start`.

        A gap is fine. Raises PointError for what was counted already: a repeated, late or overlapping interval.
        """
        stream = self._streams.get(series)
        if stream is None or stream.total is None or type(stream.total) is not type(value):
            self._streams[series] = self._new(series, value, start=start, end=end, now=now)
            return value, start > 0
        if end <= stream.end:
            raise PointError("its interval was counted already or comes late")
        if 0 < start < stream.end - OVERLAP_S:
            raise PointError(f"its interval overlaps the one before by {stream.end - start:.3f} s")
        total = stream.total.plus(value)
        stream.start, stream.end, stream.seen, stream.total = start, end, now, total
        return total, False

    def detect_restart(self, series: Series, *, start: float, end: float, now: float) -> bool:
        """Note a cumulative stream's point; True if it began anew, from zero, at `start` after the last one.

        The first sight of a stream tells nothing: OpenTelemetry lets `start` be when a value was first observed.
        """
        stream = self._streams.get(series)
        if stream is None or stream.total is not None:
            self._streams[series] = self._new(series, None, start=start, end=end, now=now)
            return False
        if end <= stream.end:
            return False
        anew = stream.start < stream.end < start < end
        stream.start, stream.end, stream.seen = start, end, now
        return anew

    def expire(self, now: float) -> None:
        """Forget idle streams; cheap to call often."""
        if now - self._expired_at < IDLE_S / 10:
            return
        self._expired_at = now
        for series in [series for series, stream in self._streams.items() if stream.seen < now - IDLE_S]:
            del self._streams[series]
            self._owners.remove(owner_of(series), series, last=False)

    def _new(self, series: Series, total: Value | None, *, start: float, end: float, now: float) -> _Stream[Value]:
        if series not in self._streams:
            owner = owner_of(series)
            if (refusal := self._owners.refusal(owner, series)) is not None:
                whose = {"all": "there are", "namespace": "its namespace has"}.get(refusal.scope, "its sender has")
                raise PointError(f"{whose} {refusal.limit} {_of(refusal)} already; it is left out")
            self._owners.add(owner, series)
        return _Stream(start, end, now, total)


def _of(refusal: Refusal) -> str:
    return "streams" if refusal.of == "series" else f"{refusal.of} of streams"
