"""Our answers beside those that prometheus-adapter v0.12.0 gave to the same requests (tests/golden/prometheus-adapter).

Each recorded answer must come out of ours byte for byte, but for the differences below; each has its reason.
"""

import base64
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.serve.conftest import NOW, Answer, Running

GOLDEN = Path(__file__).parents[1] / "golden" / "prometheus-adapter"
RECORDED = {
    f"{file.stem}-{number}": entry
    for file in sorted(GOLDEN.glob("*.json"))
    for number, entry in enumerate(json.loads(file.read_text()))
}


class Differs(NamedTuple):
    """An intended difference: why, and what we answer instead."""

    reason: str
    status: int
    says: str = ""
    """A part of our body."""


CAUSE = "an error of the peer says less: ours names the parameter and what is wrong with it"
WORDS = "same status, words that say more"
PATHS = "outside the API groups the peer answers 404 with a list of paths where a Status is expected"
OWN = "each server has its own version, paths, checks and documents"
BOTH = "the peer serves v1beta2 but does not advertise it; we do, and prefer it"
SORTED = "the peer's order changes between runs; ours is sorted, so that the ETag is stable"
DETAILS = "the same sentence, with details that name metric, group and resource"
WHOLE = "the peer's aggregated discovery lacks custom and external metrics, and its kinds lack group and version"

INTENDED: dict[str, Differs] = {
    "access-9": Differs(SORTED, 200, '"name":"pods/golden_depth"'),
    "access-10": Differs(BOTH, 200, '"version":"v1beta2"'),
    "access-11": Differs(BOTH, 200, '"version":"v1beta2"'),
    "access-12": Differs(OWN, 200, '"swagger":"2.0"'),
    "discovery-0": Differs(BOTH, 200, '"version":"v1beta2"'),
    "discovery-1": Differs(BOTH, 200, '"version":"v1beta2"'),
    "discovery-2": Differs(SORTED, 200, '"groupVersion":"custom.metrics.k8s.io/v1beta1"'),
    "discovery-3": Differs(SORTED, 200, '"groupVersion":"custom.metrics.k8s.io/v1beta2"'),
    "discovery-5": Differs(SORTED, 200, '"name":"queue_messages_ready"'),
    "discovery-8": Differs(SORTED, 200, '"groupVersion":"custom.metrics.k8s.io/v1beta1"'),
    "discovery-9": Differs(WHOLE, 200, '"apiVersion":"apidiscovery.k8s.io/v2"'),
    "discovery-10": Differs(WHOLE, 200, '"apiVersion":"apidiscovery.k8s.io/v2beta1"'),
    "discovery-11": Differs(SORTED, 200, "pods/golden_depth"),
    "discovery-12": Differs(OWN, 200, '"swagger":"2.0"'),
    "discovery-13": Differs(OWN, 200, "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2?hash="),
    "discovery-14": Differs(OWN, 200, '"openapi":"3.0.0"'),
    "discovery-15": Differs(OWN, 200, '"openapi":"3.0.0"'),
    "discovery-16": Differs(OWN, 200, '"/apis/custom.metrics.k8s.io/v1beta2"'),
    "discovery-17": Differs(OWN, 200, '"gitVersion": "v1.2.3"'),
    "discovery-21": Differs(OWN, 200, "readyz check passed"),
    "discovery-22": Differs(OWN, 200, "# TYPE apiserver_request_duration_seconds histogram"),
    "discovery-23": Differs(PATHS, 404, '"reason":"NotFound"'),
    "errors-0": Differs(
        DETAILS, 404, 'metric no_such_metric for pods","reason":"NotFound","details":{"name":"no_such_metric"'
    ),
    "errors-2": Differs(
        DETAILS, 404, 'metric golden_depth for pods","reason":"NotFound","details":{"name":"golden_depth"'
    ),
    "errors-3": Differs(
        DETAILS, 404, 'metric golden_depth for pods","reason":"NotFound","details":{"name":"golden_depth"'
    ),
    "errors-1": Differs(DETAILS, 404, "metric no_such_metric for pods golden-0"),
    "errors-4": Differs(CAUSE, 400, "labelSelector: "),
    "errors-5": Differs(
        "a bad parameter is the client's fault: 400 with the cause, not 500", 400, "metricLabelSelector: "
    ),
    "errors-6": Differs(
        "'>' can never be answered: 400 with the cause, not 404", 400, "cannot be asked of a metric's labels"
    ),
    "errors-7": Differs("no such resource is 404, not 500", 404, "could not find the metric golden_depth for widgets"),
    "errors-17": Differs(PATHS, 404, '"reason":"NotFound"'),
    "errors-18": Differs(PATHS, 404, '"reason":"NotFound"'),
    "external-5": Differs("the peer's sentence ends before the namespace", 404, "for namespace bench-golden"),
    "external-6": Differs("the peer's sentence does not say which namespace", 404, "for namespace default"),
    "external-10": Differs(CAUSE, 400, "labelSelector: "),
    "resource-2": Differs(WORDS, 404, 'nodes.metrics.k8s.io \\"absent\\" not found'),
    "values-10": Differs(DETAILS, 404, 'metric golden_depth for pods absent","reason":"NotFound","details":{"name"'),
    "resource-6": Differs(WORDS, 404, 'pods.metrics.k8s.io \\"golden-2\\" not found'),
}
"""Requests whose answer is meant to differ in more than the wording of `as_ours`."""


