"""The page in kube-state-metrics' place holds what kube-state-metrics exposes, by its names and labels."""

from typing import Any

from loadtest.monitoring.on_bed import of_hpa, of_pod
from tests.manifests.exposed import others

HPA: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "Pods",
                "pods": {"metric": {"name": "rate"}, "target": {"type": "AverageValue", "averageValue": "15"}},
            },
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 60}}},
        ],
    },
    "status": {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "currentMetrics": [
            {"type": "Pods", "pods": {"metric": {"name": "rate"}, "current": {"averageValue": "22500m"}}},
            {"type": ""},  # the controller's word for a metric that has no value
        ],
        "conditions": [{"type": "ScalingActive", "status": "True"}],
    },
}
WEB = {"namespace": "shop", "horizontalpodautoscaler": "web"}
POD: dict[str, Any] = {
    "metadata": {"name": "web-1", "namespace": "shop"},
    "spec": {
        "containers": [{"name": "app", "resources": {"requests": {"cpu": "250m", "memory": "1Ki"}}}, {"name": "side"}]
    },
    "status": {"phase": "Running"},
}


def test_of_an_hpa() -> None:
    lines = list(of_hpa(HPA))
    rate = WEB | {"metric_name": "rate", "metric_target_type": "average"}
    for line in (
        ("spec_min_replicas", WEB, 1),
        ("status_desired_replicas", WEB, 3),
        ("spec_target_metric", rate, 15),
        ("status_target_metric", rate, 22.5),
        ("spec_target_metric", WEB | {"metric_name": "cpu", "metric_target_type": "utilization"}, 60),
        ("status_condition", WEB | {"condition": "ScalingActive", "status": "true"}, 1),
        ("status_condition", WEB | {"condition": "ScalingActive", "status": "unknown"}, 0),
    ):
        assert line in lines
    assert len(lines) == 4 + 2 + 1 + 3  # sizes, targets, values, one condition


def test_of_a_pod() -> None:
    pod = {"namespace": "shop", "pod": "web-1"}
    assert list(of_pod(POD)) == [
        ("kube_pod_status_phase", pod | {"phase": "Running"}, 1),
        ("kube_pod_container_resource_requests", pod | {"container": "app", "resource": "cpu"}, 0.25),
        ("kube_pod_container_resource_requests", pod | {"container": "app", "resource": "memory"}, 1024),
    ]


def test_names_and_labels_are_those_that_the_dashboards_are_held_to() -> None:
    known = others()
    lines = [(f"kube_horizontalpodautoscaler_{name}", labels) for name, labels, _ in of_hpa(HPA)]
    lines += [(name, labels) for name, labels, _ in of_pod(POD)]
    assert all(labels.keys() <= known[name] for name, labels in lines)
