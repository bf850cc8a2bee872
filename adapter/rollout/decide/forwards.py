"""The way of a release: what each phase wants of the cluster, and when it is left.

A phase wants things in an order (`wants.first`): what is missing is written, what is not there yet is waited for. Once
all is there, the time is noted (`release.reached`), and soaks count from it, however often we are restarted.
"""

from typing import Final

from adapter.rollout.decide import wants
from adapter.rollout.decide.common import POLL, before, end_release, full, next_shift, pursue, roll, stay, wait_for_soak
from adapter.rollout.decide.context import Context, Decision, Todo, go, say
from adapter.rollout.decide.inplace import hold_step, let_go, ready
from adapter.rollout.decide.wants import Arm, first
from adapter.rollout.model.actions import DEPLOYMENTS, Told, delete
from adapter.rollout.model.status import Outcome, Phase, Roll, at
from adapter.rollout.model.verdict import FREE
from adapter.rollout.traffic.choose import router
from adapter.rollout.traffic.router import extras_gone

ADOPTION_SECONDS: Final = 30.0
"""After so long without adoption (it takes about one) the Deployment rolls by itself."""


def preparing(ctx: Context) -> Decision:
    todo = first(
        lambda: wants.pause(ctx),
        lambda: wants.templates(ctx),
        lambda: wants.floor(ctx),
        lambda: wants.services(ctx, before(ctx)),
    )
    after = Phase.STEPPING if ctx.steps else Phase.STARTING
    weight = ctx.policy.steps[0].weight if ctx.steps else 0
    changes = {"weight": weight, "restarts": wants.restarts(ctx), "promote": ctx.release.promote}
    return pursue(ctx, todo, lambda _: go(ctx, after, "the new pods start", **changes))


def starting(ctx: Context) -> Decision:
    kept = {"promote": ctx.release.promote}
    return pursue(ctx, _beside(ctx, full(ctx)), lambda _: go(ctx, Phase.PREVIEWING, "looks at the new pods", **kept))


def previewing(ctx: Context) -> Decision:
    spec = ctx.policy.spec.blue_green
    assert spec is not None  # the strategy in force is the release's

    def decide_next(ctx: Context) -> Decision:
        return wait_for_soak(ctx, spec.preview_seconds, "looks at the new pods", manual=spec.manual) or _switch(ctx)

    return pursue(ctx, first(lambda: _beside(ctx, full(ctx)), lambda: wants.preview(ctx, Arm.CANARY)), decide_next)


def stepping(ctx: Context) -> Decision:
    """The same for a canary and a rolling release, but for how the step's pods come and what follows the last step."""
    steps, number = ctx.policy.steps, ctx.release.step
    step, last = steps[number], number == len(steps) - 1

    def decide_next(ctx: Context) -> Decision:
        promise = f"holds step {number + 1} of {len(steps)}, weight {step.weight}"
        if stays := wait_for_soak(ctx, step.pause_seconds, promise, last=last, manual=step.manual):
            return stays
        if ctx.policy.in_place and (last or ctx.release.full):
            why = "the Deployment controller replaces the stable pods that are left"
            return go(ctx, Phase.COMPLETING, why, **_promotion_reason(ctx))
        if last or ctx.release.full:
            return go(ctx, Phase.FILLING, "the sibling grows to full size", **_promotion_reason(ctx))
        after = steps[number + 1]
        told = Told("Step", f"step {number + 2} of {len(steps)}: weight {after.weight}. {ctx.verdict.reason}")
        return go(ctx, Phase.STEPPING, f"weight {after.weight}", told, step=number + 1, weight=after.weight)

    pods = router(ctx.policy).pods(full(ctx), step.weight)
    if ctx.policy.in_place:
        return pursue(ctx, first(lambda: wants.floor(ctx), lambda: hold_step(ctx, pods)), decide_next)
    todo = first(lambda: _beside(ctx, pods), lambda: router(ctx.policy).shift(ctx, step.weight))
    return pursue(ctx, todo, decide_next)


def completing(ctx: Context) -> Decision:
    """The steps have passed: the roll goes on by itself, with the user's own timing, and gates may still undo it."""
    if ctx.release.waiting_since is not None and ready(ctx) > ctx.release.arrived:  # progress: the deadline moves
        return Decision(ctx.with_release(arrived=ready(ctx), waiting_since=at(ctx.now)), again=0.0)
    judged = ctx.release.fingerprint
    end = Roll(to=judged, then=judged, next=Phase.FINISHING)
    todo = first(lambda: wants.floor(ctx), lambda: let_go(ctx))
    return pursue(ctx, todo, lambda ctx: roll(ctx, end, "the last stable pod is replaced", tells=False))


def filling(ctx: Context) -> Decision:
    return pursue(ctx, _beside(ctx, full(ctx)), _switch)