def as_ours(body: str) -> str:
    """A recorded body with the one difference that is in nearly all of them.

    The peer writes "/v1" as the described object's apiVersion where the group is empty; nobody reads it so, and "v1" is
    what every other reference says.
    """
    return body.replace('"apiVersion":"/v1"', '"apiVersion":"v1"').replace('"apiVersion": "/v1"', '"apiVersion": "v1"')


def recorded_body(entry: dict[str, Any]) -> bytes:
    if "body_base64" in entry:
        return base64.b64decode(entry["body_base64"])
    return as_ours(entry["body"]).encode()


def sample_time(body: bytes) -> float:
    """The time in a recorded body: RFC 3339 in JSON, a varint before `nanos: 0` in protobuf."""
    text = re.search(rb'imestamp": ?"([^"]+)"', body)
    if text:
        return datetime.fromisoformat(text[1].decode()).timestamp()
    binary = re.search(rb"\x08([\x80-\xff]{4}[\x00-\x7f])\x10\x00", body)
    return float(sum((byte & 127) << 7 * place for place, byte in enumerate(binary[1]))) if binary else NOW


async def replay(api: Running, entry: dict[str, Any]) -> Answer:
    request = entry["request"]
    api.answers.time = sample_time(recorded_body(entry))
    headers = {name.replace("-", "_"): value for name, value in request["headers"].items()}
    return await api.send(request["path"], request["method"], request["as"], **headers)


def same_kind(ours: str, theirs: str) -> bool:
    return ours.replace(" ", "") == theirs.replace(" ", "")


@pytest.mark.parametrize("key", [key for key in RECORDED if key not in INTENDED])
async def test_answers_as_the_peer_did(api: Running, key: str) -> None:
    entry = RECORDED[key]
    ours = await replay(api, entry)
    theirs = recorded_body(entry)
    assert ours.status == entry["status"], ours.body
    if entry["status"] == 406 or "pretty=true" in entry["request"]["path"]:  # spaces and the last newline apart
        assert json.loads(ours.body) == json.loads(theirs)
    else:
        assert ours.body == theirs
    for name in ("Content-Type", "Cache-Control", "X-Content-Type-Options"):
        assert same_kind(ours.headers.get(name, ""), entry["headers"].get(name, "")) or name == "Cache-Control"


@pytest.mark.parametrize("key", sorted(INTENDED))
async def test_differs_where_it_is_meant_to(api: Running, key: str) -> None:
    entry, meant = RECORDED[key], INTENDED[key]
    ours = await replay(api, entry)
    assert ours.status == meant.status, ours.body
    assert meant.says.encode() in ours.body
    assert ours.body != recorded_body(entry), "it does not differ any more: take it off the table"


def test_every_recorded_request_is_looked_at() -> None:
    assert len(RECORDED) == 114
    assert set(INTENDED) <= set(RECORDED)


@pytest.mark.parametrize("key", ["discovery-2", "discovery-3", "discovery-5", "discovery-7"])
async def test_lists_the_same_resources_whatever_the_order(api: Running, key: str) -> None:
    ours, theirs = (await replay(api, RECORDED[key])).json, json.loads(RECORDED[key]["body"])
    held = {f"{resource}/{metric}" for resource, metric in api.answers.metrics}
    listed = {line["name"]: line for line in ours["resources"]}
    for line in theirs["resources"]:
        if key in ("discovery-5", "discovery-7") or line["name"] in held:
            assert listed[line["name"]] == line
    assert list(listed) == sorted(listed)


@pytest.mark.parametrize("key", ["errors-5", "errors-7", "errors-17"])
async def test_what_was_no_proper_error_is_now_a_status(api: Running, key: str) -> None:
    status = (await replay(api, RECORDED[key])).json
    assert status["kind"] == "Status"
    assert status["reason"]
