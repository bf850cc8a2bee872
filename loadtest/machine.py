"""The machine that is measured on: what it is, how busy it was meanwhile, and who goes first on it."""

import asyncio
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/sys/fs/cgroup")


class Ticks(NamedTuple):
    """Processor time since boot, in ticks, over all processors."""

    total: int
    idle: int
    stolen: int


def parse(text: str) -> Ticks:
    """The first line of /proc/stat: user nice system idle iowait irq softirq steal (guest time is within user)."""
    fields = [int(word) for word in text.split("\n", 1)[0].split()[1:9]]
    return Ticks(sum(fields), fields[3] + fields[4], fields[7])


def busy(before: Ticks, after: Ticks) -> float:
    """The share of all processors' time that was not idle, 0 to 1; time stolen by the host counts as busy."""
    total = after.total - before.total
    return 1 - (after.idle - before.idle) / total if total else 0.0


class Meter:
    """Looks once a second; `shares` holds what it saw."""

    def __init__(self, file: Path = Path("/proc/stat")) -> None:
        self.shares: list[float] = []
        self._file = file

    async def run(self) -> None:
        """Until cancelled."""
        last = parse(self._file.read_text())
        while True:
            await asyncio.sleep(1)
            now = parse(self._file.read_text())
            self.shares.append(busy(last, now))
            last = now


def weigh(cgroup: Path) -> None:
    """Ten times the processor weight of a usual cgroup, or of a session's processes, where there is competition."""
    for file, weight in (("cpu.shares", 10 * 1024), ("cpu.weight", 1000)):  # cgroup v1 and v2
        if (cgroup / file).exists():
            (cgroup / file).write_text(str(weight))


@contextmanager
def ahead(name: str, root: Path = CGROUPS) -> Iterator[None]:
    """This process, and what it starts meanwhile, run in a heavy cgroup of their own. Needs root.

    Nice values would not do: where the kernel groups processes by session they only count within one.
    """
    hierarchy = root / "cpu" if (root / "cpu").is_dir() else root
    own, before = hierarchy / name, hierarchy / _place(Path("/proc/self/cgroup").read_text()).lstrip("/")
    own.mkdir(exist_ok=True)
    weigh(own)
    _move(own)
    try:
        yield
    finally:
        _move(before)
        with suppress(OSError):  # someone it started is still there
            own.rmdir()


def _move(cgroup: Path) -> None:
    (cgroup / "cgroup.procs").write_text(str(os.getpid()))


def _place(text: str) -> str:
    """The cgroup of the cpu controller in a file /proc/PID/cgroup, of version 1 or else 2."""
    places = {controllers: path for _, controllers, path in (line.split(":", 2) for line in text.splitlines())}
    return next((path for controllers, path in places.items() if "cpu" in controllers.split(",")), places.get("", "/"))


def description() -> str:
    """Processors and kernel, in words."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}, Python {platform.python_version()}"
