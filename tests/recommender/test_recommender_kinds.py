"""Kinds of history that users of VPA, KRR and Goldilocks reported: what is right for each, through the command line."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from recommender.__main__ import main

MIB, GIB, TB = 1024**2, 1024**3, 10**12
T0, HOUR = 1767225600, 3600
NAME = "shop/Deployment/web/app"
Hours = Iterable[int]
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object, says: str = "") -> str:
        assert main([str(argument) for argument in arguments]) in (0, 3)
        out, err = capsys.readouterr()
        assert says in err
        return out

    return call


@pytest.fixture
def usage(tmp_path: Path) -> Callable[..., Path]:
    def write(hours: Iterable[int | str], cpu: int | str = 100) -> Path:
        path = tmp_path / "usage.csv"
        rows = [f"{NAME},{T0 + HOUR * hour},{cpu},{memory}\n" for hour, memory in enumerate(hours)]
        path.write_text("container,epoch_s,cpu_millicores,memory_bytes\n" + "".join(rows))
        return path

    return write


def days(*levels: float) -> list[int]:
    """Hours of days at these levels, MiB."""
    return [int(level * MIB) for level in levels for _ in range(24)]


def with_spike(hours: list[int], at: int, value: int) -> list[int]:
    return [*hours[:at], value, *hours[at + 1 :]]


def target(run: Run, path: Path, *flags: str) -> float:
    """MiB"""
    rows = json.loads(run("replay", path, "--output", "json", *flags))
    return float(rows[0]["target"]["memory_bytes"] / MIB)


KINDS: dict[str, tuple[list[int], float, float]] = {
    # 3 GiB since 9 days: at least that, and half as much again at most
    "21 days at 5Mi, then 9 at 3Gi": (days(*[5] * 21, *[3072] * 9), 3072, 4608),
    "21 days at 5Mi, then one at 3Gi": (days(*[5] * 21, 3072), 3072, 4608),
    "100Mi, then a day at 4Gi": (days(*[100] * 21, 4096), 4096, 6144),
    "100Mi, then a day at 8Gi": (days(*[100] * 21, 8192), 8192, 12288),
    "a level that fell 10 days ago": (days(*[3072] * 21, *[400] * 10), 400, 600),
    # four times the 131 MiB that 100 MiB get
    "one sample of 1 TB yesterday": (with_spike(days(*[100] * 15), 14 * 24 + 5, TB), 250, 4 * 135),
    "one sample of 1 TB nine days ago": (with_spike(days(*[100] * 24), 14 * 24 + 5, TB), 250, 250),
    "one spike of 10Gi nine days ago": (with_spike(days(*[500] * 24), 14 * 24 + 5, 10 * GIB), 500, 700),
    "steady 1Gi, one day": (days(1024), 1024, 2050),
    "steady 1Gi, three days": (days(*[1024] * 3), 1024, 1536),
    "steady 1Gi, a week": (days(*[1024] * 7), 1024, 1434),
    "steady 1Gi, four weeks": (days(*[1024] * 28), 1024, 1366),
    # +2 % a day: tomorrow's 1,216 MiB are covered
    "a leak of 20Mi a day": (days(*[800 + 20 * day for day in range(20)]), 1200, 1700),
    "a JVM that filled its heap": (days(300, 700, 1500, *[2048] * 12), 2048, 2800),
    "2Gi in the first hour of a fortnight, 500Mi since": (with_spike(days(*[500] * 15), 0, 2048 * MIB), 500, 700),
    "a batch of an hour at 3Gi every night": (
        [3072 * MIB if hour % 24 == 3 else 200 * MIB for hour in range(480)],
        3072,
        4130,  # 1.34 times, as of any steady peak
    ),
    "a first reading of 0 on every day": ([0 if hour % 24 == 0 else GIB for hour in range(480)], 1024, 1400),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_history_gets_what_is_right_for_it(run: Run, usage: Callable[..., Path], kind: str) -> None:
    hours, least, most = KINDS[kind]
    assert least <= target(run, usage(hours)) <= most


def test_a_larger_last_day_is_no_reason_to_ask_for_less(run: Run, usage: Callable[..., Path]) -> None:
    """100 MiB for three weeks, then a day at 200, 400, 800, 1,600 and 3,200."""
    asked = [target(run, usage(days(*[100] * 21, last))) for last in (200, 400, 800, 1600, 3200)]
    assert asked == sorted(asked)
    assert all(amount >= last for amount, last in zip(asked, (200, 400, 800, 1600, 3200), strict=True))


def test_half_of_what_is_asked_for_is_not_too_little_after_three_days(
    run: Run, usage: Callable[..., Path], tmp_path: Path
) -> None:
    requests = tmp_path / "requests.csv"
    requests.write_text(f"container,cpu_millicores,memory_bytes\n{NAME},200,{GIB}\n")
    rows = json.loads(run("report", usage(days(500, 500, 500)), "--requests", requests, "--output", "json"))
    assert "too little" not in rows[0]["verdict"]
    assert rows[0]["risk"] <= 0.05


@pytest.mark.parametrize(
    ("cpu", "memory", "missing"), [("", GIB, "cpu"), (100, "", "memory")], ids=["without CPU", "without memory"]
)
def test_a_resource_without_samples_gets_no_number(
    run: Run, usage: Callable[..., Path], tmp_path: Path, cpu: int | str, memory: int | str, missing: str
) -> None:
    """Not in replay, report, saving or patch; and what is asked for of it is called neither much nor little."""
    path, requests = usage([memory] * 100, cpu), tmp_path / "requests.csv"
    requests.write_text(f"container,cpu_millicores,memory_bytes\n{NAME},1000,{16 * GIB}\n")
    shown = "CPU" if missing == "cpu" else missing
    made = json.loads(
        run("replay", path, "--output", "json", says=f"no sample of {shown}, so no number for it: {NAME}")
    )
    column = {"cpu": "cpu_millicores", "memory": "memory_bytes"}
    for bound in ("target", "lowerBound", "upperBound"):
        assert made[0][bound][column[missing]] == ""
        assert all(value != "" for name, value in made[0][bound].items() if name != column[missing])
    prices = ("--price-core", "1") if missing == "cpu" else ("--price-gib", "1")
    flags = ("--requests", requests, *prices, "--patches", tmp_path / "patches", "--html", tmp_path / "page.html")
    entry = json.loads(run("report", path, *flags, "--output", "json", "--fail-on", "over:1000"))[0]
    assert entry["target"][missing] == ""
    assert f"no sample of {missing}" in entry["verdict"]
    assert entry["saving"] == 0
    patch = (tmp_path / "patches" / "shop-deployment-web.yaml").read_text()
    assert f"{missing}:" not in patch.split("requests:")[1]


def test_mode_vpa_gives_the_minimum_as_vpa_does(run: Run, usage: Callable[..., Path]) -> None:
    assert (
        json.loads(run("replay", usage([GIB] * 9, ""), "--mode=vpa", "--output=json"))[0]["target"]["cpu_millicores"]
        == 25
    )


def test_a_flag_that_means_nothing_is_named_once(run: Run, usage: Callable[..., Path]) -> None:
    run(
        "replay",
        usage(days(100)),
        "--target-memory-percentile=0.99",
        says="--target-memory-percentile: memory targets come",
    )
