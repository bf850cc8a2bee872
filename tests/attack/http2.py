"""Connections to OTLP/gRPC: whoever reaches the port, without credentials."""

import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from tests import frames
from tests.attack.attack import attack
from tests.attack.doors import EMBEDDED, open_connections, send
from tests.attack.field import Field
from tests.frames import PREFACE


def push(field: Field) -> None:
    """Push as a well-meaning client over a connection of its own, and check that it is answered."""
    with field.connect(field.otlp_grpc, tls=False) as one:
        one.settimeout(1.0)
        one.sendall(PREFACE + frames.push(1))
        received = b""
        while frames.frame(frames.DATA, 0, 1, bytes(5)) not in received:
            more = one.recv(65_536)
            assert more, "a push was not taken"
            received += more


def begin(connections: Sequence[socket.socket]) -> None:
    """Exchange HTTP/2 settings on each connection and acknowledge the server's."""
    for one in connections:
        one.sendall(PREFACE)
        one.recv(65_536)
        one.sendall(frames.ACKNOWLEDGED)


@attack("1,000 silent connections to OTLP/gRPC, 64 of them with requests that do not end", section=2, sources=EMBEDDED)
def silent(field: Field) -> None:
    with open_connections(field, 1000, tls=False, port=field.otlp_grpc) as connections:
        for one in connections[:64]:
            send([one], PREFACE)
            for stream in (1, 3, 5, 7):
                send([one], frames.head(stream, frames.block()) + frames.data(stream, (4 * 2**20).to_bytes(5, "big")))
                for _ in range(9):
                    send([one], frames.data(stream, b"x" * 16_000))
        field.hold(1)


@attack("100 connections to OTLP/gRPC whose heads go on without end", section=2, sources=EMBEDDED)
def endless_heads(field: Field) -> None:
    """A head of many headers, and one of a single header that is said to have a gigabyte."""
    many = frames.frame(frames.CONTINUATION, 0, 1, frames.field(b"a", b"v" * 255) * 60)
    single = frames.frame(frames.CONTINUATION, 0, 1, b"v" * 16_000)
    gigabyte = b"\0\1a\x7f" + b"\x81\x80\x80\x80\x04"
    with open_connections(field, 100, tls=False, port=field.otlp_grpc) as connections:
        for number, one in enumerate(connections):
            begun = frames.block() + (gigabyte if number % 2 else b"")
            send([one], PREFACE + frames.head(1, begun, ends=False) + (single if number % 2 else many) * 160)
        push(field)
        field.hold(1)


@attack("500 half-sent heads to OTLP/gRPC", section=2, sources=EMBEDDED)
def half_heads(field: Field) -> None:
    headers = frames.block(*[(b"a%d" % number, b"v" * 4000) for number in range(14)])
    with open_connections(field, 500, tls=False, port=field.otlp_grpc) as connections:
        send(connections, PREFACE + frames.head(1, headers)[:-1])
        push(field)
        field.hold(1)


@attack("1,000 connections to OTLP/gRPC that lack a byte of the preface", section=2, sources=EMBEDDED)
def no_preface(field: Field) -> None:
    with open_connections(field, 1000, tls=False, port=field.otlp_grpc) as connections:
        send(connections, PREFACE[:23])
        push(field)
        field.hold(1)


@attack("100 requests with 1 MB of metadata to OTLP/gRPC", section=2, sources=EMBEDDED)
def large_metadata(field: Field) -> None:
    headers = frames.block(*[(b"a%d" % number, b"v" * 8000) for number in range(125)])
    with open_connections(field, 100, tls=False, port=field.otlp_grpc) as connections:
        send(connections, PREFACE + frames.head(1, headers))
        push(field)
        field.hold(1)


@attack("streams to OTLP/gRPC that are opened and reset, 10,000 on each of 4 connections", section=2, sources=EMBEDDED)
def rapid_reset(field: Field) -> None:
    with open_connections(field, 4, tls=False, port=field.otlp_grpc) as connections:
        begin(connections)
        for first in range(1, 20_001, 400):
            heads = ((n, frames.head(n, frames.block())) for n in range(first, first + 400, 2))
            resets = (head + frames.frame(frames.RST_STREAM, 0, n, frames.CANCEL) for n, head in heads)
            send(connections, b"".join(resets))
        push(field)
        field.hold(1)


@attack("frames to OTLP/gRPC that bring nothing, for two seconds", section=2, sources=EMBEDDED)
def idle_frames(field: Field) -> None:
    """Pings, settings and empty parts of a body: each is answered or looked at."""
    with open_connections(field, 8, tls=False, port=field.otlp_grpc) as connections:
        begin(connections)
        send(connections, frames.head(1, frames.block()))
        nothing = [
            frames.frame(frames.PING, 0, 0, bytes(8)),
            frames.frame(frames.SETTINGS, 0, 0),
            frames.data(1, b""),
        ]
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for number, one in enumerate(connections):
                one.settimeout(0.05)
                with suppress(OSError):
                    one.sendall(nothing[number % 3] * 1000)
        push(field)
