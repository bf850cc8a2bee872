"""The gates of a policy: typed values, or a sentence with the field's path for each thing that is wrong."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout.model.gates import (
    MOST_BYTES,
    MOST_GATES,
    MOST_PROBLEMS,
    GatesError,
    Kind,
    Scope,
    Then,
    Timeout,
    Worse,
    parse,
    read,
)
from adapter.rollout.model.policy import RolloutPolicy, fitting_gates, in_force
from adapter.rollout.model.remembered import readable
from adapter.rollout.model.status import Phase
from adapter.rollout.model.verdict import Stage
from tests.rollout.judging import ERRORS, LIMIT, MARGIN, QUEUE, gates

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def problems(*raw: dict[Any, Any], **top: dict[Any, Any]) -> list[str]:
    return read({"gates": list(raw), **top})[1]


def test_a_gate_has_its_fields_and_the_defaults_of_the_others() -> None:
    (gate,) = gates(ERRORS).gates
    assert (gate.name, gate.metric, gate.total, gate.kind) == ("errors", "errors", "requests", Kind.EVENTS)
    assert (gate.limit, gate.margin, gate.share, gate.scope, gate.stage) == (0.01, 0.5, 1, Scope.RELEASE, Stage.CANARY)
    assert gate.on_undecided == Timeout(after_seconds=3600, then=Then.HOLD)
    assert gate.no_evidence == Timeout(after_seconds=600, then=Then.HOLD)


def test_rules_of_time_and_a_gauges_direction_are_read() -> None:
    (gate,) = gates(
        {
            **QUEUE,
            "worse": "lower",
            "onUndecided": {"afterSeconds": 60, "then": "promote"},
            "noEvidence": {"then": "rollback"},
        }
    ).gates
    assert (gate.kind, gate.worse) == (Kind.GAUGE, Worse.LOWER)
    assert gate.on_undecided == Timeout(after_seconds=60, then=Then.PROMOTE)
    assert gate.no_evidence == Timeout(after_seconds=600, then=Then.ROLLBACK)


def test_a_gate_without_a_name_has_its_metrics() -> None:
    assert gates({"metric": "http_errors_total", "total": "all", "limit": 0.1}).gates[0].name == "http-errors-total"


def test_alpha_is_shared_equally_or_by_shares() -> None:
    """Of 0.05: two gates need 2 / 0.05 = 40; with shares 3 and 1 they need 4/3 / 0.05 = 26.7 and 4 / 0.05 = 80."""
    two = gates(ERRORS, QUEUE)
    assert [two.bar(gate) for gate in two.gates] == pytest.approx([40, 40])
    unequal = gates({**ERRORS, "share": 3}, QUEUE, alpha=0.05)
    assert [unequal.bar(gate) for gate in unequal.gates] == pytest.approx([26.667, 80], rel=1e-4)


def test_gates_of_blue_green_are_asked_after_the_switch_unless_they_say_before() -> None:
    policy = gates(LIMIT, {**LIMIT, "name": "probes", "stage": "pre"}, strategy="blueGreen")
    assert [gate.name for gate in policy.of(Stage.POST)] == ["errors"]
    assert [gate.name for gate in policy.of(Stage.PRE)] == ["probes"]


@pytest.mark.parametrize(
    ("changed", "where", "right"),
    [
        ({"metric": None}, "spec.gates[0].metric: missing", "http_requests_failed"),
        ({"metric": "white space"}, "spec.gates[0].metric: 'white space'", "a metric's name"),
        ({"metric": 5}, "spec.gates[0].metric: 5", "a metric's name"),
        ({"name": "Upper"}, "spec.gates[0].name: 'Upper'", "lower-case"),
        ({"kind": "histogram"}, "spec.gates[0].kind: 'histogram'", "events, gauge"),
        ({"kind": ["events"]}, "spec.gates[0].kind: a list", "events, gauge"),
        ({"total": None}, "spec.gates[0].total: missing", "counter of all requests"),
        ({"total": "errors"}, "spec.gates[0].total: 'errors'", "counter of all requests"),
        ({"limit": 0}, "spec.gates[0].limit: 0", "right would be a number between 0 and 1"),
        ({"limit": 1}, "spec.gates[0].limit: 1", "right would be a number between 0 and 1"),
        ({"limit": "1%"}, "spec.gates[0].limit: '1%' is no number", "right would be a number between 0 and 1"),
        ({"kind": "gauge", "total": None, "limit": "5"}, "spec.gates[0].limit: '5'", "right would be a number"),
        ({"limit": True}, "spec.gates[0].limit: True", "no number"),
        ({"limit": float("nan")}, "spec.gates[0].limit: nan", "no number"),
        ({"limit": 10**400}, "spec.gates[0].limit: ", "no number"),
        ({"margin": -0.1}, "spec.gates[0].margin: -0.1", "from 0 to 100"),
        ({"limit": None, "margin": None}, "spec.gates[0]: neither", "one of them"),
        ({"worse": "higher"}, "spec.gates[0].worse", "only gauges"),
        ({"share": 0}, "spec.gates[0].share: 0", "from 0.01 to 100"),
        ({"scope": "all"}, "spec.gates[0].scope: 'all'", "release, step"),
        ({"stage": "post"}, "spec.gates[0].stage: post", "canary"),
        ({"onUndecided": "hold"}, "spec.gates[0].onUndecided: 'hold'", "afterSeconds: 600"),
        ({"onUndecided": {"afterSeconds": 1.5}}, "spec.gates[0].onUndecided.afterSeconds: 1.5", "from 1 to 604800"),
        ({"onUndecided": {"after": 5}}, "spec.gates[0].onUndecided.after", "afterSeconds, then"),
        ({"noEvidence": {"afterSeconds": 0}}, "spec.gates[0].noEvidence.afterSeconds: 0", "from 1 to 604800"),
        ({"noEvidence": {"then": "pass"}}, "spec.gates[0].noEvidence.then: 'pass'", "hold, rollback, promote"),
        ({"threshold": 1}, "spec.gates[0].threshold: no such field", "onUndecided"),
    ],
)
def test_each_problem_names_the_field_and_what_would_be_right(changed: dict[Any, Any], where: str, right: str) -> None:
    raw = {key: value for key, value in {**ERRORS, **changed}.items() if value is not None}
    (problem,) = problems(raw)
    assert problem.startswith(where)
    assert right in problem


@pytest.mark.parametrize("field", ["worse", "query", "scope", "onUndecided", "name"])
def test_null_is_as_nothing(field: str) -> None:
    assert problems({**ERRORS, field: None}) == []
    assert (
        problems({"name": "q", "limit": 0.1, "query": {"bad": "a", "total": "b"}, "metric": None, "total": None}) == []
    )


def test_no_gate_is_no_problem_however_it_is_written() -> None:
    specs: list[dict[str, Any]] = [{}, {"gates": None}, {"gates": []}]
    assert [read(spec)[1] for spec in specs] == [[], [], []]


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({**ERRORS}, "spec.gates[0].margin: blue-green has no stable pods"),
        ({**LIMIT, "scope": "step"}, "spec.gates[0].scope: blue-green has no steps"),
        ({**LIMIT, "stage": "canary"}, "spec.gates[0].stage: canary is no stage"),
    ],
)
def test_blue_green_refuses_what_needs_concurrent_traffic(raw: dict[str, Any], where: str) -> None:
    (problem,) = problems(raw, blueGreen={})
    assert problem.startswith(where)


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        (None, "spec: nothing is no mapping"),
        ([], "spec: a list is no mapping"),
        ({"gates": {}}, "spec.gates: a mapping is no list"),
        ({"gates": [5]}, "spec.gates[0]: 5 is no mapping"),
        ({"alpha": 0}, "spec.alpha: 0 is out of range"),
        ({"alpha": "5%"}, "spec.alpha: '5%' is no number"),
        ({"gates": [LIMIT] * (MOST_GATES + 1)}, "spec.gates: there are 17 gates"),
        ({"gates": [{**LIMIT, "metric": "m" * MOST_BYTES}]}, "spec.gates: the gates take more than"),
        ({"gates": [LIMIT, LIMIT]}, "spec.gates: 2 gates are named 'errors'"),
        ({"gates": [LIMIT, {**MARGIN, "name": "b", "total": "other"}]}, "spec.gates: gates on 'errors' differ"),
    ],
)
def test_problems_of_the_whole_name_it(spec: Any, where: str) -> None:
    (problem,) = read(spec)[1]
    assert problem.startswith(where)


def test_a_lower_gauge_may_not_fall_to_nothing() -> None:
    (problem,) = problems({**QUEUE, "worse": "lower", "margin": 1})
    assert problem.startswith("spec.gates[0].margin: 1 lets a gauge")


def test_the_error_carries_every_problem() -> None:
    with pytest.raises(GatesError) as caught:
        parse({"gates": [{**LIMIT, "kind": "x"}, {**LIMIT, "limit": 7}]})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "spec.gates[0].kind",
        "spec.gates[1].limit",
        "spec.gates",
    ]


def test_the_other_gates_are_read_beside_a_bad_one() -> None:
    policy, said = read({"gates": [{**LIMIT, "kind": "x"}, QUEUE]})
    assert [gate.name for gate in policy.gates] == ["errors", "queue"]
    assert len(said) == 1


def test_problems_are_listed_up_to_a_bound() -> None:
    many = [{f"field{index}": 1 for index in range(20)}] * 4
    said = problems(*many)
    assert len(said) == MOST_PROBLEMS + 1
    assert said[-1].endswith("more problems are not listed")


@given(st.dictionaries(st.sampled_from(["gates", "alpha", "blueGreen", "canary"]), PLAIN) | PLAIN)
def test_nothing_but_sentences_comes_of_rubbish(spec: Any) -> None:
    _, said = read(spec)
    assert all(problem.startswith("spec") and "\n" not in problem for problem in said)


@given(st.dictionaries(st.sampled_from([*ERRORS, "kind", "worse", "share", "scope", "stage", "onUndecided"]), PLAIN))
def test_a_rubbish_gate_is_a_problem_or_a_gate_within_bounds(raw: dict[Any, Any]) -> None:
    policy, said = read({"gates": [raw]})
    json.dumps(said)
    if not said:
        (gate,) = policy.gates
        assert gate.limit is not None or gate.margin is not None
        assert 0 < policy.alpha < 1
        assert policy.bar(gate) >= 1


def in_mid_release(given: list[dict[Any, Any]], kept: object) -> dict[str, Any]:
    """A policy that was edited to a canary with gates `given` while its release is a blue-green that keeps `kept`."""
    release = {"strategy": {"blueGreen": {}}, "gates": kept}
    spec = {"targetRef": {"name": "web"}, "canary": {"steps": [{"weight": 10}]}, "gates": given}
    return {"spec": spec, "status": {"phase": Phase.VERIFYING, "release": release}}


KEPT = json.dumps([LIMIT])


class TestInMidRelease:
    @pytest.mark.parametrize(
        ("given", "used"),
        [([MARGIN], [LIMIT]), ([{**LIMIT, "limit": 0.5}], [{**LIMIT, "limit": 0.5}]), ([], [])],
        ids=["that do not fit", "that fit", "none"],
    )
    def test_gates_that_fit_the_release_count_at_once_and_others_are_for_the_next_one(
        self, given: Any, used: Any
    ) -> None:
        assert in_force(in_mid_release(given, KEPT))["spec"]["gates"] == used

    def test_a_release_that_began_without_gates_goes_on_without(self) -> None:
        assert in_force(in_mid_release([MARGIN], "[]"))["spec"]["gates"] == []

    @pytest.mark.parametrize("kept", ["", None, 5, "[", "[5]", "[" * 100_000, '"a"'], ids=str)
    def test_where_none_can_be_read_the_present_ones_are_told_of(self, kept: object) -> None:
        """A status of an older build has none."""
        spec = in_force(in_mid_release([MARGIN], kept))["spec"]
        assert spec["gates"] == [MARGIN]
        assert "blue-green has no stable pods" in read(spec)[1][0]

    def test_what_is_kept_is_read_as_it_was_and_numbers_of_any_size_spoil_no_status(self) -> None:
        """2^60 is more than a whole number in the status may be."""
        gate = {"metric": "queue", "kind": "gauge", "limit": 1 << 60}
        kept = fitting_gates(msgspec.convert({"spec": {"blueGreen": {}, "gates": [gate]}}, RolloutPolicy))
        raw, lost = readable(in_mid_release([MARGIN], kept))
        assert (in_force(raw)["spec"]["gates"], lost) == ([gate], "")

    def test_what_does_not_fit_is_not_kept(self) -> None:
        assert fitting_gates(msgspec.convert({"spec": {"blueGreen": {}, "gates": [MARGIN]}}, RolloutPolicy)) == ""
