"""`import`: Argo Rollouts' and Flagger's objects become policies that lint and the API server take."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.rollout.__main__ import main
from adapter.rollout.cli.lint import gate_problems
from adapter.rollout.foreign import condition
from adapter.rollout.foreign.condition import Bound
from adapter.rollout.foreign.findings import MOST
from adapter.rollout.foreign.read import read
from adapter.rollout.foreign.write import documents
from adapter.rollout.model import shape
from adapter.units.manifest import MOST_BYTES, values
from tests.rollout.theirs import (
    ROOT,
    SAMPLES,
    Object,
    canary,
    gate,
    gate_from,
    metric,
    of,
    rollout,
    sentences_about,
    strategy_with_analysis,
    template,
)

# ---- samples


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_becomes_what_is_written_beside_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == path.with_suffix(".out").read_text()
    assert err.replace(str(path), path.name) == path.with_suffix(".err").read_text()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_what_comes_of_a_sample_passes_lint_and_the_definition(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["import", str(path)])
    file = tmp_path / "ours.yaml"
    file.write_text(capsys.readouterr().out)
    code = main(["lint", str(file), "--output=json"])
    told = json.loads(capsys.readouterr().out)
    problems = [problem for each in told.get("policies", [told]) for problem in each["problems"]]
    assert (code, problems) == (0, [])
    each: Any
    for each in values(file.read_bytes(), "ours"):
        if each["kind"] == "RolloutPolicy":
            jsonschema.validate(each, schema())


def schema() -> Object:
    """The definition's, and no field that is not in it, as `kubectl apply --validate=strict` has it."""
    definition = yaml.safe_load((ROOT / "manifests" / "crds" / "rolloutpolicy.yaml").read_text())
    return forbid_unknown_fields(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], top=True)


def forbid_unknown_fields(node: Any, *, top: bool = False) -> Any:
    if isinstance(node, dict):
        mapping = {key: forbid_unknown_fields(value) for key, value in node.items()}
        return mapping if top or "properties" not in node else mapping | {"additionalProperties": False}
    return [forbid_unknown_fields(each) for each in node] if isinstance(node, list) else node


