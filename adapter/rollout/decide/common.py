"""What all phases have in common: write, wait, note the time, soak."""

from collections.abc import Callable
from typing import Final

import msgspec

from adapter.kube.objects import unix
from adapter.rollout.decide import wants
from adapter.rollout.decide.context import Context, Decision, Todo, go, say
from adapter.rollout.decide.wants import Arm
from adapter.rollout.model.actions import Patch, Told
from adapter.rollout.model.observation import Seen
from adapter.rollout.model.status import (
    HISTORY,
    REFUSED,
    Outcome,
    Past,
    Phase,
    Revision,
    Roll,
    Saved,
    Status,
    at,
    seconds,
    with_condition,
)
from adapter.rollout.model.verdict import Said

Handler = Callable[[Context], Decision]

POLL: Final = 1.0
SKEW: Final = 5.0
"""Seconds by which a node's clock may be ahead of ours; what is later says nothing."""
HELD_FIELDS: Final = ("/spec/paused", "/spec/minReadySeconds", "/spec/progressDeadlineSeconds")


def pursue(ctx: Context, todo: Todo, decide_next: Handler) -> Decision:
    """Writes what is missing and waits for what is not there yet; once all is there, calls `decide_next`."""
    if todo.status is not None:
        return Decision(todo.status, again=0.0)
    waiting = ctx.release.waiting_since
    if not todo.done:
        message = f"writes: {todo.actions[0].why}" if todo.actions else f"waits for {todo.unmet}"
        if waiting is None:
            status, told = _note_interference(ctx, todo)
            ctx = ctx._replace(status=status)
            return Decision(say(ctx.with_release(waiting_since=at(ctx.now)), message), (), told, 0.0)
        if ctx.abortable and _is_late(ctx, todo, message):
            limit = ctx.policy.spec.progress_deadline_seconds
            reason = f"no progress for {limit} s: {message}"
            late = Told(Outcome.ROLLED_BACK.value, f"goes back: {reason}", warning=True)
            return go_back(ctx, Outcome.ROLLED_BACK, reason, late)
        return Decision(say(ctx.status, message), todo.actions, again=POLL)
    if ctx.release.reached is None or waiting is not None:
        reached = ctx.release.reached or at(ctx.now)
        return Decision(ctx.with_release(reached=reached, waiting_since=None), again=0.0)
    if ctx.status.held and ctx.abortable and not ctx.deleting:  # of a policy that goes no `resume` is heard
        return stay(ctx, "a person said pause: waits for resume")
    return decide_next(ctx)


def _is_late(ctx: Context, todo: Todo, message: str) -> bool:
    """Whether the cluster has had its time. What is met when we come back after an hour is not late, nor is a write
    that nobody tried yet; time that a person holds a release does not count, nor does a soak."""
    tried = bool(todo.unmet) or ctx.status.message == message
    return tried and seconds(ctx.release.waiting_since, ctx.now) > ctx.policy.spec.progress_deadline_seconds


def _note_interference(ctx: Context, todo: Todo) -> tuple[Status, tuple[Told, ...]]:
    """The status, with a condition and an event where somebody else undid what this phase had reached."""
    mine = {ctx.policy.spec.target_ref.name, *(service.name for service in ctx.seen.services if _is_old(ctx, service))}
    mine |= {ctx.seen.route.name} if ctx.seen.route else set()
    undone = [
        one
        for one in todo.actions
        if isinstance(one, Patch) and one.name in mine and any(_of_ours(each["path"]) for each in one.operations)
    ]
    if ctx.release.reached is None or not undone:
        return ctx.status, ()
    message = f"somebody else changed {undone[0].resource.plural} {undone[0].name}; again: {undone[0].why}"
    status = with_condition(ctx.status, "Interfered", True, reason="Changed", message=message, now=ctx.now)
    return status, (Told("Interfered", message, True),)


def _is_old(ctx: Context, service: Seen) -> bool:
    """Whether the Service was there when the phase had what it wants; a newer one is no interference."""
    created = unix(service.meta.get("creationTimestamp"))
    return created is None or ctx.release.reached is None or created < ctx.release.reached.timestamp()


def _of_ours(path: str) -> bool:
    """Whether the path is of a field that a release holds; maxSurge alone follows the HPA's size."""
    return path in HELD_FIELDS or path.startswith(("/spec/selector/", "/spec/rules/"))


def stay(ctx: Context, message: str, again: float | None = None) -> Decision:
    """Stays in the phase; only the message changes."""
    return Decision(say(ctx.status, message), again=again)


def wait_for_soak(
    ctx: Context, least: float, promise: str, *, last: bool = True, manual: bool = False
) -> Decision | None:
    """The decision to stay in the phase, and why; None where it may be left: time is over and the judge agrees.

    Before the `last` step an undecided judge is enough, as its evidence carries on; one that hears nothing is not,
    whatever it heard before, nor one whose gate of scope step has not passed.
    """
    whole, calm = ctx.for_seconds(), _calm_seconds(ctx)
    left = least - calm
    if ctx.release.full:
        return None
    if left > 0 and calm < whole:
        return _anew(ctx, whole - least) or stay(ctx, f"{promise} for {least:g} s, anew: a new pod was unready", left)
    if left > 0:
        return stay(ctx, f"{promise} for {least:g} s", left)
    if ctx.verdict.blind:  # what was heard before says nothing of now
        return stay(ctx, "waits for the gates, which hear nothing", POLL)
    if ctx.verdict.said is Said.HOLD and (ctx.verdict.step or last):
        return stay(ctx, "waits for the gates", POLL)
    if manual and not ctx.release.promote:
        return stay(ctx, "waits for a person to say promote")
    return None


