"""Beside an HPA on utilisation: run against the HPA controller's own formula (adapter.hpa)."""

from hypothesis import given
from hypothesis import strategies as st

from adapter.hpa.decide import decide
from adapter.hpa.model import History, HpaSpec, Metric, PodState, PodValue, PodValues, Scale, Source, Target, TargetType
from recommender.guard import advise, hold

LOAD = 2000
"""millicores that the whole workload uses, however many pods share it"""


def replicas(count, percent, request, at):
    """What the HPA makes of `count` pods that share LOAD, each with `request` millicores."""
    metric = Metric(Source.RESOURCE, "cpu", Target(TargetType.UTILIZATION, percent))
    pods = [
        PodState(f"p{n}", start=at - 7200, ready_since=at - 7200, requests={"app": {"cpu": request}})
        for n in range(count)
    ]
    values = PodValues({pod.name: PodValue(round(LOAD / count), at) for pod in pods})
    spec = HpaSpec(max=100, min=1, metrics=(metric,))
    return decide(spec, Scale(count, count), [values], pods, History(), at).desired


def settle(treat, rounds=20):
    """Rounds of: the recommender asks for 1.15 × a pod's usage, `treat` has its say, the HPA looks."""
    count, percent, request, at = 8, 50, 500, 1e9
    for _ in range(rounds):
        wanted = round(LOAD / count * 1.15)
        request, percent = treat(request, wanted, percent)
        count, at = replicas(count, percent, request, at), at + 3600
    return count


def test_without_a_guard_recommender_and_hpa_drive_each_other_to_the_maximum():
    """8 pods of 250m at 500m are 50 %; asking for 287m makes it 87 %, so 14 pods of 143m, so 164m, so 87 % again …"""
    assert settle(lambda request, wanted, percent: (wanted, percent)) == 100


def test_holding_the_request_keeps_the_replica_count():
    def treat(request, wanted, percent):
        return hold({"app": request}, {"app": wanted}, percent).amounts["app"], percent

    assert settle(treat) == 8


def test_advising_the_target_lets_the_request_move_and_keeps_the_replica_count():
    def treat(request, wanted, percent):
        made = advise({"app": request}, {"app": wanted}, percent)
        return made.amounts["app"], made.utilisation or percent

    assert settle(treat) == 8


@given(st.integers(1, 20), st.integers(10, 95), st.integers(100, 4000), st.integers(50, 8000), st.integers(0, 60))
def test_an_advised_target_decides_as_the_old_one_did(count, percent, request, wanted, extra):
    """The threshold, request × percentage, is kept to half a millicore in the request: under 1 % at 50 millicores."""
    made = advise({"app": request, "side": extra + 10}, {"app": wanted, "side": extra + 10}, percent)
    before = (request + extra + 10) * percent
    after = sum(made.amounts.values()) * made.utilisation
    assert abs(after - before) <= made.utilisation * 1.01
    assert made.utilisation >= 1


def test_a_container_without_a_request_takes_what_is_wanted():
    assert hold({"app": 500}, {"app": 300, "new": 40}, 50).amounts == {"app": 500, "new": 40}


def test_nothing_requested_yet_leaves_nothing_to_keep():
    assert advise({}, {"app": 300}, 50).utilisation is None
