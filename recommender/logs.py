"""Logs: JSON lines on stderr, so that stdout holds only what was asked for."""

import logging
import sys
from typing import Any

import structlog

from recommender.settings import SettingsError


def log_to_stderr(verbosity: str) -> None:
    """klog's levels: from 5 on everything, from 0 on what an operator wants to know. Raises SettingsError."""
    try:
        level = logging.DEBUG if int(verbosity) >= 5 else logging.INFO
    except ValueError:
        raise SettingsError(f"-v={verbosity!r}: a whole number is wanted") from None
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


class Trouble:
    """What failed in one round, told in one line: an outage must not be a line per VPA and minute."""

    def __init__(self) -> None:
        self._count = 0
        self._first = ("", "")

    def add(self, about: str, error: Exception) -> None:
        """One more failure, of the object `about`."""
        self._first = self._first if self._count else (about, str(error))
        self._count += 1

    def say(self, log: Any, event: str) -> None:
        """Logs how many there were and the first of them, if any."""
        if self._count:
            log.warning(event, count=self._count, first=self._first[0], cause=self._first[1])
