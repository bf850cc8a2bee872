"""The command line: replay, backtest, report, explain; their output, exit codes and words for bad input."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from recommender.__main__ import main

GOLDEN = Path(__file__).parent.parent / "golden" / "recommender"
FLAGS = str(GOLDEN / "flags-usage.csv")
HEADER = "container,epoch_s,cpu_millicores,memory_bytes\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def call(*arguments: Path | str) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def three_weeks(tmp_path: Path) -> Path:
    """Two containers, hourly for three weeks: one steady at 1 GB, one whose memory steps from 1 to 3 GB on day 15."""
    path = tmp_path / "usage.csv"
    rows = [HEADER]
    for hour in range(24 * 21):
        time = 1767225600 + 3600 * hour
        rows.append(f"shop/Deployment/web/app,{time},100,{10**9}\n")
        rows.append(f"shop/CronJob/nightly/job,{time},50,{10**9 if hour < 15 * 24 else 3 * 10**9}\n")
    path.write_text("".join(rows))
    return path


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.csv"
    path.write_text("container,cpu_millicores,memory_bytes\nshop/Deployment/web/app,4000,17179869184\n")
    return path


def test_replay_in_mode_vpa_prints_vpas_numbers_as_json(run: Callable[..., Any]) -> None:
    """The same file, read by VPA's own packages: golden/vpa-flags.json, 'defaults'."""
    code, out, _ = run("replay", FLAGS, "--mode", "vpa", "--output", "json")
    wanted = json.loads((GOLDEN / "vpa-flags.json").read_text())["defaults"]["results"]
    assert code == 0
    assert json.loads(out) == [{key: value for key, value in row.items() if key != "checkpoint"} for row in wanted]


def test_replay_takes_the_recommenders_flags(run: Callable[..., Any]) -> None:
    _, out, _ = run("replay", FLAGS, "--mode=vpa", "--output=json", "--recommendation-margin-fraction=0.3")
    wanted = json.loads((GOLDEN / "vpa-flags.json").read_text())["margin"]["results"]
    assert [row["target"] for row in json.loads(out)] == [row["target"] for row in wanted]


def test_replay_says_how_many_late_samples_it_dropped(run: Callable[..., Any]) -> None:
    _, _, err = run("replay", FLAGS, "--mode", "vpa", "--output", "csv")
    assert "12 CPU samples came after a later one of their container (or twice) and were dropped" in err


@pytest.mark.parametrize("mode", ["vpa", "default", "krr", "max"])
def test_every_mode_gives_whole_numbers_in_order_of_container(run: Callable[..., Any], mode: str) -> None:
    code, out, _ = run("replay", FLAGS, "--mode", mode, "--output", "json")
    rows = json.loads(out)
    assert code == 0
    assert [row["container"] for row in rows] == sorted(row["container"] for row in rows)
    for row in rows:
        assert set(row) == {"container", "samples", "target", "lowerBound", "upperBound"}
        for bound in ("target", "lowerBound", "upperBound"):
            assert set(row[bound]) == {"cpu_millicores", "memory_bytes"}
            assert all(isinstance(value, int) and value > 0 for value in row[bound].values()), row


def test_order_in_the_file_matters_to_vpa_and_not_to_the_others(run: Callable[..., Any], tmp_path: Path) -> None:
    rows = [f"a,{1767225600 + 60 * k},{100 + k},{10**9 + k}\n" for k in range(300)]
    (tmp_path / "forth.csv").write_text(HEADER + "".join(rows))
    (tmp_path / "back.csv").write_text(HEADER + "".join(reversed(rows)))
    made = {
        (mode, order): json.loads(run("replay", tmp_path / f"{order}.csv", "--mode", mode, "--output", "json")[1])
        for mode in ("vpa", "default")
        for order in ("forth", "back")
    }
    assert made["default", "forth"] == made["default", "back"]
    assert (made["vpa", "forth"][0]["samples"], made["vpa", "back"][0]["samples"]) == (300, 1)


