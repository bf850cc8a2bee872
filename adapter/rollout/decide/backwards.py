"""The way back from a release, and its end either way."""

from adapter.rollout.decide import wants
from adapter.rollout.decide.common import POLL, end_release, full, pursue, stay
from adapter.rollout.decide.context import DONE, Context, Decision, Todo, go
from adapter.rollout.decide.wants import Arm, first
from adapter.rollout.model.actions import Told
from adapter.rollout.model.status import Outcome, Phase, seconds
from adapter.rollout.traffic.choose import router
from adapter.rollout.traffic.router import extras_gone


def returning(ctx: Context) -> Decision:
    """Traffic first, and nothing else before it. Only where no stable pod is ready while new ones are, it waits."""
    stable = any(pod.ready for pod in wants.stable_pods(ctx))
    if not stable and any(pod.ready for pod in wants.canary_pods(ctx)) and full(ctx):
        return stay(ctx, "waits for a stable pod to be ready: going back now would answer nobody", POLL)
    todo = first(
        lambda: wants.services(ctx, Arm.STABLE),
        lambda: wants.preview(ctx, Arm.WIDE),
        lambda: _route_back(ctx),
        lambda: wants.pause(ctx),
    )

    return pursue(ctx, todo, _settle)


def returning_to_nobody(ctx: Context) -> Decision:
    """Returning where the Deployment is gone, or is another one: no pods are stable, so Services take all there are."""
    todo = first(
        lambda: wants.services(ctx, Arm.WIDE),
        lambda: wants.preview(ctx, Arm.WIDE),
        lambda: _route_back(ctx),
    )
    return pursue(ctx, todo, _settle)


def _route_back(ctx: Context) -> Todo:
    """The route gives the new pods nothing. The gateways' word that it is so may never come: then it is not waited for
    any longer than the progress deadline, counted from the phase's beginning."""
    todo = router(ctx.policy).shift(ctx, 0)
    late = seconds(ctx.release.since, ctx.now) > ctx.policy.spec.progress_deadline_seconds
    return DONE if late and not todo.actions else todo


def _settle(ctx: Context) -> Decision:
    left = ctx.policy.spec.settle_seconds - ctx.for_seconds()
    if left > 0:
        return stay(ctx, "lets the last requests on the new pods end", left)
    unmet = router(ctx.policy).shift(ctx, 0).unmet
    limit = ctx.policy.spec.progress_deadline_seconds
    told = (Told("Unconfirmed", f"goes back all the same: waited {limit} s for {unmet}", True),) if unmet else ()
    return go(ctx, Phase.REMOVING, "the sibling goes", *told)


def removing(ctx: Context) -> Decision:
    todo = first(lambda: extras_gone(ctx), lambda: wants.sibling_gone(ctx))
    return pursue(ctx, todo, lambda _: go(ctx, Phase.RESTORING, "puts back what the release changed"))


def restoring(ctx: Context) -> Decision:
    todo = first(
        lambda: wants.services(ctx, Arm.WIDE), lambda: wants.preview(ctx, Arm.WIDE), lambda: wants.restore(ctx)
    )
    outcome = ctx.release.outcome or Outcome.ABORTED
    return pursue(ctx, todo, lambda _: end_release(ctx, outcome, ctx.release.reason))
