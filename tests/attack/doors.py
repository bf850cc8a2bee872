"""Connections and bytes of people who show no credentials."""

import contextlib
import gzip
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.attack.attack import attack
from tests.attack.field import Field, Source

EMBEDDED = (Source.EMBEDDED,)
MEMBER = gzip.compress(b"")
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def opened(field: Field, count: int, *, tls: bool, port: int = 0) -> Iterator[Sequence[socket.socket]]:
    """So many connections, or as many as are taken."""
    with ExitStack() as stack:
        found: list[socket.socket] = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                found.append(stack.enter_context(field.connect(port, tls=tls)))
        assert len(found) > count / 10, f"only {len(found)} of {count} were let in"
        yield found


def sent(connections: Sequence[socket.socket], data: bytes) -> None:
    """`data` to each, as far as it is taken without waiting for long."""
    for one in connections:
        one.settimeout(0.2)
        with contextlib.suppress(OSError):
            one.sendall(data)


@attack("3,000 TCP connections that send nothing", section=2)
def silent(field: Field) -> None:
    with opened(field, 3000, tls=False):
        field.hold(2)


@attack("2,100 idle TLS connections", section=2, sources=EMBEDDED)
def idle(field: Field) -> None:
    with opened(field, 2100, tls=True):
        field.hold(1)


@attack("40 connections with 124 unfinished headers of 64 kB", section=2, sources=EMBEDDED)
def unfinished(field: Field) -> None:
    with opened(field, 40, tls=True) as connections:
        for number in range(124):
            sent(connections, (HEAD if number == 0 else b"") + b"X-%d: %s\r\n" % (number, b"a" * 64_000))


@attack("a gzip body of 209,715 empty members to OTLP/HTTP", section=2, sources=EMBEDDED)
def empty_members(field: Field) -> None:
    body = MEMBER * (4 * 2**20 // len(MEMBER))
    head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n"
    with opened(field, 4, tls=False, port=field.otlp_http) as connections:
        for one in connections:
            one.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        field.hold(1)


@attack("a scraped gzip page of 209,715 empty members", section=2, sources=EMBEDDED)
def empty_members_of_a_page(field: Field) -> None:
    field.page("web-0", MEMBER * (4 * 2**20 // len(MEMBER)), encoding="gzip")
    field.hold(2)


@attack("500 half-sent heads to OTLP/HTTP", section=2, sources=EMBEDDED)
def half_sent_to_otlp(field: Field) -> None:
    with opened(field, 500, tls=False, port=field.otlp_http) as connections:
        sent(connections, b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"a" * 7000)
        field.hold(1)


@attack("heads that grow by a byte now and then", section=2, sources=EMBEDDED)
def slow_heads(field: Field) -> None:
    with opened(field, 100, tls=True) as connections:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            sent(connections, b"G")