def test_json_has_objects_and_findings_with_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(SAMPLES[0])
    assert main(["import", path, "-o", "json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert err == ""
    assert {each["kind"] for each in told["objects"]} <= {"Deployment", "RolloutPolicy"}
    assert {"file", "document", "kind", "name", "field", "says", "instead"} == set(told["findings"][0])
    assert told["findings"][0]["file"] == path


@pytest.mark.parametrize("text", ["", "kind: Service\n", "a: ["])
def test_a_file_that_cannot_be_used_is_a_problem_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "none.yaml"
    file.write_text(text)
    assert main(["import", str(file), "-o", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["objects"], told["findings"], told["more"], len(told["problems"])) == ([], [], 0, 1)
    assert told["problems"][0].startswith(str(file))


def test_a_file_without_a_release_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none.yaml"
    file.write_text("kind: Service\n")
    assert main(["import", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "right would be a Rollout of argoproj.io or a Canary of flagger.app" in err
    assert main(["import", str(tmp_path / "missing.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


# ---- nothing is dropped in silence


def test_of_more_findings_than_are_kept_the_number_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd: Object = {f"odd{number}": 1 for number in range(MOST + 7)}
    conversion = of(rollout(**odd))
    assert len(conversion.findings) == MOST
    assert conversion.more > 0
    assert conversion.policies
    file = tmp_path / "odd.yaml"
    file.write_text(yaml.safe_dump(rollout(**odd)))
    assert main(["import", str(file)]) == 0
    assert f"{conversion.more} more findings are not listed" in capsys.readouterr().err


# ---- queries


GOOD, ALL = 'sum(rate(hits_total{code!~"5.."}[1m]))', "sum(rate(hits_total[1m]))"
BAD = 'sum(rate(hits_total{code=~"5.."}[1m]))'
COUNTED_ALL = 'sum(increase(hits_total{pod=~"{{pods}}"}[{{window}}]))'
COUNTED_BAD = 'sum(increase(hits_total{code=~"5..",pod=~"{{pods}}"}[{{window}}]))'
COUNTED_GOOD = 'sum(increase(hits_total{code!~"5..",pod=~"{{pods}}"}[{{window}}]))'
REST = f"clamp_min({COUNTED_ALL} - ({COUNTED_GOOD} or vector(0)), 0)"


@pytest.mark.parametrize(
    ("query", "success", "bad", "limit"),
    [
        (f"{BAD} / {ALL}", "result[0] <= 0.02", COUNTED_BAD, 0.02),
        (f"{BAD} / {ALL} * 100", "result[0] < 2", COUNTED_BAD, 0.02),
        (f"100 * ({BAD} / {ALL})", "result[0] < 2", COUNTED_BAD, 0.02),
        (f"({BAD}) / ({ALL})", "0.02 > result[0]", COUNTED_BAD, 0.02),
        (f"{GOOD} / {ALL}", "result[0] >= 0.98", REST, 0.02),  # 1 - 0.98
        (f"{GOOD} / {ALL} * 100", "result[0] >= 98", REST, 0.02),
        (f"1 - {GOOD} / {ALL}", "result[0] <= 0.02", REST, 0.02),
        (f"100 - {GOOD} / {ALL} * 100", "result[0] <= 2", REST, 0.02),
        (f"1 - {BAD} / {ALL}", "result[0] >= 0.98", COUNTED_BAD, 0.02),
    ],
)
def test_a_share_of_requests_is_counted_request_by_request(query: str, success: str, bad: str, limit: float) -> None:
    made = gate_from(query, success)
    assert (made["kind"], made["limit"]) == ("events", limit)
    assert made["query"] == {"bad": bad, "total": COUNTED_ALL, "windowSeconds": 60}


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(time_seconds_sum[1m])) / sum(rate(time_seconds_count[1m]))",  # a mean duration
        "sum(rate(hits_bucket[1m])) / sum(rate(hits_count[1m]))",  # a request is in many buckets
        f"{BAD} / {GOOD}",  # the one is not among the other
        f"avg(rate(hits_total[1m])) / {ALL}",
        f"sum by (a) (rate(hits_total[1m])) / {ALL}",
        f"{BAD} / {ALL} + 0.1",
        f"{BAD} / ({ALL} * 0)",
        f"{BAD} / {ALL} > bool 1",
        f"{BAD} / on () {ALL}",
        "max(queue)",
    ],
)
def test_any_other_query_is_a_gauge(query: str) -> None:
    made = gate_from(query, "result[0] < 0.5")
    assert (made["kind"], made["limit"]) == ("gauge", 0.5)
    assert "worse" not in made
    assert 'pod=~"{{pods}}"' in made["query"]["value"]


def test_the_requests_of_a_bucket_are_a_share_of_all() -> None:
    made = gate_from('sum(rate(t_bucket{le="0.5"}[5m])) / sum(rate(t_count[5m]))', "result[0] >= 0.9")
    assert (made["kind"], made["limit"], made["query"]["windowSeconds"]) == ("events", 0.1, 300)


@pytest.mark.parametrize(
    ("success", "limit"), [("result[0] >= 1", 0.001), ("result[0] > 0.999", 0.001), ("result[0] >= 0.5", 0.5)]
)
def test_a_limit_of_nothing_becomes_one_that_can_be_shown(success: str, limit: float) -> None:
    conversion = of(rollout(strategy_with_analysis()), template(metric(f"{GOOD} / {ALL}", success)))
    assert conversion.policies[0]["spec"]["gates"][0]["limit"] == limit
    assert any("none bad at all cannot be shown" in each.says for each in conversion.findings) == ("1" in success[-1:])


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("q{a='{{args.unknown}}'}", "the argument unknown has no value"),
        ("q{a='{{ 1 + 1 }}'}", "an argument that cannot be read"),
        ("q{", "the query is no PromQL"),
        ("", "the query is no PromQL"),
        ("q offset 5m", "offset and @ are not asked"),
        ("vector(1)", "it reads the same for both arms"),
        ("q" * 3000, "it has more than 2000 characters"),
    ],
)
def test_a_query_that_cannot_be_asked_is_left_out_with_the_reason(query: str, why: str) -> None:
    conversion = of(rollout(strategy_with_analysis()), template(metric(query)))
    assert "gates" not in conversion.policies[0]["spec"]
    assert any(why in each for each in sentences_about(conversion, "spec.metrics[0].provider.prometheus.query")), (
        conversion.findings
    )


def test_arguments_that_would_make_a_query_endless_are_refused_before_they_do() -> None:
    args = [{"name": "a", "value": "{{args.a}}" * 200 + "x" * 100_000}]
    conversion = of(rollout(strategy_with_analysis()), template(metric("q{a='" + "{{args.a}}" * 180 + "'}"), args=args))
    assert any(
        "with its arguments" in each
        for each in sentences_about(conversion, "spec.metrics[0].provider.prometheus.query")
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [("metadata.name", "web"), ("metadata.namespace", "shop"), ("metadata.labels['tier']", "front")],
)
def test_an_argument_may_be_a_field_of_the_rollouts_metadata(path: str, value: str) -> None:
    strategy = strategy_with_analysis()
    strategy["canary"]["analysis"]["args"] = [{"name": "x", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    of_it = rollout(strategy)
    of_it["metadata"]["labels"] = {"tier": "front"}
    assert f'x="{value}"' in gate(of_it, template(metric("q{x='{{args.x}}'}")))["query"]["value"]


# ---- conditions


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("result[0] >= 0.95", [Bound(0.95, True)]),
        ("result<=5", [Bound(5, False)]),
        ("0.95 <= result[0]", [Bound(0.95, True)]),
        ("default(result[0], 0) < 3", [Bound(3, False)]),
        ("asFloat(result[0]) > 3", [Bound(3, True)]),
        ("(result[0] > 1) && (result[0] < 9)", [Bound(1, True), Bound(9, False)]),
        ("isNaN(result[0]) || result[0] >= 0.9", [Bound(0.9, True)]),
        ("len(result) > 0 && result[0] >= 0.9", [Bound(0.9, True)]),
        ("result[0] == 0", [Bound(0, False)]),
    ],
)
def test_what_has_to_hold_is_read_as_bounds(text: str, bounds: list[Bound]) -> None:
    success = condition.success(text)
    assert success is not None
    assert list(success.bounds) == bounds


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("result[0] > 0.05", [Bound(0.05, False)]),
        ("result[0] < 1 || result[0] > 9", [Bound(1, True), Bound(9, False)]),
    ],
)
def test_what_must_not_hold_is_read_the_other_way_round(text: str, bounds: list[Bound]) -> None:
    failure = condition.failure(text)
    assert failure is not None
    assert list(failure.bounds) == bounds


@pytest.mark.parametrize(
    "text",
    [
        "", "true", "result",
        "result[1] > 3", "result[0] + 1 > 3", "result[0] > x", "result[0] == 3", "result[0] > 1e3",
        "result[0] > 1 || result[0] < 9", "result[0] > 1 && result[0] > 2", "a && b || c", "all(result, {# < 3})",
        "len(result) == 0", "result[0] > 3" + " " * 600, "(" * 400, "((result[0] > 3)",
    ],
)  # fmt: skip
def test_another_condition_is_not_guessed(text: str) -> None:
    assert condition.success(text) is None


@given(st.text(alphabet="()&|<>=!0123.- resultlenisNaN[],", max_size=120))
def test_no_text_breaks_the_reader_of_conditions(text: str) -> None:
    condition.success(text)
    condition.failure(text)


# ---- steps


def steps(*given: Object, **canary: Any) -> list[Any]:
    (policy,) = of(rollout({"canary": {"steps": list(given), **canary}})).policies
    return [
        (step["weight"], step["pauseSeconds"], step.get("manual", False)) for step in policy["spec"]["canary"]["steps"]
    ]


ROUTED = {
    "stableService": "web",
    "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}},
}


def test_pauses_belong_to_the_weight_before_them_and_add_up() -> None:
    canary_steps = steps(
        {"setWeight": 10}, {"pause": {"duration": "1m"}}, {"pause": {"duration": 30}}, {"setWeight": 30}, {"pause": {}}
    )
    assert canary_steps == [(10, 90, False), (30, 0, True)]  # 60 + 30


def test_by_the_ratio_of_pods_what_is_above_half_is_half() -> None:
    given: list[Object] = [
        {"setWeight": 40},
        {"setWeight": 60},
        {"pause": {"duration": 10}},
        {"setWeight": 80},
        {"pause": {"duration": 5}},
    ]
    assert steps(*given) == [(40, 0, False), (50, 15, False)]
    assert steps(*given, **ROUTED) == [(40, 0, False), (60, 10, False), (80, 5, False)]


def test_weights_that_do_not_rise_are_left_out_but_not_their_pauses() -> None:
    given: list[Object] = [{"setWeight": 30}, {"setWeight": 20}, {"pause": {"duration": 7}}, {"setWeight": 0}]
    assert steps(*given) == [(30, 7, False)]


def test_of_too_many_steps_the_first_and_the_last_are_kept() -> None:
    canary_steps = steps(*({"setWeight": weight} for weight in range(1, 41)))
    assert [weight for weight, _, _ in canary_steps] == [*range(1, 20), 40]


def test_an_analysis_in_a_step_gives_it_the_time_to_measure() -> None:
    """Four measurements, one every 20 s, are over 60 s after the first."""
    inner = {"templates": [{"templateName": "check"}]}
    strategy = {"canary": {"steps": [{"setWeight": 20}, {"analysis": inner}]}}
    (policy,) = of(rollout(strategy), template(metric(interval="20s", count=4))).policies
    assert policy["spec"]["canary"]["steps"] == [{"weight": 20, "pauseSeconds": 60}]
    assert len(policy["spec"]["gates"]) == 1


@given(
    st.lists(
        st.one_of(
            st.builds(lambda weight: {"setWeight": weight}, st.integers(-5, 130)),
            st.builds(lambda length: {"pause": {"duration": length}}, st.integers(-9, 10**7)),
            st.just({"pause": {}}),
            st.just({"experiment": {}}),
        ),
        max_size=40,
    ),
    st.booleans(),
)
@example([{"setWeight": 1}, {"pause": {"duration": -1}}], False)
def test_whatever_the_steps_are_the_policy_is_one_that_is_taken(given: list[Object], routed: bool) -> None:
    conversion = of(rollout({"canary": {"steps": given, **(ROUTED if routed else {})}}))
    (policy,) = conversion.policies
    assert shape.problems(policy) == []
    assert gate_problems(policy) == []


# ---- Flagger


@pytest.mark.parametrize(
    ("analysis", "weights"),
    [
        ({}, [10, 20, 30]),
        ({"stepWeights": [1, 5, 40], "stepWeight": None}, [1, 5, 40]),
        ({"stepWeight": 20, "maxWeight": 50}, [20, 40]),
        ({"stepWeight": 40, "maxWeight": 30}, [30]),
        ({"stepWeight": None, "maxWeight": None}, [50]),
    ],
)
def test_weights_rise_by_the_step_up_to_the_most(analysis: Object, weights: list[int]) -> None:
    (policy,) = of(canary(analysis)).policies
    canary_steps = policy["spec"]["canary"]["steps"]
    assert [step["weight"] for step in canary_steps] == weights
    assert {step["pauseSeconds"] for step in canary_steps} == {30}


@pytest.mark.parametrize(
    ("hook", "manual"), [("confirm-promotion", [0, 0, 1]), ("confirm-traffic-increase", [1, 1, 1])]
)
def test_who_had_to_say_yes_by_a_url_promotes_by_hand(hook: str, manual: list[int]) -> None:
    hooks = [{"name": "gate", "type": hook, "url": "http://gate.shop/"}]
    (policy,) = of(canary({"webhooks": hooks})).policies
    assert [int(step.get("manual", False)) for step in policy["spec"]["canary"]["steps"]] == manual


@pytest.mark.parametrize(
    ("provider", "bad"),
    [
        ("istio", 'istio_requests_total{reporter="destination",response_code=~"5.*",pod=~"{{pods}}"}'),
        ("linkerd", 'response_total{direction="inbound",classification="failure",pod=~"{{pods}}"}'),
        ("kubernetes", 'http_request_duration_seconds_count{status=~"5.*",pod=~"{{pods}}"}'),
        ("nginx", 'http_request_duration_seconds_count{status=~"5.*",pod=~"{{pods}}"}'),
    ],
)
def test_the_success_rate_is_a_share_of_bad_requests(provider: str, bad: str) -> None:
    """At least 97.5 % good are at most 2.5 % bad."""
    made = gate(
        canary({"metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 97.5}}]}, provider=provider)
    )
    assert (made["kind"], made["limit"]) == ("events", 0.025)
    assert made["query"]["bad"] == f"sum(increase({bad}[{{{{window}}}}]))"


@pytest.mark.parametrize(("provider", "limit"), [("istio", 250), ("kubernetes", 0.25)])
def test_the_duration_is_in_the_unit_of_the_metric(provider: str, limit: float) -> None:
    made = gate(canary({"metrics": [{"name": "request-duration", "thresholdRange": {"max": 250}}]}, provider=provider))
    assert (made["kind"], made["limit"]) == ("gauge", limit)
    assert made["query"]["value"].startswith("histogram_quantile(0.99, sum by (le) (rate(")


def test_a_range_of_two_ends_is_two_gates() -> None:
    metrics = [{"name": "Busy Workers", "query": "avg(busy)", "thresholdRange": {"min": 2, "max": 9}}]
    (policy,) = of(canary({"metrics": metrics})).policies
    low, high = policy["spec"]["gates"]
    assert (low["name"], low["limit"], low["worse"]) == ("busy-workers-min", 2, "lower")
    assert (high["name"], high["limit"], high.get("worse")) == ("busy-workers-max", 9, None)


# ---- what comes out


TEXTS = st.one_of(st.text(max_size=30), st.from_regex(r"[-+0-9eE._:a-z~!&*#'\"]{1,10}", fullmatch=True))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**12), 10**12), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), max_size=3))
def test_what_is_written_is_read_as_the_same_values(objects: list[Object]) -> None:
    try:
        written = documents(objects).encode()
    except UnicodeEncodeError:
        return
    assert values(written, "ours") == objects


