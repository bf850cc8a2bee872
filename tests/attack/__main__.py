"""`make attack`: every input of the list against a running adapter, while a bystander asks as an HPA does.

Prints a table and fails where one is not borne: a bystander who waits over 1 s or is refused, over 64 MiB more than
before, an adapter that has ended or a job of it that has failed. The worst of three tries counts. Idle figures, taken
just before each attack, stand beside: they are the machine's own.

Each attack has an adapter of its own. With `--within S`, which is for who has little time, attacks are tried once each
against one adapter for all that need no other, and what an attack may gain is counted from that adapter's memory before
the first of them: whatever earlier attacks left counts, too, so that nothing is borne there that would not be borne
alone. What is over the bound in this way is tried again, as the first one on a new adapter. Then those nearest to a
bound are repeated, alone, until S seconds are over.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from adapter.program.tables import say, write
from tests.attack.attack import Attack, attacks
from tests.attack.field import Field, Source
from tests.attack.processes import ROOT

LONGEST = 1.0
"""s that a bystander may wait."""
MEMORY = 64 * 2**20
"""Bytes that an attack may cost."""
IDLE = 1.0
"""s of looking at the machine before each attack."""
AFTER = 0.5
"""s of looking on when an attack is over: what it left may still be at work."""
MOST = 30.0
"""s for which the bystander's next answers are waited for then."""


class Met(NamedTuple):
    """What a bystander met for some time."""

    waited: float
    """s at most."""
    failed: Mapping[str, int]
    """How often what failed."""


class Bystander:
    """The process that asks; see `tests.attack.bystander`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def collect(self) -> Met:
        """The longest wait and failures since the last call, read until both ways are answered again."""
        waited, failed, deadline = 0.0, Counter[str](), time.monotonic() + MOST
        told = self._ask()
        while True:
            waited = max(waited, told["hpa"], told["kubelet"])
            failed.update(told["failed"])
            if all(told["answered"]) or time.monotonic() > deadline:
                return Met(waited, failed)
            time.sleep(0.1)
            told = self._ask()

    def _ask(self) -> dict[str, Any]:
        """Have the bystander's process tell its waits, answers and failures since the last call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        counts: dict[str, Any] = json.loads(self._process.stdout.readline())
        return counts


class Try(NamedTuple):
    """What one run of an attack did."""

    seconds: float
    gained: int
    """Bytes."""
    waited: float
    """s, of the bystander at most."""
    problems: tuple[str, ...]
    """Beside time and memory."""


