"""Beside an HPA on utilisation: run against the HPA controller's own formula (adapter.hpa)."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapter.hpa.decide import decide
from adapter.hpa.model import History, HpaSpec, Metric, PodState, PodValue, PodValues, Scale, Source, Target, TargetType
from adapter.kube.autoscaling import CrossVersionObjectReference, HorizontalPodAutoscaler
from recommender.estimate.hpa_guard import advise, beside, utilisation_targets
from recommender.estimate.postprocess import Numbers

LOAD = 2000
"""millicores that the whole workload uses, however many pods share it"""


def replicas(count: int, percent: int, request: int, at: float) -> int:
    """What the HPA makes of `count` pods that share LOAD, each with `request` millicores."""
    metric = Metric(Source.RESOURCE, "cpu", Target(TargetType.UTILIZATION, percent))
    pods = [
        PodState(f"p{n}", start=at - 7200, ready_since=at - 7200, requests={"app": {"cpu": request}})
        for n in range(count)
    ]
    values = PodValues({pod.name: PodValue(round(LOAD / count), at) for pod in pods})
    spec = HpaSpec(max=100, min=1, metrics=(metric,))
    return decide(spec, Scale(count, count), [values], pods, History(), at).desired


def settle(treat: Callable[..., Any], rounds: int = 20) -> int:
    """Rounds of: the recommender asks for 1.15 × a pod's usage, `treat` has its say, the HPA looks."""
    count, percent, request, at = 8, 50, 500, 1e9
    for _ in range(rounds):
        wanted = round(LOAD / count * 1.15)
        request, percent = treat(request, wanted, percent)
        count, at = replicas(count, percent, request, at), at + 3600
    return count


def test_without_a_guard_recommender_and_hpa_drive_each_other_to_the_maximum() -> None:
    """8 pods of 250m at 500m are 50 %; asking for 287m makes it 87 %, so 14 pods of 143m, so 164m, so 87 % again …"""
    assert settle(lambda request, wanted, percent: (wanted, percent)) == 100


def numbers(cpu: int, memory: int = 10**9) -> Numbers:
    return Numbers((cpu, cpu // 2, cpu * 2), (memory, memory // 2, memory * 2), 1.0)


def test_holding_the_request_keeps_the_replica_count() -> None:
    """What the loop does in a cluster."""

    def treat(request: int, wanted: int, percent: int) -> tuple[int, int]:
        kept = beside({"app": numbers(wanted)}, {"app": {"cpu": f"{request}m"}}, {("cpu", ""): percent})["app"]
        return kept.cpu[0], percent

    assert settle(treat) == 8


def test_advising_the_target_lets_the_request_move_and_keeps_the_replica_count() -> None:
    def treat(request: int, wanted: int, percent: int) -> tuple[int, int]:
        made = advise({"app": request}, {"app": wanted}, percent)
        return made.amounts["app"], made.utilisation

    assert settle(treat) == 8


@given(st.integers(1, 20), st.integers(10, 95), st.integers(100, 4000), st.integers(50, 8000), st.integers(0, 60))
def test_an_advised_target_decides_as_the_old_one_did(
    count: int, percent: int, request: int, wanted: int, extra: int
) -> None:
    """The threshold, request × percentage, is kept to half a millicore in the request: under 1 % at 50 millicores."""
    made = advise({"app": request, "side": extra + 10}, {"app": wanted, "side": extra + 10}, percent)
    before = (request + extra + 10) * percent
    after = sum(made.amounts.values()) * made.utilisation
    assert abs(after - before) <= made.utilisation * 1.01
    assert made.utilisation >= 1


def test_a_container_without_a_request_takes_what_is_wanted() -> None:
    kept = beside({"app": numbers(300), "new": numbers(40)}, {"app": {"cpu": "500m"}, "new": {}}, {("cpu", ""): 50})
    assert (kept["app"].cpu[0], kept["new"].cpu[0]) == (500, 40)


def test_the_note_says_what_else_would_keep_the_replicas() -> None:
    """500m + 100m at 50 % hold 300m; for 200m + 100m that is 100 %."""
    requests = {"app": {"cpu": "500m", "memory": "1Gi"}, "switched-off": {"cpu": "100m"}}
    kept = beside({"app": numbers(200)}, requests, {("cpu", ""): 50})["app"]
    assert (
        kept.note == "cpu stays at its request, an HPA holds it at 50 % of that (200m at 100 % would keep its replicas)"
    )
    assert kept.memory == numbers(200).memory
    assert kept.cpu == (500, 100, 500), "the bounds enclose it"


def test_an_hpa_on_one_container_holds_that_one_alone() -> None:
    both = {"app": numbers(200), "side": numbers(30)}
    kept = beside(both, {"app": {"cpu": "500m"}, "side": {"cpu": "50m"}}, {("cpu", "app"): 50})
    assert kept["app"].cpu[0] == 500
    assert kept["side"] == both["side"]


def test_nothing_requested_yet_leaves_nothing_to_keep() -> None:
    assert advise({}, {"app": 300}, 50).utilisation == 50
    assert beside({"app": numbers(300)}, {}, {("cpu", ""): 50}) == {"app": numbers(300)}


def test_the_hpas_on_utilisation_of_the_target_are_watched() -> None:
    def hpa(name: str, *metrics: dict[str, Any]) -> HorizontalPodAutoscaler:
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": name}, "maxReplicas": 9, "metrics": list(metrics)}
        return msgspec.convert({"metadata": {"name": name}, "spec": spec}, HorizontalPodAutoscaler)

    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}
    memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}
    web = hpa(
        "web",
        {"type": "Resource", "resource": cpu},
        {"type": "Resource", "resource": memory},
        {"type": "ContainerResource", "containerResource": {**cpu, "container": "app"}},
        {"type": "Carbon"},  # of a Kubernetes that knows more than we do
    )
    target = CrossVersionObjectReference(kind="Deployment", name="web")
    assert utilisation_targets([web, hpa("other", {"type": "Resource", "resource": cpu})], target) == {
        ("cpu", ""): 60,
        ("cpu", "app"): 60,
    }
    assert utilisation_targets([hpa("web")], target) == {("cpu", ""): 80}  # what an HPA without metrics scales on
