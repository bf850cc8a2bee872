"""Stabilization, rates and bounds between the metrics' wish and the scale."""

import pytest

from adapter.hpa.limits import Range, Step, limit, record, remember, stabilize
from adapter.hpa.model import (
    DEFAULTS,
    Behavior,
    History,
    HpaSpec,
    Policy,
    PolicyType,
    Recommendation,
    Rules,
    ScaleEvent,
    SelectPolicy,
    apply_defaults,
)

NOW = 1_800_000_000.0
WIDE = Range(1, 1000)


def behavior(up: Rules = Rules(), down: Rules = Rules()) -> Behavior:  # noqa: B008
    filled = apply_defaults(HpaSpec(max=10, behavior=Behavior(up, down))).behavior
    assert filled
    return filled


def past(*recommendations: tuple[int, float]) -> History:
    """(replicas, seconds ago)…"""
    return History(tuple(Recommendation(replicas, NOW - ago) for replicas, ago in recommendations))


def pods(value: int, period: int = 60) -> Policy:
    return Policy(PolicyType.PODS, value, period)


def percent(value: int, period: int = 60) -> Policy:
    return Policy(PolicyType.PERCENT, value, period)


def hold(rules: Behavior | None, current: int, wanted: int, history: History) -> tuple[int, str]:
    step = stabilize(rules, current=current, wanted=wanted, history=history, now=NOW, settings=DEFAULTS)
    return step.replicas, step.reason


@pytest.mark.parametrize(("ago", "expected"), [(299, 8), (300, 8), (301, 3)])
def test_a_scale_down_keeps_to_the_highest_wish_of_five_minutes(ago: int, expected: int) -> None:
    assert hold(None, 8, 3, past((8, ago)))[0] == expected


@pytest.mark.parametrize(("ago", "expected"), [(299, 8), (300, 3)])
def test_the_end_of_a_behaviors_window_no_longer_counts(ago: int, expected: int) -> None:
    assert hold(behavior(), 8, 3, past((8, ago)))[0] == expected


def test_a_held_scale_down_may_still_go_part_of_the_way() -> None:
    # 10 now, 3 wanted, 6 wanted a minute ago: 6
    assert hold(None, 10, 3, past((6, 60))) == (6, "ScaleDownStabilized")


def test_without_behavior_an_old_high_wish_raises_even_a_scale_up() -> None:
    # 4 now, 5 wanted, 9 wanted a minute ago (but refused by a limit then): 9
    assert hold(None, 4, 5, past((9, 60))) == (9, "ScaleDownStabilized")


def test_a_scale_up_window_keeps_to_the_lowest_wish() -> None:
    rules = behavior(up=Rules(window=60))
    assert hold(rules, 4, 9, past((6, 30))) == (6, "ScaleUpStabilized")
    assert hold(rules, 4, 9, past((6, 60))) == (9, "ReadyForNewScale")
    assert hold(rules, 4, 9, past((2, 30))) == (4, "ScaleUpStabilized")  # never below the present count on the way up


def test_a_scale_up_is_immediate_by_default() -> None:
    assert hold(behavior(), 4, 9, past((2, 0))) == (9, "ReadyForNewScale")


def test_wishes_outside_of_both_windows_are_forgotten() -> None:
    rules = behavior(up=Rules(window=600), down=Rules(window=60))
    kept = remember(rules, 5, past((1, 601), (2, 600), (3, 30)), NOW, DEFAULTS)
    assert [r.replicas for r in kept] == [2, 3, 5]


def apply_limit(
    rules: Behavior | None, current: int, wanted: int, bounds: Range = WIDE, history: History | None = None
) -> tuple[int, str]:
    step = limit(rules, bounds, current=current, wanted=wanted, history=history or History(), now=NOW)
    return step.replicas, step.reason


@pytest.mark.parametrize(("current", "allowed"), [(1, 4), (2, 4), (3, 6), (10, 20)])
def test_without_behavior_a_step_doubles_or_reaches_four(current: int, allowed: int) -> None:
    assert apply_limit(None, current, 500) == (allowed, "ScaleUpLimit")


def test_the_bounds_hold_and_are_named() -> None:
    assert apply_limit(None, 3, 50, Range(1, 5)) == (5, "TooManyReplicas")
    assert apply_limit(None, 3, 1, Range(2, 5)) == (2, "TooFewReplicas")
    assert apply_limit(behavior(), 3, 50, Range(1, 5)) == (5, "TooManyReplicas")
    assert apply_limit(behavior(), 3, 1, Range(2, 5)) == (2, "TooFewReplicas")
    assert apply_limit(behavior(), 3, 4, Range(2, 5)) == (4, "DesiredWithinRange")


