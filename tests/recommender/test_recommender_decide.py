"""What VPA's updater would do with a pod."""

from typing import Any

import pytest

from adapter.units.quantity import Quantity
from recommender.objects import EvictionRequirement
from recommender.updater import decide as decisions
from recommender.updater.decide import Action, Cause
from recommender.updater.facts import Advice, InPlace, PodFacts, ResizeState, Running
from recommender.updater.terms import Group, Terms

NOW = 1767243600.0
HOUR = 3600.0


def q(**texts: str) -> dict[str, Quantity]:
    return {name: Quantity.parse(text) for name, text in texts.items()}


def pod(requests: dict[Any, Any], age: float = 24 * HOUR, **more: Any) -> PodFacts:
    return PodFacts("web-1", [Running("app", requests)], NOW - age, **more)


BOTH_RUN = Group(2, 2)


def decide(seen: Any, advice: Any, mode: Any, now: Any, group: Any = BOTH_RUN, requirements: Any = ()) -> Any:
    return decisions.decide(seen, advice, now, Terms(mode, group, requirements=requirements))


WIDE = Advice(q(cpu="200m"), q(cpu="50m"), q(cpu="1"))


def test_a_request_inside_its_bounds_is_left_alone_for_twelve_hours() -> None:
    made = decide(pod(q(cpu="400m"), age=HOUR), {"app": WIDE}, "Recreate", NOW)
    assert (made.action, made.difference) == (Action.NONE, 0.5)
    assert "younger than 12 h" in made.reason


def test_after_twelve_hours_a_difference_of_a_tenth_is_enough() -> None:
    assert decide(pod(q(cpu="220m")), {"app": WIDE}, "Recreate", NOW).action is Action.NONE
    assert decide(pod(q(cpu="400m")), {"app": WIDE}, "Recreate", NOW).action is Action.EVICT


@pytest.mark.parametrize("request_", ["40m", "2"])
def test_a_request_outside_its_bounds_is_changed_at_once(request_: str) -> None:
    made = decide(pod(q(cpu=request_), age=60), {"app": WIDE}, "Recreate", NOW)
    assert (made.action, made.cause) == (Action.EVICT, Cause.OUTSIDE)
    assert made.grows == (request_ == "40m")


def test_a_missing_request_is_outside_and_grows() -> None:
    """A missing request counts as 1 milli-unit: |1 − 200| / 1 = 199."""
    made = decide(pod({}, age=60), {"app": WIDE}, "Recreate", NOW)
    assert (made.action, made.grows, made.difference) == (Action.EVICT, True, 199.0)


def test_differences_add_up_over_resources_and_containers() -> None:
    """cpu: |300 − 600| / 300 = 1; memory: |4 − 1| / 4 = 0.75."""
    advice = {"a": Advice(q(cpu="400m", memory="1Gi")), "b": Advice(q(cpu="200m"))}
    both = PodFacts("p", [Running("a", q(cpu="100m", memory="4Gi")), Running("b", q(cpu="200m"))], NOW)
    assert decide(both, advice, "Recreate", NOW).difference == pytest.approx(1.75)


def test_a_kill_soon_after_the_start_counts_at_once() -> None:
    killed = PodFacts("p", [Running("app", q(cpu="300m"), killed=(NOW - 500, NOW - 100))], NOW - 600)
    assert decide(killed, {"app": WIDE}, "Recreate", NOW).cause is Cause.QUICK_OOM
    long_ago = PodFacts("p", [Running("app", q(cpu="300m"), killed=(NOW - 5000, NOW - 4000))], NOW - 600)
    assert decide(long_ago, {"app": WIDE}, "Recreate", NOW).action is Action.NONE


@pytest.mark.parametrize("mode", ["Off", "Initial"])
def test_modes_that_never_touch_running_pods(mode: str) -> None:
    assert decide(pod(q(cpu="2")), {"app": WIDE}, mode, NOW).action is Action.NONE


def test_containers_that_vpa_has_not_observed_are_left_out() -> None:
    made = decide(pod(q(cpu="2"), observed=frozenset({"other"})), {"app": WIDE}, "Recreate", NOW)
    assert made.reason == "no container of the pod has a recommendation"


