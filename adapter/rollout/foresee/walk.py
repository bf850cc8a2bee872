"""A release from now to its end, write by write, if every gate passes and every pod becomes ready. Pure."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from adapter.rollout.decide.commands import RESTARTED
from adapter.rollout.decide.context import Decision
from adapter.rollout.decide.turn import decide
from adapter.rollout.foresee.world import World
from adapter.rollout.model.actions import Action
from adapter.rollout.model.observation import Json, Observation
from adapter.rollout.model.policy import POLICIES, RolloutPolicy
from adapter.rollout.model.status import Phase, Status, rfc3339_seconds
from adapter.rollout.model.verdict import FREE

MOST_TURNS: Final = 3000
PATIENCE: Final = 20
"""Turns without a write or a change after which nothing more is to come: here nobody is slow."""


class Write(NamedTuple):
    """A write, the phase that makes it, and the earliest seconds from now."""

    after: float
    phase: Phase
    action: Action


class Note(NamedTuple):
    """Something between the writes, one sentence: what a person does, or why it goes no further."""

    after: float
    phase: Phase
    text: str


class _Walk:
    def __init__(self, policy: RolloutPolicy, seen: Observation, now: float) -> None:
        self.policy, self.world, self.began, self.now = policy, World(seen), now, now
        self.quiet = 0

    @property
    def status(self) -> Status:
        return self.policy.status

    def note(self, text: str) -> Note:
        return Note(self.now - self.began, self.status.phase, text)

    def be(self, **changes: Any) -> None:
        self.policy = msgspec.structs.replace(self.policy, status=msgspec.structs.replace(self.status, **changes))

    def turn(self) -> Iterator[Write]:
        """One turn, as `turns` takes it: the status first, then the writes."""
        decision = decide(self.policy, self.status, self.world.observe(), FREE, self.now)
        changed = decision.status != self.status
        writes = [
            Write(self.now - self.began, self.status.phase, action)
            for action in decision.actions
            if not (changed and action.resource == POLICIES)
        ]
        self.quiet = 0 if changed or writes else self.quiet + 1
        self.policy = msgspec.structs.replace(self.policy, status=decision.status)
        for write in writes:
            self.world.apply(write.action)
        self.world.settle()
        self._wait(decision)
        return iter(writes)

    def _wait(self, decision: Decision) -> None:
        """Time that only passes; where nothing but the cluster is waited for, it has answered by now."""
        self.now += 1.0 if decision.again is None else decision.again

    def person(self) -> str:
        """What a person is waited for to do: done, and said; '' where nobody is waited for."""
        release = self.status.release
        if release is None:
            return ""
        if self.status.held:
            self.be(held=False)
            return "a person says resume"
        step = self.policy.steps[release.step] if self.policy.steps and self.status.phase is Phase.STEPPING else None
        blue_green = self.policy.spec.blue_green
        preview = blue_green if self.status.phase is Phase.PREVIEWING else None
        if not release.promote and ((step and step.manual) or (preview and preview.manual)):
            self.be(release=msgspec.structs.replace(release, promote=True))
            return "a person says promote"
        return ""


def walk(policy: RolloutPolicy, seen: Observation, now: float, template: Json | None = None) -> Iterator[Write | Note]:
    """The writes of the release that is under way, or else of the next one, to its end.

    `template` is the one to release; without it the one that waits in the Deployment, and where none does, the present
    one with kubectl's annotation of a restart stands for it. The status of the policy and Events are no part of it.
    """
    made = _Walk(policy, seen, now)
    written = False
    releasing = policy.status.release is not None
    for _ in range(MOST_TURNS):
        yield from made.turn()
        releasing = releasing or made.status.phase not in (Phase.PENDING, Phase.IDLE)
        if made.quiet < 2:
            continue
        if made.status.phase is Phase.IDLE and made.status.release is None:
            going = policy.metadata.deletion_timestamp is not None
            if releasing or written or going or seen.deployment is None or _is_refused(made.status):
                break
            written = True
            made.quiet = 0
            made.world.write(template or _stand_in(seen.deployment.template, now))
            yield made.note("another template is written" + ("" if template else ", here the present one, restarted"))
            continue
        if said := made.person():
            yield made.note(said)
            made.quiet = 0
        elif made.quiet > PATIENCE:
            break
    if made.status.phase is not Phase.IDLE or _is_refused(made.status) or seen.deployment is None:
        yield made.note(made.status.message)


def _is_refused(status: Status) -> bool:
    return any(condition.type == "Refused" and condition.status == "True" for condition in status.conditions)


def _stand_in(template: Json, now: float) -> Json:
    meta = template.get("metadata") or {}
    annotations = {**(meta.get("annotations") or {}), RESTARTED: rfc3339_seconds(now)}
    return {**template, "metadata": {**meta, "annotations": annotations}}
