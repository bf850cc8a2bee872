"""What is kept of a run: looks each second, events, requests by half second; as JSON and back.

Times are seconds since the run began, so that two runs lie over each other.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from adapter.hpa.fields import HpaError
from adapter.hpa.model import HpaSpec
from adapter.hpa.read import read_spec
from loadtest.runs.scenarios import SCENARIOS, Scenario, replicas_needed

MAX_BYTES = 64 * 2**20
"""Of a record; an hour's run has 2 MB."""
FORMAT = 2
OLDER = 1
"""In which the durations of requests without an answer stood among those of the answers."""
MAX_SECONDS = 86_400.0
MAX_HEADROOM = 0.9


class RecordError(Exception):
    """A file is no record of a run; says which file and what was wrong."""


class Kind(StrEnum):
    """What happened."""

    DESIRED = "desired"
    """The HPA's desiredReplicas became `count`."""
    CREATED = "created"
    """A pod came into being; from now on there are `count`."""
    READY = "ready"
    """`count` pods are ready."""
    ENDPOINTS = "endpoints"
    """`count` pods are where the Service sends requests."""


class Event(msgspec.Struct, frozen=True):
    """From `time` on `count` holds for what `kind` counts."""

    time: float
    kind: Kind
    count: int


class Look(msgspec.Struct, frozen=True):
    """What the metrics API served at `time`: the sum over the pods, of how many, and the newest sample's time."""

    time: float
    total: float
    pods: int
    sampled: float


class Slice(msgspec.Struct, frozen=True):
    """What clients saw in the half second that ended at `time`."""

    time: float
    asked: float
    """requests/s that there should be."""
    failed: int
    asked_to_fail: int
    """Of the answers that asked to be an error."""
    latencies: dict[str, int]
    """By milliseconds to three digits: answers, good or bad. What got none is in `unanswered` alone."""
    pods: dict[str, int]
    """By name: answers. Empty where the service does not tell its name."""
    problems: dict[str, int] = {}
    unanswered: int = 0
    """Of those that failed: without any answer of the service."""

    @property
    def answered(self) -> int:
        """Requests that the service answered, well or not."""
        return sum(self.latencies.values())

    @property
    def requests(self) -> int:
        """Requests that ended, with an answer or without."""
        return self.answered + self.unanswered

    @property
    def counted(self) -> int:
        """Requests that should not fail: without those that asked to."""
        return self.requests - self.asked_to_fail


class Remark(msgspec.Struct, frozen=True):
    """Something was done at `time`, such as a release."""

    time: float
    text: str


class Run(msgspec.Struct, frozen=True):
    """One run of a scenario."""

    scenario: str
    seconds: float
    per_pod: float
    """requests/s that a pod bears; loads are told in it."""
    low: int
    high: int
    began: str
    """ISO 8601."""
    conditions: dict[str, str]
    slices: list[Slice]
    looks: list[Look]
    events: list[Event]
    locust_cpu: list[float]
    """Shares of a core, second by second."""
    remarks: list[Remark] = []
    before: dict[Kind, int] = {}
    """The counts when it began."""
    behavior: dict[str, Any] | None = None
    """`spec.behavior` of the HPA as JSON, {} where it had none; None where that was not recorded."""
    headroom: float = 0.0
    """The HPA's target is that share below what a pod bears."""
    fixed: bool = False
    """Whether the fleet was held at the size of the peak, for comparison."""
    format: int = FORMAT

    @property
    def plan(self) -> Scenario:
        """The scenario."""
        return SCENARIOS[self.scenario]

    @property
    def target(self) -> float:
        """The HPA's, requests/s per pod."""
        return self.per_pod * (1 - self.headroom)

    @property
    def peak(self) -> int:
        """The replicas that bear the scenario's highest load: those of the fleet that cost is told against."""
        return replicas_needed(self.plan.peak, 1.0, low=self.low, high=self.high)

    @property
    def watched(self) -> bool:
        """Whether it is known how many pods were in endpoints from the beginning on; else `counts` says 0."""
        early = (event.kind for event in self.events if event.time <= 0)
        return Kind.ENDPOINTS in self.before or Kind.ENDPOINTS in early

    @property
    def answering(self) -> bool:
        """Whether the service tells which pods answered."""
        return any(part.pods for part in self.slices)

    @property
    def spec(self) -> HpaSpec | None:
        """What the HPA's formula needs to know of it; None where that was not recorded. Raises HpaError."""
        if self.behavior is None:
            return None
        target = {"type": "AverageValue", "averageValue": f"{max(1, round(1000 * self.target))}m"}
        metric = {"type": "Pods", "pods": {"metric": {"name": "load"}, "target": target}}
        bounds = {"minReplicas": self.low, "maxReplicas": self.high}
        return read_spec({"spec": {**bounds, "metrics": [metric], "behavior": self.behavior}})

    def needs(self, elapsed: float) -> int:
        """The replicas that the load needs at a time, by the HPA's target."""
        load = self.plan.load(min(elapsed, self.seconds * (1 - 1e-12)), per_pod=self.per_pod, seconds=self.seconds)
        return replicas_needed(load, self.target, low=self.low, high=self.high)

    def counts(self, kind: Kind) -> list[Event]:
        """Changes of one count, in order, beginning with what it was at 0."""
        changes = sorted((event for event in self.events if event.kind is kind), key=lambda event: event.time)
        early = [event for event in changes if event.time <= 0]
        first = early[-1].count if early else self.before.get(kind, 0)
        return [Event(0.0, kind, first), *(event for event in changes if event.time > 0)]


