"""What the log says of rules and demand: each sentence once, since the log is read by people."""

from collections.abc import Iterable

import structlog

log = structlog.get_logger(__name__)


class Reports:
    """Tells sentences that were not told before, or that are news again."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def problem(self, sentence: str) -> None:
        """Something about a rule that is to be mended."""
        if self._is_news(sentence):
            log.warning("rule", problem=sentence)

    def problems(self, sentences: Iterable[str]) -> None:
        """Several such."""
        for sentence in sentences:
            self.problem(sentence)

    def note(self, sentence: str) -> None:
        """What an operator may want to know; it may well be meant so."""
        if self._is_news(sentence):
            log.info("demand", note=sentence)

    def over(self, sentence: str) -> None:
        """It is true no more; when it is again, that is news."""
        self._told.discard(sentence)

    def _is_news(self, sentence: str) -> bool:
        if sentence in self._told:
            return False
        self._told.add(sentence)
        return True
