"""A RolloutPolicy on the page."""

from adapter.console import releases
from adapter.rollout.evidence.record import begin, dump
from adapter.rollout.explain import Outcome
from adapter.rollout.model.gates import parse
from adapter.rollout.model.verdict import Stage
from tests.console.conftest import STEPPING, condition, policy, policy_json

GATE = {"name": "errors", "metric": "errors", "total": "requests", "limit": 0.01}


def test_a_release_under_way_has_its_step_its_weight_and_what_came_before() -> None:
    view = policy(status=STEPPING)
    assert (view.strategy, view.phase, view.weights) == ("canary", "Stepping", (5, 25, 100))
    assert (view.progress.number, view.progress.step, view.progress.weight) == (7, 1, 25)
    assert [past.number for past in view.history] == [6, 5]
    assert not view.is_bad


def test_evidence_is_told_gate_by_gate_as_the_judge_tells_it() -> None:
    raw = policy_json(status=STEPPING, gates=[GATE])
    asked = parse(raw["spec"]).of(Stage.CANARY)
    raw["status"] = STEPPING | {"evidence": dump(begin(asked))}
    (gate,) = releases.view(raw).gates
    assert gate.name == "errors"
    assert gate.outcome is not Outcome.PASSED
    assert gate.against < gate.against_bar


def test_evidence_of_another_build_is_named_and_the_rest_is_shown() -> None:
    view = releases.view(policy_json(status=STEPPING | {"evidence": {"shape": 99, "gates": []}}, gates=[GATE]))
    assert view.problems == ("another build wrote it",)
    assert view.progress.weight == 25
    assert view.is_bad


def test_a_status_of_another_shape_is_named() -> None:
    view = policy(status={"phase": "Flying", "message": "x"})
    assert "status.phase has another shape" in view.problems[0]
    assert view.name == "web"


def test_a_policy_that_cannot_be_read_is_shown_by_its_name() -> None:
    view = policy(targetRef="web")
    assert view.name == "web"
    assert view.problems[0].startswith("the policy cannot be read: ")
    assert releases.view({"metadata": {"name": 3}, "spec": 5}) is None


def test_one_that_is_stuck_or_refused_is_to_be_looked_at() -> None:
    stuck = {"phase": "Idle", "conditions": [condition("Stuck", "True", "NoProgress", "no pod is ready")]}
    assert policy(status=stuck).is_bad
    assert policy(status={"phase": "Idle", "refused": "abc"}).is_bad
    assert not policy(status={"phase": "Idle"}).is_bad
