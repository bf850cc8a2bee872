"""What the log says of scrapes: so much of one namespace, however many of its pods fail, flap or write bad lines."""

import structlog
from cachetools import LRUCache

from adapter.metrics.scrape.target import Target

LINES = 100
"""Of one namespace, or of the kubelets, in SPAN_S."""
SPAN_S = 600.0
TENANTS = 1024
"""Whose lines are counted at once."""

log = structlog.get_logger(__name__)


class Reports:
    """Counts lines by tenant; what is beyond is in /metrics alone."""

    def __init__(self) -> None:
        self._lines: LRUCache[tuple[str, int], int] = LRUCache(TENANTS)

    def note_failure(self, target: Target, error: str, now: float) -> None:
        """The target's scrapes fail since `now`, Unix s."""
        if self._may(target, now):
            log.warning("scrape failed", target=target.id, error=error)

    def works(self, target: Target, failures: int, now: float) -> None:
        """The target's scrapes work again, after so many failures."""
        if self._may(target, now):
            log.info("scrape works again", target=target.id, failures=failures)

    def bad_lines(self, target: Target, problems: list[str], now: float) -> None:
        """Lines of the target's page are left out since `now`, Unix s."""
        if self._may(target, now):
            log.warning("bad lines left out", target=target.id, problems=problems)

    def _may(self, target: Target, now: float) -> bool:
        key = target.tenant, int(now // SPAN_S)
        lines = self._lines[key] = self._lines.get(key, 0) + 1
        if lines == LINES:
            log.warning("more scrapes fail", of=target.tenant[:300], told=LINES - 1, within_s=SPAN_S)
        return lines < LINES