def test_requests_add_columns_to_compare(run: Callable[..., Any], three_weeks: Path, requests: Path) -> None:
    _, out, _ = run("replay", three_weeks, "--requests", requests, "--output", "csv")
    rows = {row["container"]: row for row in csv.DictReader(io.StringIO(out))}
    web = rows["shop/Deployment/web/app"]
    assert int(web["change.cpu_millicores"]) == int(web["target.cpu_millicores"]) - 4000
    assert rows["shop/CronJob/nightly/job"]["request.cpu_millicores"] == ""


def test_bad_rows_are_named_on_stderr_and_the_rest_is_recommended(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(HEADER + "a,0,100,1000\na,60,nan,-4\nb,60,1e30,1\n")
    code, out, err = run("replay", path, "--output", "json")
    assert code == 0
    assert [row["container"] for row in json.loads(out)] == ["a"]
    assert f"{path}, line 3: cpu_millicores 'nan' is not finite" in err
    assert "2 bad rows were left out" in err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("replay", "absent.csv"), 1, "absent.csv: cannot be read"),
        (("replay", FLAGS, "--no-such-flag"), 2, "unknown flag --no-such-flag; --help lists the flags"),
        (("replay", FLAGS, "--target-cpu-percentile=90"), 2, "0 to 1 is wanted"),
        (("backtest", FLAGS, "--policies", "vpa,magic"), 2, "magic is none of vpa"),
        (("backtest", FLAGS, "--policies", "max", "--warmup-days", "900"), 2, "ends within the warm-up"),
        (("backtest", FLAGS, "--interval-hours", "0.0001"), 2, "more than 100000 decisions"),
        (("report", FLAGS, "--html", "/absent/page.html"), 1, "cannot be written: "),
        (("report",), 2, "one source is wanted"),
        (("report", FLAGS, "--fail-on", "much"), 2, "over:X or under:X"),
        (("explain", "stedy", FLAGS), 2, "it has steady"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    run: Callable[..., Any], arguments: tuple[Any, ...], code: int, why: str
) -> None:
    got, _, err = run(*arguments)
    said = [line for line in err.splitlines() if line.startswith("streamgate-recommender: ")]
    assert (got, len(said)) == (code, 1), "besides what is doubted in the file"
    assert why in said[0]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("backtest", FLAGS, "--plot", "curve.bmp"), "neither with .png nor with .svg"),
        (("backtest", FLAGS, "--seed", "-1"), "-1 is not from 0 to"),
        (("backtest", FLAGS, "--bootstrap", "1000000000"), "is not from 0 to"),
        (("backtest", FLAGS, "--price-core", "nan"), "nan is no price"),
        (("report", FLAGS, "--price-gib", "-1"), "-1 is no price"),
    ],
)
def test_an_argument_without_use_is_refused_before_anything_is_read(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str], arguments: tuple[str, str, str, str], why: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert why in capsys.readouterr().err


def test_flags_may_stand_apart_from_their_values(run: Callable[..., Any], three_weeks: Path) -> None:
    together = run("replay", "--target-memory-percentile=0.5", three_weeks, "--mode=vpa", "--output=json")
    apart = ("replay", "--target-memory-percentile", "0.5", three_weeks, "--mode", "vpa", "--output", "json")
    assert run(*apart) == together
    assert run("explain", "--mode", "vpa", "shop/Deployment", "--memory-saver", three_weeks)[0] == 0


def test_a_backtest_shows_each_policy_with_its_interval(run: Callable[..., Any], three_weeks: Path) -> None:
    """The step on day 15 is one overrun for everybody but the oracle: nobody could know."""
    code, out, _ = run("backtest", three_weeks, "--kills", "off", "--output", "json", "--price-gib", "0.01")
    rows = {row["policy"]: row for row in json.loads(out)}
    assert code == 0
    assert list(rows) == ["vpa", "vpa-fixed", "krr", "max", "oracle", "default"]
    assert {name: row["overrun_days"] for name, row in rows.items() if row["overrun_days"] != 1} == {"oracle": 0}
    assert rows["oracle"]["memory_slack"] == 0
    assert {row["days"] for row in rows.values()} == {2 * 14}
    assert all(row["cost"] > 0 and " to " in row["memory_slack_95"] for row in rows.values())


