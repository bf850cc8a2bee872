"""When the HPA controller is asked to look now, and by which change of an HPA's spec."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.hpa.decide import Decision
from adapter.hpa.hasten import LEAST, MOST, Asked, Obstacle, ask, may_ask, obstacle, rises, swap, whole
from adapter.hpa.model import (
    Behavior,
    History,
    HpaSpec,
    PodState,
    Policy,
    PolicyType,
    Rules,
    SelectPolicy,
    apply_defaults,
)

PODS, PERCENT = Policy(PolicyType.PODS, 4, 15), Policy(PolicyType.PERCENT, 100, 15)
UP = ("spec", "behavior", "scaleUp", "policies")
DOWN = ("spec", "behavior", "scaleDown", "policies")


def spec(*, up: tuple[Policy, ...] = (), down: tuple[Policy, ...] = (), window: int | None = None) -> HpaSpec:
    return apply_defaults(HpaSpec(max=9, behavior=Behavior(Rules(window, SelectPolicy.MAX, up), Rules(policies=down))))


def decision(current: int, desired: int) -> Decision:
    return Decision(current, desired, (), (), "", History())


# ---- what changes places


def test_the_two_policies_of_a_direction_that_says_nothing_of_them_change_places() -> None:
    """The API server stores them as soon as there is a behavior."""
    swapped = swap(spec())
    assert swapped == (UP, (PODS, PERCENT), (PERCENT, PODS))


def test_where_scaling_up_has_one_policy_those_of_scaling_down_change_places() -> None:
    swapped = swap(spec(up=(PODS,), down=(PERCENT, PODS)))
    assert swapped == (DOWN, (PERCENT, PODS), (PODS, PERCENT))


@given(st.lists(st.sampled_from([PODS, PERCENT, Policy(PolicyType.PODS, 1, 60)]), min_size=1, max_size=6))
def test_a_swap_changes_the_list_and_nothing_of_what_is_in_it_and_swapped_back_it_is_as_before(
    policies: list[Policy],
) -> None:
    swapped = swap(spec(up=tuple(policies)))
    if len(set(policies)) == 1:
        assert swapped is None
        return
    assert swapped is not None
    assert swapped.before == tuple(policies) != swapped.after
    assert sorted(swapped.after) == sorted(policies)
    assert sum(one != other for one, other in zip(swapped.before, swapped.after, strict=True)) == 2


@pytest.mark.parametrize(
    ("hpa", "generation", "expected"),
    [
        (spec(), 1, None),
        (spec(), None, Obstacle.GENERATION),
        (apply_defaults(HpaSpec(max=9)), 1, Obstacle.POLICIES),
        (spec(up=(PODS, PODS)), 1, Obstacle.POLICIES),
        (spec(window=60), 1, Obstacle.WINDOW),
    ],
    ids=["none", "Kubernetes 1.36", "no behavior", "two that are alike", "a window for scaling up"],
)
def test_what_stands_in_the_way_is_said(hpa: HpaSpec, generation: int | None, expected: Obstacle | None) -> None:
    assert obstacle(hpa, generation) is expected


# ---- when


@pytest.mark.parametrize(
    ("current", "desired", "expected"), [(3, 4, True), (3, 3, False), (3, 2, False), (0, 2, False)]
)
def test_only_a_look_that_adds_pods_is_asked_for(current: int, desired: int, expected: bool) -> None:
    assert rises(decision(current, desired)) is expected


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([PodState("a"), PodState("b")], True),
        ([PodState("a")], False),
        ([PodState("a"), PodState("b"), PodState("c")], False),
        ([PodState("a"), PodState("b", ready="False")], False),
        ([PodState("a"), PodState("b", phase="Pending", ready=None)], False),
        ([PodState("a"), PodState("b", deleted=True)], False),
    ],
    ids=["two ready ones", "one is missing", "one of before is left", "one is not ready", "one starts", "one ends"],
)
def test_a_target_of_two_is_whole_with_two_ready_pods_and_no_other(pods: list[PodState], expected: bool) -> None:
    assert whole(pods, 2) is expected


def test_after_any_change_of_the_spec_the_controller_looks_by_itself() -> None:
    assert not may_ask(Asked(), changed=100.0, now=100.0 + LEAST - 0.1)
    assert may_ask(Asked(), changed=100.0, now=100.0 + LEAST)


def test_the_pause_doubles_while_asking_changes_nothing_and_is_short_again_once_it_did() -> None:
    asked, pauses = Asked(), []
    for replicas in (3, 3, 3, 3, 3, 3, 5, 5):
        asked = ask(asked, replicas, 0.0)
        pauses.append(asked.pause)
    assert pauses == [5, 10, 20, 40, MOST, MOST, 5, 10]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 9)), max_size=60))
def test_however_sizes_change_it_is_asked_at_most_once_in_5_s_and_while_they_do_not_ever_more_rarely(
    moments: list[tuple[float, int]],
) -> None:
    asked, times, sizes = Asked(), list[float](), list[int]()
    for now, replicas in sorted(moments):
        if may_ask(asked, -math.inf, now):
            asked = ask(asked, replicas, now)
            times.append(now)
            sizes.append(replicas)
    for before, (one, other) in enumerate(pairwise(times)):
        assert other - one >= LEAST
        if before and sizes[before] == sizes[before - 1]:
            assert other - one >= 2 * LEAST
