"""Who asks for what: declared by HPAs, remembered of requests."""

import msgspec

from adapter.collect.declared import wants_of
from adapter.collect.demand import CustomWant, Demand, ExternalWant, Remembered
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.resources import GroupResource
from adapter.units.selector import EVERYTHING, Selector

PODS = GroupResource("", "pods")
RATE = CustomWant(PODS, "shop", "http_requests_per_second")
INGRESS = GroupResource("networking.k8s.io", "ingresses")


def test_what_an_hpa_declares_is_wanted_until_it_is_withdrawn() -> None:
    demand = Demand()
    demand.declare("shop", "web", [RATE])
    assert demand.wants(now=0) == {RATE}
    demand.withdraw("shop", "web")
    assert demand.wants(now=0) == frozenset()


def test_an_hpa_that_changes_its_mind_no_longer_wants_the_old_metric() -> None:
    demand = Demand()
    demand.declare("shop", "web", [RATE])
    other = RATE._replace(metric="queue_length")
    demand.declare("shop", "web", [other])
    assert demand.wants(now=0) == {other}


def test_a_request_is_remembered_for_ten_minutes_after_the_last_one() -> None:
    remembered = Remembered()
    remembered.note(RATE, "alice", now=0)
    remembered.note(RATE, "alice", now=300)
    assert remembered.wants(now=900) == [RATE]
    assert remembered.wants(now=901) == []


def test_one_user_cannot_fill_the_memory_of_all() -> None:
    remembered = Remembered(limit=10, limit_per_user=2)
    metrics = [RATE._replace(metric=f"m{number}") for number in range(4)]
    assert [remembered.note(want, "mallory", now=0) for want in metrics] == [True, True, False, False]
    assert remembered.note(metrics[3], "alice", now=0)


def test_room_in_all_comes_back_when_old_requests_are_forgotten() -> None:
    remembered = Remembered(keep=10, limit=1, limit_per_user=1)
    assert remembered.note(RATE, "alice", now=0)
    other = RATE._replace(metric="other")
    assert not remembered.note(other, "bob", now=5)
    assert remembered.note(other, "bob", now=11)


def hpa(*metrics: dict[str, object]) -> HorizontalPodAutoscaler:
    body = {"metadata": {"namespace": "shop", "name": "web"}, "spec": {"metrics": metrics}}
    return msgspec.convert(body, HorizontalPodAutoscaler)


def resource_of(api_version: str, kind: str) -> GroupResource | None:
    known = {("networking.k8s.io/v1", "Ingress"): INGRESS, ("v1", "Namespace"): GroupResource("", "namespaces")}
    return known.get((api_version, kind))


def test_each_type_of_metric_becomes_the_want_that_the_controller_will_send() -> None:
    selector = {"matchLabels": {"verb": "GET"}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"}
    wants, problems = wants_of(
        hpa(
            {"type": "Pods", "pods": {"metric": {"name": "rate", "selector": selector}}},
            {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": ingress}},
            {
                "type": "External",
                "external": {"metric": {"name": "depth", "selector": {"matchLabels": {"queue": "q"}}}},
            },
            {"type": "Resource", "resource": {"name": "cpu"}},
        ),
        resource_of,
    )
    assert problems == []
    assert wants == [
        CustomWant(PODS, "shop", "rate", Selector.parse("verb=GET")),
        CustomWant(INGRESS, "shop", "hits", EVERYTHING),
        ExternalWant("shop", "depth", Selector.parse("queue=q")),
    ]


def test_a_metric_of_a_namespace_is_root_scoped() -> None:
    described = {"apiVersion": "v1", "kind": "Namespace", "name": "shop"}
    wants, _ = wants_of(
        hpa({"type": "Object", "object": {"metric": {"name": "m"}, "describedObject": described}}), resource_of
    )
    assert wants == [CustomWant(GroupResource("", "namespaces"), "", "m")]


def test_an_unknown_kind_is_named_and_the_other_metrics_still_count() -> None:
    described = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w"}
    wants, problems = wants_of(
        hpa(
            {"type": "Object", "object": {"metric": {"name": "m"}, "describedObject": described}},
            {"type": "Pods", "pods": {"metric": {"name": "rate"}}},
        ),
        resource_of,
    )
    assert [want.metric for want in wants] == ["rate"]
    assert problems == ["HPA shop/web, spec.metrics[0]: the cluster has no resource for kind Widget of example.com/v1"]
