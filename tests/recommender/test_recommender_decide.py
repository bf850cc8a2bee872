"""What VPA's updater would do with a pod."""

import pytest

from adapter.units.quantity import Quantity
from recommender.objects import EvictionRequirement
from recommender.updater.decide import Action, Advice, Group, Pod, Running, decide

NOW = 1767243600.0
HOUR = 3600.0


def q(**texts):
    return {name: Quantity.parse(text) for name, text in texts.items()}


def pod(requests, age=24 * HOUR, **more):
    return Pod("web-1", [Running("app", requests)], NOW - age, **more)


WIDE = Advice(q(cpu="200m"), q(cpu="50m"), q(cpu="1"))


def test_a_request_inside_its_bounds_is_left_alone_for_twelve_hours():
    made = decide(pod(q(cpu="400m"), age=HOUR), {"app": WIDE}, "Recreate", NOW)
    assert (made.action, made.difference) == (Action.NONE, 0.5)
    assert "younger than 12 h" in made.reason


def test_after_twelve_hours_a_difference_of_a_tenth_is_enough():
    assert decide(pod(q(cpu="220m")), {"app": WIDE}, "Recreate", NOW).action is Action.NONE
    assert decide(pod(q(cpu="400m")), {"app": WIDE}, "Recreate", NOW).action is Action.EVICT


@pytest.mark.parametrize("request_", ["40m", "2"])
def test_a_request_outside_its_bounds_is_changed_at_once(request_):
    made = decide(pod(q(cpu=request_), age=60), {"app": WIDE}, "Recreate", NOW)
    assert (made.action, made.reason) == (Action.EVICT, "a request is outside the recommended range")
    assert made.grows == (request_ == "40m")


def test_a_missing_request_is_outside_and_grows():
    """A missing request counts as 1 milli-unit: |1 − 200| / 1 = 199."""
    made = decide(pod({}, age=60), {"app": WIDE}, "Recreate", NOW)
    assert (made.action, made.grows, made.difference) == (Action.EVICT, True, 199.0)


def test_differences_add_up_over_resources_and_containers():
    """cpu: |300 − 600| / 300 = 1; memory: |4 − 1| / 4 = 0.75."""
    advice = {"a": Advice(q(cpu="400m", memory="1Gi")), "b": Advice(q(cpu="200m"))}
    both = Pod("p", [Running("a", q(cpu="100m", memory="4Gi")), Running("b", q(cpu="200m"))], NOW)
    assert decide(both, advice, "Recreate", NOW).difference == pytest.approx(1.75)


def test_a_kill_soon_after_the_start_counts_at_once():
    killed = Pod("p", [Running("app", q(cpu="300m"), killed=(NOW - 500, NOW - 100))], NOW - 600)
    assert decide(killed, {"app": WIDE}, "Recreate", NOW).reason.startswith("killed for want of memory")
    long_ago = Pod("p", [Running("app", q(cpu="300m"), killed=(NOW - 5000, NOW - 4000))], NOW - 600)
    assert decide(long_ago, {"app": WIDE}, "Recreate", NOW).action is Action.NONE


@pytest.mark.parametrize("mode", ["Off", "Initial"])
def test_modes_that_never_touch_running_pods(mode):
    assert decide(pod(q(cpu="2")), {"app": WIDE}, mode, NOW).action is Action.NONE


def test_containers_that_vpa_has_not_observed_are_left_out():
    made = decide(pod(q(cpu="2"), observed=frozenset({"other"})), {"app": WIDE}, "Recreate", NOW)
    assert made.reason == "no container of the pod has a recommendation"


@pytest.mark.parametrize(
    ("state", "since", "in_place", "or_recreate"),
    [
        ("", 0, Action.IN_PLACE, Action.IN_PLACE),
        ("InProgress", 600, Action.NONE, Action.NONE),
        ("InProgress", 3700, Action.NONE, Action.EVICT),
        ("Deferred", 100, Action.NONE, Action.NONE),
        ("Deferred", 400, Action.NONE, Action.EVICT),
        ("Infeasible", 1, Action.NONE, Action.EVICT),
        ("Error", 1, Action.NONE, Action.EVICT),
    ],
)
def test_resizing_in_place_is_waited_for_and_then_given_up(state, since, in_place, or_recreate):
    stuck = pod(q(cpu="40m"), resizing=NOW - since if state else None, resize_state=state)
    assert decide(stuck, {"app": WIDE}, "InPlace", NOW).action is in_place
    assert decide(stuck, {"app": WIDE}, "InPlaceOrRecreate", NOW).action is or_recreate


@pytest.mark.parametrize(
    ("group", "allowed"),
    [
        (Group(4, 4), True),
        (Group(4, 4, evicted=1), True),
        (Group(4, 4, evicted=2), False),  # int(4 × 0.5) = 2 may be down
        (Group(2, 2), True),
        (Group(2, 2, evicted=1), False),
        (Group(1, 1), False),  # under min replicas, 2
        (Group(4, 4, budget=0), False),
        (Group(4, 4, budget=1), True),
    ],
)
def test_evictions_leave_enough_replicas(group, allowed):
    made = decide(pod(q(cpu="2")), {"app": WIDE}, "Recreate", NOW, group)
    assert (made.action is Action.EVICT) == allowed


def test_a_resize_that_restarts_a_container_needs_room_as_an_eviction_does():
    wide, restarts = {"app": WIDE}, pod(q(cpu="2"), restarts=True)
    assert decide(restarts, wide, "InPlace", NOW, Group(1, 1)).action is Action.NONE
    assert decide(restarts, wide, "InPlace", NOW, Group(2, 2)).action is Action.IN_PLACE
    assert decide(pod(q(cpu="2")), wide, "InPlace", NOW, Group(1, 1)).action is Action.IN_PLACE


def test_an_infeasible_resize_is_tried_again_with_less():
    stuck = [pod(q(cpu=request), resizing=NOW - 60, resize_state="Infeasible") for request in ("2", "40m")]
    assert [decide(one, {"app": WIDE}, "InPlace", NOW).action for one in stuck] == [Action.IN_PLACE, Action.NONE]


def test_eviction_requirements_ask_for_a_direction():
    only_up = [EvictionRequirement(resources=("cpu", "memory"), change_requirement="TargetHigherThanRequests")]
    assert decide(pod(q(cpu="2")), {"app": WIDE}, "Recreate", NOW, requirements=only_up).action is Action.NONE
    assert decide(pod(q(cpu="40m")), {"app": WIDE}, "Recreate", NOW, requirements=only_up).action is Action.EVICT


def test_pods_that_grow_come_before_larger_differences():
    grows = decide(pod(q(cpu="190m")), {"app": WIDE}, "Recreate", NOW)
    shrinks = decide(pod(q(cpu="900m")), {"app": WIDE}, "Recreate", NOW)
    assert sorted([grows, shrinks], key=lambda made: made.urgency)[-1] is grows
