"""Starts programs that outlive us, and ends exactly those again.

A process is known by its pid *and* its start time, so that a pid which the kernel has given to somebody else meanwhile
is never touched. Both stand in a file per process: `down` can be another process than `up`, and works after a `kill -9`
of it. For the moment between fork and that file, each process also carries a mark in its environment (`strays`).
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "STREAMGATE_BED_PROCESS_OF"
_children: dict[int, subprocess.Popen[bytes]] = {}  # ours to reap, as long as we live


class DiedEarlyError(RuntimeError):
    """A program ended while we waited for it to be ready; the message ends with the tail of its log."""


@dataclass(frozen=True)
class Process:
    """One started program: `started` is the kernel's start time, in clock ticks since boot."""

    name: str
    pid: int
    started: int
    log: str
    argv: tuple[str, ...]

    @property
    def alive(self) -> bool:
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
        return start_time(self.pid) == self.started

    def tail(self, lines: int = 15) -> str:
        return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-lines:])

    def end(self, seconds: float = 10.0) -> None:
        """SIGTERM to it and its children (nsenter, a wrapper, passes no signal on), then SIGKILL after `seconds`."""
        family = [self, *children(self)] if self.alive else []
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            for member in family:
                send(member, number)
            if wait_until(lambda: not any(member.alive for member in family), patience):
                return
        if family:
            raise RuntimeError(f"{self.name} (pid {self.pid}) does not end, even after SIGKILL")


def start_time(pid: int) -> int | None:
    """The start time of a live process; None for one that is gone or only waits to be reaped."""
    fields = _stat(pid)
    return int(fields[19]) if fields is not None and _lives(fields) else None


def _lives(fields: Sequence[str]) -> bool:
    """Not merely waiting to be reaped. The first thread may have ended before others, which still hold ports."""
    state, threads = fields[0], int(fields[17])
    return state not in "ZX" or threads > 1


def _stat(pid: int) -> list[str] | None:
    """/proc/PID/stat from its third field (state) on; the name before it may hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def children(parent: Process) -> list[Process]:
    """The live direct children."""
    processes = []
    for pid in pids():
        fields = _stat(pid)
        if fields is not None and _lives(fields) and int(fields[1]) == parent.pid:
            processes.append(Process(f"{parent.name}'s child", pid, int(fields[19]), parent.log, ()))
    return processes


def strays(mark: str) -> list[Process]:
    """Every live process that carries our mark in its environment, recorded or not."""
    wanted = f"{MARK}={mark}".encode()
    processes = []
    for pid in pids():
        started = start_time(pid)
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if started is not None and wanted in environment:
            processes.append(Process("a stray", pid, started, os.devnull, ()))
    return processes


def send(process: Process, number: int) -> None:
    if process.alive:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def wait_until(true: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


class Folder:
    """The processes of one bed: a folder with a record and a log for each."""

    def __init__(self, folder: Path) -> None:
        self.records, self.logs, self.mark = folder / "processes", folder / "logs", str(folder)

    def start(self, name: str, argv: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Process:
        """Starts a program in a session of its own, output to its log. One by that name must not be running."""
        running = self.get(name)
        if running is not None and running.alive:
            raise RuntimeError(f"{name} is running already (pid {running.pid})")
        self.records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        log, words = self.logs / f"{name}.log", tuple(map(str, argv))
        with log.open("ab") as output:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, **(environment or {}), MARK: self.mark},
            )  # fmt: skip
        _children[child.pid] = child
        process = Process(name, child.pid, start_time(child.pid) or 0, str(log), words)
        record = self.records / f"{name}.json"
        record.with_suffix(".new").write_text(json.dumps(asdict(process), indent=1))
        record.with_suffix(".new").rename(record)
        return process

    def again(self, ended: Process) -> Process:
        """Starts a program that ended, with the same words."""
        return self.start(ended.name, ended.argv)

    def get(self, name: str) -> Process | None:
        try:
            fields = json.loads((self.records / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None
        return Process(**{**fields, "argv": tuple(fields["argv"])})

    def all(self) -> list[Process]:
        names = sorted(path.stem for path in self.records.glob("*.json"))
        return [process for process in map(self.get, names) if process is not None]

    def stop(self, name: str, seconds: float = 10.0) -> None:
        process = self.get(name)
        if process is not None:
            process.end(seconds)
            (self.records / f"{name}.json").unlink(missing_ok=True)

    def wait_ready(self, process: Process, ready: Callable[[], bool], seconds: float) -> None:
        """Waits for `ready`; raises at once when the program ends meanwhile, and after `seconds` otherwise."""
        if not wait_until(lambda: ready() or not process.alive, seconds, every=0.1):
            raise TimeoutError(f"{process.name} is not ready after {seconds:.0f} s; its log ends:\n{process.tail()}")
        if not process.alive:
            raise DiedEarlyError(f"{process.name} ended while starting; its log ends:\n{process.tail()}")


def end_all(processes: Iterable[Process], seconds: float = 10.0) -> None:
    """Ends several at once: SIGTERM to all, then each its share of patience."""
    group = list(processes)
    for process in group:
        for member in (process, *children(process)):
            send(member, signal.SIGTERM)
    for process in group:
        process.end(seconds)


def run(
    argv: Sequence[str | Path],
    check: bool = True,
    stdin: str | None = None,
    seconds: float = 120.0,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Runs a command to its end: its standard output. A failure's message holds what it wrote on standard error.

    `environ` is added to our environment.
    """
    words = [str(word) for word in argv]
    around = {**os.environ, **(environ or {})}
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=seconds, check=False, env=around
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(words, -1, f"no end after {seconds:.0f} s") from error
    if check and done.returncode != 0:
        raise CommandError(words, done.returncode, (done.stderr or done.stdout).strip())
    return done.stdout


class CommandError(RuntimeError):
    """A command failed: `.status` its exit status, `.output` what it said."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        super().__init__(f"`{' '.join(argv)[:400]}` failed with status {status}: {output[:4000]}")
        self.status, self.output = status, output
