"""What a program does, as spans of OpenTelemetry: begun, nested and ended here; `adapter.program.tracing` sends them.

The span under way is a context variable, so that a query knows whose it is without being told. Where nobody traces, or
this trace is not sampled, a span costs one look at that variable. A span that has ended gets no more children: a task
that a request began, and that outlives it, would else be its child for ever.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from adapter.clock import steady

Value: TypeAlias = str | int | bool
Attributes: TypeAlias = Mapping[str, Value]
"""By the names of OpenTelemetry's semantic conventions; `streamgate.…` where these have none."""
NONE: Final[Attributes] = {}
LONGEST: Final = 1024
"""Characters of a value; the rest is cut off."""
MOST_A_SECOND: Final = 100
"""Traces that are begun, whatever rate is set and whatever callers ask for."""
MILLION: Final = 1_000_000
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.{0,150})?", re.ASCII)


class Kind(IntEnum):
    """A span's kind, by OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class Parent(NamedTuple):
    """What a caller's `traceparent` says."""

    trace_id: int
    span_id: int
    sampled: bool


class Span:
    """One piece of work of a sampled trace; times are Unix s."""

    __slots__ = ("attributes", "end", "error", "kind", "name", "parent_id", "span_id", "start", "trace_id", "tracer")

    def __init__(
        self, tracer: "Tracer", name: str, attributes: Attributes, *, kind: Kind, trace_id: int, parent_id: int
    ) -> None:
        """`parent_id`: 0 for the first of a trace."""
        self.tracer, self.name, self.kind, self.trace_id, self.parent_id = tracer, name, kind, trace_id, parent_id
        self.span_id = tracer.draw(64) or 1
        self.start, self.end = tracer.clock(), 0.0
        """`end`: 0 while it is under way."""
        self.error = ""
        """Why it failed, as `error.type` has it; empty: it did not."""
        self.attributes: dict[str, Value] = {}
        self.put(attributes)

    def put(self, attributes: Attributes) -> None:
        """More attributes."""
        for key, value in attributes.items():
            self.attributes[key] = value[:LONGEST] if isinstance(value, str) else value


_under_way: ContextVar[Span | None] = ContextVar("span", default=None)


class Tracer:
    """Begins traces, of which it samples some."""

    def __init__(
        self,
        keep: Callable[[Span], None] | None,
        per_million: int,
        *,
        clock: Callable[[], float] = steady,
        draw: Callable[[int], int] = random.getrandbits,
    ) -> None:
        """`keep` gets each span when it has ended, None: nothing is traced; `per_million` traces that nobody asks for
        are sampled.
        """
        self.clock, self.draw = clock, draw
        self.traces = keep is not None
        """Whether there is anybody to trace for."""
        self._keep = keep
        self._below = per_million * 2**63 // MILLION
        self._second, self._begun = 0, 0

    @contextmanager
    def trace(
        self, name: str, attributes: Attributes = NONE, *, kind: Kind = Kind.INTERNAL, parent: Parent | None = None
    ) -> Iterator[None]:
        """What runs inside is the first span of a trace, or part of the span under way where there is one."""
        if not self.traces:
            yield
        elif _open() is not None:
            with span(name, attributes, kind=kind):
                yield
        else:
            with _make_current(self._first(name, attributes, kind, parent)):
                yield

    def end_span(self, span: Span) -> None:
        """Ends a span of this tracer and hands it over to be kept."""
        span.end = self.clock()
        if self._keep is not None:
            self._keep(span)

    def _first(self, name: str, attributes: Attributes, kind: Kind, parent: Parent | None) -> Span | None:
        trace_id = parent.trace_id if parent else self.draw(128) or 1
        if not self._samples(parent, trace_id):
            return None
        caller = parent.span_id if parent else 0
        return Span(self, name, attributes, kind=kind, trace_id=trace_id, parent_id=caller)

    def _samples(self, parent: Parent | None, trace_id: int) -> bool:
        """A caller's decision holds, as in Kubernetes' own components; else the trace's id decides, as in SDKs."""
        if not (parent.sampled if parent else (trace_id & (2**64 - 1)) >> 1 < self._below):
            return False
        second = int(self.clock())
        if second != self._second:
            self._second, self._begun = second, 0
        self._begun += 1
        return self._begun <= MOST_A_SECOND


@contextmanager
def span(name: str, attributes: Attributes = NONE, *, kind: Kind = Kind.INTERNAL) -> Iterator[None]:
    """What runs inside is part of the span under way; nothing where there is none."""
    outer = _open()
    if outer is None:
        yield
        return
    made = Span(outer.tracer, name, attributes, kind=kind, trace_id=outer.trace_id, parent_id=outer.span_id)
    with _make_current(made):
        yield


def note(attributes: Attributes) -> None:
    """Adds attributes to the span under way, if there is one."""
    if (current := _open()) is not None:
        current.put(attributes)


def note_failure(error: str) -> None:
    """Marks the span under way, if any, as failed; `error` is its `error.type`, one of few words."""
    if (current := _open()) is not None:
        current.error = error


def traceparent() -> dict[str, str]:
    """The header that makes the spans of whom we ask part of our trace; {} where no span is under way."""
    current = _open()
    return {"traceparent": f"00-{current.trace_id:032x}-{current.span_id:016x}-01"} if current is not None else {}


def parent_of(header: str | None) -> Parent | None:
    """What a `traceparent` header says (W3C Trace Context); None where it says nothing that counts."""
    match = _TRACEPARENT.fullmatch(header or "")
    if match is None:
        return None
    version, trace, caller, flags, more = match.groups()
    if version == "ff" or (version == "00" and more):
        return None
    trace_id, span_id = int(trace, 16), int(caller, 16)
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1)) if trace_id and span_id else None


def _open() -> Span | None:
    current = _under_way.get()
    return None if current is None or current.end else current


@contextmanager
def _make_current(made: Span | None) -> Iterator[None]:
    """Makes `made` the span under way inside the context and ends it afterwards; None changes nothing."""
    if made is None:
        yield
        return
    token = _under_way.set(made)
    try:
        yield
    except BaseException as error:
        made.error = made.error or type(error).__name__
        raise
    finally:
        _under_way.reset(token)
        made.tracer.end_span(made)


OFF: Final = Tracer(None, 0)
"""Traces nothing, whatever callers ask for."""
