"""One turn: from everything that is known to what is remembered, written and told."""

from typing import Final

import msgspec

from adapter.rollout.decide import idle
from adapter.rollout.decide.backwards import returning_to_nobody
from adapter.rollout.decide.commands import apply_command, notice_config_change, write_edit
from adapter.rollout.decide.common import go_back
from adapter.rollout.decide.context import ABORTABLE, Context, Decision, go
from adapter.rollout.decide.phases import HANDLERS
from adapter.rollout.decide.roll import rolling
from adapter.rollout.decide.trouble import trouble
from adapter.rollout.model.actions import Told
from adapter.rollout.model.observation import Observation
from adapter.rollout.model.policy import RolloutPolicy, fitting_gates
from adapter.rollout.model.status import Outcome, Phase, Status, seconds, with_condition
from adapter.rollout.model.verdict import Verdict

GONE: Final = "the Deployment was deleted in mid-release"
"""The reason of a release that began to go for it; from then on Services take whoever is there."""


def decide(policy: RolloutPolicy, status: Status, seen: Observation, verdict: Verdict, now: float) -> Decision:
    """What to remember, to write and to tell at `now` (Unix seconds).

    `status` is given apart from the policy's own, so that a caller may try what another one would lead to. `verdict`
    is the judge's for the stage that the status is in.
    """
    ctx = Context(msgspec.structs.replace(policy, status=status), status, seen, verdict, now)
    decision = _turn(ctx)
    after = decision.status
    if after.observed_generation != policy.metadata.generation:
        after = msgspec.structs.replace(after, observed_generation=policy.metadata.generation)
    after = _remember_gates(ctx, after)
    return Decision(_conditions(ctx, after), decision.actions, decision.told, decision.again)


def _remember_gates(ctx: Context, status: Status) -> Status:
    """The status with the gates that its release goes on with, where the next edit does not fit its strategy."""
    gates = fitting_gates(ctx.policy) if status.release else ""
    if status.release is None or gates in ("", status.release.gates):
        return status
    return msgspec.structs.replace(status, release=msgspec.structs.replace(status.release, gates=gates))


def _turn(ctx: Context) -> Decision:
    status = ctx.status
    gone = ctx.seen.deployment is None or ctx.deployment.uid != status.stable.deployment  # commands wait for the next
    if ctx.deleting and ctx.seen.namespace_going:  # in mid-release too: there is nobody to put anything back for
        return idle.leave(ctx)
    if status.phase in (Phase.PENDING, Phase.IDLE):
        if ctx.deleting:
            return idle.leave(ctx)
        if status.phase is Phase.PENDING:
            return idle.pending(ctx)
        heard = None if gone else apply_command(ctx) or write_edit(ctx) or notice_config_change(ctx)
        return heard or idle.idle(ctx)
    if gone:
        return _clean_up_release(ctx)
    if heard := apply_command(ctx):
        return heard
    if status.phase is Phase.ROLLING:
        return rolling(ctx)
    if problem := trouble(ctx):
        told = Told(problem.outcome.value, f"goes back: {problem.reason}", warning=True)
        return go_back(ctx, problem.outcome, problem.reason, told)
    if status.phase in ABORTABLE and (written := write_edit(ctx)):
        return written
    return HANDLERS[status.phase](ctx)


def _clean_up_release(ctx: Context) -> Decision:
    """The Deployment is gone, or is another one by the same name: what is left of the release goes too."""
    if ctx.status.release is None:
        return Decision(msgspec.structs.replace(ctx.status, phase=Phase.IDLE, roll=None, saved=None), again=0.0)
    if ctx.status.phase is Phase.RESTORING or ctx.release.reason == GONE:
        return returning_to_nobody(ctx) if ctx.status.phase is Phase.RETURNING else HANDLERS[ctx.status.phase](ctx)
    ctx = ctx._replace(status=msgspec.structs.replace(ctx.status, roll=None))
    return go(ctx, Phase.RETURNING, GONE, outcome=Outcome.DELETED, reason=GONE)


def _conditions(ctx: Context, status: Status) -> Status:
    """The status with the conditions that follow from it alone: Ready and Stuck."""
    ready = status.phase is Phase.IDLE
    status = with_condition(
        status, "Ready", ready, reason=status.phase.value, message=f"the phase is {status.phase.value}", now=ctx.now
    )
    limit = ctx.policy.spec.progress_deadline_seconds
    waiting = status.roll.since if status.roll else status.release.waiting_since if status.release else None
    stuck = status.phase not in ABORTABLE and seconds(waiting, ctx.now) > limit
    if stuck or any(condition.type == "Stuck" and condition.status == "True" for condition in status.conditions):
        reason, message = ("NoProgress", status.message) if stuck else ("Progress", "")
        status = with_condition(status, "Stuck", stuck, reason=reason, message=message, now=ctx.now)
    return status