class Level(NamedTuple):
    """A count that held from `start` to `end`."""

    start: float
    end: float
    replicas: int


def levels(changes: Sequence[Event], seconds: float) -> list[Level]:
    """The count over [0, seconds), piece by piece without gaps; empty pieces are left out."""
    ends = [*(min(event.time, seconds) for event in changes[1:]), seconds]
    return [Level(one.time, end, one.count) for one, end in zip(changes, ends, strict=True) if end > one.time]


def at(changes: Sequence[Event], elapsed: float) -> int:
    """The count at a time; `changes` begin at 0."""
    count = changes[0].count
    for event in changes:
        if event.time > elapsed:
            break
        count = event.count
    return count


def read(path: Path) -> tuple[Run, Run | None]:
    """The run of a report's JSON, and the one on a fixed fleet if there was one. Raises RecordError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(f"{path}: larger than {MAX_BYTES} bytes; a report of a run is wanted")
        decoded = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; a report.json of a run is wanted") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{path}: {error}; a report.json of a run is wanted") from error
    return _check_run(path, decoded.run), decoded.fixed and _check_run(path, decoded.fixed)


class _File(msgspec.Struct):
    run: Run
    fixed: Run | None = None


def _check_run(path: Path, run: Run) -> Run:
    if run.format not in (OLDER, FORMAT):
        raise RecordError(f"{path}: its format is {run.format}; this program reads {OLDER} and {FORMAT}")
    if run.scenario not in SCENARIOS:
        raise RecordError(f"{path}: scenario {run.scenario!r} is none of {', '.join(SCENARIOS)}")
    bounded = 1 <= run.seconds <= MAX_SECONDS and 0 < run.per_pod < 1e9 and 0 <= run.headroom <= MAX_HEADROOM
    if not bounded or not 1 <= run.low <= run.high <= 100_000:
        raise RecordError(f"{path}: seconds, per_pod, headroom, low or high are out of their bounds")
    try:
        _ = run.spec
    except HpaError as error:
        raise RecordError(f"{path}: {error}") from error
    _check_counts(path, run)
    for part in run.slices:
        _check_latencies(path, part)
    if run.format == OLDER:
        run = msgspec.structs.replace(run, format=FORMAT, slices=[_drop_unanswered(part) for part in run.slices])
    for part in run.slices:
        _check_requests(path, part)
    return run


def _drop_unanswered(part: Slice) -> Slice:
    """A slice of OLDER as one of FORMAT. Which durations were of no answer it does not tell: the shortest are left out,
    so that what remains is never faster than what was answered."""
    latencies: dict[str, int] = {}
    rest = part.unanswered
    for text in sorted(part.latencies, key=float):
        dropped = min(rest, part.latencies[text])
        rest -= dropped
        if left := part.latencies[text] - dropped:
            latencies[text] = left
    return msgspec.structs.replace(part, latencies=latencies, unanswered=part.unanswered - rest)


def _check_counts(path: Path, run: Run) -> None:
    told = [(event.count, event.kind.value, event.time) for event in run.events]
    told += [(count, kind.value, 0.0) for kind, count in run.before.items()]
    told += [(look.pods, "served", look.time) for look in run.looks]
    for count, what, time in told:
        if count < 0:
            raise RecordError(f"{path}: {what!r} counts {count} pods at {time} s; 0 or more would be right")


def _check_latencies(path: Path, part: Slice) -> None:
    for text, count in part.latencies.items():
        try:
            good = 0 <= float(text) < 1e9 and 0 <= count < 1e9
        except ValueError:
            good = False
        if not good:
            raise RecordError(f"{path}: {count} answers in {text[:40]!r} ms at {part.time} s: neither may be negative")
    if not 0 <= part.unanswered < 1e9:
        raise RecordError(
            f"{path}: {part.unanswered} requests without an answer at {part.time} s; 0 or more, below 1e9"
        )


def _check_requests(path: Path, part: Slice) -> None:
    if min(part.failed, part.asked_to_fail) < 0 or part.failed + part.asked_to_fail > part.requests:
        raise RecordError(f"{path}: more of the {part.requests} requests at {part.time} s failed than there were")
    if part.unanswered > part.failed:
        raise RecordError(f"{path}: more requests at {part.time} s had no answer than failed")
