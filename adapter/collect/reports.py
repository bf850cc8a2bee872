"""What the log says of rules and demand: each sentence once, since the log is read by people."""

from collections.abc import Iterable

import structlog

from adapter.once import Once

log = structlog.get_logger(__name__)

SENTENCES = 4096
"""Remembered: one for each rule and demand that wants mending, with room for those that come and go."""


class Reports:
    """Tells sentences that were not told before, or that are news again."""

    def __init__(self) -> None:
        self._once = Once(most=SENTENCES, again=None)

    def problem(self, sentence: str) -> None:
        """Something about a rule that is to be mended."""
        if self._once.first(sentence):
            log.warning("rule", problem=sentence)

    def problems(self, sentences: Iterable[str]) -> None:
        """Several such."""
        for sentence in sentences:
            self.problem(sentence)

    def note(self, sentence: str) -> None:
        """What an operator may want to know; it may well be meant so."""
        if self._once.first(sentence):
            log.info("demand", note=sentence)

    def over(self, sentence: str) -> None:
        """It is true no more; when it is again, that is news."""
        self._once.over(sentence)
