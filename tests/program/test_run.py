"""Running: exit codes, signals, and jobs that are started again whatever they failed by."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapter.faults import ends_program
from adapter.program.flags import Common, Flags, SettingsError
from adapter.program.run import Exit, Failures, Job, StartError, main, supervise

FLAGS = Flags(program="sample", about="runs", settings=Common)


class Panic(BaseException):
    """As pyo3's PanicException: no Exception."""


def deeper() -> None:
    deeper()


def raising(error: BaseException | None) -> Callable[[], None]:
    def fail() -> None:
        if error is None:
            deeper()
        else:
            raise error

    return fail


@pytest.mark.looptime
@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), Panic("rust"), None, asyncio.CancelledError(), ExceptionGroup("two", [ValueError("one")])],
    ids=["exception", "panic", "recursion", "stray cancellation", "group"],
)
async def test_a_job_that_fails_is_logged_counted_and_started_again(error: BaseException | None) -> None:
    registry, stop, starts, fail = CollectorRegistry(), asyncio.Event(), list[float](), raising(error)

    async def job() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) == 4:
            stop.set()
        fail()

    with capture_logs() as said:
        await supervise([Job("refresh", job)], stop, Failures(registry))
    began = starts[0]
    assert [at - began for at in starts] == pytest.approx([0, 1, 3, 7]), "pauses of 1, 2 and 4 s"
    assert registry.get_sample_value("streamgate_job_failures_total", {"job": "refresh"}) == 4
    assert {(line["event"], line["job"]) for line in said} == {("a job failed and is started again", "refresh")}
    assert all(line["exc_info"] is not None for line in said)


async def test_failures_of_a_job_that_never_failed_are_zero() -> None:
    registry, stop = CollectorRegistry(), asyncio.Event()

    async def job() -> None:
        stop.set()

    await supervise([Job("refresh", job)], stop, Failures(registry))
    assert registry.get_sample_value("streamgate_job_failures_total", {"job": "refresh"}) == 0


@pytest.mark.looptime
async def test_the_pause_is_bounded_and_short_again_after_a_good_run() -> None:
    stop, starts = asyncio.Event(), list[float]()

    async def job() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) == 10:
            await asyncio.sleep(100)
        if len(starts) == 11:
            stop.set()
        raise ValueError

    with capture_logs():
        await supervise([Job("refresh", job)], stop)
    pauses = [after - before for before, after in pairwise(starts)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60, 100 + 1])


@pytest.mark.looptime
async def test_one_job_that_fails_does_not_disturb_another() -> None:
    stop, ticks = asyncio.Event(), list[int]()

    async def failing() -> None:
        raise ValueError

    async def steady() -> None:
        for tick in range(50):
            ticks.append(tick)
            await asyncio.sleep(1)
        stop.set()

    with capture_logs():
        await supervise([Job("failing", failing), Job("steady", steady)], stop)
    assert len(ticks) == 50


@pytest.mark.looptime
async def test_a_job_that_ends_the_program_does_so_and_the_others_wind_up_first() -> None:
    wound_up = list[str]()

    async def vital() -> None:
        await asyncio.sleep(1)
        raise StartError("no lease")

    async def other() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            wound_up.append("other")

    with pytest.raises(StartError, match="no lease"):
        await supervise([Job("vital", vital, ends_program=True), Job("other", other)], asyncio.Event())
    assert wound_up == ["other"]


async def test_what_must_end_the_program_passes_the_guard() -> None:
    for error in (KeyboardInterrupt(), SystemExit(3), BaseExceptionGroup("two", [ValueError(), SystemExit(3)])):
        assert ends_program(error)
    for fault in (ValueError(), Panic(), RecursionError(), MemoryError(), asyncio.CancelledError()):
        assert not ends_program(fault)


async def test_a_cancellation_of_the_guards_own_task_passes_it() -> None:
    seen = list[bool]()

    async def note_cancellation() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError as error:
            seen.append(ends_program(error))
            raise

    task = asyncio.ensure_future(note_cancellation())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert seen == [True]


def serving(error: Exception | None) -> Callable[[Common, asyncio.Event], Awaitable[None]]:
    async def serve(settings: Common, stop: asyncio.Event) -> None:
        if error is not None:
            raise error

    return serve


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        ([], None, Exit.GOOD),
        (["--help"], None, Exit.GOOD),
        (["--nonsense"], None, Exit.WRONG_ARGUMENTS),
        ([], SettingsError("--token-file: is not there"), Exit.WRONG_ARGUMENTS),
        ([], StartError("no connection"), Exit.FAILED),
        ([], ValueError("unexpected"), Exit.FAILED),
    ],
)
def test_exit_codes(
    arguments: list[str], error: Exception | None, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(FLAGS, serving(error), arguments) == code
    out, err = capsys.readouterr()
    assert ("--v (0)" in out) == (arguments == ["--help"])
    assert (err == "") == (code == Exit.GOOD)
    if error is not None:
        assert str(error) in err


PROGRAM = """
import sys
from adapter.program.flags import Common, Flags
from adapter.program.ignored import ignored_flags
from adapter.program.run import main
async def serve(settings, stop):
    print("ready", flush=True)
    await stop.wait()
    print("wound up", flush=True)
    if "stuck" in sys.argv:
        import asyncio
        await asyncio.sleep(1000)
flags = Flags(program="sample", about="", settings=Common, ignored=ignored_flags(bare="profiling"))
sys.exit(main(flags, serve, ["--profiling", "--profiling=true"]))
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_in_order(number: signal.Signals) -> None:
    process = start()
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "wound up\n")
    told = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in told] == ["flags without effect here", "stopping"]
    assert told[0]["flags"] == ["profiling"], "named once"


def test_a_second_signal_ends_what_does_not_wind_up() -> None:
    process = start("stuck")
    os.kill(process.pid, signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "wound up\n"
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
