"""One run: a world, Locust's load on it, and what was seen, as a record."""

import asyncio
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadtest.machine import Meter, description
from loadtest.runs.generator import GeneratorError, Locust, Order, busiest, locust, read_record
from loadtest.runs.record import MAX_BYTES, Event, Kind, Look, Remark, Run, Slice
from loadtest.runs.scenarios import Scenario, replicas_needed
from loadtest.runs.world import World

LOOK_S = 0.5
IMPORTS_S = 2.0
"""About how long Locust takes until its load begins."""
SECOND, ANSWER = 500, 8
"""Bytes of a record for a second and for a request, about: as days at 20 and at 100 requests/s per pod have them."""
FULL = 0.75
"""Of the bytes that a record may have: beyond it an estimate says that it may come to more."""
GRACE_S = 60.0
"""After the scenario's end Locust must have ended."""


class Plan(NamedTuple):
    """What to run."""

    scenario: Scenario
    seconds: float
    path: str = "/"
    web: int = 0
    """The port of Locust's own page; 0 is none."""


class Standing(NamedTuple):
    """How far a run is, for progress."""

    elapsed: float
    """s since the load began; negative before."""
    asked: float
    """requests/s."""
    served: float | None
    counts: dict[Kind, int]
    troubles: tuple[str, ...] = ()
    """What the report will lack and why, so far."""


class Seen(NamedTuple):
    """What is gathered while the load is on."""

    looks: list[Look]
    meter: Meter


Say = Callable[[Standing], None]


def check(plan: Plan, world: World) -> str:
    """Why this scenario cannot run there, a sentence; '' where it can."""
    most = replicas_needed(plan.scenario.peak, 1 - world.headroom, low=1, high=sys.maxsize)
    if most > world.high:
        return (
            f"{plan.scenario.name} comes to {plan.scenario.peak:g} pods' worth of load, for which the HPA would want"
            f" {most} replicas, and its maxReplicas is {world.high}; {most} or more would be right"
        )
    if plan.scenario.needs_sample and not world.work_ms:
        return (
            f"{plan.scenario.name} asks the sample service for more work or errors, and what answers there is not known"
            " to be it; --work-ms with the usual work of a request says that it is"
        )
    return ""


def too_long(plan: Plan, world: World, *, runs: int = 1) -> str:
    """Why a report with so many runs of the plan may be too large to be read again, a sentence; '' where it is not."""
    mean = math.fsum(plan.scenario.curve(place / 1000) for place in range(1000)) / 1000 * world.per_pod
    size = runs * (SECOND + ANSWER * mean)
    if size * plan.seconds <= FULL * MAX_BYTES:
        return ""
    return (
        f"{plan.seconds:g} s of this load leave a record of some {size * plan.seconds / 2**20:.0f} MiB, and compare and"
        f" publish read {MAX_BYTES / 2**20:g} MiB at most: the report's page will tell of the run all the same, but for"
        f" them --seconds {FULL * MAX_BYTES / size:.0f} or less would be right"
    )


def peak(plan: Plan, world: World) -> int:
    """The replicas that bear the scenario's peak."""
    places = (place / 1000 * plan.seconds for place in range(1000))
    return max(plan.scenario.needs(at, seconds=plan.seconds, low=world.low, high=world.high) for at in places)


Beside = Callable[[float, float], Coroutine[Any, Any, None]]
"""What shall happen while the load is on: gets when it begins, within a second, and when it ends, Unix s."""


async def watch(plan: Plan, world: World, say: Say, *, fixed: bool = False, beside: Beside | None = None) -> Run:
    """The run; with `fixed` on a fleet that has the size of the peak throughout. Raises GeneratorError."""
    seen = Seen([], Meter())
    with tempfile.TemporaryDirectory(prefix="streamgate-locust-") as name:
        async with world.running(fixed=peak(plan, world) if fixed else None):
            most = plan.scenario.peak * world.per_pod
            order = Order(
                plan.scenario.name, plan.seconds, world.per_pod, most, world.host, plan.path, world.work_ms, plan.web
            )  # fmt: skip
            async with locust(order, Path(name)) as process:
                jobs = [_look(world, seen.looks), _tell(plan, world, seen.looks, say)]
                async with _beside(*jobs, process.watch_cpu(), seen.meter.run()):
                    began = time.time() + IMPORTS_S
                    story = asyncio.create_task(beside(began, began + plan.seconds)) if beside else None
                    try:
                        await _wait_for_end(process, plan)
                        if story:
                            await asyncio.wait_for(story, GRACE_S)
                    finally:
                        if story:
                            story.cancel()
            return _run(plan, world, process, seen, fixed=fixed)


@asynccontextmanager
async def _beside(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Jobs that end with the block; one that fails ends it, and what failed is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


async def _wait_for_end(process: Locust, plan: Plan) -> None:
    try:
        code = await asyncio.wait_for(process.process.wait(), plan.seconds + GRACE_S)
    except TimeoutError:
        raise GeneratorError(f"Locust did not end {GRACE_S:g} s after the scenario:\n{process.log()}") from None
    if code:
        raise GeneratorError(f"Locust ended with {code}:\n{process.log()}")


async def _look(world: World, looks: list[Look]) -> None:
    """What the metrics API serves, twice a second."""
    while True:
        began = time.time()
        if told := await world.ask_metrics_api():
            looks.append(Look(time.time(), told.total, told.pods, told.sampled))
        await asyncio.sleep(max(0.05, began + LOOK_S - time.time()))


async def _tell(plan: Plan, world: World, looks: list[Look], say: Say) -> None:
    began = time.time() + IMPORTS_S
    while True:
        elapsed = time.time() - began
        load = plan.scenario.load(elapsed, per_pod=world.per_pod, seconds=plan.seconds)
        served = looks[-1].total if looks else None
        say(Standing(elapsed, load, served, dict(world.heard.now), tuple(world.heard.troubles)))
        await asyncio.sleep(1)


def _of(part: Slice, names: set[str]) -> Slice:
    """With the answers of pods alone: another service's first word is no pod."""
    pods = {name: count for name, count in part.pods.items() if name in names}
    return part if len(pods) == len(part.pods) else msgspec.structs.replace(part, pods=pods)


def _run(plan: Plan, world: World, process: Locust, seen: Seen, *, fixed: bool) -> Run:
    began, slices = read_record(process.record)
    busy = sorted(seen.meter.shares)
    return Run(
        scenario=plan.scenario.name,
        seconds=plan.seconds,
        per_pod=world.per_pod,
        low=world.low,
        high=world.high,
        began=datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        conditions={
            "world": world.description,
            "machine": description(),
            "processors": f"{busy[len(busy) // 2]:.0%} busy at the median, all programs on the machine" if busy else "",
            "Locust": f"at most {busiest(process.cpu):.0%} of a core over 5 s, in a process of its own",
            **({"not seen": " ".join(f"{text}." for text in world.heard.troubles)} if world.heard.troubles else {}),
        },
        slices=[_of(part, world.heard.names) for part in slices],
        looks=[
            Look(round(one.time - began, 3), one.total, one.pods, round(one.sampled - began, 3)) for one in seen.looks
        ],
        remarks=[Remark(round(moment - began, 3), text) for moment, text in world.heard.remarks],
        events=[Event(round(moment - began, 3), kind, count) for moment, kind, count in world.heard.changes],
        locust_cpu=[round(share, 3) for share in process.cpu],
        behavior=world.behavior,
        headroom=world.headroom,
        fixed=fixed,
    )
