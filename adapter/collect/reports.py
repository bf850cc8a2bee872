"""What the log says of rules and demand: each sentence once, since the log is read by people."""

import logging
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

    def about(self, what: str, sentence: str, *, wrong: bool) -> None:
        """What is to be known of `what`, in a sentence whose numbers change: told once until `about_over`."""
        if self._once.first((what, "about")):
            log.log(logging.WARNING if wrong else logging.INFO, "rule", problem=f"{what}: {sentence}")

    def about_over(self, what: str) -> None:
        """There is no such problem any more; when there is again, that is news."""
        self._once.over((what, "about"))

    def note(self, sentence: str) -> None:
        """What an operator may want to know; it may well be meant so."""
        if self._once.first(sentence):
            log.info("demand", note=sentence)

    def is_news(self, sentence: str) -> bool:
        """Whether it was not told yet, for who tells it in his own way."""
        return self._once.first(sentence)

    def over(self, sentence: str) -> None:
        """It is true no more; when it is again, that is news."""
        self._once.over(sentence)