# The table of docs/recommender.md: (state of the resize, how long, what the spec asks for) x mode. The target is 200m
# within 50m to 1; the container has 40m, so the pod is due in every row but the last.
SAME, NEAR, MORE, LESS = "200m", "205m", "20m", "2"
"""What the spec asks for: the target, nearly the target, far less than it (so it is more now), far more (so less)."""
NONE, IN_PLACE, EVICT = Action.NONE, Action.IN_PLACE, Action.EVICT


@pytest.mark.parametrize(
    ("state", "since", "asked", "in_place", "or_recreate"),
    [
        (ResizeState.NONE, 0, "40m", IN_PLACE, IN_PLACE),
        (ResizeState.DEFERRED, 100, SAME, NONE, NONE),
        (ResizeState.DEFERRED, 400, SAME, NONE, EVICT),
        (ResizeState.DEFERRED, 100, NEAR, NONE, NONE),
        (ResizeState.DEFERRED, 100, MORE, IN_PLACE, IN_PLACE),
        (ResizeState.DEFERRED, 400, LESS, IN_PLACE, IN_PLACE),
        (ResizeState.IN_PROGRESS, 600, SAME, NONE, NONE),
        (ResizeState.IN_PROGRESS, 3700, SAME, NONE, EVICT),
        (ResizeState.IN_PROGRESS, 600, MORE, IN_PLACE, IN_PLACE),
        (ResizeState.IN_PROGRESS, 3700, LESS, IN_PLACE, IN_PLACE),
        (ResizeState.INFEASIBLE, 1, SAME, NONE, EVICT),
        (ResizeState.INFEASIBLE, 1, MORE, NONE, EVICT),
        (ResizeState.INFEASIBLE, 1, LESS, IN_PLACE, IN_PLACE),
        (ResizeState.ERROR, 10, SAME, NONE, NONE),
        (ResizeState.ERROR, 400, SAME, NONE, EVICT),
        (ResizeState.ERROR, 10, MORE, IN_PLACE, IN_PLACE),
        (ResizeState.ERROR, 10, LESS, IN_PLACE, IN_PLACE),
    ],
)
def test_a_resize_that_is_not_done_is_replaced_by_another_target_and_otherwise_waited_for(
    state: Any, since: Any, asked: Any, in_place: Any, or_recreate: Any
) -> None:
    seen = PodFacts(
        "web-1",
        [Running("app", q(cpu="40m"), asked=q(cpu=asked))],
        NOW - 60,
        resizing=NOW - since if state else None,
        resize_state=state,
    )
    assert decide(seen, {"app": WIDE}, "InPlace", NOW).action is in_place
    assert decide(seen, {"app": WIDE}, "InPlaceOrRecreate", NOW).action is or_recreate
    assert decide(seen, {"app": WIDE}, "Recreate", NOW).action is EVICT
    assert decide(seen, {"app": WIDE}, "Initial", NOW).action is NONE


def test_a_deferred_resize_is_taken_back_when_what_the_container_has_is_right_again() -> None:
    """It has 200m, asked for 8 cores while those were recommended, and 200m is again."""
    running = [Running("app", q(cpu="200m"), asked=q(cpu="8"))]
    waiting = PodFacts("web-1", running, NOW - 60, resizing=NOW - 30, resize_state=ResizeState.DEFERRED)
    assert decide(waiting, {"app": WIDE}, "InPlace", NOW).action is Action.IN_PLACE


@pytest.mark.parametrize(
    ("in_place", "mode", "action"),
    [
        (InPlace.NOTHING, "InPlace", NONE),
        (InPlace.NOTHING, "InPlaceOrRecreate", EVICT),
        (InPlace.REFUSED, "InPlace", NONE),
        (InPlace.REFUSED, "InPlaceOrRecreate", EVICT),
        (InPlace.QOS, "InPlace", NONE),
        (InPlace.QOS, "InPlaceOrRecreate", NONE),
        (InPlace.QOS, "Recreate", EVICT),
    ],
)
def test_where_no_resize_is_possible_the_pod_is_made_anew_if_the_mode_may_and_never_to_lose_its_qos_class(
    in_place: Any, mode: Any, action: Any
) -> None:
    assert decide(pod(q(cpu="40m"), in_place=in_place), {"app": WIDE}, mode, NOW).action is action


