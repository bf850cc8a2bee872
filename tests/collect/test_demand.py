"""Who asks for what: declared by HPAs, remembered of requests."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.declared import wants_of
from adapter.collect.demand import CustomWant, Demand, ExternalWant, Remembered, Shares, Want
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


def many(number: int, namespace: str = "shop", selector: str = "") -> list[Want]:
    return [CustomWant(PODS, namespace, f"m{index}", Selector.parse(selector)) for index in range(number)]


def test_an_hpa_has_the_first_of_its_metrics_and_is_told_of_the_others() -> None:
    demand = Demand(shares=Shares(per_hpa=3, per_namespace=100))
    demand.declare("shop", "greedy", many(5))
    assert demand.wants(0) == frozenset(many(3))
    assert demand.refused == {
        ("shop", "greedy"): "HPA shop/greedy asks for 5 metrics, and 2 of them are left out: the share is 3 of one HPA,"
        " with 1024 characters each on average; fewer metrics or selectors would be right"
    }
    assert demand.refusal(many(5)[4]) == demand.refused["shop", "greedy"]
    assert demand.refusal(many(5)[0]) == ""
    demand.declare("shop", "modest", many(5)[4:])
    assert demand.refusal(many(5)[4]) == ""  # within another one's share
    demand.declare("shop", "greedy", many(2))
    assert demand.refused == {}


def test_a_namespaces_hpas_share_its_room_and_have_it_again_when_one_goes() -> None:
    demand = Demand(shares=Shares(per_hpa=10, per_namespace=4))
    demand.declare("shop", "first", many(4)[:3])
    demand.declare("shop", "second", many(6)[2:])  # m2 is asked for anyway, m3 has room, m4 and m5 have none
    demand.declare("bank", "web", many(4, "bank"))
    assert demand.wants(0) == frozenset(many(4) + many(4, "bank"))
    assert list(demand.refused) == [("shop", "second")]
    demand.withdraw("shop", "first")
    assert demand.wants(0) == frozenset(many(6)[2:] + many(4, "bank"))
    assert demand.refused == {}


def test_long_selectors_count_for_more() -> None:
    """Two metrics of 2 x 1,024 characters in all: one selector of 1,500 leaves no room for another."""
    demand = Demand(shares=Shares(per_hpa=2, per_namespace=10))
    long = ",".join(f"{letter}{'x' * 60}" for letter in "abcdefghijklmnopqrstuvwx")
    demand.declare("shop", "greedy", many(2, selector=long))
    assert demand.wants(0) == frozenset(many(1, selector=long))
    remembered = Remembered(limit=100, limit_per_user=100, limit_per_namespace=2)
    assert [remembered.note(want, "mallory", 0) for want in many(2, selector=long)] == [True, False]


def test_one_namespace_cannot_fill_the_memory_of_requests_that_the_hpa_controller_has() -> None:
    remembered = Remembered(limit=10, limit_per_user=10, limit_per_namespace=2)
    assert [remembered.note(want, "controller", 0) for want in many(3)] == [True, True, False]
    assert remembered.note(many(1, "bank")[0], "controller", 0)
    assert remembered.wants(700) == []
    assert remembered._used == remembered._bytes == {}


ACTIONS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.none() | st.sets(st.integers(0, 9), max_size=8)),
    max_size=20,
)


@given(ACTIONS)
def test_whatever_hpas_do_the_shares_hold_and_what_is_not_refused_is_wanted(
    actions: list[tuple[str, str, set[int] | None]],
) -> None:
    demand, asked = Demand(shares=Shares(per_hpa=4, per_namespace=6)), dict[tuple[str, str], list[Want]]()
    for namespace, name, numbers in actions:
        if numbers is None:
            demand.withdraw(namespace, name)
            asked.pop((namespace, name), None)
        else:
            asked[namespace, name] = [many(10, namespace)[number] for number in sorted(numbers)]
            demand.declare(namespace, name, asked[namespace, name])
    wanted = demand.wants(0)
    for hpa, wants in asked.items():
        assert len(demand.declarers[hpa]) <= 4
        assert (set(wants) <= wanted) or hpa in demand.refused
        if not set(wants) <= demand.declarers[hpa]:
            assert hpa in demand.refused
    for namespace in "ab":
        assert sum(want.namespace == namespace for want in wanted) <= 6
    assert wanted == frozenset().union(*demand.declarers.values())
