"""Files that verbs read, and what they say about them."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from adapter.files import size
from adapter.program import tables
from adapter.rollout import documents, queries, recording
from adapter.rollout.cli.settings import PROGRAM
from adapter.rollout.model import shape
from adapter.rollout.model.gates import Gates, GatesError, parse
from adapter.rollout.model.verdict import Stage
from adapter.rollout.replay import stage_of
from adapter.units.manifest import MOST_BYTES, ManifestError

MOST_SKIPPED: Final = 64 << 20
"""Bytes of a line that are passed over: what has none so long (a device, a picture) is not read for ever."""
MOST_SAID: Final = 20
"""Problems of one file that are printed; the others are counted."""


class VerbError(Exception):
    """A verb cannot do its work; the text is a sentence for the user."""


class Complaints:
    """Problems on stderr, the first few word by word."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.count = 0

    def say(self, problem: object) -> None:
        self.count += 1
        if self.count <= MOST_SAID:
            say(f"{self._place}, {problem}")

    def end(self) -> None:
        if self.count > MOST_SAID:
            say(f"{self._place}: {self.count - MOST_SAID} more problems are not listed")


def say(text: str) -> None:
    """One sentence on stderr, with the program's name before it, as for the error that ends a verb."""
    tables.say(f"{PROGRAM}: {text}")


def read_bytes(path: str) -> bytes:
    """A small file, or `-` for stdin. Raises VerbError."""
    limit = MOST_BYTES + 1
    if path == "-":
        return sys.stdin.buffer.read(limit)
    try:
        with Path(path).open("rb") as file:
            return file.read(limit)
    except (OSError, ValueError) as error:
        raise VerbError(f"{path}: cannot be read: {_why(error)}") from None


def read_policy(path: str) -> dict[str, Any]:
    """The raw RolloutPolicy of a file. Raises VerbError."""
    try:
        return documents.policy_of(read_bytes(path), path)
    except ManifestError as error:
        raise VerbError(str(error)) from None


def read_gates(path: str) -> tuple[Gates, Stage]:
    """The gates of a policy's file, and the stage that a recording is held against, of which there is at least one.

    What `lint` has to say of the rest of the policy is said on stderr, and which gates are left out. Raises VerbError.
    """
    policy = read_policy(path)
    spec = documents.spec_of(policy)
    try:
        gates = parse(spec)
    except GatesError as error:
        for problem in error.problems:
            say(f"{path}: {problem}")
        raise VerbError(f"{path}: the gates cannot be used; right would be what {PROGRAM} lint accepts") from None
    _say_all([f"lint: {path}: {problem}" for problem in [*shape.problems(policy), *queries.problems(gates.gates)]])
    stage = stage_of(blue_green=isinstance(spec.get("blueGreen"), dict))
    if not gates.gates:
        right = "right would be at least one, with a metric and a limit"
        raise VerbError(f"{path}: spec.gates: the policy names no gate, so there is nothing to judge; {right}")
    left = [gate for gate in gates.gates if gate.stage is not stage]
    names = ", ".join(f"{gate.name} (stage {gate.stage})" for gate in left)
    if len(left) == len(gates.gates):
        said = f"a recording is held against gates of stage {stage}, and there is only {names}"
        raise VerbError(f"{path}: spec.gates: {said}; right would be one of stage {stage}")
    if left:
        say(f"{path}: left out, as a recording is held against gates of stage {stage}: {names}")
    return gates, stage


def _say_all(sentences: Sequence[str]) -> None:
    """The first few of them, and how many more there are."""
    for sentence in sentences[:MOST_SAID]:
        say(sentence)
    if len(sentences) > MOST_SAID:
        say(f"{len(sentences) - MOST_SAID} more are not listed")


def lines(file: BinaryIO, path: str) -> Iterator[bytes]:
    """A file's lines, cut off at one byte more than is allowed, so that no line fills the memory. Raises VerbError."""
    limit = recording.MOST_BYTES + 1
    while line := file.readline(limit):
        yield line
        length = len(line)
        while len(line) == limit and not line.endswith(b"\n"):
            line = file.readline(limit)
            length += len(line)
            if length > MOST_SKIPPED:
                raise VerbError(f"{path}: a line has more than {size(MOST_SKIPPED)}; JSON lines of windows are wanted")


def open_windows(path: str) -> BinaryIO:
    """A file of windows, or `-` for stdin. Raises VerbError."""
    if path == "-":
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        raise VerbError(f"{path}: cannot be read: {_why(error)}") from None


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
