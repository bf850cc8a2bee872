"""Logs: JSON lines on stderr, so that stdout holds only what was asked for."""

import logging
import sys
from typing import Any, Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer

DEBUG_FROM: Final = 5
"""-v from which on debug lines are written, in every program: both peers' own manifests pass --v=4 as a usual level."""
FRAMES: Final = 30
"""Of a traceback: a RecursionError has a thousand."""


def set_up(verbosity: int = 0, *, least: int = logging.INFO) -> None:
    """One form for our lines and for those of the libraries (aiohttp, asyncio, grpc): JSON with level and UTC time.

    `least` is the level from which on lines are written below -v=5: a verb for people says by itself what went wrong.
    Tracebacks are dicts without the values of variables, which may be secrets.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=FRAMES)),
    ]
    rendered = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbosity >= DEBUG_FROM else least),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(handler)
    ours = _Stderr()
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    ours.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[without_meta, rendered], foreign_pre_chain=shared)
    )
    root.addHandler(ours)
    root.setLevel(logging.WARNING)


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what stderr is now."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class Trouble:
    """What failed in one round, told in one line: an outage must not be a line per object and minute."""

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
