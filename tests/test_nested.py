"""JSON nested 100,000 deep: every decoder has an answer, its own error or what lies around the depth."""

from collections.abc import Callable
from typing import Any

import pytest

from adapter.kube import errors
from adapter.kube.decoding import decode
from adapter.kube.errors import KubeError, Undecodable
from adapter.kube.objects import Pod
from adapter.metrics.otlp.decode import from_json
from adapter.metrics.otlp.measure import OtlpError
from adapter.metrics.prometheus import wire
from adapter.metrics.source import SourceError
from adapter.serve.trust import TrustError, _list
from adapter.units.nesting import MAX_BYTES
from recommender.checkpoint.codec import CheckpointError, restore_extra
from recommender.model.containers import Aggregation, States
from tests import answers

LISTS = b"[" * 100_000 + b"]" * 100_000
OBJECTS = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
DEEP = [LISTS, OBJECTS, b"[" * 100_000]


@pytest.mark.parametrize("deep", [LISTS, OBJECTS])
def test_a_pod_with_a_deep_field_that_nobody_reads_is_read(deep: bytes) -> None:
    body = b'{"metadata":{"managedFields":' + deep + b',"name":"web"},"spec":{"odd":' + deep + b"}}"
    assert decode(body, Pod).metadata.name == "web"


@pytest.mark.parametrize("deep", [LISTS, OBJECTS])
def test_a_pod_with_a_deep_field_that_is_read_is_undecodable(deep: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(b'{"metadata":{"labels":' + deep + b"}}", Pod)


def test_a_deep_object_too_large_to_be_looked_through_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="nested too deeply"):
        decode(b'{"x":' + b"[" * (MAX_BYTES // 2) + b"]" * (MAX_BYTES // 2) + b"}", Pod)


@pytest.mark.parametrize("deep", DEEP)
def test_a_refusal_of_the_kubernetes_api_is_still_a_refusal(deep: bytes) -> None:
    assert isinstance(errors.from_response(403, b'{"details":' + deep + b"}", "GET /x"), KubeError)


READERS: list[Callable[[bytes], Any]] = [
    lambda deep: wire.envelope(b'{"status":"success","odd":' + deep + b"}"),
    lambda deep: answers.samples(b'{"status":"success","data":' + deep + b"}"),
    lambda deep: answers.samples(b'{"data":{"resultType":"vector","result":[' + deep + b"]}}"),
    lambda deep: answers.read(wire.LabelSets(), b'{"status":"success","data":[{"a":' + deep + b"}]}"),
    lambda deep: answers.read(wire.LabelSets(), b'{"status":"success","odd":' + deep + b',"data":[]}'),
    lambda deep: from_json(b'{"resourceMetrics":' + deep + b"}"),
    lambda deep: from_json(b'{"odd":' + deep + b"}"),
    lambda deep: _list({"names": deep.decode()}, "names"),
    lambda deep: restore_extra(States(Aggregation()), 0, '{"odd":' + deep.decode() + "}"),
]


@pytest.mark.parametrize("deep", DEEP, ids=["lists", "objects", "unclosed"])
@pytest.mark.parametrize("reader", READERS)
def test_every_other_decoder_has_its_own_error(reader: Callable[[bytes], Any], deep: bytes) -> None:
    with pytest.raises((SourceError, OtlpError, TrustError, CheckpointError)):
        reader(deep)
