"""What a pod can get of a recommendation: LimitRanges, pod-level resources, limits that stay."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.units.quantity import Quantity
from recommender.updater.facts import Advice
from recommender.updater.limits import Asked, Room, fit_advice, room
from recommender.updater.objects import LimitRange, LimitRangeItem, LimitRangeSpec


def q(**texts: Any) -> Any:
    return {name: Quantity.parse(text) for name, text in texts.items()}


def target(asked: Any, wanted: Any, space: Any) -> Any:
    """What is left of targets: container -> text of its CPU."""
    advice = fit_advice({name: Advice(q(cpu=text)) for name, text in wanted.items()}, asked, space)
    return {name: str(own.target["cpu"]) for name, own in advice.items()}


def test_without_limits_nothing_changes() -> None:
    assert target([Asked("app", q(cpu="1"))], {"app": "3", "gone": "1"}, Room()) == {"app": "3"}


@pytest.mark.parametrize(
    ("requests", "limits", "keeps", "space", "got"),
    [
        ({"cpu": "1"}, {}, False, Room(most=q(cpu="2")), "2"),
        ({"cpu": "1"}, {"cpu": "4"}, False, Room(most=q(cpu="2")), "500m"),  # limit 4 x 0.5 / 1 = 2
        ({}, {}, False, Room(most=q(cpu="2")), "2"),
        ({"cpu": "1"}, {"cpu": "2"}, True, Room(), "2"),  # the limit stays and holds the request
        ({"cpu": "1"}, {}, False, Room(least=q(cpu="4")), "4"),
        ({"cpu": "1"}, {}, False, Room(least=q(cpu="4"), most=q(cpu="2")), "2"),
        ({"cpu": "1"}, {}, False, Room(pod_most=q(cpu="2")), "2"),
        ({"cpu": "1"}, {}, False, Room(pod_requests=q(cpu="2500m")), "2500m"),
        ({"cpu": "1"}, {}, False, Room(pod_least=q(cpu="4")), "4"),
        ({"cpu": "1"}, {"cpu": "16"}, True, Room(ratio=q(cpu="4")), "4"),  # 16 / 4
    ],
)
def test_a_target_of_three_cores_is_held_to_what_one_container_can_get(
    requests: Any, limits: Any, keeps: Any, space: Any, got: Any
) -> None:
    assert target([Asked("app", q(**requests), q(**limits), keeps_limits=keeps)], {"app": "3"}, space) == {"app": got}


def test_the_room_of_a_pod_is_shared_in_proportion_after_what_others_take() -> None:
    """Of 4 cores the container without advice has 1; 3 are left for 2 + 4 wanted: half of each."""
    asked = [Asked("a", q(cpu="1")), Asked("b", q(cpu="1")), Asked("other", q(cpu="1"))]
    assert target(asked, {"a": "2", "b": "4"}, Room(pod_most=q(cpu="4"))) == {"a": "1", "b": "2"}


def test_all_limit_ranges_of_a_namespace_and_the_pods_own_limits_hold_together() -> None:
    items = [
        LimitRangeItem(type="Container", min={"cpu": "10m"}, max={"cpu": "2"}),
        LimitRangeItem(type="Container", min={"cpu": "20m"}, max={"cpu": "3"}),
        LimitRangeItem(type="Pod", max={"memory": "1Gi"}, max_limit_request_ratio={"cpu": "3"}),
        LimitRangeItem(type="PersistentVolumeClaim", max={"storage": "1Gi"}),
    ]
    space = room([LimitRange(spec=LimitRangeSpec(limits=(item,))) for item in items], {"cpu": "4"}, {"cpu": "1"})
    assert space == Room(
        least=q(cpu="20m"), most=q(cpu="1"), pod_most=q(memory="1Gi"), pod_requests=q(cpu="4"), pod_ratio=q(cpu="3")
    )


def test_requests_whose_limits_stay_are_raised_to_the_ratio_of_the_pod() -> None:
    """Limits 8 + 2 of requests 2 + 1, at most 2 times: 5 are asked for, 2 more, of rooms 6 and 1: 12/7 and 2/7 more."""
    asked = [
        Asked("a", q(cpu="1"), q(cpu="8"), keeps_limits=True),
        Asked("b", q(cpu="1"), q(cpu="2"), keeps_limits=True),
    ]
    assert target(asked, {"a": "2", "b": "1"}, Room(pod_ratio=q(cpu="2"))) == {"a": "3715m", "b": "1286m"}


def test_a_pod_whose_limits_move_with_its_requests_keeps_its_ratio() -> None:
    """Limits 8 of requests 3 are more than 2 times: to raise the one raises the other. That is refused, not mended."""
    asked = [Asked("a", q(cpu="1"), q(cpu="4")), Asked("b", q(cpu="1"))]
    assert target(asked, {"a": "2", "b": "1"}, Room(pod_ratio=q(cpu="2"))) == {"a": "2", "b": "1"}


millis = st.integers(1, 64_000)


@given(st.lists(st.tuples(millis, st.integers(1, 4), millis), min_size=1, max_size=4), millis, millis)
def test_no_container_and_no_pod_ever_gets_more_than_is_allowed(containers: Any, most: Any, pod_most: Any) -> None:
    """Each has request r and limit r x k and shall get w. Its new limit is w x k; all are whole millicores."""
    asked, wanted = [], {}
    for number, (request, times, want) in enumerate(containers):
        asked.append(Asked(f"c{number}", q(cpu=f"{request}m"), q(cpu=f"{request * times}m")))
        wanted[f"c{number}"] = Advice(q(cpu=f"{want}m"))
    space = Room(most=q(cpu=f"{most}m"), pod_most=q(cpu=f"{pod_most}m"))
    advice = fit_advice(wanted, asked, space)
    limits = [advice[f"c{n}"].target["cpu"].milli() * times for n, (_, times, _) in enumerate(containers)]
    assert max(limits) <= most
    assert sum(limits) <= pod_most
    assert fit_advice(advice, asked, space) == advice, "what fits is left as it is"
