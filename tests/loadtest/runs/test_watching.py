"""A whole run on this machine, squeezed; and what goes wrong in one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from loadtest.runs.command import watch_with_progress
from loadtest.runs.generator import GeneratorError
from loadtest.runs.record import Kind
from loadtest.runs.scenarios import SCENARIOS
from loadtest.runs.watching import Plan, Standing, check, peak, too_long, watch
from loadtest.runs.world import Heard, Told
from loadtest.standalone import free_port


class Still:
    """A world in which nothing happens; nobody answers at its address."""

    def __init__(self, told: Exception | Told | None, headroom: float = 0.0) -> None:
        self.description, self.host = "nowhere", f"http://127.0.0.1:{free_port()}"
        self.per_pod, self.low, self.high, self.work_ms = 10.0, 2, 8, 0.0
        self.headroom = headroom
        self.behavior = {"scaleDown": {"stabilizationWindowSeconds": 30}}
        self.heard = Heard()
        self._told = told

    @asynccontextmanager
    async def running(self, *, fixed: int | None) -> AsyncIterator[None]:
        self.heard.note(Kind.ENDPOINTS, fixed or self.low)
        yield

    async def ask_metrics_api(self) -> Told | None:
        if isinstance(self._told, Exception):
            raise self._told
        return self._told


def say_nothing(_: Standing) -> None:
    pass


async def test_a_service_that_does_not_answer_is_failures_and_downtime_not_silence() -> None:
    run = await watch(Plan(SCENARIOS["errors"], 2.0), Still(Told(20.0, 2, 1.0)), say_nothing)
    assert sum(part.failed for part in run.slices) == sum(part.requests for part in run.slices) > 10
    assert all("refused" in text.lower() for part in run.slices for text in part.problems)
    assert {look.total for look in run.looks} == {20.0}
    assert [event.count for event in run.counts(Kind.ENDPOINTS)] == [2]
    assert sum(part.unanswered for part in run.slices) == sum(part.failed for part in run.slices)
    assert not any(part.latencies for part in run.slices)  # refused within a ms: no fast answers
    assert run.locust_cpu
    assert "not seen" not in run.conditions


async def test_what_a_run_could_not_see_is_told_while_it_runs_and_in_its_conditions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = Still(None)
    world.heard.trouble("nobody serves [the] metric")
    run = await watch_with_progress(Plan(SCENARIOS["step"], 3.0), world, Console(width=150), "step")
    assert run.conditions["not seen"] == "nobody serves [the] metric."
    assert capsys.readouterr().out.count("nobody serves [the] metric\n") == 1


def test_a_run_whose_record_may_be_too_large_to_be_read_again_is_told_so_with_what_is_not() -> None:
    """`errors` is 2.5 pods' worth throughout, 25 requests/s: 500 + 8 * 25 = 700 bytes/s."""
    plan, world = Plan(SCENARIOS["errors"], 86_400.0), Still(None)
    assert too_long(plan, world) == (
        "86400 s of this load leave a record of some 58 MiB, and compare and publish read 64 MiB at most: the report's"
        " page will tell of the run all the same, but for them --seconds 71902 or less would be right"
    )  # 700 * 86400 / 2**20 = 57.7, 0.75 * 64 * 2**20 / 700 = 71902.4
    assert too_long(plan._replace(seconds=71_902.0), world) == ""
    assert "--seconds 35951 or less" in too_long(plan._replace(seconds=71_902.0), world, runs=2)


async def test_what_fails_while_a_run_is_watched_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        await watch(Plan(SCENARIOS["step"], 60.0), Still(ZeroDivisionError()), say_nothing)


async def test_locust_that_cannot_run_is_told_with_its_log() -> None:
    world = Still(None)
    world.host = ""
    with pytest.raises(GeneratorError, match="Locust ended"):
        await watch(Plan(SCENARIOS["step"]._replace(name="none"), 3.0), world, say_nothing)


def test_the_peak_is_the_largest_need() -> None:
    assert [peak(Plan(SCENARIOS[name], 240), Still(None)) for name in ("step", "day", "errors")] == [4, 6, 3]
    assert check(Plan(SCENARIOS["day"], 240), Still(None)) == ""


def test_a_scenario_for_which_the_hpa_would_want_more_than_it_may_is_refused() -> None:
    day = Plan(SCENARIOS["day"], 240)  # 5.5 pods' worth
    assert check(day, Still(None, headroom=0.25)) == ""  # 5.5 / 0.75 = 7.3: 8, which it may
    assert "would want 10 replicas, and its maxReplicas is 8; 10 or more" in check(day, Still(None, headroom=0.4))
