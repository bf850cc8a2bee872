"""One turn of one policy: read, judge, decide, remember, tell, write. Everything is decided anew each time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec
import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.rollout.act import Ended, Result, Writer
from adapter.rollout.decide.context import Decision
from adapter.rollout.decide.turn import decide
from adapter.rollout.model.actions import Action, Told
from adapter.rollout.model.observation import Json, Observation
from adapter.rollout.model.policy import POLICIES, RolloutPolicy
from adapter.rollout.model.status import Phase, Status
from adapter.rollout.model.verdict import FREE, Said, Verdict
from adapter.rollout.observe import Reader
from adapter.rollout.tell import tell
from adapter.spans import Kind, note, span

log = structlog.get_logger(__name__)
CALM = 60.0
"""Seconds until a policy is looked at where nothing happens."""
BUSY = 1.0
"""The same in mid-release."""
KEPT = "the new gates do not fit the strategy of the release under way: they are for the next one, it keeps its own"


class Heard(NamedTuple):
    """What the judge says, and what it wants to remember for its next look."""

    verdict: Verdict = FREE
    evidence: Any = None
    floor: int | None = None
    """What the HPA's formula asks for over the stable pods alone, where it could be computed."""
    lost: str = ""
    """Why what was remembered could not be used; `evidence` then begins anew."""
    again: float = math.inf
    """Seconds until it is worth to look again; only where that is sooner than usual."""


class Checked(NamedTuple):
    """What is wrong with a policy's gates before anything is released, in sentences."""

    refuses: tuple[str, ...] = ()
    """For these the policy cannot be followed."""
    unheard: tuple[str, ...] = ()
    """With these it can, and its gates will hear nothing as things are."""
    again: float = math.inf
    """Seconds until it is worth to look again; only where something could not be told."""


class Ears(Protocol):
    """Reads metrics and asks the judge."""

    async def hear(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Heard:
        """The verdict for the policy's present phase. Raises nothing: what cannot be read is no evidence."""
        ...

    async def check(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Checked:
        """What can be said of the gates before a release. Raises nothing."""
        ...


class Deaf:
    """For policies without gates."""

    async def check(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Checked:
        """Nothing is wrong."""
        return Checked()

    async def hear(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Heard:
        """Nothing is asked."""
        return Heard()


Notify: TypeAlias = Callable[[RolloutPolicy, Sequence[Told], float], None]


def nobody(policy: RolloutPolicy, told: Sequence[Told], now: float) -> None:
    """Events are enough."""


class Turned(NamedTuple):
    """When to look again, in seconds from the turn's begin, and how the status is now (None: the policy is gone)."""

    again: float
    status: Status | None = None
    made: tuple[Action, ...] = ()
    said: str = ""
    """Why a write was not made, if one was not."""
    judged: Said | None = None
    """What the judge said of a window that is new."""
    undecided: bool = False
    """Whether gates or probes of the present phase are neither for nor against the new pods."""
    rest: float = 0.0
    """Seconds from the turn's end before which there is none, whatever changes: a write was refused for so long."""


def _evidence(status: Status, verdict: Verdict) -> dict[str, Any]:
    """What a line of the decision log says beside the write: where the release stands, and on which numbers."""
    release = status.release
    if release is None:
        return {}
    numbers = {} if verdict == FREE else {"verdict": verdict.said.value, "evidence": verdict.reason[:512]}
    return {"release": release.number, "phase": status.phase.value, "weight": release.weight, **numbers}


class Turns:
    """Takes turns for any policy; holds nothing between them."""

    def __init__(self, client: Client, ears: Ears, notify: Notify = nobody) -> None:
        """`notify` gets what people are told, with the status as it is then; it never waits."""
        self._client, self._notify = client, notify
        self._reader, self._writer, self._ears = Reader(client), Writer(client), ears

    async def turn(self, namespace: str, name: str, now: float) -> Turned:
        """One turn at `now` (Unix seconds). Raises KubeError where the cluster could not be read."""
        current = await self._reader.policy(namespace, name)
        if current is None:
            return Turned(CALM)
        policy, raw, lost, keeps = current
        with span("observe"):
            seen = await self._reader.observe(policy, raw)
        with span("hear"):
            heard = await self._ears.hear(policy, raw, seen, now)
        if heard.floor is not None:
            seen = replace(seen, wanted=heard.floor)
        status, checked = policy.status, Checked()
        if status.phase in (Phase.PENDING, Phase.IDLE):
            checked = await self._ears.check(policy, raw, seen, now)
            seen = replace(seen, rivals=(*checked.refuses, *seen.rivals), unheard=checked.unheard)
        if heard.evidence is not None and status.release is not None:
            status = msgspec.structs.replace(status, evidence=heard.evidence)
        decision = decide(policy, status, seen, heard.verdict, now)
        actions = decision.actions
        if lost:
            told = Told("StatusLost", f"{lost}: it begins there anew", warning=True)
            decision = replace(decision, told=(told, *decision.told))
        if keeps and policy.status.observed_generation != policy.metadata.generation:
            decision = replace(decision, told=(Told("GatesKept", KEPT), *decision.told))
        if heard.lost:
            told = Told("EvidenceLost", f"the gates begin anew: {heard.lost}", warning=True)
            decision = replace(decision, told=(told, *decision.told))
        if lost or decision.status != policy.status:
            actions = tuple(one for one in actions if one.resource != POLICIES)  # what guards those has just changed
            try:
                await self._remember(policy, raw, decision.status)
            except KubeError as error:
                return self._end_unwritten(policy, Result(Ended.FAILED, str(error), error.retry_after or BUSY))
        await tell(self._client, policy, decision.told, now)
        self._notify(msgspec.structs.replace(policy, status=decision.status), decision.told, now)
        with structlog.contextvars.bound_contextvars(**_evidence(decision.status, heard.verdict)):
            result = await self._writer.act(namespace, actions)
        turned = self._after(decision, result)
        judged = None if heard.evidence is None or heard.lost else heard.verdict.said
        again = min(turned.again, checked.again, heard.again)
        return turned._replace(again=again, judged=judged, undecided=heard.verdict.said is Said.HOLD)

    async def _remember(self, policy: RolloutPolicy, raw: Json, status: Status) -> None:
        """Writes the status, only if the policy is as it was read: of two controllers one wins."""
        path = POLICIES.path(policy.metadata.namespace, policy.metadata.name, "status")
        note({"streamgate.rolloutpolicy.phase": status.phase.value})
        with span("write status", kind=Kind.CLIENT):
            await self._client.replace(
                path, {**raw, "status": {"phase": status.phase.value, **msgspec.to_builtins(status)}}, dict
            )

    def _after(self, decision: Decision, result: Result) -> Turned:
        if result.ended is not Ended.DONE:
            log.info("again", cause=result.said)
            return Turned(result.pause, decision.status, result.made, result.said, rest=result.pause)
        calm = BUSY if decision.status.release or decision.status.roll else CALM
        again = calm if decision.again is None else min(calm, decision.again)
        return Turned(again, decision.status, result.made)

    def _end_unwritten(self, policy: RolloutPolicy, result: Result) -> Turned:
        log.info("status not written", policy=policy.metadata.name, cause=result.said)
        return Turned(result.pause, policy.status, said=result.said, rest=result.pause)
