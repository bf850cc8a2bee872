"""Spans as OTLP's message: no I/O here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded

from adapter.spans import Attributes, Span, Value

SAMPLED = 1
"""W3C's flag."""


def encode(spans: Sequence[Span], resource: Mapping[str, str], wall: Callable[[float], float]) -> bytes:
    """An ExportTraceServiceRequest; `wall` makes of a span's time, s, what the wall clock says."""
    of_scope = ScopeSpans(scope=InstrumentationScope(name="streamgate"), spans=[_span(one, wall) for one in spans])
    of_resource = ResourceSpans(resource=Resource(attributes=_attributes(resource)), scope_spans=[of_scope])
    message: bytes = ExportTraceServiceRequest(resource_spans=[of_resource]).SerializeToString()
    return message


def _span(span: Span, wall: Callable[[float], float]) -> Encoded:
    kind: Any = span.kind.value
    begun = round(wall(span.start) * 1e9)
    failed = {"error.type": span.error} if span.error else {}
    return Encoded(
        trace_id=span.trace_id.to_bytes(16, "big"),
        span_id=span.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
        flags=SAMPLED,
        name=span.name,
        kind=kind,
        start_time_unix_nano=begun,
        end_time_unix_nano=begun + round(max(span.end - span.start, 0.0) * 1e9),
        attributes=_attributes({**span.attributes, **failed}),
        status=Status(code=Status.STATUS_CODE_ERROR) if span.error else None,
    )


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(string_value=value.encode(errors="replace").decode())