def test_a_backtest_takes_todays_requests_as_a_policy(
    run: Callable[..., Any], three_weeks: Path, requests: Path
) -> None:
    """1 GB of 16 GiB: 94.2 % idle; the container without a request is not scored."""
    arguments = ("--policies", "max", "--requests", requests, "--output", "json")
    row = json.loads(run("backtest", three_weeks, *arguments)[1])[1]
    assert (row["policy"], row["days"], row["overrun_days"]) == ("requests", 14, 0)
    assert row["memory_slack"] == pytest.approx(1 - 10**9 / 17179869184)


def test_a_backtest_draws_the_curve_of_cost_against_risk(
    run: Callable[..., Any], three_weeks: Path, tmp_path: Path
) -> None:
    for name, begins in (("curve.png", b"\x89PNG"), ("curve.svg", b"<?xml")):
        run("backtest", three_weeks, "--policies", "max", "--bootstrap", "0", "--plot", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_report_says_what_could_be_saved(run: Callable[..., Any], three_weeks: Path, requests: Path) -> None:
    """4 cores and 16 GiB at 0.03 and 0.004 an hour are 134.32 a month; the target is 0.15 cores and about 1.1 GiB."""
    code, out, _ = run(
        "report", three_weeks, "--requests", requests, "--price-core", 0.03, "--price-gib", 0.004, "--output", "json"
    )
    web = next(row for row in json.loads(out) if row["container"].endswith("app"))
    assert code == 0
    assert 120 < web["saving"] < 134.32
    assert web["verdict"] == "too much cpu and memory"
    assert web["days_over"] == 0


def test_a_gate_fails_with_its_own_exit_code(run: Callable[..., Any], three_weeks: Path, requests: Path) -> None:
    code, _, err = run("report", three_weeks, "--requests", requests, "--fail-on", "over:2", "--output", "csv")
    assert code == 3
    assert "shop/Deployment/web/app: memory request 17179869184 bytes is" in err
    assert run("report", three_weeks, "--requests", requests, "--fail-on", "over:99", "--output", "csv")[0] == 0
    assert run("report", three_weeks, "--requests", requests, "--fail-on", "under:99", "--output", "csv")[0] == 3


def test_the_page_stands_alone_and_is_safe_with_strange_names(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(HEADER + "<script>alert(1)</script>,0,100,1000000000\n")
    run("report", path, "--html", tmp_path / "page.html", "--title", "A & B")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<script>") == 1, "our own"
    assert "alert" in page
    assert "<script>alert" not in page
    assert "A &amp; B" in page
    assert "http" not in page
    assert "<svg" in page


def test_patches_are_for_kubectl_and_kustomize(run: Callable[..., Any], three_weeks: Path, tmp_path: Path) -> None:
    run("report", three_weeks, "--patches", tmp_path / "out", "--output", "csv")
    listing = yaml.safe_load((tmp_path / "out" / "kustomization.yaml").read_text())
    names = [patch["path"] for patch in listing["patches"]]
    assert names == ["shop-cronjob-nightly.yaml", "shop-deployment-web.yaml"]
    web, nightly = (yaml.safe_load((tmp_path / "out" / name).read_text()) for name in reversed(names))
    assert (web["apiVersion"], web["kind"], web["metadata"]) == (
        "apps/v1",
        "Deployment",
        {"name": "web", "namespace": "shop"},
    )
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert container["name"] == "app"
    assert int(container["resources"]["requests"]["memory"]) > 10**9
    assert nightly["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["name"] == "job"


def test_a_replication_controller_is_patched_as_the_core_groups(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(HEADER + "".join(f"shop/ReplicationController/old/app,{day * 86400},1,1\n" for day in range(3)))
    run("report", path, "--patches", tmp_path / "out", "--output", "csv")
    patch = yaml.safe_load((tmp_path / "out" / "shop-replicationcontroller-old.yaml").read_text())
    assert (patch["apiVersion"], patch["kind"]) == ("v1", "ReplicationController")


def test_a_path_in_a_name_does_not_leave_the_folder(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(HEADER + "../../x/Deployment/web/app,0,1,1\na/Deployment/../app,0,1,1\n")
    run("report", path, "--patches", tmp_path / "out", "--output", "csv")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["kustomization.yaml"]


def test_explain_goes_from_samples_to_number(run: Callable[..., Any], three_weeks: Path) -> None:
    code, out, _ = run("explain", "shop/CronJob/nightly", three_weeks)
    assert code == 0
    for said in ("504 CPU samples from 2026-01-01", "90% of weight is up to", "+15% is", "<- target", "2.8 GiB"):
        assert said in out
    assert "what would change it:" in out


def test_exported_checkpoints_are_a_source_too(run: Callable[..., Any], tmp_path: Path) -> None:
    theirs = json.loads((GOLDEN / "vpa-checkpoints.json").read_text())["theirs"]
    items = [
        {
            "metadata": {"name": f"web-{name}", "namespace": "shop"},
            "spec": {"vpaObjectName": "web", "containerName": name},
            "status": status,
        }
        for name, status in theirs.items()
    ]
    items.append({"metadata": {"name": "old"}, "status": {"version": "v1"}})
    path = tmp_path / "checkpoints.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": items}))
    code, out, err = run("report", "--checkpoints", path, "--output", "json")
    assert code == 0
    assert {row["container"] for row in json.loads(out)} == {f"shop/web/{name}" for name in theirs}
    assert "item 11 (old): version 'v1' is not supported; 'v3' is wanted" in err
    assert "90% of weight" in run("explain", "shop/web/steady", "--checkpoints", path)[1]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"items": 5}', "a: [", "\x00", '{"items": [null, 3, {"metadata": 4}]}',
        pytest.param("[" * 100_000, id="deep json"),
        pytest.param("a: " + "[" * 100_000, id="deep yaml"),
        pytest.param("&a {items: [*a]}", id="yaml that holds itself"),
        pytest.param("0: &0 [x]\n" + "".join(f"{k}: &{k} [{f'*{k - 1}, ' * 9}]\n" for k in range(1, 20)), id="aliases"),
        pytest.param("a: 2026-13-45", id="no date"),
    ],
)  # fmt: skip
def test_a_file_without_checkpoints_is_refused(run: Callable[..., Any], tmp_path: Path, text: str) -> None:
    path = tmp_path / "checkpoints.json"
    path.write_text(text)
    code, _, err = run("report", "--checkpoints", path)
    assert code == 1
    assert "checkpoints.json: " in err