def switching(ctx: Context) -> Decision:
    message = "all traffic is on the new pods"
    return pursue(ctx, _live(ctx), lambda _: go(ctx, Phase.VERIFYING, message, Told("Switched", message)))


def verifying(ctx: Context) -> Decision:
    """The route goes back to the Service, which selects the sibling by now; the stable pods see their last requests."""
    blue_green = ctx.policy.spec.blue_green
    todo = first(lambda: _live(ctx), lambda: router(ctx.policy).shift(ctx, 0))

    def decide_next(ctx: Context) -> Decision:
        settle = ctx.policy.spec.settle_seconds
        if ctx.for_seconds() < settle:  # whatever people or gates say: established connections need it
            return stay(ctx, "lets the last requests on the stable pods end", settle - ctx.for_seconds())
        held = wait_for_soak(ctx, blue_green.verify_seconds, "keeps the stable pods") if blue_green else None
        return held or go(
            ctx, Phase.ADOPTING, "the Deployment takes the judged pods as its own", **_promotion_reason(ctx)
        )

    return pursue(ctx, todo, decide_next)


def adopting(ctx: Context) -> Decision:
    """Brings the sibling to full size, alone with its template, then orphans it; from there only forwards.

    Before that `trouble` ends the release as in the phases before.
    """
    sibling = ctx.seen.sibling(ctx.release.sibling)
    if sibling is None or sibling.going:
        return _await_adoption(ctx)
    todo = first(lambda: _live(ctx), lambda: wants.stale_sets_gone(ctx))
    why = "its ReplicaSet is adopted by the Deployment; the judged pods stay"
    orphan = delete(DEPLOYMENTS, sibling, why, propagation="Orphan")
    return pursue(ctx, todo, lambda _: Decision(say(ctx.status, f"writes: {why}"), (orphan,), again=POLL))


def _await_adoption(ctx: Context) -> Decision:
    """Waits for the adoption; where it does not come, or another template came, the Deployment rolls by itself."""
    deployment, judged = ctx.deployment, ctx.release.fingerprint
    own = ctx.seen.replica_sets_of(deployment.uid)
    other = [
        replica_set
        for replica_set in own
        if replica_set.uid != ctx.release.replica_set and (replica_set.replicas or replica_set.existing)
    ]
    taken = any(replica_set.uid == ctx.release.replica_set for replica_set in own)
    if ctx.release.reached is None or ctx.release.waiting_since is None:
        return Decision(ctx.with_release(reached=at(ctx.now), waiting_since=at(ctx.now)), again=0.0)
    if deployment.fingerprint != judged:
        return roll(
            ctx, Roll(to=judged, then=deployment.fingerprint, next=Phase.FINISHING), "another template was written"
        )
    if taken and not other and deployment.settled:
        return go(ctx, Phase.FINISHING, "puts back what the release changed", **next_shift(ctx))
    if ctx.for_seconds() > ADOPTION_SECONDS:
        return roll(ctx, Roll(to=judged, then=judged, next=Phase.FINISHING), "the judged pods were not adopted")
    return stay(ctx, "waits for the Deployment to adopt the judged pods", POLL)


def finishing(ctx: Context) -> Decision:
    todo = first(lambda: wants.services(ctx, Arm.WIDE), lambda: extras_gone(ctx), lambda: wants.restore(ctx))
    return pursue(ctx, todo, lambda _: end_release(ctx, Outcome.PROMOTED, ctx.release.reason or ctx.verdict.reason))


def _promotion_reason(ctx: Context) -> dict[str, str]:
    """The change of the release that records why it goes on: the verdict of the last phase that had gates."""
    if ctx.release.full:
        return {"reason": "a person said promote --full"}
    return {} if ctx.verdict == FREE else {"reason": ctx.verdict.reason[:512]}


def _beside(ctx: Context, pods: int) -> Todo:
    """The sibling beside the stable pods, which keep what traffic they have."""
    return first(
        lambda: wants.pause(ctx),
        lambda: wants.floor(ctx),
        lambda: wants.services(ctx, before(ctx)),
        lambda: wants.sibling(ctx, pods),
    )


def _live(ctx: Context) -> Todo:
    """All traffic on the sibling, which is as large as the stable pods."""
    return first(
        lambda: wants.pause(ctx),
        lambda: wants.floor(ctx),
        lambda: wants.sibling(ctx, full(ctx)),
        lambda: wants.preview(ctx, Arm.WIDE),
        lambda: wants.services(ctx, Arm.CANARY),
    )


def _switch(ctx: Context) -> Decision:
    return go(ctx, Phase.SWITCHING, "moves the Services to the new pods", **next_shift(ctx), **_promotion_reason(ctx))
