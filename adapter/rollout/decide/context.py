"""What a decision looks at, and the few forms that it can take."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from adapter.rollout.model.actions import Action, Told
from adapter.rollout.model.observation import Deployment, Observation
from adapter.rollout.model.policy import STRATEGIES, RolloutPolicy
from adapter.rollout.model.status import Phase, Release, Status, at, seconds
from adapter.rollout.model.verdict import Verdict

POLICY_LABEL: Final = "streamgate.io/policy"
"""On everything that a release adds: the policy's name."""
MARK: Final = "streamgate.io/release"
"""On a Service that was narrowed; its EndpointSlices get it too, once their controller has seen the selector."""

ABORTABLE: Final = frozenset(
    {
        Phase.PREPARING,
        Phase.STARTING,
        Phase.PREVIEWING,
        Phase.STEPPING,
        Phase.COMPLETING,
        Phase.FILLING,
        Phase.SWITCHING,
        Phase.VERIFYING,
    }
)
"""Phases from which there is a way back whatever was seen."""


@dataclass(frozen=True)
class Decision:
    """The status to write first, then the writes to make in order, and what to tell people.

    `again`: seconds until time alone changes the answer; None where only the cluster can.
    """

    status: Status
    actions: tuple[Action, ...] = ()
    told: tuple[Told, ...] = ()
    again: float | None = None


class Todo(NamedTuple):
    """What is missing of one thing that a phase wants. Nothing at all means that the thing is as it should be."""

    actions: tuple[Action, ...] = ()
    unmet: str = ""
    """What is waited for, one sentence without its full stop."""
    status: Status | None = None
    """The status with something learnt from the cluster, to be remembered first."""

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return not self.actions and not self.unmet and self.status is None


DONE: Final = Todo()


class Context(NamedTuple):
    """All that is known; `now` in Unix seconds."""

    policy: RolloutPolicy
    status: Status
    seen: Observation
    verdict: Verdict
    now: float

    @property
    def release(self) -> Release:
        """The release under way."""
        assert self.status.release is not None
        return self.status.release

    @property
    def deployment(self) -> Deployment:
        """The policy's Deployment, where it is known to exist."""
        assert self.seen.deployment is not None
        return self.seen.deployment

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.policy.metadata.name

    @property
    def deleting(self) -> bool:
        """Whether the policy is being deleted."""
        return self.policy.metadata.deletion_timestamp is not None

    @property
    def abortable(self) -> bool:
        """Whether there is a way back: until the sibling is orphaned."""
        if self.status.phase is not Phase.ADOPTING or self.status.release is None:
            return self.status.phase in ABORTABLE
        sibling = self.seen.sibling(self.release.sibling)
        return sibling is not None and not sibling.going

    @property
    def steps(self) -> int:
        """How many steps a canary or a rolling release has."""
        return len(self.policy.steps)

    def with_release(self, **changes: Any) -> Status:
        """The status with a release that differs so."""
        return msgspec.structs.replace(self.status, release=msgspec.structs.replace(self.release, **changes))

    def for_seconds(self) -> float:
        """How long the cluster has shown what the phase wants."""
        return seconds(self.release.reached, self.now)


def go(ctx: Context, phase: Phase, message: str, *told: Told, **changes: Any) -> Decision:
    """The next phase; `changes` are the release's. Nothing else is written in the same turn."""
    fresh = {"since": at(ctx.now), "reached": None, "waiting_since": None, "promote": False, **changes}
    status = ctx.with_release(**fresh)
    return Decision(msgspec.structs.replace(status, phase=phase, message=message), (), told, 0.0)


def strategy(ctx: Context) -> dict[str, Any]:
    """The policy's strategy as a release remembers it."""
    spec = msgspec.to_builtins(ctx.policy.spec)
    return {key: spec[key] for key in STRATEGIES if key in spec}


def say(status: Status, message: str) -> Status:
    """The status with another message."""
    return status if status.message == message else msgspec.structs.replace(status, message=message)