@pytest.mark.parametrize(("depth", "said"), [(100, "cpuHistogram"), (101, "it is more than 100 levels deep")])
def test_yaml_of_a_hundred_levels_is_read_and_of_one_more_refused(
    run: Callable[..., Any], tmp_path: Path, depth: int, said: str
) -> None:
    """The document, `status` and `cpuHistogram` are three levels; the first that is too deep crashes no parser."""
    path = tmp_path / "checkpoints.yaml"
    path.write_text("status: {version: v3, cpuHistogram: " + "[" * (depth - 2) + "]" * (depth - 2) + "}\n")
    code, _, err = run("report", "--checkpoints", path)
    assert code == 1
    assert said in err


@pytest.mark.parametrize(("length", "shown"), [(79, 79), (80, 80), (81, 80), (100_000, 80)])
def test_a_name_is_repeated_up_to_80_characters(
    run: Callable[..., Any], tmp_path: Path, length: int, shown: int
) -> None:
    path = tmp_path / "checkpoints.json"
    path.write_text(json.dumps({"items": [{"metadata": {"name": "x" * length}, "status": {"version": "v1"}}]}))
    _, _, err = run("report", "--checkpoints", path)
    assert f"item 1 ({'x' * shown}): " in err


def test_help_lists_every_flag(run: Callable[..., Any]) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "--target-memory-percentile (0.9)" in out
    assert "--max-daily-risk" in out
