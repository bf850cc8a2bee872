"""What is not known is said and counts nowhere: requests, histories, readings and gates of a report."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recommender.__main__ import main
from recommender.input.usage_file import UsageError, read_requests

HEADER = "container,epoch_s,cpu_millicores,memory_bytes"
REQUESTS = "container,cpu_millicores,memory_bytes\n"
NAME = "shop/Deployment/web/app"
T0, HOUR, MI, GI = 1767225600, 3600, 2**20, 2**30
Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


def rows(memory: object = GI, cpu: object = 100, hours: int = 240, name: str = NAME, extra: str = "") -> str:
    return "".join(f"{name},{T0 + hour * HOUR},{cpu},{memory}{extra}\n" for hour in range(hours))


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `report` on the usage, with a list of requests if one is given: (exit code, records, what was said)."""
    monkeypatch.chdir(tmp_path)

    def call(
        usage: str, requests: str = "", *flags: str, header: str = HEADER
    ) -> tuple[int, list[dict[str, Any]], str]:
        Path("usage.csv").write_text(f"{header}\n{usage}")
        Path("requests.csv").write_text(REQUESTS + requests)
        prices = ("--price-core=0.03", "--price-gib=0.004", "--output=json")
        code = main(["report", "usage.csv", "--requests", "requests.csv", *prices, *flags])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return call


@pytest.mark.parametrize("nothing", ["", "0"])
def test_a_resource_without_a_request_has_no_risk_no_saving_and_fails_no_gate(run: Run, nothing: str) -> None:
    code, entries, _ = run(rows(), f"{NAME},1000,{nothing}\n", "--fail-on=under:1")
    assert code == 0
    assert entries[0]["verdict"] == "too much cpu, no request of memory"
    assert (entries[0]["risk_now"], entries[0]["days_over"]) == ("", "")
    assert entries[0]["saving"] == pytest.approx((1000 - entries[0]["target"]["cpu"]) / 1000 * 0.03 * 730, abs=0.01)


def test_a_container_that_asks_for_nothing_is_as_one_whose_request_is_not_known(run: Run) -> None:
    assert run(rows(), f"{NAME},,\n")[1][0]["verdict"] == "no request"
    assert run(rows(), f"{NAME},0,0\n")[1][0]["saving"] == ""


def test_a_list_without_any_request_is_said(run: Run) -> None:
    assert "requests.csv: no container with requests in it" in run(rows())[2]


def test_a_container_that_is_listed_twice_is_said_and_the_first_row_counts(run: Run) -> None:
    _, entries, err = run(rows(), f"{NAME},1000,{4 * GI}\n{NAME},100,{GI}\n")
    assert entries[0]["request"] == {"cpu": 1000, "memory": 4 * GI}
    assert f"requests.csv, line 3: container '{NAME}' is there twice; the first row counts" in err


def test_a_file_in_another_encoding_is_refused_by_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_bytes((REQUESTS + f"{NAME},1000,{GI}\n").encode(encoding))
        with pytest.raises(UsageError, match=r"line 1: this is no text in UTF-8 \(UTF-16\?\)"):
            read_requests(path)


@pytest.mark.parametrize(
    "flags", [("--fail-on=over:1",), ("--fail-on=under:99",), ("--fail-on=over:1", "--fail-on=under:99")]
)
def test_an_hour_of_samples_fails_no_gate_and_that_is_said(run: Run, flags: tuple[str, ...]) -> None:
    code, _, err = run(rows(hours=2), f"{NAME},1000,{16 * GI}\n", *flags)
    assert code == 0
    assert "--fail-on judged nothing: no container has a request, samples, and a day of history" in err
    assert run(rows(hours=25), f"{NAME},1000,{16 * GI}\n", *flags)[0] == 3


