"""What no recording may break: the judge as a function."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.rollout.explain import as_json
from adapter.rollout.judge import judge
from adapter.rollout.model.gates import Gates
from adapter.rollout.model.verdict import Said
from adapter.rollout.model.window import Arm, Counts, Window
from tests.rollout.judging import ERRORS, LIMIT, MARGIN, QUEUE, gates, window

ARMS = st.none() | st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda pair: (max(pair), min(pair)))
LIKELY = st.tuples(st.integers(0, 300), st.sampled_from([0, 0, 0, 1, 2, 5, 60])).map(lambda p: (p[0], min(p)))
GAUGES = st.tuples(st.none() | st.floats(0, 10), st.none() | st.floats(0, 10))


@st.composite
def recordings(draw: Callable[..., Any], most: int = 25) -> list[Window]:
    parts = draw(st.lists(st.tuples(ARMS | LIKELY, ARMS | LIKELY, GAUGES), min_size=1, max_size=most))
    return [
        window(index, stable=stable, canary=canary, queue=queue) for index, (stable, canary, queue) in enumerate(parts)
    ]


def decide(policy: Gates, windows: list[Window]) -> Said:
    return judge(policy, windows).verdict.said


@given(recordings())
def test_the_order_of_the_gates_does_not_matter(windows: list[Window]) -> None:
    raw = [ERRORS, {**LIMIT, "name": "limit"}, QUEUE]
    one, other = judge(gates(*raw), windows), judge(gates(*raw[::-1]), windows)
    assert one.verdict.said is other.verdict.said
    assert as_json(one)["gates"] == as_json(other)["gates"][::-1]


@given(recordings())
def test_neighbours_count_only_by_their_number(windows: list[Window]) -> None:
    """What a gate says is the same beside any other gate."""
    beside_a_gauge = judge(gates(ERRORS, QUEUE), windows).gates[0]
    beside_a_silent_one = judge(gates(ERRORS, {**MARGIN, "name": "other", "metric": "nobody"}), windows).gates[0]
    assert beside_a_gauge == beside_a_silent_one


@given(recordings())
def test_more_gates_make_no_rollback_of_one_gate_easier(windows: list[Window]) -> None:
    one, two = gates(ERRORS), gates(ERRORS, QUEUE)
    if decide(one, windows) is Said.ROLLBACK:  # no more is heard then
        return
    alone, beside = judge(one, windows).gates[0], judge(two, windows).gates[0]
    assert beside.against == alone.against or decide(two, windows) is Said.ROLLBACK
    assert beside.against_bar == pytest.approx(2 * alone.against_bar)


@given(recordings(), st.data())
@settings(max_examples=200)
def test_more_bad_requests_of_the_canary_never_turn_a_rollback_into_promotion(windows: list[Window], data: Any) -> None:
    policy = gates(data.draw(st.sampled_from([ERRORS, LIMIT, MARGIN])))
    if decide(policy, windows) is not Said.ROLLBACK:
        return
    worse = []
    for each in windows:
        arms = each.metrics["errors"]
        canary = arms.get(Arm.CANARY)
        if isinstance(canary, Counts):
            moved = data.draw(st.integers(0, int(canary.good)))
            arms = {**arms, Arm.CANARY: Counts(canary.good - moved, canary.bad + moved)}
        worse.append(replace(each, metrics={**each.metrics, "errors": arms}))
    assert decide(policy, worse) is not Said.PROMOTE


@given(recordings(), recordings(10))
def test_a_rollback_stays_whatever_comes_after(windows: list[Window], after: list[Window]) -> None:
    policy = gates(ERRORS, QUEUE)
    if decide(policy, windows) is Said.ROLLBACK:
        late = [replace(each, time=each.time + 1e6) for each in after]
        assert decide(policy, windows + late) is Said.ROLLBACK


@given(recordings(), st.floats(-1e6, 1e8))
def test_the_hour_does_not_matter(windows: list[Window], shift: float) -> None:
    policy = gates(ERRORS, QUEUE)
    moved = [replace(each, time=each.time + round(shift)) for each in windows]
    assert as_json(judge(policy, windows)) == as_json(judge(policy, moved))


@given(recordings())
def test_windows_without_evidence_change_nothing_but_the_clocks(windows: list[Window]) -> None:
    """Empty windows between the others, no time passing for the rules."""
    policy = gates(ERRORS, QUEUE)
    mixed = [each for one in windows for each in (one, replace(one, time=one.time + 1, metrics={}, health={}))]
    one, other = judge(policy, windows), judge(policy, mixed)
    for before, after in zip(one.gates, other.gates, strict=True):
        assert after.against == before.against
        assert after.in_favour == before.in_favour
