"""Kubernetes' protobuf: what is written can be read back field by field, and says what JSON says."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from adapter.serve import protobuf, wire
from tests.serve.conftest import Running

FIELDS = dict[int, list[Any]]


def fields(message: bytes) -> FIELDS:
    """A reader of our own: numbers and bytes by field, in order; what is left over fails the test."""
    by_number: FIELDS = {}
    reader = iter(message)
    for tag in reader:
        assert tag < 128, "all field numbers here are below 16"
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            by_number.setdefault(number, []).append(varint(reader))
        else:
            assert kind == 2
            length = varint(reader)
            content = bytes(next(reader) for _ in range(length))
            assert len(content) == length
            by_number.setdefault(number, []).append(content)
    return by_number


def varint(reader: Iterator[int]) -> int:
    value = shift = 0
    for byte in reader:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value
    raise AssertionError("a number that does not end")


def open_envelope(body: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind and content of an envelope."""
    assert body.startswith(b"k8s\x00")
    outer = fields(body[4:])
    kind = fields(outer[1][0])
    assert (outer[3], outer[4]) == ([b""], [b""])
    return kind[1][0].decode(), kind[2][0].decode(), outer[2][0]


ACCEPT = {"Accept": "application/vnd.kubernetes.protobuf, */*"}
CUSTOM = (
    "/apis/custom.metrics.k8s.io/{}/namespaces/bench-golden/pods/*/golden_depth?metricLabelSelector=verb%3DGET,!old"
)


@pytest.mark.parametrize(("version", "window_field"), [("v1beta1", 4), ("v1beta2", 4)])
async def test_custom_metrics_say_what_json_says(api: Running, version: str, window_field: int) -> None:
    api.answers.window = 120.0
    path = CUSTOM.format(version)
    items = (await api.send(path)).json["items"]
    api_version, kind, content = open_envelope((await api.send(path, **ACCEPT)).body)
    assert (api_version, kind) == (f"custom.metrics.k8s.io/{version}", "MetricValueList")
    values = [fields(item) for item in fields(content)[2]]
    for value, item in zip(values, items, strict=True):
        described = fields(value[1][0])
        assert described[3][0].decode() == item["describedObject"]["name"]
        assert described[5] == [b"v1"]
        assert fields(value[5][0])[1][0].decode() == item["value"]
        assert fields(value[3][0])[1] == [1795396678]
        assert value[window_field] == [120]
        selector = fields(value[6][0] if version == "v1beta1" else fields(value[2][0])[2][0])
        assert fields(selector[1][0]) == {1: [b"verb"], 2: [b"GET"]}
        assert fields(selector[2][0]) == {1: [b"old"], 2: [b"DoesNotExist"]}


async def test_an_error_is_a_status_in_protobuf_too(api: Running) -> None:
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/bench-golden/pods/*/absent"
    answer = await api.send(path, **ACCEPT)
    api_version, kind, content = open_envelope(answer.body)
    status = fields(content)
    assert (answer.status, api_version, kind) == (404, "v1", "Status")
    assert status[2] == [b"Failure"]
    assert status[3][0] == (await api.send(path)).json["message"].encode()
    assert (status[4], status[6]) == ([b"NotFound"], [404])
    assert fields(status[5][0])[1] == [b"absent"]


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_numbers_are_written_in_twos_complement(number: int) -> None:
    written = fields(protobuf._number(1, number))[1][0]
    assert written == number % 2**64


NAMES = st.text(st.characters(codec="utf-8"), max_size=200)


@settings(max_examples=50)
@given(NAMES, st.dictionaries(NAMES, NAMES, max_size=5), st.integers(0, 2**31))
def test_any_labels_come_through(name: str, labels: dict[str, str], time: int) -> None:
    value = wire.ExternalMetricValue(name, labels, wire.moment(time), UNSET, "1500m")
    message = wire.ItemList("ExternalMetricValueList", "external.metrics.k8s.io/v1beta1", wire.NO_LIST_META, [value])
    _, _, content = open_envelope(protobuf.envelope(message))
    item = fields(fields(content)[2][0])
    pairs = [fields(pair) for pair in item.get(2, [])]
    assert {pair[1][0].decode(): pair[2][0].decode() for pair in pairs} == labels
    assert [pair[1][0].decode() for pair in pairs] == sorted(labels)
    assert item[1][0].decode() == name
    assert msgspec.json.decode(msgspec.json.encode(value))["metricLabels"] == labels


def test_a_table_has_no_protobuf() -> None:
    assert not protobuf.supports(wire.Table("Table", "meta.k8s.io/v1", wire.NO_LIST_META, (), ()))


GROUP = "/apis/custom.metrics.k8s.io"


async def test_discovery_says_what_json_says(api: Running) -> None:
    """APIGroup: name 1, versions 2, preferred 3 (meta/v1, generated.proto); a version is groupVersion 1, version 2."""
    said = (await api.send(GROUP)).json
    kind, content = open_envelope((await api.send(GROUP, **ACCEPT)).body)[1:]
    group = fields(content)
    versions = [{"groupVersion": one["groupVersion"], "version": one["version"]} for one in said["versions"]]
    assert (kind, group[1][0].decode()) == ("APIGroup", said["name"])
    assert [version(one) for one in group[2]] == versions
    assert [version(one) for one in group[3]] == [said["preferredVersion"]]
    assert set(group) == {1, 2, 3}


async def test_a_list_of_resources_says_what_json_says(api: Running) -> None:
    """APIResourceList: groupVersion 1, resources 2; of each name 1, namespaced 2, kind 3, verbs 4."""
    said = (await api.send(f"{GROUP}/v1beta2")).json
    kind, content = open_envelope((await api.send(f"{GROUP}/v1beta2", **ACCEPT)).body)[1:]
    by_number = fields(content)
    assert (kind, by_number[1][0].decode()) == ("APIResourceList", said["groupVersion"])
    assert set(by_number) == {1, 2}
    assert len(said["resources"]) > 1
    for one, wanted in zip(map(fields, by_number[2]), said["resources"], strict=True):
        assert (one[1][0].decode(), bool(one[2][0]), one[3][0].decode()) == (
            wanted["name"],
            wanted["namespaced"],
            wanted["kind"],
        )
        assert [verb.decode() for verb in fields(one[4][0])[1]] == wanted["verbs"]


def version(message: bytes) -> dict[str, str]:
    by_number = fields(message)
    assert set(by_number) == {1, 2}
    return {"groupVersion": by_number[1][0].decode(), "version": by_number[2][0].decode()}
