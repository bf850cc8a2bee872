"""`calibrate`: identical releases made of a recording, and what it says when the recording cannot tell."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import yaml

from adapter.rollout.__main__ import main
from tests.rollout.judging import ERRORS, LIMIT, QUEUE

Run: TypeAlias = Callable[..., Any]
START = 1_700_000_000


def lines(
    count: int,
    pods: int,
    *,
    rate: float = 0.002,
    requests: int = 50,
    burst: int = 0,
    slow: float = 0.0,
    queue: float = 0.0,
    named: bool = True,
    seed: int = 1,
) -> Iterator[str]:
    """A recording of stable pods; `slow`: the first pod's bad rate; `burst`: bad requests at a time, now and then."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        bad = rng.binomial(requests, rate, pods)
        if slow:
            bad[0] = rng.binomial(requests, slow)
        if burst:
            bad = np.minimum(bad + burst * (rng.random(pods) < 0.02), requests)
        each = {f"p{pod}": {"good": int(requests - bad[pod]), "bad": int(bad[pod])} for pod in range(pods)}
        metric: dict[str, Any] = {
            "stable": {"good": int(pods * requests - bad.sum()), "bad": int(bad.sum())},
            "canary": None,
        }
        metrics: dict[str, Any] = {"errors": {**metric, "pods": {"stable": each}} if named else metric}
        if queue:
            values = rng.lognormal(1.0, queue, pods)
            metrics["queue"] = {"pods": {"stable": {f"p{pod}": {"value": values[pod]} for pod in range(pods)}}}
        yield json.dumps({"time": START + 10 * index, "metrics": metrics})


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def call(gates: list[Any], recording: Iterable[str], *more: str, strategy: str = "canary") -> Any:
        policy, windows = tmp_path / "policy.yaml", tmp_path / "windows.jsonl"
        document = {"apiVersion": "streamgate.io/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "web"}}
        steps = {"steps": [{"weight": 10}]} if strategy == "canary" else {}
        spec = {"targetRef": {"name": "web"}, strategy: steps, "gates": gates}
        policy.write_text(yaml.safe_dump({**document, "spec": spec}))
        windows.write_text("\n".join(recording))
        code = main(["calibrate", str(policy), str(windows), "--output", "json", *more])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return call


def test_identical_releases_are_rarely_rolled_back_and_worse_ones_are_found(run: Run) -> None:
    code, report, err = run([ERRORS], lines(100, 6), "--releases", "300")
    assert (code, err) == (0, "")
    assert report["rolled_back"] <= 15
    assert report["promoted"] > 250
    assert report["worse_rolled_back"] > 250
    assert report["lower_bound"] is False
    assert (report["windows"], report["pods"]) == (100, 6)
    assert f"this policy would roll back {report['rolled_back']} of 300 identical releases" in report["sentence"]
    assert report["rolled_back"] / 300 <= report["upper_95"] < 0.1


def test_a_pod_that_is_ill_by_itself_shows_as_false_rollbacks(run: Run) -> None:
    """It is the canary in about one of six releases, and is then told from the others."""
    _, report, _ = run([ERRORS], lines(100, 6, slow=0.1), "--releases", "300", "--share", "0.17")
    assert 25 <= report["rolled_back"] <= 90


def test_without_pods_it_is_a_lower_bound_and_says_so(run: Run) -> None:
    _, report, _ = run([ERRORS, QUEUE], lines(100, 4, named=False), "--releases", "200")
    assert report["lower_bound"] is True
    assert "a lower bound" in report["sentence"]
    assert any("names no pods" in note for note in report["notes"])
    assert any("gate queue is left out" in note for note in report["notes"])


def test_splitting_requests_hides_bursts_that_splitting_pods_shows(run: Run) -> None:
    """Bursts of 15 in one pod; a margin of 0 alone, so that only the comparison counts."""
    gate = [{**ERRORS, "limit": 0.9, "margin": 0.0}]
    whole = run(gate, lines(200, 4, burst=15), "--releases", "300", "--share", "0.5")[1]
    sums = run(gate, lines(200, 4, burst=15, named=False), "--releases", "300", "--share", "0.5")[1]
    assert sums["rolled_back"] < whole["rolled_back"]


def test_gauges_are_split_by_pods(run: Run) -> None:
    _, report, _ = run([QUEUE], lines(100, 6, queue=0.3), "--releases", "200", "--worse", "3")
    assert report["rolled_back"] <= 12
    assert report["worse_rolled_back"] > 180


@pytest.mark.parametrize("gate", [QUEUE, {**QUEUE, "margin": 100}, {"metric": "queue", "kind": "gauge", "limit": 10}])
def test_gauges_at_the_end_of_floats_are_split_without_a_warning(run: Run, gate: dict[str, Any]) -> None:
    """A hundred times as much is as much as there can be."""
    pods = '{"stable": {"a": {"value": 1e308}, "b": {"value": 1e308}, "c": {"value": 1.7e308}}}'
    recording = (f'{{"time": {at}, "metrics": {{"queue": {{"pods": {pods}}}}}}}' for at in range(40))
    code, report, err = run([gate], recording, "--releases", "50", "--worse", "100")
    assert (code, err, report["pods"]) == (0, "", 3)


def test_blue_green_takes_all_pods_as_the_new_ones(run: Run) -> None:
    _, report, _ = run([LIMIT], lines(100, 4), "--releases", "50", "--worse", "50", strategy="blueGreen")
    assert (report["rolled_back"], report["promoted"], report["worse_rolled_back"]) == (0, 50, 50)


@pytest.mark.parametrize("named", [True, False], ids=["pods", "sums"])
def test_blue_green_has_all_requests_whatever_the_share(run: Run, named: bool) -> None:
    """40 windows of 20 requests. 359 clean ones show the limit; of a twentieth, 40 requests, none would be promoted."""
    recording = list(lines(40, 4, rate=0.0, requests=5, named=named))
    few, most = (
        run([LIMIT], recording, "--releases", "50", "--share", share, strategy="blueGreen")[1]
        for share in ("0.05", "0.9")
    )
    assert (few["rolled_back"], few["promoted"], few["lower_bound"], few["notes"]) == (0, 50, False, [])
    assert few == most


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(run: Run) -> None:
    recording = list(lines(60, 5, rate=0.003))
    one, same, other = (run([ERRORS], recording, "--releases", "100", "--seed", seed)[1] for seed in ("1", "1", "2"))
    assert one == same
    assert one != other


def test_pods_that_come_and_go_are_split_where_they_are(run: Run) -> None:
    recording = list(lines(60, 3))
    later = [json.loads(each) for each in lines(60, 3, seed=2)]
    for index, each in enumerate(later):
        each["time"] = START + 10 * (60 + index)
        pods = each["metrics"]["errors"]["pods"]["stable"]
        each["metrics"]["errors"]["pods"]["stable"] = {f"new-{name}": value for name, value in pods.items()}
    code, report, _ = run([ERRORS], [*recording, *map(json.dumps, later)], "--releases", "200")
    assert (code, report["pods"]) == (0, 6)
    assert report["rolled_back"] <= 10
    assert report["promoted"] > 150


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (lambda: lines(5, 4), "5 windows could be read; right would be 10 or more"),
        (lambda: lines(50, 1), "only 1 stable pod was recorded; right would be 2 or more"),
        (lambda: (json.dumps({"time": START + index, "metrics": {}}) for index in range(20)), "no gate can be judged"),
    ],
)
def test_what_cannot_be_split_is_refused_with_a_sentence(
    run: Run, recording: Callable[[], Iterable[str]], words: str
) -> None:
    code, report, err = run([ERRORS], recording())
    assert (code, report) == (1, None)
    assert words in err


def test_bad_lines_are_named_and_the_others_serve(run: Run) -> None:
    code, report, err = run([ERRORS], ["{", *lines(50, 4)], "--releases", "20")
    assert (code, report["windows"]) == (1, 50)
    assert "line 1: this is no JSON" in err


@pytest.mark.parametrize(
    "more", [("--releases", "0"), ("--releases", "x"), ("--share", "1"), ("--worse", "1"), ("--worse", "nan")]
)
def test_wrong_arguments_have_code_2(run: Run, more: tuple[str, ...]) -> None:
    assert run([ERRORS], lines(20, 2), *more)[0] == 2
