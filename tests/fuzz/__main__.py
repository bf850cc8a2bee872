"""`make fuzz SECONDS=300`: all readers in turn, each for its share of the time; exit code 1 where one fails.

What fails is written to `build/fuzz/`. Once it is mended, its place is beside the seeds, so that it is tried for ever.
"""

import hashlib
import random
import resource
import sys
import time

from adapter.program import tables
from tests.fuzz.doors import DOORS, SEEDS, Door
from tests.fuzz.fuzzer import ROOT, Failure, Lines, fuzz, try_input

FOUND = ROOT / "build" / "fuzz"
KEPT = 4096
"""Bytes of an input that `--keep` puts beside the seeds at most."""


def main(seconds: float, seed: int, only: str, *, keep: bool) -> int:
    """The run; its exit code."""
    doors = [door for door in DOORS if only in ("", door.name)]
    tables.lines([f"{len(doors)} readers, {seconds:g} s, seed {seed}"])
    failed = 0
    for door in doors:
        failed += _one(door, seconds / len(doors), random.Random(f"{seed} {door.name}"), keep=keep)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    tables.lines([f"{failed} inputs were not borne; at most {memory} MiB were held"])
    return int(failed > 0)


def _one(door: Door, seconds: float, chance: random.Random, *, keep: bool) -> int:
    lines = Lines()
    ends = time.monotonic() + seconds
    count, fresh, failures = fuzz(door, chance, lines, lambda _: time.monotonic() < ends)
    told = f"{count:8} inputs, {len(lines):5} lines of ours reached, {len(fresh):4} inputs reach more"
    tables.lines([f"{door.name:24}{told}"])
    for failure in failures:
        _tell(failure)
    if keep:
        for body in (one for one in fresh if len(one) <= KEPT and try_input(door, one) is None):
            (SEEDS / door.name / _name(body)).write_bytes(body)
    return len(failures)


def _tell(failure: Failure) -> None:
    FOUND.mkdir(parents=True, exist_ok=True)
    file = FOUND / f"{failure.door}-{_name(failure.body)}"
    file.write_bytes(failure.body)
    tables.lines([f"  {file.relative_to(ROOT)} ({len(failure.body)} bytes): {failure.problem}"])


def _name(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=6).hexdigest()


if __name__ == "__main__":
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    sys.exit(
        main(
            float(given.get("--seconds") or 60),
            int(given.get("--seed") or time.time()),
            given.get("--only", ""),
            keep="--keep" in given,
        )
    )
