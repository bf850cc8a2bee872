"""What `lint` says of a policy but for its gates, and that the API server's definition says the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout.model import shape
from adapter.rollout.outside import MOST_URL
from tests.rollout.test_rollout_gates_crd import SPEC, replace_field

CANARY: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {
        "targetRef": {"name": "web"},
        "canary": {"steps": [{"weight": 10, "pauseSeconds": 5}, {"weight": 50, "manual": True}]},
    },
}
BLUE_GREEN: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "blueGreen": {"previewService": "web-next", "previewSeconds": 0, "manual": False},
        "settleSeconds": 0,
        "progressDeadlineSeconds": 10,
        "allowParallel": True,
        "triggers": {"configMaps": ["a"], "secrets": []},
        "notifications": [
            {"url": "https://chat/hook?x=1", "format": "slack", "reasons": ["Promoted"]},
            {"urlFrom": {"secret": "chat", "key": "url"}, "tokenFrom": {"secret": "chat", "key": "token"}},
        ],
    },
}
ROUTE = {"httpRoute": {"name": "r", "service": "web"}}


OF_META = {"name": "a.b-c", "namespace": "shop", "labels": {"a": "b"}, "annotations": {"a": "5", "b": None}}


@pytest.mark.parametrize(
    "policy",
    [
        CANARY,
        BLUE_GREEN,
        replace_field(CANARY, "spec.canary.traffic", ROUTE),
        replace_field(CANARY, "metadata", OF_META),
    ],
)
def test_a_good_policy_has_no_problem(policy: dict[str, Any]) -> None:
    assert shape.problems(policy) == []


@pytest.mark.parametrize(
    ("policy", "path", "value", "words"),
    [
        (CANARY, "metadata.name", None, "missing"),
        (CANARY, "metadata.name", "n" * 64, "at most 63"),
        (CANARY, "metadata.name", "Web App", "'Web App' is no good; right would be at most 63 lower-case letters"),
        (CANARY, "metadata.name", "a/b", "'a/b' is no good"),
        (CANARY, "metadata.name", "a..b", "'a..b' is no good"),
        (CANARY, "metadata.name", 5, "5 is no good"),
        (
            CANARY,
            "metadata.namespace",
            5,
            "5 is no good; right would be at most 63 lower-case letters, digits and hyphens",
        ),
        (CANARY, "metadata.namespace", "a.b", "'a.b' is no good"),
        (CANARY, "metadata.labels", ["a"], "a list is no mapping"),
        (CANARY, "metadata.annotations", {"on": True}, "on: True is no text; right would be one, in quotes"),
        (CANARY, "spec", None, "missing"),
        (CANARY, "spec", [], "a list is no mapping"),
        (CANARY, "spec.replicas", 5, "no such field"),
        (CANARY, "spec.targetRef", None, "missing"),
        (CANARY, "spec.targetRef.name", None, "missing"),
        (CANARY, "spec.targetRef.kind", "StatefulSet", "right would be Deployment"),
        (CANARY, "spec.targetRef.apiVersion", "v1", "right would be apps/v1"),
        (CANARY, "spec.settleSeconds", 3601, "from 0 to 3600"),
        (CANARY, "spec.settleSeconds", "5s", "no whole number"),
        (CANARY, "spec.settleSeconds", 1.5, "no whole number"),
        (CANARY, "spec.progressDeadlineSeconds", 9, "from 10 to 604800"),
        (CANARY, "spec.allowParallel", "yes", "'yes' is no switch; right would be true or false"),
        (CANARY, "spec.triggers", {"configMaps": "a"}, "'a'; right would be a list of 0 to 16, each a name"),
        (CANARY, "spec.canary", None, "exactly one of blueGreen, canary and rolling"),
        (CANARY, "spec.blueGreen", {}, "exactly one of blueGreen, canary and rolling"),
        (CANARY, "spec.canary.steps", [], "0 entries"),
        (CANARY, "spec.canary.steps", [{"weight": 1}] * 21, "21 entries"),
        (CANARY, "spec.canary.steps[0]", 5, "5 is no mapping"),
        (CANARY, "spec.canary.steps[0].weight", None, "missing"),
        (CANARY, "spec.canary.steps[1].weight", 101, "from 1 to 100"),
        (CANARY, "spec.canary.steps[1].weight", 0, "from 1 to 100"),
        (CANARY, "spec.canary.steps[1].weight", True, "no whole number"),
        (CANARY, "spec.canary.steps[1].weight", 10, "rise from step to step"),
        (CANARY, "spec.canary.steps[1].weight", 51, "at most 50 percent"),
        (CANARY, "spec.canary.steps[0].pauseSeconds", -1, "from 0 to 604800"),
        (CANARY, "spec.canary.steps[0].duration", 5, "no such field"),
        (CANARY, "spec.canary.traffic", {**ROUTE, "nginx": ROUTE["httpRoute"]}, "exclude each other"),
        (CANARY, "spec.canary.traffic", {"httpRoute": {"name": "r"}}, "service: missing"),
        (BLUE_GREEN, "spec.blueGreen.steps", [], "no such field"),
        (BLUE_GREEN, "spec.blueGreen.verifySeconds", 1e9, "from 0 to 604800"),
        (BLUE_GREEN, "spec.triggers.secrets", [5], "5 is no good; right would be a name of 1 to 253 characters"),
        (CANARY, "spec.notifications", {}, "a mapping; right would be a list of receivers"),
        (CANARY, "spec.notifications", [{"url": "http://a"}] * 5, "5 entries"),
        (BLUE_GREEN, "spec.notifications[0].url", None, "exactly one of url and urlFrom"),
        (BLUE_GREEN, "spec.notifications[1].url", "http://a", "exactly one of url and urlFrom"),
        (BLUE_GREEN, "spec.notifications[0].url", "ftp://a", "right would be https://host/path"),
        (BLUE_GREEN, "spec.notifications[0].url", "http://user@a/", "right would be https://host/path"),
        (BLUE_GREEN, "spec.notifications[0].url", "http://a/ b", "right would be https://host/path"),
        (BLUE_GREEN, "spec.notifications[0].url", "http://" + "a" * 2048, "right would be https://host/path"),
        (BLUE_GREEN, "spec.notifications[0].format", "teams", "right would be webhook or slack"),
        (BLUE_GREEN, "spec.notifications[0].reasons", ["a"] * 33, "33 entries; right would be a list of 0 to 32"),
        (BLUE_GREEN, "spec.notifications[1].urlFrom.key", None, "missing"),
        (BLUE_GREEN, "spec.notifications[1].tokenFrom.token", "x", "no such field"),
    ],
)
def test_each_problem_names_the_field_and_what_would_be_right(
    policy: dict[str, Any], path: str, value: Any, words: str
) -> None:
    (problem,) = shape.problems(replace_field(policy, path, value))
    assert words in problem
    field = path.rsplit(".", 1)[0] if "no such" not in words else path
    assert problem.startswith(field.removesuffix(".blueGreen"))


def test_the_fields_and_bounds_are_those_of_the_definition() -> None:
    assert set(SPEC) == set(shape.SPEC)
    blue_green, canary = SPEC["blueGreen"]["properties"], SPEC["canary"]["properties"]
    steps = canary["steps"]
    step = steps["items"]["properties"]
    assert set(blue_green) == set(shape.BLUE_GREEN)
    assert set(canary) == {"steps", "traffic"}
    assert set(step) == set(shape.STEP)
    assert SPEC["rolling"]["properties"] == {"steps": steps}
    assert (steps["minItems"], steps["maxItems"]) == (1, shape.MOST_STEPS)
    assert (step["weight"]["minimum"], step["weight"]["maximum"]) == (1, 100)
    assert {each["maxItems"] for each in SPEC["triggers"]["properties"].values()} == {shape.MOST_TRIGGERS}
    receivers = SPEC["notifications"]
    receiver = receivers["items"]["properties"]
    assert set(receiver) == set(shape.RECEIVER)
    assert (receivers["maxItems"], receiver["reasons"]["maxItems"]) == (shape.MOST_RECEIVERS, shape.MOST_REASONS)
    assert receiver["url"]["maxLength"] == MOST_URL
    for field, bounds in shape.SECONDS.items():
        (schema,) = (where[field] for where in (SPEC, blue_green, step) if field in where)
        assert (schema["minimum"], schema["maximum"]) == bounds, field


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*shape.SPEC, "steps"]), inner),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {}, optional={"metadata": PLAIN, "spec": PLAIN | st.dictionaries(st.sampled_from(shape.SPEC), PLAIN)}
    )
)
def test_nothing_but_sentences_comes_of_rubbish(policy: dict[str, Any]) -> None:
    assert all("\n" not in problem for problem in shape.problems(policy))