def _calm_seconds(ctx: Context) -> float:
    """Seconds for which all new pods have been ready, of those since the phase was reached.

    It is read from the pods themselves, so that it holds for what nobody saw, too. A pod that started later, for the
    HPA or in place of an evicted one, disturbs nothing.
    """
    reached = ctx.release.reached.timestamp() if ctx.release.reached else ctx.now
    back = [reached]
    for pod in wants.canary_pods(ctx):
        known = pod.started is not None and pod.started <= reached
        if known and pod.ready_since is not None and pod.ready_since <= ctx.now + SKEW:
            back.append(pod.ready_since)
    return max(0.0, ctx.now - max(back))


def _anew(ctx: Context, over: float) -> Decision | None:
    """The way back where a soak began anew again and again, until it was `over` by so many seconds."""
    limit = ctx.policy.spec.progress_deadline_seconds
    if over <= limit or not ctx.abortable:
        return None
    reason = f"no soak without an unready new pod for {limit} s more than it takes"
    return go_back(ctx, Outcome.ROLLED_BACK, reason, Told(Outcome.ROLLED_BACK.value, f"goes back: {reason}", True))


def full(ctx: Context) -> int:
    """The size that the HPA, or whoever scales, wants the Deployment to have."""
    return ctx.deployment.replicas if ctx.seen.deployment else 0


def before(ctx: Context) -> Arm:
    """Whose pods the Services select before the switch."""
    return Arm.WIDE if ctx.policy.by_ratio else Arm.STABLE


def next_shift(ctx: Context) -> dict[str, int]:
    """The change of the release that goes with moved traffic: a new shift, and so a new mark on Services."""
    return {"shift": ctx.release.shift + 1}


def roll(ctx: Context, wanted: Roll, why: str, *, tells: bool = True) -> Decision:
    """Lets the Deployment roll by itself; its own strategy is saved, to be put back."""
    saved = ctx.status.saved or Saved()
    if saved.strategy is None:
        saved = msgspec.structs.replace(saved, strategy=dict(ctx.deployment.spec.get("strategy") or {}))
    status = msgspec.structs.replace(ctx.status, roll=wanted, saved=saved, phase=Phase.ROLLING, message=why)
    if status.release:
        release = msgspec.structs.replace(status.release, since=at(ctx.now), reached=None, waiting_since=None)
        status = msgspec.structs.replace(status, release=release)
    told = (Told("Rolling", f"{why}: the Deployment rolls by itself, one pod more at a time", True),)
    return Decision(status, (), told if tells else (), 0.0)


def go_back(ctx: Context, outcome: Outcome, reason: str, told: Told) -> Decision:
    """The way back: traffic first; of a rolling release, whose stable pods are all there, by the Deployment itself."""
    if not ctx.policy.in_place:
        changes = {"outcome": outcome, "reason": reason, **next_shift(ctx)}
        return go(ctx, Phase.RETURNING, reason[:512], told, **changes)
    if ctx.status.phase is Phase.PREPARING and not ctx.seen.pods_of(others(ctx)):
        return go(ctx, Phase.RESTORING, reason[:512], told, outcome=outcome, reason=reason)
    ctx = ctx._replace(status=ctx.with_release(outcome=outcome, reason=reason))
    back = Roll(to=ctx.status.stable.fingerprint, then=ctx.deployment.fingerprint, next=Phase.RESTORING)
    decision = roll(ctx, back, reason[:512], tells=False)
    return Decision(decision.status, (), (told,), 0.0)


def others(ctx: Context) -> set[str]:
    """The uids of the Deployment's ReplicaSets but the stable one."""
    return {
        replica_set.uid
        for replica_set in ctx.seen.replica_sets_of(ctx.deployment.uid)
        if replica_set.hash != ctx.status.stable.hash
    }


def take_unjudged(ctx: Context, stable: Revision, why: str) -> Status:
    """The status once `stable` serves although no release judged it; if its template is new, the history has it too.

    Else the release before would be the last one for `wait`, and `undo` would know no template to go back to.
    """
    status = msgspec.structs.replace(ctx.status, stable=stable)
    if stable.fingerprint == ctx.status.stable.fingerprint:
        return status
    number, now = status.number + 1, at(ctx.now)
    past = Past(Outcome.PROMOTED, number, stable.fingerprint, reason=why, started_at=now, ended_at=now)
    history = (past, *status.history)[:HISTORY]
    return msgspec.structs.replace(status, previous=ctx.status.stable.fingerprint, number=number, history=history)


def end_release(ctx: Context, outcome: Outcome, reason: str) -> Decision:
    """Ends the release with `outcome`, and puts it into the history."""
    release, status = ctx.release, ctx.status
    past = Past(
        number=release.number,
        fingerprint=release.fingerprint,
        outcome=outcome,
        reason=reason[:512],
        started_at=release.started_at,
        ended_at=at(ctx.now),
    )
    promoted = outcome is Outcome.PROMOTED
    uid = ctx.seen.deployment.uid if ctx.seen.deployment else ""
    stable = Revision(fingerprint=release.fingerprint, hash=release.hash, deployment=uid)
    after: Status = msgspec.structs.replace(
        status,
        phase=Phase.IDLE,
        message="nothing to release",
        release=None,
        saved=None,
        evidence=None,
        held=False,
        stable=stable if promoted else status.stable,
        previous=status.stable.fingerprint if promoted else status.previous,
        refused=release.fingerprint if outcome in REFUSED and not release.retry else "",
        history=(past, *status.history)[:HISTORY],
    )
    told = Told(outcome.value, f"release {release.number}: {outcome.value}. {reason}", warning=not promoted)
    return Decision(after, (), (told,), 0.0)
