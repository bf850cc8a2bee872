"""The judge over recorded windows: what each window said, and what became of the release. Pure.

The recording is taken for the whole release: a rollback ends it at once; promotion is said where it was reached for
good, as a release is promoted only when its steps are over.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from adapter.rollout.evidence.record import begin
from adapter.rollout.explain import Judgement
from adapter.rollout.judge import hear, verdict
from adapter.rollout.model.gates import Gates
from adapter.rollout.model.verdict import Said, Stage
from adapter.rollout.model.window import Window


class Told(NamedTuple):
    """The judgement after window `at`, from 0."""

    at: int
    time: float
    judgement: Judgement


class End(NamedTuple):
    """What became of the release; `at_window` is where that was reached, None where there is no window."""

    said: Said
    at_window: int | None
    reason: str


NO_WINDOW = End(Said.HOLD, None, "no window could be read")


def replay(policy: Gates, windows: Iterable[Window], stage: Stage) -> Iterator[Told]:
    """A judgement per window, up to and with the first that rolls back."""
    record = begin(policy.of(stage))
    for at, window in enumerate(windows):
        record = hear(policy, record, window, stage)
        judgement = verdict(policy, record, stage)
        yield Told(at, window.time, judgement)
        if judgement.verdict.said is Said.ROLLBACK:
            return


def end(before: End, told: Told) -> End:
    """How it ends if `told` was the last window."""
    said, reason = told.judgement.verdict[:2]
    if said is Said.PROMOTE and before.said is Said.PROMOTE:
        return before
    return End(said, told.at, reason)


def stage_of(*, blue_green: bool) -> Stage:
    """The gates that a recording is held against: those after the switch, where there is one."""
    return Stage.POST if blue_green else Stage.CANARY
