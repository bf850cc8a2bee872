"""Connections and bytes of people who show no credentials."""

import contextlib
import gzip
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tests.attack.attack import attack
from tests.attack.field import Field, Source

EMBEDDED = (Source.EMBEDDED,)
MEMBER = gzip.compress(b"")
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def open_connections(field: Field, count: int, *, tls: bool, port: int = 0) -> Iterator[Sequence[socket.socket]]:
    """Open `count` connections, or as many as are let in, and close them with the context."""
    with ExitStack() as stack:
        connections: list[socket.socket] = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                connections.append(stack.enter_context(field.connect(port, tls=tls)))
        assert len(connections) > count / 10, f"only {len(connections)} of {count} were let in"
        yield connections


def send(connections: Sequence[socket.socket], data: bytes) -> None:
    """Send `data` to each connection, as far as it is taken within 0.2 s."""
    for one in connections:
        one.settimeout(0.2)
        with contextlib.suppress(OSError):
            one.sendall(data)


@attack("3,000 TCP connections that send nothing", section=2)
def silent(field: Field) -> None:
    with open_connections(field, 3000, tls=False):
        field.hold(2)


@attack("400 idle TLS connections, where one address may have 250", section=2, sources=EMBEDDED)
def idle(field: Field) -> None:
    with open_connections(field, 400, tls=True):
        field.hold(1)


@attack("40 connections with 124 unfinished headers of 64 kB", section=2, sources=EMBEDDED)
def unfinished_heads(field: Field) -> None:
    with open_connections(field, 40, tls=True) as connections:
        for number in range(124):
            send(connections, (HEAD if number == 0 else b"") + b"X-%d: %s\r\n" % (number, b"a" * 64_000))


@attack("500 connections with heads of 100 kB that do not end", section=2, sources=EMBEDDED)
def many_unfinished(field: Field) -> None:
    with open_connections(field, 500, tls=True) as connections:
        for number in range(2):
            send(connections, (HEAD if number == 0 else b"") + b"X-%d: %s\r\n" % (number, b"a" * 50_000))


@attack("40 connections that send requests faster than they take answers", section=2, sources=EMBEDDED)
def pipelined_requests(field: Field) -> None:
    with open_connections(field, 40, tls=True) as connections:
        for _ in range(20):
            send(connections, (HEAD.replace(b"healthz", b"readyz?verbose") + b"\r\n") * 200)


@attack("400 TLS connections that hang up in the midst of the handshake", section=2, sources=EMBEDDED)
def broken_handshakes(field: Field) -> None:
    for _ in range(2):
        with open_connections(field, 200, tls=False) as connections:
            send(connections, bytes.fromhex("16030100c8010000c40303") + b"x" * 100)


@attack("requests one by one, each on a TLS connection of its own", section=2, sources=EMBEDDED)
def many_handshakes(field: Field) -> None:
    def ask(_: int) -> None:
        for _ in range(40):
            with contextlib.suppress(OSError), field.connect(tls=True) as one:
                one.sendall(HEAD + b"\r\n")
                one.recv(1000)

    with ThreadPoolExecutor(8) as some:
        list(some.map(ask, range(8)))


@attack("a gzip body of 209,715 empty members to OTLP/HTTP", section=2, sources=EMBEDDED)
def empty_members(field: Field) -> None:
    body = MEMBER * (4 * 2**20 // len(MEMBER))
    head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n"
    with open_connections(field, 4, tls=False, port=field.otlp_http) as connections:
        for one in connections:
            one.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        field.hold(1)


@attack("4 MB of empty messages to OTLP/HTTP, in protobuf and in JSON", section=2, sources=EMBEDDED)
def empty_messages(field: Field) -> None:
    head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/%s\r\nContent-Length: %d\r\n\r\n"
    bodies = {b"x-protobuf": b"\x0a\0" * (2 * 2**20 - 1), b"json": b'{"resourceMetrics":[' + b"{}," * 1_300_000}
    for kind, body in bodies.items():
        with open_connections(field, 3, tls=False, port=field.otlp_http) as connections:
            for one in connections:
                one.sendall(head % (kind, len(body)) + body)
            field.hold(1)


@attack("a scraped gzip page of 209,715 empty members", section=2, sources=EMBEDDED)
def empty_members_of_a_page(field: Field) -> None:
    field.page("web-0", MEMBER * (4 * 2**20 // len(MEMBER)), encoding="gzip")
    field.hold(2)


@attack("an answer of Prometheus of 209,715 empty members", section=2, sources=(Source.PROMETHEUS,))
def empty_members_of_an_answer(field: Field) -> None:
    field.prometheus_answers("series", MEMBER * (4 * 2**20 // len(MEMBER)), encoding="gzip")
    field.hold(3)


@attack("500 half-sent heads to OTLP/HTTP", section=2, sources=EMBEDDED)
def half_sent_to_otlp(field: Field) -> None:
    with open_connections(field, 500, tls=False, port=field.otlp_http) as connections:
        send(connections, b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"a" * 7000)
        field.hold(1)


@attack("32 bodies of 4 MB to OTLP/HTTP that lack their last byte", section=2, sources=EMBEDDED)
def half_sent_bodies(field: Field) -> None:
    head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    with open_connections(field, 32, tls=False, port=field.otlp_http) as connections:
        body = b"x" * (4 * 2**20 - 1)
        send(connections, head + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
        field.hold(1)


@attack("heads that grow by a byte now and then", section=2, sources=EMBEDDED)
def slow_heads(field: Field) -> None:
    with open_connections(field, 100, tls=True) as connections:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            send(connections, b"G")
