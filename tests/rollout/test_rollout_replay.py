"""`replay` and `lint` as commands: what they print, with which exit code, and their words for bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.rollout import recording
from adapter.rollout.__main__ import main
from adapter.rollout.cli.verbs import VERBS
from adapter.rollout.model.window import Arm, Counts, Window
from tests.rollout.judging import ERRORS, EVERY, LIMIT, QUEUE, START, draw_windows, line, steady

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
CANARY = str(SAMPLES / "canary-setup.yaml")
STRATEGIES: dict[str, dict[str, Any]] = {
    "canary": {"canary": {"steps": [{"weight": 10}]}},
    "blueGreen": {"blueGreen": {}},
}
BLUE_GREEN = str(SAMPLES / "blue-green-setup.yaml")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def call(*arguments: Path | str) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def policy(tmp_path: Path) -> Callable[..., Any]:
    def write(*gates: dict[str, Any], strategy: str = "canary", **more: Any) -> Path:
        document = {
            "apiVersion": "streamgate.io/v1alpha1",
            "kind": "RolloutPolicy",
            "metadata": {"name": "web"},
            "spec": {"targetRef": {"name": "web"}, **STRATEGIES[strategy], "gates": list(gates)} | more,
        }
        path = tmp_path / "policy.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


@pytest.fixture
def write_recording(tmp_path: Path) -> Callable[..., Any]:
    def write(lines: Any) -> Path:
        path = tmp_path / "windows.jsonl"
        path.write_bytes(b"".join(each if isinstance(each, bytes) else f"{each}\n".encode() for each in lines))
        return path

    return write


def last_word(out: str) -> str:
    return out.splitlines()[-1].split()[0]


def last(out: str) -> dict[Any, Any]:
    return json.loads(out.splitlines()[-1])


BAD_LINES = {
    "{": "this is no JSON",
    "5": "5 is no JSON object",
    '["time"]': "a list is no JSON object",
    '{"metrics": {}}': "time: nothing is no time",
    '{"time": "now", "metrics": {}}': "time: 'now' is no time",
    '{"time": true, "metrics": {}}': "time: True is no time",
    '{"time": -5, "metrics": {}}': "time: -5 is no time",
    '{"time": 1700000000000, "metrics": {}}': "seconds since 1970",
    f'{{"time": {START}, "metrics": {{}}}}': "times have to rise",
    f'{{"time": {START - 100}, "metrics": {{}}}}': "times have to rise",
    "[" * 100_000: "this is no JSON",
    '{"time": ' + "9" * 5000 + "}": "this is no JSON",
}


BAD_VALUES = {
    '{"errors": 5}': "metrics.errors: 5 is no mapping",
    '{"errors": {"canray": null}}': "metrics.errors.canray: no such arm",
    '{"errors": {"canary": 5}}': "metrics.errors.canary: 5 is no reading",
    '{"errors": {"canary": {}}}': "metrics.errors.canary: a mapping is no reading",
    '{"errors": {"canary": {"good": 5}}}': "metrics.errors.canary.bad: nothing is no number; right w",
    '{"errors": {"canary": {"good": -5, "bad": 0}}}': "metrics.errors.canary.good: -5 is no count of requests;",
    '{"errors": {"canary": {"good": "5", "bad": 0}}}': "'5' is no number; right would be a number from 0 to 1e+15; it",
    '{"errors": {"canary": {"good": true, "bad": 0}}}': "metrics.errors.canary.good: True is no number",
    '{"errors": {"canary": {"good": 1e300, "bad": 0}}}': "metrics.errors.canary.good: 1e+300 is no count",
    '{"errors": {"canary": {"value": "x"}}}': "metrics.errors.canary.value: 'x' is no number; right would be a number;",
    '{"errors": {"canary": {"value": 1, "good": 2, "bad": 3}}}': "metrics.errors.canary: a mapping is no reading",
    "[]": "metrics: a list is no mapping",
}


BAD_HEALTH = {
    '{"canary": {"pods": 3, "unready": 9}}': "canary.unready: 9 is no good; right would be a whole number of pods "
    "from 0 to 3; the arm's health is taken as unknown",
    '{"stable": {"pods": 3, "crashLooping": 4}}': "stable.crashLooping: 4 is no good",
    '{"canary": {"unready": 1}}': "canary.unready: 1 is no good; right would be a whole number of pods from 0 to 0",
    '{"canary": {"pods": -1}}': "canary.pods: -1 is no good; right would be a whole number of pods from 0 to 1000000",
    '{"canary": {"pods": 1.5}}': "canary.pods: 1.5 is no good",
    '{"canary": {"pods": true}}': "canary.pods: True is no good",
    '{"canary": {"pods": 3, "crash_looping": 3}}': "canary.crash_looping: no such field; right would be one of pods,",
    '{"canray": {"pods": 3}}': "canray: no such arm; right would be one of stable, canary",
    '{"canary": 5}': "canary: 5 is no mapping; right would be pods, unready, crashLooping",
}


BAD_FILES = {
    "": "holds 0 objects",
    "a: [": "this is no YAML",
    "kind: Deployment\n": "holds 0 objects",
    "---\n5\n---\n": "holds 0 objects",
    "kind: RolloutPolicy\n---\n" * 1001: "holds 1001 objects",
    "kind: RolloutPolicy\napiVersion: v1\n": "apiVersion of the RolloutPolicy is 'v1'",
    "kind: a\nkind: b\n": "line 2: the key 'kind' is there twice",
    "? [a]\n: b\n": "a key is a list or a mapping",
    "a: " + "[" * 500 + "]" * 500: "levels deep",
    "a: &a [x]\nb: &b [*a, *a]\n"
    + "\n".join(f"c{i}: &c{i} [{', '.join(['*b' if not i else f'*c{i - 1}'] * 9)}]" for i in range(8)): "too many",
    "a: &a [*a]": "too many values, or too deep",
}


class TestReplay:
    def test_a_gate_whose_metric_no_window_names_is_named(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        """A recording under the gate's name in place of the metric's would else be a hold that nobody understands."""
        windows = [f'{{"time": {START + i}, "metrics": {{"errors": null}}}}' for i in range(3)]
        code, out, err = run("replay", policy({**ERRORS, "name": "errors", "metric": "bad"}), write_recording(windows))
        assert (code, last_word(out)) == (0, "hold")
        [sentence] = err.splitlines()
        assert sentence.endswith(
            "no window has bad, which gate errors reads; right would be metrics of that name in its windows"
        )

    def test_a_metric_that_one_window_names_is_not(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        windows = [
            f'{{"time": {START + i}, "metrics": {"{}" if i else json.dumps({ERRORS["metric"]: None})}}}' for i in (0, 1)
        ]
        assert run("replay", policy(ERRORS), write_recording(windows))[2] == ""

    def test_a_line_per_window_and_the_end_last(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        windows = draw_windows(30, stable=0.001, canary=0.05, seed=1)
        code, out, err = run("replay", policy(ERRORS), write_recording(map(line, windows)), "--output", "json")
        assert (code, err) == (0, "")
        *told, end = [json.loads(each) for each in out.splitlines()]
        assert set(end) == {"verdict", "at_window", "reason"}
        assert end["verdict"] == "rollback"
        assert [each["window"] for each in told] == list(range(end["at_window"] + 1))
        assert [each["verdict"] for each in told] == ["hold"] * end["at_window"] + ["rollback"]
        assert told[0]["time"] == START

    def test_promotion_is_said_where_it_was_reached_for_good(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        windows = steady(60)
        _, out, _ = run("replay", policy(ERRORS), write_recording(map(line, windows)), "--output", "json")
        end = last(out)
        assert end["verdict"] == "promote"
        told = [json.loads(each)["verdict"] for each in out.splitlines()[:-1]]
        assert told == ["hold"] * end["at_window"] + ["promote"] * (60 - end["at_window"])

    def test_the_text_has_the_same(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        code, out, _ = run("replay", policy(ERRORS), write_recording(map(line, steady(20))))
        assert code == 0
        assert len(out.splitlines()) == 21
        assert out.splitlines()[-1].startswith("promote at ")

    @pytest.mark.parametrize("gap", [None, {}, {"canary": None, "stable": None}, {"canary": {"good": 0, "bad": 0}}])
    def test_no_evidence_holds(
        self,
        run: Callable[..., Any],
        policy: Callable[..., Any],
        write_recording: Callable[..., Any],
        gap: dict[Any, Any],
    ) -> None:
        lines = [json.dumps({"time": index, "metrics": {"errors": gap}}) for index in range(30)]
        code, out, err = run("replay", policy(ERRORS), write_recording(lines), "--output", "json")
        assert (code, err, last(out)["verdict"], last(out)["at_window"]) == (0, "", "hold", 29)
        assert "no evidence" in last(out)["reason"]

    @pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "null"])
    def test_numbers_that_are_none_are_no_evidence(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any], word: str
    ) -> None:
        arms = f'{{"stable": {{"good": 9, "bad": 1}}, "canary": {{"good": {word}, "bad": 0}}}}'
        code, out, err = run(
            "replay",
            policy(ERRORS),
            write_recording([f'{{"time": 1, "metrics": {{"errors": {arms}}}}}']),
            "--output",
            "json",
        )
        assert (code, err, last(out)["verdict"]) == (0, "", "hold")

    @pytest.mark.parametrize("bad", BAD_LINES, ids=range(len(BAD_LINES)))
    def test_a_bad_line_is_named_and_left_out_and_the_rest_is_judged(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any], bad: str
    ) -> None:
        good = list(map(line, steady(30)))
        code, out, err = run(
            "replay", policy(ERRORS), write_recording([*good[:10], bad, *good[10:]]), "--output", "json"
        )
        assert code == 1
        assert last(out)["verdict"] == "promote"
        assert len(out.splitlines()) == 31
        (said,) = err.splitlines()
        assert "windows.jsonl, line 11: " in said
        assert BAD_LINES[bad] in said

    def test_bytes_that_are_no_text_are_named(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        code, _, err = run("replay", policy(ERRORS), write_recording([line(steady(1)[0]), b"\xff\xfe\x00\n"]))
        assert code == 1
        assert "line 2: this is no JSON" in err

    @pytest.mark.parametrize("metrics", BAD_VALUES, ids=range(len(BAD_VALUES)))
    def test_a_bad_value_is_named_and_is_no_evidence(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any], metrics: str
    ) -> None:
        code, out, err = run(
            "replay", policy(ERRORS), write_recording([f'{{"time": 1, "metrics": {metrics}}}']), "--output", "json"
        )
        assert code == 1
        assert last(out)["verdict"] == "hold"
        assert "line 1: metrics" in err
        assert BAD_VALUES[metrics] in err

    @pytest.mark.parametrize("health", BAD_HEALTH, ids=range(len(BAD_HEALTH)))
    def test_health_that_cannot_be_is_named_with_its_line_and_ends_no_release(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any], health: str
    ) -> None:
        lines = [f'{{"time": {at}, "metrics": {{}}, "health": {health}}}' for at in (1, 2)]
        code, out, err = run("replay", policy(ERRORS), write_recording(lines), "--output", "json")
        assert (code, last(out)["verdict"]) == (1, "hold")
        assert f"line 1: health.{BAD_HEALTH[health]}" in err
        assert f"line 2: health.{BAD_HEALTH[health]}" in err

    def test_all_pods_may_be_ill_in_both_ways(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        ill = '{"canary": {"pods": 3, "unready": 3, "crashLooping": 3}, "stable": null}'
        result = run(
            "replay", policy(ERRORS), write_recording([f'{{"time": 1, "metrics": {{}}, "health": {ill}}}']), "-ojson"
        )
        assert (result[0], result[2], last(result[1])["verdict"]) == (0, "", "rollback")

    @pytest.mark.parametrize(
        ("value", "margin", "end"),
        [("-1e308", None, "promote"), ("-1e308", 100, "promote"), ("1e308", None, "hold"), ("1e308", 100, "promote")],
    )
    def test_values_at_the_end_of_floats_are_judged_without_a_warning(
        self,
        run: Callable[..., Any],
        policy: Callable[..., Any],
        write_recording: Callable[..., Any],
        value: str,
        margin: Any,
        end: str,
    ) -> None:
        """Both arms have the same value: it is within a margin, and a limit of 10 is only kept by the one below it."""
        gate = {"metric": "queue", "kind": "gauge", "limit": 10} | ({"margin": margin} if margin else {})
        arm = f'{{"value": {value}}}'
        lines = [f'{{"time": {at}, "metrics": {{"queue": {{"stable": {arm}, "canary": {arm}}}}}}}' for at in range(40)]
        code, out, err = run("replay", policy(gate), write_recording(lines), "--output", "json")
        assert (code, err, last(out)["verdict"]) == (0, "", end)

    def test_many_problems_are_counted(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        code, _, err = run("replay", policy(ERRORS), write_recording(["{"] * 100 + [line(steady(1)[0])]))
        assert code == 1
        assert len(err.splitlines()) == 21
        assert "80 more problems" in err

    def test_a_line_without_end_is_named_and_takes_no_memory(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        huge = b'{"time": 1, "x": "' + b"x" * (recording.MOST_BYTES + 10) + b'"}\n'
        code, out, err = run("replay", policy(ERRORS), write_recording([huge, line(steady(1)[0])]), "--output", "json")
        assert code == 1
        assert "line 1: the line has more than" in err
        assert len(out.splitlines()) == 2

    def test_no_window_is_a_failure(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        code, out, err = run("replay", policy(ERRORS), write_recording([]), "--output", "json")
        assert (code, last(out)) == (1, {"verdict": "hold", "at_window": None, "reason": "no window could be read"})
        assert "right would be a line of JSON per window" in err

    def test_blank_lines_a_mark_of_byte_order_and_carriage_returns_do_no_harm(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        lines = [b"\xef\xbb\xbf" + line(steady(1)[0]).encode() + b"\r\n", b"\n", b"  \r\n"]
        assert run("replay", policy(ERRORS), write_recording(lines))[::2] == (0, "")

    def test_metrics_that_no_gate_names_are_ignored(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        lines = [line(each) for each in steady(20, other=(1.0, 2.0))]
        assert run("replay", policy(ERRORS), write_recording(lines))[0] == 0

    def test_blue_green_is_judged_by_what_follows_the_switch(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        windows = steady(20, stable=None, canary=(100, 6))
        result = run(
            "replay", policy(LIMIT, strategy="blueGreen"), write_recording(map(line, windows)), "--output", "json"
        )
        assert last(result[1])["verdict"] == "rollback"

    def test_a_policy_with_problems_is_refused_by_name(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        code, out, err = run("replay", policy({**ERRORS, "limit": 7}), write_recording([]))
        assert (code, out) == (1, "")
        assert "policy.yaml: spec.gates[0].limit: 7 is out of range" in err

    def test_a_policy_without_gates_is_refused(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        code, out, err = run("replay", policy(), write_recording([]))
        assert (code, out) == (1, "")
        assert "policy.yaml: spec.gates: the policy names no gate, so there is nothing to judge; right would be" in err

    @pytest.mark.parametrize("verb", ["replay", "calibrate"])
    @pytest.mark.parametrize(
        ("gates", "more", "named"),
        [
            ([], {"blueGreen": {"generate": {}}}, "generated-traffic (stage pre)"),
            ([{**LIMIT, "stage": "pre"}], {}, "errors (stage pre)"),
        ],
    )
    def test_a_policy_none_of_whose_gates_is_of_the_stage_is_refused(
        self,
        run: Callable[..., Any],
        policy: Callable[..., Any],
        write_recording: Callable[..., Any],
        verb: str,
        gates: list[Any],
        more: dict[str, Any],
        named: str,
    ) -> None:
        """Windows in which all fail, of which the others would promote without having looked at them."""
        windows = write_recording(map(line, steady(40, stable=None, canary=(100, 100))))
        code, out, err = run(verb, policy(*gates, strategy="blueGreen", **more), windows, "--output", "json")
        assert (code, out) == (1, "")
        assert err.endswith(
            "policy.yaml: spec.gates: a recording is held against gates of stage post, and there is only "
            f"{named}; right would be one of stage post\n"
        )

    def test_gates_of_another_stage_are_left_out_and_named(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        gates = [LIMIT, {**LIMIT, "name": "before", "stage": "pre"}]
        windows = write_recording(map(line, steady(20, stable=None, canary=(100, 6))))
        code, out, err = run("replay", policy(*gates, strategy="blueGreen"), windows, "--output", "json")
        assert (code, last(out)["verdict"]) == (0, "rollback")
        (said,) = err.splitlines()
        assert said.endswith("left out, as a recording is held against gates of stage post: before (stage pre)")

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"canary": None}, "spec.canary: exactly one of blueGreen, canary and rolling is wanted"),
            ({"rolling": {"steps": [{"weight": 5}]}}, "spec.canary: exactly one of"),
            ({"canary": {"steps": [{"weight": 9}, {"weight": 8}]}}, "spec.canary.steps[1].weight: 8 is not above"),
            ({"settleSeconds": -1}, "spec.settleSeconds: -1 is out of range"),
        ],
    )
    def test_what_lint_says_of_the_rest_of_the_policy_is_said_and_the_gates_are_judged(
        self,
        run: Callable[..., Any],
        policy: Callable[..., Any],
        write_recording: Callable[..., Any],
        more: dict[str, Any],
        words: str,
    ) -> None:
        code, out, err = run(
            "replay", policy(ERRORS, **more), write_recording(map(line, steady(60))), "--output", "json"
        )
        assert (code, last(out)["verdict"]) == (0, "promote")
        (said,) = err.splitlines()
        assert said.startswith("streamgate-rollout: lint: ")
        assert f"policy.yaml: {words}" in said

    def test_a_query_that_lint_refuses_is_said_as_well(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        gate = {"name": "errors", "limit": 0.01, "query": {"bad": "a", "total": 'b{pod=~"{{pods}}"}'}}
        assert "lint: " in run("replay", policy(gate), write_recording(map(line, steady(60))))[2]

    def test_files_that_are_not_there_are_named(
        self, run: Callable[..., Any], policy: Callable[..., Any], write_recording: Callable[..., Any], tmp_path: Path
    ) -> None:
        for arguments in (
            ("nowhere.yaml", write_recording([])),
            (policy(ERRORS), "nowhere.jsonl"),
            (tmp_path, write_recording([])),
        ):
            code, out, err = run("replay", *arguments)
            assert (code, out) == (1, "")
            assert "cannot be read: " in err

    @pytest.mark.parametrize("arguments", [[], ["one"], ["a", "b", "c"], ["a", "b", "--output", "xml"], ["-", "-"]])
    def test_wrong_arguments_have_code_2(self, run: Callable[..., Any], arguments: list[Any]) -> None:
        assert run("replay", *arguments)[0] == 2


class TestSamples:
    """The two samples of the manifests, over recordings made for the gates that `lint` lists."""

    def recording(
        self, run: Callable[..., Any], sample: str, bad: float, *, beside: float = 0.001, gauge: float = 1.0
    ) -> list[str]:
        lines = []
        gates = json.loads(run("lint", sample, "--output", "json")[1])["gates"]
        for index in range(120):
            metrics = {}
            for gate in gates:
                if gate["kind"] == "events":
                    one = {"stable": draw_windows(1, stable=beside, canary=bad, seed=index)[0].metrics["errors"]}
                    arms: Any = one["stable"]
                    metrics[gate["metric"]] = {arm.value: {"good": arms[arm].good, "bad": arms[arm].bad} for arm in Arm}
                else:
                    metrics[gate["metric"]] = {"stable": {"value": 1.0}, "canary": {"value": gauge}}
            lines.append(json.dumps({"time": START + EVERY * index, "metrics": metrics}))
        return lines

    @pytest.mark.parametrize("sample", [CANARY, BLUE_GREEN])
    @pytest.mark.parametrize(("bad", "end"), [(0.001, "promote"), (0.05, "rollback")])
    def test_a_good_one_is_promoted_and_a_bad_one_rolled_back(
        self, run: Callable[..., Any], write_recording: Callable[..., Any], sample: str, bad: float, end: str
    ) -> None:
        result = run("replay", sample, write_recording(self.recording(run, sample, bad)), "--output", "json")
        assert (result[0], last(result[1])["verdict"]) == (0, end)

    def test_a_gauge_beyond_stables_is_rolled_back(
        self, run: Callable[..., Any], write_recording: Callable[..., Any]
    ) -> None:
        result = run(
            "replay", CANARY, write_recording(self.recording(run, CANARY, 0.001, gauge=5.0)), "--output", "json"
        )
        assert last(result[1])["verdict"] == "rollback"

    @pytest.mark.parametrize("sample", [CANARY, BLUE_GREEN])
    def test_they_have_no_problem(self, run: Callable[..., Any], sample: str) -> None:
        code, out, _ = run("lint", sample, "--output", "json")
        assert (code, json.loads(out)["problems"]) == (0, [])


class TestLint:
    def test_gates_and_problems_are_listed(self, run: Callable[..., Any], policy: Callable[..., Any]) -> None:
        code, out, err = run("lint", policy(ERRORS, QUEUE), "--output", "json")
        assert (code, err) == (0, "")
        report = json.loads(out)
        assert report["problems"] == []
        assert [(gate["metric"], gate["kind"], gate["limit"]) for gate in report["gates"]] == [
            ("errors", "events", 0.01),
            ("queue", "gauge", None),
        ]

    def test_a_problem_is_a_failure_and_the_gate_is_still_listed(
        self, run: Callable[..., Any], policy: Callable[..., Any]
    ) -> None:
        code, out, _ = run("lint", policy({**ERRORS, "metric": 5}, QUEUE), "--output", "json")
        report = json.loads(out)
        assert code == 1
        assert [gate["metric"] for gate in report["gates"]] == ["queue"]
        assert [each.split(":")[0] for each in report["problems"]] == ["spec.gates[0].metric"]

    def test_relative_gates_of_blue_green_are_refused(
        self, run: Callable[..., Any], policy: Callable[..., Any]
    ) -> None:
        code, out, _ = run("lint", policy(ERRORS, strategy="blueGreen"))
        assert code == 1
        assert "spec.gates[0].margin: blue-green" in out

    @pytest.mark.parametrize("gates", [[], None])
    def test_no_gate_is_no_problem_but_said(
        self, run: Callable[..., Any], policy: Callable[..., Any], gates: Any
    ) -> None:
        """As docs/rollouts.md has it: time and crashes decide."""
        code, out, err = run("lint", policy(gates=gates) if gates is None else policy(), "--output", "json")
        assert (code, json.loads(out)) == (0, {"gates": [], "problems": []})
        assert err.endswith("policy.yaml: spec.gates: no gate is given: time and crashes alone decide\n")

    @pytest.mark.parametrize("verb", ["lint", "import"])
    def test_a_file_that_is_not_there_is_a_problem_in_json_too(self, run: Callable[..., Any], verb: str) -> None:
        code, out, _ = run(verb, "nowhere.yaml", "-o", "json")
        assert (code, json.loads(out)["problems"]) == (1, ["nowhere.yaml: cannot be read: No such file or directory"])
        code, out, err = run(verb, "nowhere.yaml")
        assert (code, out) == (1, "")
        assert "nowhere.yaml: cannot be read: No such file or directory" in err

    @pytest.mark.parametrize("output", ["json", "text"])
    def test_a_cluster_that_is_away_hides_nothing_of_what_the_file_says(
        self, run: Callable[..., Any], policy: Callable[..., Any], tmp_path: Path, output: str
    ) -> None:
        result = run("lint", policy(ERRORS, settleSeconds=-1), f"--kubeconfig={tmp_path}/none", f"--output={output}")
        code, out, err = result
        assert code == 1
        assert "spec.settleSeconds: -1" in out
        assert f"{tmp_path}/none" in (json.loads(out)["problems"][1] if output == "json" else err)

    @pytest.mark.parametrize("text", BAD_FILES, ids=range(len(BAD_FILES)))
    def test_a_file_that_cannot_be_used_is_one_sentence(
        self, run: Callable[..., Any], tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "x.yaml"
        path.write_text(text)
        code, out, err = run("lint", path, "--output", "json")
        report = json.loads(out)
        assert (code, err, report["gates"], len(report["problems"])) == (1, "", [], 1)
        assert report["problems"][0].startswith(str(path))
        assert BAD_FILES[text] in report["problems"][0]

    def test_a_file_with_other_objects_and_a_list_is_read(
        self, run: Callable[..., Any], policy: Callable[..., Any], tmp_path: Path
    ) -> None:
        body = yaml.safe_load(policy(ERRORS).read_text())
        for documents in (
            [{"kind": "Service"}, body, None],
            [{"kind": "List", "items": [{"kind": "Service"}, body]}],
        ):
            path = tmp_path / "all.yaml"
            path.write_text(yaml.safe_dump_all(documents))
            assert run("lint", path)[0] == 0

    def test_numbers_are_read_as_kubernetes_reads_them(
        self, run: Callable[..., Any], policy: Callable[..., Any], tmp_path: Path
    ) -> None:
        """PyYAML alone takes 1e-2 for a text."""
        path = tmp_path / "e.yaml"
        path.write_text(policy(ERRORS).read_text().replace("0.01", "1e-2"))
        assert json.loads(run("lint", path, "--output", "json")[1])["gates"][0]["limit"] == 0.01

    def test_bytes_that_are_no_text_are_named(self, run: Callable[..., Any], tmp_path: Path) -> None:
        path = tmp_path / "x.yaml"
        path.write_bytes(b"a: \xff")
        assert "byte 4 is no UTF-8" in run("lint", path)[1]


class TestVerbs:
    def test_help_names_every_verb(self, run: Callable[..., Any]) -> None:
        code, out, _ = run("--help")
        assert code == 0
        assert "replay" in out
        assert "lint" in out

    @pytest.mark.parametrize("arguments", [["frobnicate"], ["--frobnicate"]])
    def test_an_unknown_verb_has_code_2(self, run: Callable[..., Any], arguments: list[str]) -> None:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "is no verb; one of calibrate, run, status, " in err

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_says_its_flags_and_refuses_others_in_a_sentence(
        self, run: Callable[..., Any], verb: str
    ) -> None:
        code, out, err = run(verb, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"streamgate-rollout {verb}")
        code, out, err = run(verb, "--nope=1", "a", "b")
        assert (code, out, len(err.splitlines())) == (3 if verb == "wait" else 2, "", 1)
        assert "unknown flag --nope; --help lists the flags" in err

    @pytest.mark.parametrize("flag", [["-o", "json"], ["-ojson"], ["-output=json"], ["--output", "json"]])
    def test_flags_are_spelt_as_in_go(
        self, run: Callable[..., Any], policy: Callable[..., Any], flag: list[str]
    ) -> None:
        assert json.loads(run("lint", *flag, policy(ERRORS))[1])["problems"] == []

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["lint"], "FILE is missing: YAML file with one or more RolloutPolicies; - for stdin"),
            (["lint", "a", "b"], "'b' is too much: besides flags only FILE is taken"),
            (["lint", "a", "-o", "xml"], "--output=xml: one of text, json is wanted"),
            (["replay", "-", "-"], "only one of POLICY and WINDOWS can be -"),
            (["calibrate", "a", "b", "--share=1"], "--share=1: less than 1 is wanted"),
            (["calibrate", "a", "b", "--releases=0"], "--releases=0: 1 to 100000 is wanted"),
            (["calibrate", "a", "b", "--worse=1"], "--worse=1.0: more than 1 is wanted"),
            (["wait", "web", "--timeout=soon"], "--timeout=soon: a duration like 1h30m, 90s or 1.5s is wanted"),
            (["status"], "POLICY is missing: the RolloutPolicy's name"),
            ([], "a verb is missing; one of "),
        ],
    )
    def test_a_wrong_argument_is_named_in_one_sentence(
        self, run: Callable[..., Any], arguments: list[str], sentence: str
    ) -> None:
        code, out, err = run(*arguments)
        wrong = 3 if arguments[:1] == ["wait"] else 2  # its 2 is a timeout
        assert (code, out, len(err.splitlines())) == (wrong, "", 1)
        assert f": {sentence}" in err


@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([b"{}", b'{"time": 5}', b'{"time": 6, "metrics": {}}']), max_size=9
    )
)
def test_whatever_lines_say_windows_and_sentences_come_of_it(lines: list[Any]) -> None:
    newest = -1.0
    for entry in recording.read(lines):
        if isinstance(entry, Window):
            assert entry.time > newest
            newest = entry.time
        else:
            assert "\n" not in str(entry)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["stable", "canary", "pods", "good", "bad", "value", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.fixed_dictionaries({"time": st.just(5), "metrics": JSON, "pods": JSON, "health": JSON, "step": JSON}))
def test_whatever_a_window_holds_its_readings_are_numbers(raw: dict[Any, Any]) -> None:
    for entry in recording.read([json.dumps(raw).encode()], pods=True):
        if isinstance(entry, Window):
            for arms in entry.metrics.values():
                for reading in arms.values():
                    assert not isinstance(reading, Counts) or (reading.good >= 0 <= reading.bad)


def test_pods_are_read_beside_the_sums_and_beside_the_metrics() -> None:
    beside_sums = {"time": 1, "metrics": {"errors": {"pods": {"stable": {"a": {"good": 3, "bad": 1}}}}}}
    beside_metrics = {"time": 1, "metrics": {}, "pods": {"stable": {"a": {"errors": {"good": 3, "bad": 1}}}}}
    for raw in (beside_sums, beside_metrics):
        (window,) = recording.read([json.dumps(raw).encode()], pods=True)
        assert isinstance(window, Window)
        assert window.pods == {Arm.STABLE: {"a": {"errors": Counts(3, 1)}}}
