"""Typed views of objects: what is read, how nulls and times are taken, and what an object costs in memory."""

import tracemalloc
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.decoding import SKIPPED, decode, skip
from adapter.kube.errors import Undecodable
from adapter.kube.index import Index
from adapter.kube.objects import Node, ObjectMeta, PartialObjectMetadata, Pod, condition, rfc3339, unix

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-6d4b75cb6d-x2x7z",
        "namespace": "shop",
        "uid": "5d7f7f7c-4d63-4a1c-9d0e-2a3b0c1d2e3f",
        "resourceVersion": "123456",
        "creationTimestamp": "2026-11-23T02:08:00Z",
        "labels": {"app": "web", "pod-template-hash": "6d4b75cb6d", "app.kubernetes.io/part-of": "shop"},
        "annotations": {"prometheus.io/scrape": "true"},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4b75cb6d", "uid": "1", "controller": True}
        ],
        "managedFields": [{"manager": "kube-controller-manager", "fieldsV1": {"f:metadata": {}}}] * 3,
    },
    "spec": {
        "nodeName": "n1",
        "initContainers": [{"name": "proxy", "restartPolicy": "Always", "image": "proxy:1"}],
        "containers": [
            {
                "name": "main",
                "image": "web:1",
                "ports": [{"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            }
        ],
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}] * 2,
    },
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "startTime": "2026-11-23T02:08:01Z",
        "conditions": [
            {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-11-23T02:08:05Z"}
        ],
        "containerStatuses": [
            {
                "name": "main",
                "ready": True,
                "restartCount": 1,
                "state": {"running": {"startedAt": "2026-11-23T02:08:04Z"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
    },
}


def test_a_pod_is_read() -> None:
    pod = decode(msgspec.json.encode(POD), Pod)
    assert pod.metadata.controller.kind == "ReplicaSet"
    assert pod.spec.init_containers[0].restart_policy == "Always"
    assert pod.spec.containers[0].ports[0].container_port == 9090
    assert pod.spec.containers[0].resources.requests["memory"] == "64Mi"
    assert pod.status.pod_ip == "10.0.0.7"
    assert unix(pod.status.start_time) == unix("2026-11-23T02:08:00Z") + 1
    assert condition(pod.status.conditions, "Ready").status == "True"
    assert condition(pod.status.conditions, "Other") is None
    assert pod.status.container_statuses[0].last_state.terminated.reason == "OOMKilled"


def test_a_node_is_read() -> None:
    node = decode(
        b'{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"capacity":{"cpu":"8"},'
        b'"addresses":[{"type":"InternalIP","address":"10.0.0.1"}]}}',
        Node,
    )
    assert node.status.daemon_endpoints.kubelet_endpoint.port == 10250
    assert node.status.addresses[0].address == "10.0.0.1"
    assert node.status.capacity == {"cpu": "8"}


def test_an_hpa_with_every_type_of_metric_is_read() -> None:
    hpa = {
        "metadata": {"name": "web", "generation": 3},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 10,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
                },
                {
                    "type": "ContainerResource",
                    "containerResource": {
                        "name": "cpu",
                        "container": "main",
                        "target": {"type": "AverageValue", "averageValue": "1"},
                    },
                },
                {
                    "type": "Pods",
                    "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "10"}},
                },
                {
                    "type": "Object",
                    "object": {
                        "describedObject": {"kind": "Ingress", "name": "i", "apiVersion": "networking.k8s.io/v1"},
                        "metric": {"name": "m"},
                        "target": {"type": "Value", "value": "2k"},
                    },
                },
                {
                    "type": "External",
                    "external": {
                        "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "Value", "value": "1"},
                    },
                },
            ],
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": 60, "tolerance": "50m", "policies": None},
                "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}], "selectPolicy": "Max"},
            },
        },
        "status": {"currentReplicas": 2, "desiredReplicas": 3, "currentMetrics": None, "conditions": None},
    }
    decoded = decode(msgspec.json.encode(hpa), HorizontalPodAutoscaler)
    resource, container, pods, described, external = decoded.spec.metrics
    assert resource.resource.target.average_utilization == 60
    assert container.container_resource.container == "main"
    assert pods.pods.target.average_value == "10"
    assert described.object.described_object.kind == "Ingress"
    assert external.external.metric.selector == {"matchLabels": {"a": "b"}}
    assert decoded.spec.min_replicas is None
    assert decoded.spec.behavior.scale_down.tolerance == "50m"
    assert decoded.spec.behavior.scale_down.policies == ()
    assert decoded.spec.behavior.scale_up.policies[0].period_seconds == 15
    assert decoded.status.desired_replicas == 3


def test_null_is_as_good_as_absent_everywhere() -> None:
    body = b'{"metadata":{"name":"a","labels":null,"ownerReferences":null},"spec":null,"status":{"phase":null}}'
    assert decode(body, Pod) == Pod(metadata=ObjectMeta(name="a"))


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"metadata":7}', b'{"metadata":{"labels":{"a":1}}}', b"\xff\xfe"])
def test_what_is_no_pod_is_undecodable(body: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(body, Pod)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:01.250000Z", 1.25),
        ("1970-01-01T01:00:00+01:00", 0.0),
        (None, None),
    ],
)
def test_times_are_unix_seconds(text: str | None, seconds: float | None) -> None:
    assert unix(text) == seconds


def test_a_micro_time_is_written_as_kubernetes_does() -> None:
    assert rfc3339(1.25) == "1970-01-01T00:00:01.250000Z"
    assert unix(rfc3339(1_800_000_000.125)) == 1_800_000_000.125


@pytest.mark.parametrize(("kind", "most"), [(PartialObjectMetadata, 2000), (Pod, 4500)])
def test_a_pod_in_the_index_costs_little(kind: type[Any], most: int) -> None:
    """Bytes of each of 2,000 pods of 100 ReplicaSets; measured 1,200 and 3,000, where the pod's JSON has 1,900."""
    bodies = []
    for number in range(2000):
        labels = POD["metadata"]["labels"] | {"app": str(number % 100)}
        meta = POD["metadata"] | {"name": f"web-{number}", "labels": labels}
        bodies.append(msgspec.json.encode(POD | {"metadata": meta}))
    index: Index[Any] = Index()
    tracemalloc.start()
    try:
        for body in bodies:
            index.put(decode(body, kind))
        each = tracemalloc.get_traced_memory()[0] / len(bodies)
    finally:
        tracemalloc.stop()
    assert each < most


def test_of_objects_that_cannot_be_read_the_log_names_some_of_each_path() -> None:
    """Whoever may write one may write it a hundred times a second."""
    with capture_logs() as said:
        for number in range(100):
            item = msgspec.Raw(b'{"metadata":{"namespace":"shop","name":"thing-%d"},"spec":7}' % number)
            skip("/apis/example.com/v1/things", item, Undecodable("expected `object` at $.spec"))
    assert [line["object"] for line in said] == [f"shop/thing-{number}" for number in range(SKIPPED)]


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        (b'{"namespace":"shop","name":"web","labels":7}', "shop/web"),
        (b'{"name":"node-1"}', "node-1"),
        (b"null", "an object without a name"),
        (b'{"name":7}', "an object without a name"),
    ],
)
def test_a_skipped_object_is_named_as_far_as_it_says_who_it_is(metadata: bytes, named: str) -> None:
    item = msgspec.Raw(b'{"metadata":%s,"spec":7}' % metadata)
    assert str(skip("/things", item, Undecodable("no"))) == named
