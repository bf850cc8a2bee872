"""What a client may send of HTTP/2 before somebody else reads it: whole heads of bounded size, few idle frames. Pure.

A library that speaks HTTP/2 holds a head as far as it was sent, however long that becomes and takes. Here a head waits
until it is whole, so the library never sees half of one (RFC 9113: HEADERS, then CONTINUATION, until END_HEADERS).
"""

from enum import IntEnum, IntFlag
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER: Final = 9
"""Bytes of a frame before its payload."""
HEAD_BYTES: Final = 64 * 1024
"""Of a head on the wire, its frames' headers included: several times the metadata that gRPC allows, unpacked."""
CREDIT: Final = 1000
"""What a connection may cost before it is answered; each answer gives as much more as `ANSWER`."""
ANSWER: Final = 32
_HEAD_COST: Final = 8
"""Of a request; any other frame that brings nothing (PING, RST_STREAM, SETTINGS, an empty DATA) costs 1."""


class Kind(IntEnum):
    """Of a frame; others are unknown ones, which HTTP/2 lets pass."""

    DATA = 0
    HEADERS = 1
    CONTINUATION = 9


class Flag(IntFlag):
    """Of a frame."""

    END_STREAM = 1
    END_HEADERS = 4


class RefusedError(ValueError):
    """A client sends what nobody is to read; one clause."""


class Gate:
    """The bytes of one client's connection."""

    def __init__(self) -> None:
        self.heads = 0
        """How many were whole."""
        self._rest = b""
        """The preface, a frame's header or a part of a head, as far as it is here."""
        self._head = bytearray()
        """The frames of a head that are whole."""
        self._left = 0
        """Bytes of the present frame's payload that are still to be let through."""
        self._begun = False
        self._credit = CREDIT

    @property
    def begun(self) -> bool:
        """Whether the preface was there, so that somebody is to read."""
        return self._begun

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of a head."""
        return len(self._rest) + len(self._head)

    def count_answer(self) -> None:
        """Called when a request was answered: it gives the connection credit for more."""
        self._credit = min(self._credit + ANSWER, CREDIT)

    def feed(self, data: bytes) -> bytes:
        """The bytes that may go on to the server now, `data` and what waited before it. Raises RefusedError."""
        out = bytearray()
        pending, at = self._rest + data, 0
        if not self._begun:
            at = self._begin(pending, out)
        while self._begun and at < len(pending):
            if self._left:
                step = min(self._left, len(pending) - at)
                out += pending[at : at + step]
                self._left -= step
            elif not (step := self._frame(pending, at, out)):
                break
            at += step
        self._rest = pending[at:]
        return bytes(out)

    def _begin(self, pending: bytes, out: bytearray) -> int:
        if not PREFACE.startswith(pending[: len(PREFACE)]):
            raise RefusedError("this is no HTTP/2; OTLP over HTTP has another port")
        if len(pending) < len(PREFACE):
            return 0
        self._begun = True
        out += PREFACE
        return len(PREFACE)

    def _frame(self, pending: bytes, at: int, out: bytearray) -> int:
        """How many bytes of the frame at `at` are done with; 0 where more of it must come first."""
        if len(pending) - at < HEADER:
            return 0
        length, kind, flags = int.from_bytes(pending[at : at + 3], "big"), pending[at + 3], pending[at + 4]
        if (kind == Kind.CONTINUATION) != bool(self._head):
            raise RefusedError("a head must be HEADERS, then CONTINUATION without other frames between them")
        if kind not in (Kind.HEADERS, Kind.CONTINUATION):
            self._spend(1 if kind != Kind.DATA or not length else 0)
            self._left = length
            out += pending[at : at + HEADER]
            return HEADER
        if len(self._head) + HEADER + length > HEAD_BYTES:
            raise RefusedError(f"a head has more than {HEAD_BYTES} bytes")
        if len(pending) - at < HEADER + length:
            return 0
        self._head += pending[at : at + HEADER + length]
        if flags & Flag.END_HEADERS:
            self._spend(_HEAD_COST)
            self.heads += 1
            out += self._head
            self._head.clear()
        return HEADER + length

    def _spend(self, cost: int) -> None:
        self._credit -= cost
        if self._credit < 0:
            raise RefusedError("too many requests or other frames without an answer")


class Answers:
    """The bytes that go to a client."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0

    def feed(self, data: bytes) -> tuple[int, int]:
        """How many requests ended in it, and how many of its frames brought a message."""
        pending, at, ended, messages = self._rest + data, 0, 0, 0
        while at < len(pending):
            if self._left:
                step = min(self._left, len(pending) - at)
                self._left -= step
                at += step
                continue
            if len(pending) - at < HEADER:
                break
            self._left, kind, flags = int.from_bytes(pending[at : at + 3], "big"), pending[at + 3], pending[at + 4]
            at += HEADER
            ended += kind in (Kind.DATA, Kind.HEADERS) and bool(flags & Flag.END_STREAM)
            messages += kind == Kind.DATA
        self._rest = pending[at:]
        return ended, messages


def goodbye(why: str) -> bytes:
    """A GOAWAY frame (ENHANCE_YOUR_CALM) that says why."""
    payload = bytes(4) + (0xB).to_bytes(4, "big") + why.encode()
    return len(payload).to_bytes(3, "big") + bytes([7, 0]) + bytes(4) + payload
