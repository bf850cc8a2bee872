"""Logs: JSON lines on stderr, so that stdout holds only what was asked for."""

import logging
import sys

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