@pytest.mark.parametrize(
    "text", ["1e3", "y", "n", "0x1f", "1_000", "2024-01-01", "12:30:45", "on", "~", "", "null", "0o7"]
)
def test_a_text_that_others_take_for_something_else_is_quoted(text: str) -> None:
    assert documents([{"key": text}]) == f'---\nkey: "{text}"\n'


def test_the_deployment_has_the_template_byte_for_byte_and_nothing_of_argos() -> None:
    given = rollout(replicas=3, minReadySeconds=5)
    given["metadata"] |= {"annotations": {"rollout.argoproj.io/revision": "3", "a": "b"}}
    deployment, policy = of(given).objects
    assert deployment["metadata"] == {"name": "web", "namespace": "shop", "annotations": {"a": "b"}}
    assert deployment["spec"]["template"] == given["spec"]["template"]
    assert set(deployment["spec"]) == {"replicas", "selector", "template", "minReadySeconds"}
    assert policy["spec"]["targetRef"]["name"] == "web"


@pytest.mark.parametrize("name", ["a" * 64, ""])
def test_a_policy_that_would_not_be_taken_is_not_made(name: str) -> None:
    conversion = of(rollout(name=name))
    assert conversion.policies == ()
    assert any("the policy is left out: metadata.name" in each for each in sentences_about(conversion, "spec"))


def test_templates_that_name_each_other_end() -> None:
    there, back = ([{"templateName": name}] for name in ("other", "check"))
    conversion = of(
        rollout(strategy_with_analysis()), template(metric(), templates=there), template(name="other", templates=back)
    )
    assert len(conversion.policies[0]["spec"]["gates"]) == 1


def test_of_more_templates_than_are_read_it_is_said() -> None:
    names = [f"t{number}" for number in range(60)]
    strategy = strategy_with_analysis(analysis={"templates": [{"templateName": name} for name in names]})
    conversion = of(rollout(strategy), *(template(name=name) for name in names))
    assert sum("more than 50 templates are named" in each.says for each in conversion.findings) == 10


def test_more_gates_than_a_policy_takes_are_findings() -> None:
    conversion = of(
        rollout(strategy_with_analysis()), template(*(metric(f"q{number}", name=f"m{number}") for number in range(20)))
    )
    assert len(conversion.policies[0]["spec"]["gates"]) == 16
    assert sum("at most 16 are judged" in each.says for each in conversion.findings) == 4


def test_a_file_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="right would be less"):
        read(b"a" * (MOST_BYTES + 1), "theirs.yaml")