def test_a_gate_that_is_given_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last one would win, and the gate be wider than the first one says."""
    path = tmp_path / "usage.csv"
    path.write_text(f"{HEADER}\n{rows()}")
    assert main(["report", str(path), "--fail-on=over:1", "--fail-on=over:9"]) == 2
    assert "--fail-on 'over:9': over is there twice; one is wanted" in capsys.readouterr().err


def test_a_namespace_beside_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(f"{HEADER}\n{rows()}")
    assert main(["report", str(path), "--namespace=shop"]) == 2
    assert "--namespace goes with --prometheus or --metrics-api" in capsys.readouterr().err


def test_kills_without_any_sample_are_no_history_so_they_save_nothing(run: Run) -> None:
    """A kill at 1Gi shows what was too little; not since when, so nothing is saved, summed or patched."""
    _, entries, _ = run(
        rows("", "", 3, extra=f",{GI}"), f"{NAME},1000,{16 * GI}\n", header=f"{HEADER},oom_request_bytes"
    )
    assert entries[0]["target"]["memory"] > GI
    assert entries[0]["saving"] == ""
    assert entries[0]["verdict"] == "too much memory, no sample of cpu, history not known"


def test_a_kill_of_which_neither_limit_nor_sample_is_known_gives_no_number(run: Run) -> None:
    _, entries, _ = run(rows("", 100, 48, extra=",0"), header=f"{HEADER},oom_request_bytes")
    assert entries[0]["target"] == {"cpu": 124, "memory": ""}


@pytest.mark.parametrize(
    ("memory", "doubt"),
    [(0, f"memory_bytes of {NAME} is 0 in every row: was it measured?"), (512, "are these MiB?")],
)
def test_memory_that_no_process_could_run_in_is_no_sample(run: Run, memory: int, doubt: str) -> None:
    """A broken reading of 0 would shrink 4Gi to the minimum."""
    _, entries, err = run(rows(memory), f"{NAME},200,{4 * GI}\n")
    assert entries[0]["target"] == {"cpu": 124, "memory": ""}
    assert entries[0]["saving"] == pytest.approx((200 - 124) / 1000 * 0.03 * 730, abs=0.01)
    assert (entries[0]["risk"], entries[0]["risk_now"], entries[0]["days_over"]) == ("", "", ""), (
        "not that nothing is risked"
    )
    assert doubt in err
    assert run(rows(memory) + rows(300 * MI, hours=300))[1][0]["target"]["memory"] > 300 * MI


def test_a_container_in_other_units_is_doubted_beside_others_that_are_right(run: Run) -> None:
    _, _, err = run(rows(512, name="small") + rows())
    assert "no memory_bytes of small is above 512: are these MiB?" in err
    nano = run(rows(cpu=250_000_000, name="nano") + rows())[2]
    assert "cpu_millicores of nano goes up to 250000000: are these nanocores?" in nano
    assert "cpu_millicores of idle is 0 in every row: was it measured?" in run(rows(cpu=0, name="idle") + rows())[2]


@pytest.mark.parametrize("bad", ["", f"in-cores,{T0},none,1\n"])
def test_one_container_with_fractions_of_cores_among_millicores_is_doubted(run: Run, bad: str) -> None:
    """A bad row makes the file be read line by line."""
    said = "cpu_millicores of in-cores has fractions and is never above 1, that of others is whole: are these cores?"
    right, cores = rows(250), rows(cpu=0.35, name="in-cores")
    assert said in run(right + cores + bad)[2]
    assert said in run(cores + right + bad)[2]
    assert "are these cores" not in run(rows(cpu=250.5) + cores)[2], "all are measured finely: nothing tells"
    assert "are these cores" not in run(right + rows(cpu=2, name="idle"))[2], "2 millicores are what idle ones use"
    assert "are these cores" not in run(right + rows(cpu=20.5, name="small"))[2]
    assert "are these cores" not in run(right + rows(cpu="1.0", name="idle"))[2], "a whole number, as pandas writes it"


@pytest.mark.parametrize("verb", ["replay", "report", "backtest", "explain"])
def test_other_units_are_doubted_by_every_verb_that_reads_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(f"{HEADER}\n{rows(250)}{rows(250, cpu=0.25, name='other')}")
    which = [NAME] if verb == "explain" else []
    assert main([verb, *which, str(path), *(["--policies=max"] if verb == "backtest" else [])]) == 0
    said = capsys.readouterr().err
    assert "no memory_bytes is above 250: are these MiB?" in said
    assert "cpu_millicores of other has fractions and is never above 1" in said


@pytest.mark.parametrize(
    ("cpu", "request_cpu", "is_doubted"),
    [(1, 200, True), (1, 199, False), (2, 400, True), (16, 3200, True), (17, 10_000, False), ("", 4000, False)],
)
def test_a_container_that_uses_a_200th_of_its_request_is_idle_or_in_cores(
    run: Run, cpu: object, request_cpu: int, is_doubted: bool
) -> None:
    """0.35 cores and 1 core are both the amount 1; a request of 200 times that was made for something."""
    usage = rows() + rows(cpu=cpu, name="other")
    err = run(usage, f"{NAME},1000,{GI}\nother,{request_cpu},{GI}\n")[2]
    said = "cpu_millicores of other is never above a 200th of the request: idle, or are these cores? 1 core is 1000"
    assert (said in err) == is_doubted
    assert NAME not in err


@pytest.mark.parametrize(("request_memory", "is_doubted"), [(800 * MI, True), (799 * MI, False), (4 * GI, True)])
def test_a_container_in_kib_is_doubted_beside_its_request(run: Run, request_memory: int, is_doubted: bool) -> None:
    """4 GiB written in KiB are 4 Mi: more than 1 MiB, which no process runs in."""
    err = run(rows() + rows(4 * MI, name="other"), f"{NAME},1000,{GI}\nother,1000,{request_memory}\n")[2]
    said = "memory_bytes of other is never above a 200th of the request: idle, or are these KiB? 1 KiB is 1024"
    assert (said in err) == is_doubted


def test_an_old_file_is_reported_as_of_its_newest_row_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """240 hours from T0: the newest row is 239 hours after it."""
    for days, said in ((9, True), (7, False)):
        monkeypatch.setattr(time, "time", lambda days=days: T0 + 239.0 * HOUR + days * 86400)
        assert ("the newest row is of 2026-01-10T23:00:00Z, 9 days ago" in run(rows())[2]) == said


def test_rows_of_several_pods_at_the_same_times_give_what_the_largest_needs_in_any_order(run: Run) -> None:
    small, large = rows(GI), rows(3 * GI)
    alone = run(large)[1][0]["target"]
    for usage in (small + large, large + small):
        _, entries, err = run(usage)
        assert entries[0]["target"] == alone
        assert "240 rows have the time of another row of their container: the one with the most memory counts" in err


@pytest.mark.parametrize("verb", ["replay", "report", "backtest"])
def test_requests_of_other_containers_are_doubted_by_every_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    usage, requests = tmp_path / "usage.csv", tmp_path / "requests.csv"
    usage.write_text(f"{HEADER}\n{rows()}")
    requests.write_text(f"{REQUESTS}api,1000,{GI}\n")
    assert (
        main([verb, str(usage), "--requests", str(requests), *(["--policies=max"] if verb == "backtest" else [])]) == 0
    )
    assert "none of the 1 containers with requests is in the source" in capsys.readouterr().err


def test_a_backtest_without_memory_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(f"{HEADER}\n{rows('')}")
    assert main(["backtest", str(path), "--policies=max"]) == 2
    assert "nothing to score: no sample of memory, or the usage ends within" in capsys.readouterr().err
