"""Logs: JSON lines on stderr, so that stdout holds only what was asked for."""

import logging
import sys
import time
from collections.abc import Callable, Hashable
from typing import Any, Final

import structlog
from cachetools import LRUCache, TTLCache
from structlog.tracebacks import ExceptionDictTransformer

DEBUG_FROM: Final = 5
"""-v from which on debug lines are written, in every program: both peers' own manifests pass --v=4 as a usual level."""
FRAMES: Final = 30
"""Of a traceback: a RecursionError has a thousand."""


def set_up(verbosity: int = 0) -> None:
    """One form for our lines and for those of the libraries (aiohttp, asyncio, grpc): JSON with level and UTC time.

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
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbosity >= DEBUG_FROM else logging.INFO),
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


class Once:
    """Lets a message through once per key, for at most so many keys: a trouble that lasts must not be a line a second.

    A key is told again after `again` s (None: never, unless too many other keys came since), when its text is another
    one, and after `over`.
    """

    def __init__(
        self, *, most: int = 256, again: float | None = 600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._said: LRUCache[Hashable, str] | TTLCache[Hashable, str]
        self._said = LRUCache(most) if again is None else TTLCache(most, again, clock)

    def first(self, key: Hashable, text: str = "") -> bool:
        """Whether to say it: `text` was not said of `key` yet."""
        if self._said.get(key) == text:
            return False
        self._said[key] = text
        return True

    def over(self, key: Hashable) -> bool:
        """The trouble of `key` is over; whether it had been said."""
        return self._said.pop(key, None) is not None


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
