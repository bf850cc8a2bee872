"""How much there is in an OTLP request, told before it is decoded: four bytes on the wire can be 200 in memory."""

from typing import Final, TypeAlias

from google.protobuf.descriptor import Descriptor
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from adapter.metrics.slices import Slices

MESSAGES: Final = 400_000
"""Of a request: some 45 MB. 20,000 data points with seven attributes each have 300,000."""
FIELDS: Final = 1_000_000
"""Of a request, which are looked at one by one."""
BRACKETS: Final = 200_000
"""Of a request in JSON: as many objects and lists."""
COMMAS: Final = 500_000
SLICE: Final = 5000
"""Fields between two turns of the event loop: about 2 ms."""
DEPTH: Final = 100
"""Of messages within each other: what protobuf itself reads."""

_Table: TypeAlias = dict[int, str]
"""Number of a field with messages -> the name of their type."""


class OtlpError(ValueError):
    """A body that is no ExportMetricsServiceRequest; one sentence."""


def _tables(root: Descriptor) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    waiting = [root]
    while waiting:
        message = waiting.pop()
        if message.full_name in tables:
            continue
        inner = {field.number: field.message_type for field in message.fields if field.message_type is not None}
        tables[message.full_name] = {number: one.full_name for number, one in inner.items()}
        waiting += inner.values()
    return tables


_TABLES: Final = _tables(ExportMetricsServiceRequest.DESCRIPTOR)
_ROOT: Final[str] = ExportMetricsServiceRequest.DESCRIPTOR.full_name


def measure(body: bytes) -> Slices[None]:
    """Raises OtlpError for protobuf with more than MESSAGES or FIELDS, and for what is none."""
    if len(body) < 2 * MESSAGES:  # a field has two bytes at least
        return
    try:
        yield from _walk(body)
    except IndexError:
        raise not_protobuf() from None


def not_protobuf() -> OtlpError:
    """What is told of it."""
    return OtlpError("the body is not an ExportMetricsServiceRequest in protobuf")


def _walk(body: bytes) -> Slices[None]:
    fields, messages = 0, 0
    position, end, table = 0, len(body), _TABLES[_ROOT]
    above: list[tuple[int, _Table]] = []
    while True:
        while position >= end:
            if position > end:
                raise not_protobuf()
            if not above:
                return
            end, table = above.pop()
        fields += 1
        if fields % SLICE == 0:
            _check(messages, fields)
            yield
        tag, position = _varint(body, position)
        kind = tag & 7
        if kind == 0:
            _, position = _varint(body, position)
        elif kind == 2:
            length, position = _varint(body, position)
            inner = table.get(tag >> 3)
            if inner is None:
                position += length
            else:
                messages += 1
                above.append((end, table))
                if position + length > end or len(above) > DEPTH:
                    raise not_protobuf()
                end, table = position + length, _TABLES[inner]
        else:
            position += {1: 8, 5: 4}.get(kind, 0)  # what a group holds is counted as if it stood outside


def _varint(body: bytes, position: int) -> tuple[int, int]:
    byte = body[position]
    if byte < 128:
        return byte, position + 1
    number, shift = byte & 127, 7
    while True:
        position += 1
        byte = body[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position + 1
        shift += 7
        if shift > 63:
            raise not_protobuf()


def _check(messages: int, fields: int) -> None:
    if messages > MESSAGES or fields > FIELDS:
        raise OtlpError(
            f"the request has over {MESSAGES} messages (data points, attributes) or {FIELDS} fields; fewer data points"
            " at once would be right"
        )


def measure_json(body: bytes) -> None:
    """Raises OtlpError for JSON with more than BRACKETS or COMMAS."""
    if body.count(b"{") + body.count(b"[") > BRACKETS or body.count(b",") > COMMAS:
        raise OtlpError(
            f"the request has over {BRACKETS} objects and lists or {COMMAS} commas; fewer data points at once would be"
            " right"
        )
