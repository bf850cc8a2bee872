"""Locust as a process of its own: started, its processor time watched, its record read."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from loadtest.runs.record import Slice
from loadtest.runs.scenarios import requests_per_user

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
ROOT = LOCUSTFILE.parents[2]
MOST = 0.8
"""Of a core: a generator that is busier measures itself."""
OVER = 5
"""s over which that is looked at."""
AUTOQUIT_S = 3
END_S = 15.0


class GeneratorError(Exception):
    """Locust did not run; with the end of its log."""


class Order(NamedTuple):
    """What Locust shall do."""

    scenario: str
    seconds: float
    per_pod: float
    peak: float
    """requests/s at most."""
    host: str
    path: str
    work_ms: float
    web: int = 0
    """The port of Locust's own page on loopback; 0 is none."""

    def command(self, record: Path) -> list[str]:
        """The command line."""
        page = ["--web-host", "127.0.0.1", "--web-port", str(self.web), "--autostart", f"--autoquit={AUTOQUIT_S}"]
        return [
            *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", self.host),
            *(page if self.web else ["--headless", "--only-summary"]),
            *("--stop-timeout", "5", "--exit-code-on-error", "0", "--loglevel", "WARNING"),
            *(f"--scenario={self.scenario}", f"--seconds={self.seconds:g}", f"--per-pod={self.per_pod:g}"),
            *(f"--per-user={requests_per_user(self.peak):g}", f"--work-ms={self.work_ms:g}", f"--path={self.path}"),
            f"--record={record}",
        ]


class Locust:
    """The running process."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.cpu: list[float] = []
        """Shares of a core, a second each, since the load began."""
        self._folder = folder

    @property
    def record(self) -> Path:
        """Where it writes what it sees."""
        return self._folder / "record.jsonl"

    def log(self) -> str:
        """The end of what it said."""
        return (self._folder / "locust.log").read_text(errors="replace")[-3000:]

    async def watch_cpu(self) -> None:
        """Until it ends; counts from the first line of its record on, as imports are no load."""
        while not (self.record.exists() and self.record.stat().st_size):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        loop = asyncio.get_running_loop()
        then, before = loop.time(), cpu_seconds(self.process.pid)
        while before is not None:
            await asyncio.sleep(1)
            now, after = loop.time(), cpu_seconds(self.process.pid)
            if after is None:
                return
            self.cpu.append((after - before) / (now - then))
            then, before = now, after


@asynccontextmanager
async def locust(order: Order, folder: Path) -> AsyncIterator[Locust]:
    """It runs; ended with the block."""
    with (folder / "locust.log").open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            *order.command(folder / "record.jsonl"),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,  # it would read keys
            stdout=stream,
            stderr=stream,
        )
    try:
        yield Locust(process, folder)
    finally:
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_S)
        if process.returncode is None:
            process.kill()
            await process.wait()


def cpu_seconds(pid: int, root: Path = Path("/proc")) -> float | None:
    """Processor time that a process has used; None when it is gone."""
    try:
        fields = (root / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busiest(shares: Sequence[float], over: int = OVER) -> float:
    """The highest mean share of a core over so many seconds; 0 without any."""
    spans = [shares[start : start + over] for start in range(max(1, len(shares) - over + 1))]
    return max((sum(span) / len(span) for span in spans if span), default=0.0)


def too_busy(shares: Sequence[float]) -> str:
    """Why a run does not count, a sentence; '' where it does."""
    most = busiest(shares)
    if most <= MOST:
        return ""
    return (
        f"the run is discarded: Locust was busy for {most:.0%} of a core over {OVER} s, and above {MOST:.0%} it"
        " measures itself; a machine that is less busy, or an HPA with a lower target, which gets less load, would be"
        " right"
    )


def read_record(path: Path) -> tuple[float, list[Slice]]:
    """When the load began, Unix s, and what was seen since, in seconds since then. Raises GeneratorError."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise GeneratorError(f"{path}: Locust left no record: {error}") from error
    began = next((float(line["began"]) for line in lines if line["began"]), 0.0)
    if not began:
        raise GeneratorError(f"{path}: Locust ended before it began")
    return began, [_slice(line, began) for line in lines if line["time"] > began]


def _slice(line: dict[str, Any], began: float) -> Slice:
    told = ("asked", "failed", "asked_to_fail", "unanswered", "latencies", "pods", "problems")
    return Slice(time=round(line["time"] - began, 3), **{name: line[name] for name in told})
