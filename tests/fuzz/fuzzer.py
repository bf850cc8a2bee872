"""Mutates seeds, keeps what reaches new lines, and says which inputs a reader does not bear.

An input fails that raises what its door does not refuse with, or that takes more than `SECONDS` of CPU time.
"""

import faulthandler
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from tests.fuzz.doors import Door

LARGEST = 65_536
"""Bytes of an input."""
SECONDS = 1.0
"""CPU time for one input; following lines makes it many times slower, so that it is then measured again without."""
STUCK = 60.0
"""s after which a reader that no signal reaches (it is in C) ends the run with a traceback."""
ROOT = Path(__file__).parents[2]
OURS = tuple(f"{ROOT / package}/" for package in ("adapter", "recommender"))
TOKENS = (
    b"NaN", b"+Inf", b"-Inf", b"1e400", b"-0", b"0x1p-1074", b"9223372036854775808", b"1.8e305", b"null", b"true",
    b"{}", b"[]", b'""', b'"', b"'", b"`", b"\\", b"\\ud800", b"\\u0000", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"\0",
    b"\n", b"\r\n", b"\t", b" ", b"#", b"# EOF\n", b"<<", b">>", b"{{", b"}}", b"(", b")", b"[", b"]", b"{", b"}", b",",
    b":", b"=", b"!=", b"=~", b"|", b".*", b"(?:", b"{,}", b"\\Q", b"$", b"&a", b"*a", b"!!python/object:os.system ",
    b"- ", b"? ", b"%", b"/", b"..", b"a" * 300, b"1" * 400,
)  # fmt: skip


class Failure(NamedTuple):
    """An input that a door does not bear."""

    door: str
    body: bytes
    problem: str
    place: str
    """The same for what is likely one fault."""


class TooSlow(BaseException):
    """An input took longer than it may."""


@contextmanager
def limit_cpu_time(seconds: float) -> Iterator[None]:
    """Raises TooSlow in the block after that much CPU time of the process."""

    def late(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    faulthandler.dump_traceback_later(STUCK, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)  # one that is on its way must not end the program


def try_input(door: Door, body: bytes, seconds: float = SECONDS) -> Failure | None:
    """What is wrong with how `door` takes `body`; None where nothing is."""
    try:
        with limit_cpu_time(seconds):
            door.read(body)
    except door.refusals:
        return None
    except KeyboardInterrupt:
        raise
    except TooSlow:
        return Failure(door.name, body, f"it took more than {seconds:g} s of CPU time", "slow")
    except BaseException as error:  # noqa: BLE001 - whatever comes is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        place = f"{kind} {where.filename}:{where.lineno}"
        return Failure(door.name, body, f"{kind}: {str(error)[:200]}, {where.filename}:{where.lineno}", place)
    return None


class Lines:
    """The lines of our own code that were ever reached."""

    def __init__(self) -> None:
        self._seen: set[tuple[CodeType, int]] = set()
        self._new = False

    def __len__(self) -> int:
        return len(self._seen)

    def follow(self, door: Door, body: bytes) -> tuple[bool, Failure | None]:
        """Whether `body` reached a new line, and what is wrong with how it was taken."""
        self._new = False
        sys.settrace(self._on_call)
        try:
            failure = try_input(door, body, 20 * SECONDS)
        finally:
            sys.settrace(None)
        return self._new, failure

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._on_line if frame.f_code.co_filename.startswith(OURS) else None

    def _on_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        key = frame.f_code, frame.f_lineno
        if key not in self._seen:
            self._seen.add(key)
            self._new = True
        return self._on_line


def mutate(chance: random.Random, pool: Sequence[bytes]) -> bytes:
    """One of `pool`, changed in one to eight places."""
    body = bytearray(chance.choice(pool))
    for _ in range(1 << chance.randrange(4)):
        _change(chance, body, pool)
    return bytes(body[:LARGEST])


def _change(chance: random.Random, body: bytearray, pool: Sequence[bytes]) -> None:
    at = chance.randrange(len(body) + 1)
    end = min(len(body), at + 1 + int(chance.expovariate(0.1)))
    match chance.randrange(8):
        case 0:
            body[at:end] = b""
        case 1:
            body[at:at] = chance.choice(TOKENS)
        case 2:
            body[at:end] = chance.choice(TOKENS)
        case 3:
            body[at:end] = bytes([chance.randrange(256)])
        case 4:
            body[at:at] = body[at:end] * (1 << chance.randrange(1, 5))
        case 5:  # up to the largest: what is worse than linear shows
            piece = bytes(body[at:end]) or chance.choice(TOKENS)
            body[at:at] = piece * (chance.choice((100, 1000, LARGEST)) // len(piece))
        case 6:
            other = chance.choice(pool)
            begin = chance.randrange(len(other) + 1)
            body[at:end] = other[begin : begin + chance.randrange(1, 200)]
        case _:
            body[at:] = chance.choice(pool)[at:]


def fuzz(
    door: Door, chance: random.Random, lines: Lines, more: Callable[[int], bool]
) -> tuple[int, list[bytes], list[Failure]]:
    """Try inputs while `more` of their number says so.

    Returns how many, which of them reached new lines, and which failed (each problem once).
    """
    pool = list(door.seeds())
    for body in pool:
        lines.follow(door, body)
    fresh: list[bytes] = []
    failures: dict[str, Failure] = {}
    count = 0
    while more(count):
        body = mutate(chance, pool)
        reached, failure = lines.follow(door, body)
        failure = failure or (try_input(door, body) if len(body) > LARGEST // 2 else None)
        count += 1
        if failure is not None:
            failures.setdefault(failure.place, failure)
        elif reached:
            fresh.append(body)
            pool.append(body)
    return count, fresh, list(failures.values())
