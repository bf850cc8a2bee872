"""How much there is in an OTLP request, before it is decoded."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from adapter.metrics.otlp import measure as measuring
from adapter.metrics.otlp.decode import Decoder, from_protobuf
from adapter.metrics.otlp.measure import MESSAGES, OtlpError, measure, measure_json
from adapter.metrics.slices import run

MIB = 2**20


def field(number: int, body: bytes) -> bytes:
    """A field with a message on the wire."""
    length, size = b"", len(body)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + body


EMPTY = b"\x0a\0" * (2 * MIB - 100)
MANY = {
    "resources": EMPTY,
    "attributes of a resource": field(1, field(1, EMPTY)),
    "scopes": field(1, b"\x12\0" * (len(EMPTY) // 2)),
    "metrics": field(1, field(2, b"\x12\0" * (len(EMPTY) // 2))),
    "data points": field(1, field(2, field(2, field(5, EMPTY)))),
    "before an end that is cut off": field(1, field(1, EMPTY)) + b"\x0a",
    "behind a group": b"\x0b\x0c" + EMPTY,
    "of no known kind": b"\x78\x01" * (2 * MIB),
}


@pytest.mark.parametrize("body", MANY.values(), ids=MANY)
def test_a_request_of_too_many_parts_is_refused_before_it_is_decoded(body: bytes) -> None:
    with pytest.raises(OtlpError, match=r"the request has over 400000 messages .* or 1000000 fields|is not an Export"):
        run(measure(body))


def test_the_work_of_telling_is_bounded_and_in_slices() -> None:
    slices = measure(EMPTY)
    for _ in range(MESSAGES // measuring.SLICE):  # 400,000 messages are looked at, 5,000 in a slice, not two million
        next(slices)
    with pytest.raises(OtlpError):
        next(slices)


def test_a_large_request_of_the_usual_kind_is_taken() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="requests")
    for number in range(20_000):
        point = metric.gauge.data_points.add(as_double=number, time_unix_nano=10**18)
        for key in ("http.request.method", "http.route", "http.response.status_code"):
            point.attributes.add(key=key).value.string_value = f"value-{number}"
    body = request.SerializeToString()
    assert len(body) > 2 * MIB
    run(measure(body))


@given(
    body=st.binary(max_size=200) | st.lists(st.sampled_from([b"\x0a", b"\x12", b"\0", b"\x02", b"\x2a"])).map(b"".join)
)
def test_what_protobuf_reads_is_never_called_none(body: bytes) -> None:
    try:
        ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        return
    run(measuring._walk(body))


def test_json_is_counted_by_its_brackets_and_commas() -> None:
    measure_json(b'{"resourceMetrics":[' + b"{}," * 90_000 + b"{}]}")
    for body in (b"{}," * 200_001, b"[" * 200_001, b"0," * 500_001):
        with pytest.raises(OtlpError, match="fewer data points at once would be right"):
            measure_json(body)


def test_empty_resources_and_scopes_are_work_that_is_done_in_slices() -> None:
    request = from_protobuf(b"\x0a\0" * 5000 + field(1, b"\x12\0" * 5000))
    parts = sum(1 for _ in Decoder().decode_chunks(request, 0.0, points_per_slice=250))
    assert parts >= 10_000 // 250


def test_of_a_resource_only_the_first_attributes_are_looked_at() -> None:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for number in range(1023):
        resource.resource.attributes.add(key=f"a{number}")
    resource.resource.attributes.add(key="k8s.pod.name").value.string_value = "web-0"
    resource.resource.attributes.add(key="k8s.namespace.name").value.string_value = "late"
    point = resource.scope_metrics.add().metrics.add(name="depth").gauge.data_points.add(as_double=1.0)
    ((series, _, _),) = Decoder().decode(request, 0.0).points
    assert dict(series.labels) == {"__name__": "depth", "pod": "web-0"}
    for number in range(65):
        point.attributes.add(key=f"b{number}").value.string_value = "x"
    assert "65 attributes; at most 64" in Decoder().decode(request, 0.0).problems[0]
    del point.attributes[1:]
    point.attributes[0].value.array_value.values.add().string_value = "x" * 70_000
    assert "bytes; at most 65536" in Decoder().decode(request, 0.0).problems[0]
