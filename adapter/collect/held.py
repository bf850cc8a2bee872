"""What the collector holds for one want. Pure."""

from typing import NamedTuple

from adapter.collect.planned import Planned
from adapter.collect.snapshot import Table
from adapter.metrics.source import SourceError


class Held(NamedTuple):
    """What is known for one want."""

    planned: Planned
    table: Table | None
    """The last good result."""
    error: SourceError | None = None
    """Why the last evaluation failed, None where it did not."""


class NotYetError(Exception):
    """The source has not answered in the time that a request waits; the query goes on."""

    def __init__(self, *, began: bool) -> None:
        super().__init__()
        self.began = began
        """Whether the query was sent for this request, so that a second one may well find its result."""
