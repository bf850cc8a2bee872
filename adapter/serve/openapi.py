"""OpenAPI documents of the groups that are served, version 3 and, derived from it, version 2.

The types of metav1 are written out where they are used: the aggregator merges all servers' documents, and one of ours
under a name of Kubernetes' own would clash with the original.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from adapter.serve.discovery import CUSTOM, EXTERNAL, RESOURCE, VERSIONS
from adapter.serve.negotiate import MEDIA_TYPES

Json: TypeAlias = dict[str, Any]

_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer", "format": "int64"}
_TIME: Json = {"type": "string", "format": "date-time"}
_TEXTS: Json = {"type": "object", "additionalProperties": _TEXT}
_META: Json = {"type": "object"}
_PACKAGE = {CUSTOM: "custom_metrics", EXTERNAL: "external_metrics", RESOURCE: "metrics"}


def _object_schema(description: str, required: Sequence[str], **properties: Json) -> Json:
    return {"type": "object", "description": description, "required": list(required), "properties": properties}


_SELECTOR = _object_schema(
    "metric selector, where one was sent",
    (),
    matchLabels=_TEXTS,
    matchExpressions={
        "type": "array",
        "items": _object_schema(
            "", ("key", "operator"), key=_TEXT, operator=_TEXT, values={"type": "array", "items": _TEXT}
        ),
    },
)
_OBJECT = _object_schema("the described object", (), kind=_TEXT, namespace=_TEXT, name=_TEXT, apiVersion=_TEXT)
_VALUE: Json = {"type": "string", "description": "a quantity, such as 1500m"}
_USAGE: Json = {"type": "object", "additionalProperties": _VALUE}
_CONTAINER = _object_schema("usage of one container", ("name", "usage"), name=_TEXT, usage=_USAGE)

_KINDS: Mapping[tuple[str, str], Mapping[str, Json]] = {
    (CUSTOM, "v1beta1"): {
        "MetricValue": _object_schema(
            "the value of a metric for one object",
            ("describedObject", "metricName", "timestamp", "value", "selector"),
            describedObject=_OBJECT,
            metricName=_TEXT,
            timestamp=_TIME,
            window=_WHOLE,
            value=_VALUE,
            selector=_SELECTOR,
        )
    },
    (CUSTOM, "v1beta2"): {
        "MetricValue": _object_schema(
            "the value of a metric for one object",
            ("describedObject", "metric", "timestamp", "value"),
            describedObject=_OBJECT,
            metric=_object_schema("name and selector", ("name",), name=_TEXT, selector=_SELECTOR),
            timestamp=_TIME,
            windowSeconds=_WHOLE,
            value=_VALUE,
        )
    },
    (EXTERNAL, "v1beta1"): {
        "ExternalMetricValue": _object_schema(
            "a value of an external metric",
            ("metricName", "metricLabels", "timestamp", "value"),
            metricName=_TEXT,
            metricLabels=_TEXTS,
            timestamp=_TIME,
            window=_WHOLE,
            value=_VALUE,
        )
    },
    (RESOURCE, "v1beta1"): {
        "NodeMetrics": _object_schema(
            "usage of one node",
            ("timestamp", "window", "usage"),
            metadata=_META,
            timestamp=_TIME,
            window=_TEXT,
            usage=_USAGE,
        ),
        "PodMetrics": _object_schema(
            "usage of one pod",
            ("timestamp", "window", "containers"),
            metadata=_META,
            timestamp=_TIME,
            window=_TEXT,
            containers={"type": "array", "items": _CONTAINER},
        ),
    },
}

_PATHS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    CUSTOM: (
        ("/namespaces/{namespace}/metrics/{name}", "readNamespaceMetric", "MetricValueList"),
        ("/namespaces/{namespace}/{resource}/{name}/{subresource}", "readNamespacedMetric", "MetricValueList"),
        ("/{resource}/{name}/{subresource}", "readMetric", "MetricValueList"),
    ),
    EXTERNAL: (("/namespaces/{namespace}/{resource}", "listExternalMetric", "ExternalMetricValueList"),),
    RESOURCE: (
        ("/nodes", "listNodeMetrics", "NodeMetricsList"),
        ("/nodes/{name}", "readNodeMetrics", "NodeMetrics"),
        ("/pods", "listPodMetrics", "PodMetricsList"),
        ("/namespaces/{namespace}/pods", "listNamespacedPodMetrics", "PodMetricsList"),
        ("/namespaces/{namespace}/pods/{name}", "readNamespacedPodMetrics", "PodMetrics"),
    ),
}
_QUERY = {
    CUSTOM: ("labelSelector", "metricLabelSelector"),
    EXTERNAL: ("labelSelector",),
    RESOURCE: ("labelSelector", "fieldSelector"),
}


def v3(group: str, version: str, release: str) -> Json:
    """The OpenAPI 3 document of one group and version."""
    return {
        "openapi": "3.0.0",
        "info": {"title": "streamgate-adapter", "version": release},
        "paths": dict(_operations(group, version)),
        "components": {"schemas": _schemas(group, version)},
    }


def v2(groups: Sequence[str], release: str) -> Json:
    """The OpenAPI 2 document of all groups that are served."""
    paths: Json = {}
    definitions: Json = {}
    for group in groups:
        for version in VERSIONS[group]:
            document = v3(group, version, release)
            definitions.update(document["components"]["schemas"])
            paths.update({path: _to_v2(item) for path, item in document["paths"].items()})
    info = {"title": "streamgate-adapter", "version": release}
    return _move_references({"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions})  # type: ignore[no-any-return]


def _schemas(group: str, version: str) -> Json:
    schemas: Json = {}
    for kind, schema in _KINDS[group, version].items():
        ref = {"$ref": f"#/components/schemas/{_name(group, version, kind)}"}
        schemas[_name(group, version, kind)] = (
            {**schema, **_says(group, version, kind)} if group == RESOURCE else schema
        )
        listed = _object_schema(
            f"a list of {kind}",
            ("items",),
            apiVersion=_TEXT,
            kind=_TEXT,
            metadata=_META,
            items={"type": "array", "items": ref},
        )
        schemas[_name(group, version, f"{kind}List")] = {**listed, **_says(group, version, f"{kind}List")}
    return schemas


def _says(group: str, version: str, kind: str) -> Json:
    """The mark by which `kubectl explain` finds a kind."""
    return {"x-kubernetes-group-version-kind": [{"group": group, "version": version, "kind": kind}]}


def _operations(group: str, version: str) -> list[tuple[str, Json]]:
    return [
        (f"/apis/{group}/{version}{path}", _item(group, version, path=path, operation=operation, kind=kind))
        for path, operation, kind in _PATHS[group]
    ]


def _item(group: str, version: str, *, path: str, operation: str, kind: str) -> Json:
    tag = "".join(word.capitalize() for word in _PACKAGE[group].split("_")) + version.capitalize()
    schema = {"$ref": f"#/components/schemas/{_name(group, version, kind)}"}
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
    parameters += [{"name": name, "in": "query", "required": False, "schema": _TEXT} for name in _QUERY[group]]
    content = {media: {"schema": schema} for media in MEDIA_TYPES}
    answer = {"200": {"description": "OK", "content": content}}
    marks = {
        "x-kubernetes-action": "list" if operation.startswith("list") else "get",
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.removesuffix("List")},
    }
    get = {"operationId": f"{operation}{tag}", "tags": [tag], "responses": answer, **marks}
    return {"get": get, "parameters": parameters}


def _name(group: str, version: str, kind: str) -> str:
    return f"io.k8s.metrics.pkg.apis.{_PACKAGE[group]}.{version}.{kind}"


def _to_v2(item: Json) -> Json:
    """A path of version 3 as version 2 writes it."""
    get = item["get"]
    content = get["responses"]["200"]["content"]
    schema = content[MEDIA_TYPES[0]]["schema"]
    operation = {
        **get,
        "produces": list(content),
        "schemes": ["https"],
        "responses": {"200": {"description": "OK", "schema": schema}},
    }
    parameters = [{k: v for k, v in p.items() if k != "schema"} | {"type": "string"} for p in item["parameters"]]
    return {"get": operation, "parameters": parameters}


def _move_references(document: Any) -> Any:
    """The same document with references to where version 2 keeps its schemas."""
    if isinstance(document, dict):
        return {key: _move_references(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_move_references(value) for value in document]
    if isinstance(document, str):
        return document.replace("#/components/schemas/", "#/definitions/")
    return document