@contextmanager
def bystander(field: Field) -> Iterator[Bystander]:
    """Somebody who asks as long as the context lasts."""
    command = [sys.executable, "-m", "tests.attack.bystander", str(field.port), str(field.folder / "proxy.pem")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Bystander(process)
        finally:
            process.kill()


def once(attack: Attack, field: Field, other: Bystander, before: int) -> Try:
    """One try, against memory of `before` bytes."""
    failed_before = _count_failed_jobs(field)
    field.measure_anew()
    other.collect()
    began = time.monotonic()
    problems = []
    try:
        attack.run(field)
    except (AssertionError, OSError) as error:
        problems.append(f"not as the attack says: {type(error).__name__}: {error}"[:300])
    seconds = time.monotonic() - began
    time.sleep(AFTER)
    met = other.collect()
    problems += [f"{who} ({count} times)" for who, count in met.failed.items()]
    if not field.lives:
        problems.append("the adapter has ended")
    failed = _count_failed_jobs(field) - failed_before
    if failed:
        problems.append(f"{failed} jobs failed")
    return Try(seconds, field.memory().most - before, met.waited, tuple(problems))


def _count_failed_jobs(field: Field) -> int:
    return field.log.read_text(errors="replace").count('"a job failed')


@contextmanager
def running_field(source: Source, like: Attack) -> Iterator[tuple[Field, Bystander]]:
    """A field as `like` wants it and a bystander on it."""
    with tempfile.TemporaryDirectory() as folder:
        field = Field(Path(folder), source, like.flags, stepped=like.stepped)
        with field.standing(), bystander(field) as other:
            time.sleep(0.5)  # its first connection
            yield field, other


@dataclass
class Case:
    """What an attack on one source has done so far."""

    attack: Attack
    source: Source
    tries: list[Try] = dataclasses.field(default_factory=list)
    before: int = 0
    idle: float = 0.0

    def run(self, tries: int) -> None:
        """So many more tries, on an adapter of their own."""
        with running_field(self.source, self.attack) as (field, other):
            self._look_on(other, IDLE)
            self.before = before = field.memory().now
            self.tries += [once(self.attack, field, other, before) for _ in range(tries)]

    def run_after(self, others: int, field: Field, other: Bystander, before: int) -> bool:
        """One try on an adapter that had `before` bytes in memory ere so many others came; see above.

        False where all of them together are over the bound: then it has to be tried on a new adapter.
        """
        self._look_on(other, IDLE / 2)
        self.before = before
        tried = once(self.attack, field, other, before)
        if others and tried.gained > MEMORY:
            return False
        self.tries.append(tried)
        return True

    def _look_on(self, other: Bystander, seconds: float) -> None:
        other.collect()
        time.sleep(seconds)
        self.idle = max(self.idle, other.collect().waited)

    @property
    def waited(self) -> float:
        """s, the worst."""
        return max(one.waited for one in self.tries)

    @property
    def gained(self) -> int:
        """Bytes, the worst."""
        return max(one.gained for one in self.tries)

    @property
    def problems(self) -> list[str]:
        """What was not borne."""
        problems = sorted({problem for one in self.tries for problem in one.problems})
        problems += [f"the bystander waited over {LONGEST:g} s"] if self.waited > LONGEST else []
        return problems + ([f"more than {MEMORY >> 20} MiB"] if self.gained > MEMORY else [])

    def row(self) -> dict[str, Any]:
        """For the table."""
        return {
            "input": self.attack.name,
            "section": self.attack.section,
            "source": self.source.value,
            "tries": len(self.tries),
            "seconds": round(max(one.seconds for one in self.tries), 1),
            "RSS before, MiB": self.before >> 20,
            "RSS gained, MiB": round(self.gained / 2**20, 1),
            "idle wait, s": round(self.idle, 3),
            "longest wait, s": round(self.waited, 3),
            "verdict": "; ".join(self.problems) or "borne",
        }


def run_all(cases: Sequence[Case], tries: int) -> None:
    """Each so often, on an adapter of its own."""
    for one in cases:
        one.run(tries)
        _tell(one)


def run_within(cases: Sequence[Case], tries: int, within: float) -> None:
    """Each once, on few adapters, and then those nearest to a bound again until `within` s are over."""
    end = time.monotonic() + within
    for together in _groups(cases):
        _run_after_each_other(together)
    for one in sorted(cases, key=lambda one: max(one.waited / LONGEST, one.gained / MEMORY), reverse=True):
        if time.monotonic() > end:
            break
        one.run(tries - 1)
        _tell(one)


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Those that one adapter can bear after each other."""
    groups: dict[Hashable, list[Case]] = {}
    for number, one in enumerate(cases):
        attack = one.attack
        key = number if attack.apart else (one.source, attack.flags, attack.stepped)
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _run_after_each_other(together: Sequence[Case]) -> None:
    """On one adapter; on a new one after an attack that ended it, and where what all left is over the bound."""
    waiting = deque(together)
    while waiting:
        with running_field(waiting[0].source, waiting[0].attack) as (field, other):
            before, others = field.memory().now, 0
            while waiting and field.lives:
                field.renew()
                if not waiting[0].run_after(others, field, other, before):
                    break
                _tell(waiting.popleft())
                others += 1


def _tell(one: Case) -> None:
    say(" | ".join(str(value) for value in one.row().values()))


def main(arguments: Sequence[str]) -> int:
    """0 where all were borne, else 1."""
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", default="", help="attacks whose names contain this")
    parser.add_argument("--section", type=int, action="append", default=[], help="attacks of this section; repeatable")
    parser.add_argument("--tries", type=int, default=3, help="of each attack; the worst counts")
    parser.add_argument(
        "--within", type=float, default=0, metavar="S", help="repeat only the worst, until S are over; see above"
    )
    parser.add_argument("--form", default="table", choices=("table", "markdown", "json"))
    given = parser.parse_args(arguments)
    began = time.monotonic()
    cases = [
        Case(attack, source)
        for attack in attacks()
        if given.only in attack.name and (not given.section or attack.section in given.section)
        for source in attack.sources
    ]
    run_within(cases, given.tries, given.within) if given.within else run_all(cases, given.tries)
    title = f"attacks on a running adapter, the worst of the tries; {time.monotonic() - began:.0f} s in all"
    write([one.row() for one in cases], given.form, title)
    bad = [one for one in cases if one.problems]
    if bad:
        say(f"{len(bad)} of {len(cases)} attacks were not borne")
    return 1 if bad or not cases else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
