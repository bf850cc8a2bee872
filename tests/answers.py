"""Answers of Prometheus' API read as they come, for tests that hold them as a whole."""

from typing import TypeVar

from adapter.metrics.prometheus import wire
from adapter.metrics.sample import Sample
from adapter.metrics.slices import run

R = TypeVar("R", bound=wire.Reader)


def read(reader: R, body: bytes, warnings: list[str] | None = None, at_once: int = 65_536) -> R:
    """`reader` after all of `body`, which came in chunks of `at_once` bytes. Raises SourceError."""
    for start in range(0, len(body), at_once):
        run(reader.feed(body[start : start + at_once]))
    reader.end([] if warnings is None else warnings)
    return reader


def samples(body: bytes, warnings: list[str] | None = None) -> list[Sample]:
    """The answer of /api/v1/query."""
    return run(read(wire.Vector(), body, warnings).samples())
