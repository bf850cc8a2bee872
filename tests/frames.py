"""HTTP/2 by hand, for senders that no library would be: frames, heads of requests for OTLP/gRPC, messages."""

from collections.abc import Iterable

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

PATH = b"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = (8).to_bytes(4, "big")


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    """One frame."""
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
"""With which a client begins."""
ACKNOWLEDGED = frame(SETTINGS, ACK, 0)
"""Of the server's settings, once they have come: before it gRPC takes but few streams."""


def field(name: bytes, value: bytes) -> bytes:
    """A header as HPACK's literal that nobody remembers."""
    return b"\0" + _number(len(name)) + name + _number(len(value)) + value


def _number(value: int) -> bytes:
    """Of seven bits, then in pieces of seven bits (RFC 7541, 5.1)."""
    if value < 127:
        return bytes([value])
    value, out = value - 127, bytearray([127])
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def block(*more: tuple[bytes, bytes]) -> bytes:
    """The headers of an Export, not cut into frames."""
    usual = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", PATH),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
    return b"".join(field(name, value) for name, value in (*usual, *more))


def head(stream: int, headers: bytes, *, size: int = 16_000, ends: bool = True) -> bytes:
    """HEADERS and as many CONTINUATION as it takes; without the last one's END_HEADERS where it is not to end."""
    pieces = [headers[at : at + size] for at in range(0, len(headers), size)]
    kinds = [HEADERS, *[CONTINUATION] * (len(pieces) - 1)]
    last = len(pieces) - 1
    framed: Iterable[bytes] = (
        frame(kind, END_HEADERS if ends and at == last else 0, stream, piece)
        for at, (kind, piece) in enumerate(zip(kinds, pieces, strict=True))
    )
    return b"".join(framed)


def data(stream: int, body: bytes, *, ends: bool = False) -> bytes:
    """A part of a request's body."""
    return frame(DATA, END_STREAM if ends else 0, stream, body)


def message(value: float = 1.0) -> bytes:
    """An Export of one gauge with gRPC's five bytes before it."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="queue.size")
    metric.gauge.data_points.add(time_unix_nano=1_700_000_000 * 10**9, as_double=value)
    text = request.SerializeToString()
    return b"\0" + len(text).to_bytes(4, "big") + text


def push(stream: int) -> bytes:
    """A whole request that is meant."""
    return head(stream, block()) + data(stream, message(), ends=True)