def test_by_default_a_behavior_adds_four_pods_or_doubles_whichever_is_more() -> None:
    assert apply_limit(behavior(), 3, 500) == (7, "ScaleUpLimit")  # 3 + 4 > 3 x 2
    assert apply_limit(behavior(), 10, 500) == (20, "ScaleUpLimit")  # 10 x 2 > 10 + 4


@pytest.mark.parametrize(("select", "up", "down"), [("Max", 15, 5), ("Min", 12, 8), ("Disabled", 10, 10)])
def test_the_select_policy_takes_the_largest_or_the_smallest_change_or_none(select: str, up: int, down: int) -> None:
    # of 10: 2 pods or 50 %
    rules = Rules(select=SelectPolicy(select), policies=(pods(2), percent(50)))
    assert apply_limit(behavior(up=rules), 10, 500)[0] == up
    assert apply_limit(behavior(down=rules), 10, 1)[0] == down


def test_a_percentage_is_rounded_up_on_the_way_up_and_down_on_the_way_down() -> None:
    # 10 % of 5: 5.5 becomes 6, so that something happens at all; 4.5 becomes 4
    assert apply_limit(behavior(up=Rules(policies=(percent(10),))), 5, 500)[0] == 6
    assert apply_limit(behavior(down=Rules(policies=(percent(10),))), 5, 1)[0] == 4


def test_a_policy_counts_from_the_start_of_its_period() -> None:
    # 3 were added 30 s ago: the period began at 7, so 4 a minute lead to 11 and not to 14
    rules = behavior(up=Rules(policies=(pods(4),)))
    history = History(ups=(ScaleEvent(3, NOW - 30),))
    assert apply_limit(rules, 10, 500, history=history) == (11, "ScaleUpLimit")
    assert apply_limit(rules, 10, 500, history=History(ups=(ScaleEvent(3, NOW - 60),)))[0] == 14


def test_scaling_the_other_way_within_the_period_is_undone_as_well() -> None:
    # 5 removed 10 s ago: the period began at 15, so 4 more lead to 19
    rules = behavior(up=Rules(policies=(pods(4),)))
    assert apply_limit(rules, 10, 500, history=History(downs=(ScaleEvent(5, NOW - 10),)))[0] == 19


def test_a_used_up_rate_keeps_the_replicas_and_never_reverses() -> None:
    # 9 added within the minute of which 4 are allowed: the limit of 5 lies below the present 10
    rules = behavior(up=Rules(policies=(pods(4),)))
    assert apply_limit(rules, 10, 12, history=History(ups=(ScaleEvent(9, NOW - 10),)))[0] == 10
    # and 9 removed of which 4 are allowed: the limit of 15 lies above
    rules = behavior(down=Rules(policies=(pods(4),)))
    assert apply_limit(rules, 10, 8, history=History(downs=(ScaleEvent(9, NOW - 10),))) == (10, "ScaleDownLimit")


def test_the_sentence_names_the_policy_and_where_it_counts_from() -> None:
    rules = behavior(up=Rules(policies=(pods(4), percent(10))))
    step = limit(rules, WIDE, current=10, wanted=500, history=History(ups=(ScaleEvent(3, NOW - 30),)), now=NOW)
    assert step == Step(11, "ScaleUpLimit", "500 is limited to 11 by scaleUp: 4 pods in 60 s, counted from 7")
    step = limit(
        behavior(down=Rules(select=SelectPolicy.DISABLED)), WIDE, current=10, wanted=1, history=History(), now=NOW
    )
    assert step.why == "1 is raised to 10 by scaleDown: selectPolicy is Disabled"


def test_an_enormous_policy_wraps_as_in_the_controller_and_blocks() -> None:
    # 10 + 2147483647 overflows int32 to a negative number, below the present count
    assert apply_limit(behavior(up=Rules(policies=(pods(2**31 - 1),))), 10, 12)[0] == 10


def test_scalings_are_remembered_only_as_long_as_a_policy_looks_back() -> None:
    rules = behavior(up=Rules(policies=(pods(4, 60), pods(9, 300))))
    history = History(ups=(ScaleEvent(1, NOW - 301), ScaleEvent(2, NOW - 300)))
    assert [e.change for e in record(rules, before=3, after=7, history=history, now=NOW).ups] == [2, 4]
    assert [e.change for e in record(rules, before=7, after=3, history=history, now=NOW).downs] == [4]
    assert record(None, before=3, after=7, history=history, now=NOW) is history
