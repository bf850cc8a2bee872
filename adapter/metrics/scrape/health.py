"""How a target is doing, and why a scrape failed. No network, no clock."""

from dataclasses import dataclass, field
from enum import Enum


class Failure(Enum):
    """The kinds of reasons for which a scrape fails."""

    TIMEOUT = "timeout"
    """No complete answer in time."""
    UNREACHABLE = "unreachable"
    """No connection, or one that broke off."""
    CERTIFICATE = "certificate"
    """No TLS: the certificate is not accepted, or there is no TLS at all."""
    REFUSED = "refused"
    """401 or 403: our credentials are not accepted, or may not read it."""
    STATUS = "status"
    """Any other status."""
    ANSWER = "answer"
    """A body that is too large, cut short, packed otherwise or no page of metrics."""
    STORING = "storing"
    """A fault of ours with its points."""


class ScrapeError(Exception):
    """Why a scrape failed; one sentence."""

    def __init__(self, text: str, failure: Failure) -> None:
        super().__init__(text)
        self.failure = failure


@dataclass
class Health:
    """How a target is doing."""

    last_success: float | None = None
    """Unix s."""
    error: str = ""
    """Why the last scrape failed, else ''."""
    failure: Failure | None = None
    """Of which kind that is."""
    scrapes: int = 0
    failures: int = 0
    """In a row."""
    duration_s: float = 0.0
    samples: int = 0
    problems: list[str] = field(default_factory=list)
    """Bad lines of the last scrape, bounded."""
