"""Discovery, OpenAPI, health, version, tables: what clients and the aggregator learn about us."""

import asyncio
from typing import Any

import pytest

from adapter.__main__ import leave
from adapter.serve.health import health
from adapter.serve.requestinfo import read_request
from tests.serve.conftest import NODES, PODS, Held, Running

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
async def test_aggregated_discovery_lists_everything(api: Running, version: str) -> None:
    answer = await api.send("/apis", Accept=AGGREGATED.format(version))
    assert answer.headers["Content-Type"].replace(" ", "") == AGGREGATED.format(version)
    assert answer.json["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    groups = {group["metadata"]["name"]: group["versions"] for group in answer.json["items"]}
    assert list(groups) == ["custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"]
    assert [line["version"] for line in groups["custom.metrics.k8s.io"]] == ["v1beta2", "v1beta1"]
    resources = {line["resource"]: line for line in groups["custom.metrics.k8s.io"][0]["resources"]}
    assert list(resources) == ["deployments.apps", "namespaces", "nodes", "pods"]
    assert (resources["pods"]["scope"], resources["nodes"]["scope"]) == ("Namespaced", "Cluster")
    assert [line["subresource"] for line in resources["pods"]["subresources"]] == sorted(
        metric for resource, metric in api.answers.metrics if resource == PODS
    )
    assert resources["pods"]["subresources"][0]["responseKind"]["kind"] == "MetricValueList"
    usage = groups["metrics.k8s.io"][0]["resources"]
    assert [(line["resource"], line["responseKind"]["kind"]) for line in usage] == [
        ("nodes", "NodeMetrics"),
        ("pods", "PodMetrics"),
    ]
    assert all(line["freshness"] == "Current" for versions in groups.values() for line in versions)


async def test_the_etag_spares_what_is_known_and_changes_with_the_offers(api: Running) -> None:
    accept = AGGREGATED.format("v2")
    first = await api.send("/apis", Accept=accept)
    tag = first.headers["Etag"]
    again = await api.send("/apis", Accept=accept, If_None_Match=f'"other", {tag}')
    assert (again.status, again.body, again.headers["Etag"]) == (304, b"", tag)
    api.answers.metrics[NODES, "golden_new"] = [Held("Node", "v1", "", "n", 1)]
    changed = await api.send("/apis", Accept=accept, If_None_Match=tag)
    assert changed.status == 200
    assert changed.headers["Etag"] != tag
    assert b"golden_new" in (await api.send("/apis/custom.metrics.k8s.io/v1beta1")).body


async def test_the_aggregators_own_accept_header_gets_aggregated_discovery(api: Running) -> None:
    accept = f"{AGGREGATED.format('v2')},{AGGREGATED.format('v2beta1')},application/json"
    assert (await api.send("/apis", Accept=accept)).json["kind"] == "APIGroupDiscoveryList"
    assert (await api.send("/apis")).json["kind"] == "APIGroupList"
    assert (await api.send("/apis/custom.metrics.k8s.io", Accept=accept)).json["kind"] == "APIGroup"


def references(document: Any) -> set[str]:
    if isinstance(document, dict):
        own = {document["$ref"]} if "$ref" in document else set()
        return own.union(*(references(value) for value in document.values()))
    return set().union(*(references(value) for value in document)) if isinstance(document, list) else set()


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/openapi/v2", "definitions"),
        *((f"/openapi/v3/apis/{g}", "schemas") for g in ("custom.metrics.k8s.io/v1beta1", "metrics.k8s.io/v1beta1")),
    ],
)
async def test_openapi_documents_refer_only_to_what_they_hold(api: Running, path: str, place: str) -> None:
    answer = await api.send(path)
    document = answer.json
    held = document["definitions"] if place == "definitions" else document["components"]["schemas"]
    targets = references(document)
    assert targets
    assert {reference.rsplit("/", 1)[1] for reference in targets} <= set(held)
    assert (await api.send(path, If_None_Match=answer.headers["Etag"])).status == 304
    names = [name for item in document["paths"].values() for name in [item["get"]["operationId"]]]
    assert len(names) == len(set(names))


async def test_the_openapi_index_leads_to_the_documents(api: Running) -> None:
    paths = (await api.send("/openapi/v3")).json["paths"]
    assert len(paths) == 4
    for entry in paths.values():
        url, _, digest = entry["serverRelativeURL"].partition("?hash=")
        assert (await api.send(f"{url}?hash={digest}")).headers["Etag"] == f'"{digest}"'


async def test_openapi_is_json_only(api: Running) -> None:
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    assert (await api.send("/openapi/v2", Accept=accept)).status == 406
    assert (await api.send("/openapi/v2", Accept=f"{accept}, */*")).status == 200


