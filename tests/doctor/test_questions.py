"""The very requests of an HPA."""

from typing import Any

from adapter.doctor.questions import questions
from tests.doctor.conftest import hpa, pods_metric, utilization

ALL = {"custom.metrics.k8s.io": "v1beta2", "external.metrics.k8s.io": "v1beta1", "metrics.k8s.io": "v1beta1"}
SELECTOR = "app=web,tier in (a,b)"
WRITTEN = "app%3Dweb%2Ctier%20in%20%28a%2Cb%29"


def paths_asked(*metrics: dict[str, Any], **more: Any) -> list[str]:
    return list(questions(hpa("web", *metrics), SELECTOR, more.get("versions", ALL)))


def test_a_pods_metric_is_asked_for_by_the_selector_of_the_target() -> None:
    assert paths_asked(pods_metric("http requests")) == [
        f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/http%20requests?labelSelector={WRITTEN}"
    ]


def test_an_external_metric_by_its_own() -> None:
    metric = {"name": "queue", "selector": {"matchLabels": {"q": "a/b"}}}
    assert paths_asked({"type": "External", "external": {"metric": metric}}) == [
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue?labelSelector=q%3Da%2Fb"
    ]


def test_cpu_and_memory_by_the_pods() -> None:
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods?labelSelector={WRITTEN}"
    assert paths_asked(utilization("cpu"), utilization("memory")) == [path, path]


def test_nobody_is_asked_where_nobody_serves_or_the_metric_is_of_an_object() -> None:
    assert paths_asked(pods_metric("x"), versions={}) == []
    assert paths_asked({"type": "Object", "object": {"metric": {"name": "x"}}}) == []