@pytest.mark.parametrize("mode", ["Recreate", "InPlaceOrRecreate"])
def test_no_pod_is_evicted_for_one_that_would_be_the_same(mode: Any) -> None:
    """Its request is above the upper bound, and so is the target: whoever wrote them, an eviction changes nothing."""
    odd = {"app": Advice(q(cpu="2"), q(cpu="50m"), q(cpu="1"))}
    made = decide(pod(q(cpu="2"), in_place=InPlace.NOTHING), odd, mode, NOW)
    assert (made.action, made.reason) == (Action.NONE, "a new pod would ask for the same")


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
def test_evictions_leave_enough_replicas(group: Group, allowed: bool) -> None:
    made = decide(pod(q(cpu="2")), {"app": WIDE}, "Recreate", NOW, group)
    assert (made.action is Action.EVICT) == allowed


def test_a_resize_that_restarts_a_container_needs_room_as_an_eviction_does() -> None:
    wide, restarts = {"app": WIDE}, pod(q(cpu="2"), restarts=True)
    assert decide(restarts, wide, "InPlace", NOW, Group(1, 1)).action is Action.NONE
    assert decide(restarts, wide, "InPlace", NOW, Group(2, 2)).action is Action.IN_PLACE
    assert decide(pod(q(cpu="2")), wide, "InPlace", NOW, Group(1, 1)).action is Action.IN_PLACE


def test_eviction_requirements_ask_for_a_direction() -> None:
    only_up = [EvictionRequirement(resources=("cpu", "memory"), change_requirement="TargetHigherThanRequests")]
    assert decide(pod(q(cpu="2")), {"app": WIDE}, "Recreate", NOW, requirements=only_up).action is Action.NONE
    assert decide(pod(q(cpu="40m")), {"app": WIDE}, "Recreate", NOW, requirements=only_up).action is Action.EVICT


def test_pods_that_grow_come_before_larger_differences() -> None:
    grows = decide(pod(q(cpu="190m")), {"app": WIDE}, "Recreate", NOW)
    shrinks = decide(pod(q(cpu="900m")), {"app": WIDE}, "Recreate", NOW)
    assert sorted([grows, shrinks], key=lambda made: made.urgency)[-1] is grows


def test_a_millicore_is_no_reason_to_make_a_pod_anew() -> None:
    """A resize stays a millicore below a limit, so as not to change the QoS class; the bounds are at the limit."""
    held = {"app": Advice(q(cpu="1", memory="1Gi"), q(cpu="1", memory="1Gi"), q(cpu="1", memory="1Gi"))}
    for less in (q(cpu="999m", memory="1Gi"), q(cpu="1", memory="1073741823")):
        made = decide(pod(less, in_place=InPlace.NOTHING), held, "InPlaceOrRecreate", NOW)
        assert (made.action, made.reason) == (Action.NONE, "a new pod would ask for the same")
    two = pod(q(cpu="998m", memory="1Gi"), in_place=InPlace.NOTHING)
    assert decide(two, held, "InPlaceOrRecreate", NOW).action is Action.EVICT


def test_what_no_resize_can_give_is_no_cause_for_one_where_nothing_else_may_be_done() -> None:
    """Without a memory request the pod would be resized at every loop by whatever CPU's target has moved."""
    both = {"app": Advice(q(cpu="200m", memory="1Gi"), q(cpu="50m", memory="1Gi"), q(cpu="1", memory="2Gi"))}
    assert decide(pod(q(cpu="201m")), both, "InPlace", NOW).action is Action.NONE
    assert decide(pod(q(cpu="40m")), both, "InPlace", NOW).action is Action.IN_PLACE
    assert decide(pod({}), both, "InPlace", NOW).action is Action.NONE


def test_a_mode_that_is_not_known_touches_nothing() -> None:
    assert decide(pod(q(cpu="40m")), {"app": WIDE}, "Sometimes", NOW).action is Action.NONE