async def test_kubectl_get_prints_a_table(api: Running) -> None:
    table = (await api.send("/apis/metrics.k8s.io/v1beta1/pods", Accept=TABLE)).json
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert [row["cells"] for row in table["rows"]] == [
        ["golden-0", "250m", "50Mi", "5m0s"],
        ["golden-1", "0", "1k", "5m0s"],
    ]
    one = (await api.send("/apis/metrics.k8s.io/v1beta1/nodes/fake-000", Accept=TABLE)).json
    assert one["rows"][0]["cells"] == ["fake-000", "1250m", "1Gi", "5m0s"]
    custom = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/bench-golden/pods/*/golden_depth"
    assert (await api.send(custom, Accept=TABLE)).json["kind"] == "MetricValueList"


@pytest.mark.parametrize(("include", "kind"), [("Metadata", "PartialObjectMetadata"), ("None", None), ("Object", "")])
async def test_rows_carry_as_much_as_is_asked_for(api: Running, include: str, kind: str | None) -> None:
    path = f"/apis/metrics.k8s.io/v1beta1/nodes?includeObject={include}"
    row = (await api.send(path, Accept=TABLE)).json["rows"][0]
    assert ("object" in row) is (kind is not None)
    if kind is not None:
        assert row["object"].get("kind", "") == kind
    assert (await api.send(path + "x", Accept=TABLE)).status == 400


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["golden-0", "golden-1"]),
        ("?fieldSelector=metadata.name%3Dgolden-1", ["golden-1"]),
        ("?fieldSelector=metadata.namespace%3D%3Dbench-golden", ["golden-0", "golden-1"]),
        ("?fieldSelector=metadata.namespace%3Dother", []),
        ("?labelSelector=app%3Dgolden", ["golden-0", "golden-1"]),
        ("?labelSelector=app!%3Dgolden", []),
    ],
)
async def test_usage_by_selector(api: Running, query: str, names: list[str]) -> None:
    for path in ("/apis/metrics.k8s.io/v1beta1/pods", "/apis/metrics.k8s.io/v1beta1/namespaces/bench-golden/pods"):
        items = (await api.send(path + query)).json["items"]
        assert [item["metadata"]["name"] for item in items] == names


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/readyz", 200, "ok"),
        ("/readyz?verbose", 200, "[+]ping ok\n[+]source ok\nreadyz check passed\n"),
        ("/readyz?exclude=nope", 200, "ok"),
        ("/readyz/source", 200, "ok"),
    ],
)
def test_health_when_all_is_well(target: str, status: int, text: str) -> None:
    assert health(read_request("GET", target), {"ping": "", "source": ""}) == (status, text)


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/readyz", 500, "[+]ping ok\n[-]source failed: waits for Prometheus\nreadyz check failed\n"),
        ("/readyz?exclude=source", 200, "ok"),
        ("/readyz?exclude=source&verbose", 200, "[+]ping ok\n[+]source excluded: ok\nreadyz check passed\n"),
        ("/readyz/source", 500, "waits for Prometheus\n"),
    ],
)
def test_health_when_something_is_missing(target: str, status: int, text: str) -> None:
    assert health(read_request("GET", target), {"ping": "", "source": "waits for Prometheus"}) == (status, text)


async def test_only_readiness_depends_on_sources_and_on_stopping(api: Running) -> None:
    api.answers.waits_for = "waits for Prometheus"
    statuses = [(await api.send(path, user="anonymous")).status for path in ("/healthz", "/livez", "/readyz")]
    assert statuses == [200, 200, 500]
    api.answers.waits_for = ""
    api.server.stopping = True
    assert b"[-]shutdown failed: the server is stopping" in (await api.send("/readyz")).body
    assert (await api.send("/livez")).status == 200


async def test_after_sigterm_requests_are_served_for_the_delay_though_it_is_not_ready(api: Running) -> None:
    stop = asyncio.Event()
    stop.set()
    leaving = asyncio.ensure_future(leave(api.server, stop, seconds=1000))
    assert (await api.send("/apis")).status == 200
    assert (await api.send("/readyz")).status == 500
    assert not leaving.done()
    leaving.cancel()
    async with asyncio.timeout(10):
        await leave(api.server, stop, seconds=0)


async def test_a_source_that_fails_is_told_to_who_wants_it_verbose_and_fails_no_check(api: Running) -> None:
    api.server.readiness.notes = lambda: ["one query failed when last asked: Prometheus is away"]
    assert (await api.send("/readyz")).body == b"ok"
    answer = await api.send("/readyz?verbose")
    assert answer.status == 200
    assert answer.body.decode().splitlines()[-2:] == [
        "warn: one query failed when last asked: Prometheus is away",
        "readyz check passed",
    ]
    assert b"warn" not in (await api.send("/livez?verbose")).body


async def test_yaml_is_json_with_sorted_keys(api: Running) -> None:
    answer = await api.send("/apis/metrics.k8s.io/v1beta1/nodes/fake-000", Accept="application/yaml")
    assert answer.headers["Content-Type"] == "application/yaml"
    assert answer.body.decode().splitlines()[:3] == [
        "apiVersion: metrics.k8s.io/v1beta1",
        "kind: NodeMetrics",
        "metadata:",
    ]


@pytest.mark.parametrize("path", ["", "/namespaces/bench-golden/pods/*/golden_depth"])
async def test_pretty_json_is_indented_by_two_as_kubernetes_does(api: Running, path: str) -> None:
    asked = f"/apis/custom.metrics.k8s.io/v1beta2{path}?pretty=true"
    lines = (await api.send(asked, Accept="application/json")).body.decode().splitlines()
    assert lines[0] == "{"
    assert lines[1].startswith('  "')
    assert lines[-1] == "}"
