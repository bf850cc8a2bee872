"""Locust in its own process: really run for two seconds, watched, and read."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.runs.generator import GeneratorError, Order, busiest, cpu_seconds, locust, read_record, too_busy
from loadtest.runs.record import Slice
from loadtest.runs.scenarios import REST
from loadtest.standalone import free_port, program

ROOT = Path(__file__).parents[3]


async def run(scenario: str, port: int, folder: Path, per_pod: float = 40.0) -> tuple[list[Slice], list[float]]:
    """What Locust saw in 3 s of a scenario at so many requests/s per pod, and its processor time.

    The path has a query and a fragment of its own, which take no parameter away from the sample service.
    """
    host, path = f"http://127.0.0.1:{port}", "/?work_ms=1#top"
    order = Order(scenario, 3.0, per_pod=per_pod, peak=3.5 * per_pod, host=host, path=path, work_ms=0.0)
    async with locust(order, folder) as process:
        watching = asyncio.create_task(process.watch_cpu())
        code = await asyncio.wait_for(process.process.wait(), 40)
        await watching
    assert code == 0, process.log()
    began, slices = read_record(process.record)
    assert began > 0
    return slices, process.cpu


async def test_locust_sends_the_scenarios_load_and_tells_who_answered(tmp_path: Path) -> None:
    port, names = free_port(), ("step", "errors")
    for name in names:
        (tmp_path / name).mkdir()
    flags = ("--host", "127.0.0.1", "--port", str(port), "--pod-name", "web-0")
    async with program("loadtest.sample", *flags, log=tmp_path / "sample.log"):
        step, errors = await asyncio.gather(*(run(name, port, tmp_path / name) for name in names))
    slices, cpu = step
    assert {name for part in slices for name in part.pods} == {"web-0"}
    assert sum(part.failed + part.asked_to_fail for part in slices) == 0
    assert max(part.asked for part in slices) == 140  # 3.5 * 40
    assert slices[0].asked in (0, REST * 40)
    # 3 s at 60 or 140 requests/s, each rate up to a second late: between 60 and 3 * 140
    assert 60 < sum(part.answered for part in slices) < 420
    assert cpu
    assert all(share >= 0 for share in cpu)
    # for 0.75 s of 3 three in ten of 100 requests/s ask for an error, which is no failure: some 22
    assert 3 < sum(part.asked_to_fail for part in errors[0]) < 60
    assert sum(part.failed for part in errors[0]) == 0


async def test_a_low_target_gets_the_scenarios_load_too_and_nobody_waits_for_users_who_seldom_ask(
    tmp_path: Path,
) -> None:
    (tmp_path / "step").mkdir()
    port = free_port()
    async with program("loadtest.sample", "--host", "127.0.0.1", "--port", str(port), log=tmp_path / "sample.log"):
        slices, _ = await run("step", port, tmp_path / "step", per_pod=0.2)
    asked = {round(part.asked, 3) for part in slices}
    # 0.2 * 3.5 = 0.7 requests/s are those of 100 users; 0.2 * 1.5 = 0.3 of 42.9 of them: of 43, 0.301
    assert asked >= {0.301, 0.7}
    # of 100 users 57 go after the step, most of whom have not asked yet: the run of 3 s would last for 8 and more if
    # Locust waited for them its 5 s; what is between is for a slow machine
    assert slices[-1].time < 7.0


def test_a_generator_that_was_busy_for_five_seconds_measured_itself() -> None:
    assert busiest([0.2] * 10 + [0.9] * 5 + [0.2] * 10) == pytest.approx(0.9)
    assert busiest([1.0, 0.2, 0.2, 0.2, 0.2, 0.2]) == pytest.approx(1.8 / 5)
    assert (busiest([]), busiest([0.5])) == (0.0, 0.5)
    assert too_busy([0.8] * 5) == ""
    assert too_busy([0.81] * 5) == (
        "the run is discarded: Locust was busy for 81% of a core over 5 s, and above 80% it measures itself; a machine"
        " that is less busy, or an HPA with a lower target, which gets less load, would be right"
    )


def test_processor_time_is_read_of_a_process_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = ["S", *["0"] * 10, "150", "50", *["0"] * 30]
    (tmp_path / "7" / "stat").write_text(f"7 (lo) c(ust) {' '.join(fields)}")
    assert cpu_seconds(7, tmp_path) == 200 / os.sysconf("SC_CLK_TCK")
    assert cpu_seconds(8, tmp_path) is None


@pytest.mark.parametrize("text", ["", '{"began": 0, "time": 1}\n', "no json"])
def test_a_record_without_a_beginning_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.jsonl").write_text(text)
    with pytest.raises(GeneratorError, match=r"Locust (left no record|ended before it began)"):
        read_record(tmp_path / "record.jsonl")


def test_what_starts_locust_is_not_changed_by_it() -> None:
    """Locust replaces Python's sockets and threads by gevent's where it is imported: never here."""
    code = "import loadtest.runs.command, sys; print([name for name in sys.modules if name in ('gevent', 'locust')])"
    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "[]"
