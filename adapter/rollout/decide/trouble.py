"""What ends a release that can still be ended: people, another template, the judge, crashes (time: `common.pursue`)."""

from typing import Final, NamedTuple

from adapter.rollout.decide import wants
from adapter.rollout.decide.context import Context
from adapter.rollout.decide.refuse import of_stable_alone
from adapter.rollout.evidence.breaker import SHARED, UNREADY_S
from adapter.rollout.model.observation import Pod
from adapter.rollout.model.status import Outcome, Phase, seconds
from adapter.rollout.model.verdict import Said

UNREADY_SECONDS: Final = 10.0
"""So long the new pods may be unready where all traffic is theirs."""

LIVE: Final = frozenset(
    {Phase.STEPPING, Phase.COMPLETING, Phase.FILLING, Phase.SWITCHING, Phase.VERIFYING, Phase.ADOPTING}
)


class Trouble(NamedTuple):
    """How the release ends, and why."""

    outcome: Outcome
    reason: str


def trouble(ctx: Context) -> Trouble | None:
    """The first reason to go back; None while there is none."""
    if not ctx.abortable:
        return None
    if ctx.deleting and not _is_decided(ctx):
        return Trouble(Outcome.DELETED, "the policy is being deleted")
    return (
        _template_trouble(ctx) or _loss_trouble(ctx) or _service_trouble(ctx) or _verdict_trouble(ctx) or _crashing(ctx)
    )


def _is_decided(ctx: Context) -> bool:
    """Whether the final verdict is in: then a deletion of the policy finishes forwards."""
    late = (Phase.COMPLETING, Phase.FILLING, Phase.SWITCHING, Phase.VERIFYING)
    return ctx.status.phase is Phase.ADOPTING or (ctx.steps > 0 and ctx.status.phase in late)


def _template_trouble(ctx: Context) -> Trouble | None:
    fingerprint = ctx.deployment.fingerprint
    if fingerprint == ctx.release.fingerprint:
        return None
    if fingerprint == ctx.status.stable.fingerprint:
        return Trouble(Outcome.REVERTED, "the stable template was put back")
    return Trouble(Outcome.SUPERSEDED, f"template {fingerprint} was written in mid-release")


def _loss_trouble(ctx: Context) -> Trouble | None:
    if ctx.policy.in_place and ctx.status.phase is not Phase.PREPARING:
        return None  # the Deployment itself rolls
    if not ctx.policy.in_place and ctx.release.hash and ctx.seen.sibling(ctx.release.sibling) is None:
        return Trouble(Outcome.ABORTED, f"Deployment {ctx.release.sibling} was deleted in mid-release")
    own = ctx.seen.replica_sets_of(ctx.deployment.uid)
    rolled = [replica_set for replica_set in own if replica_set.hash != ctx.status.stable.hash and replica_set.replicas]
    if rolled:
        return Trouble(Outcome.SUPERSEDED, "the Deployment was un-paused by somebody else in mid-release")
    return None


def _service_trouble(ctx: Context) -> Trouble | None:
    """A Service that came in mid-release, for the stable pods alone: moved to the new ones, it would have no pod."""
    stable = wants.stable_set(ctx)
    services = [service for service in ctx.seen.services if stable and service.selects(stable.template)]
    why = next(of_stable_alone(services, ctx.deployment.template), "")
    return Trouble(Outcome.ROLLED_BACK, why) if why else None


def _verdict_trouble(ctx: Context) -> Trouble | None:
    if ctx.verdict.said is not Said.ROLLBACK or ctx.release.full:
        return None
    return Trouble(Outcome.ROLLED_BACK, ctx.verdict.reason)


def _crashing(ctx: Context) -> Trouble | None:
    """Relative to the stable pods over the same time: an outage that both share rolls nothing back."""
    new, stable = wants.canary_pods(ctx), wants.stable_pods(ctx)
    loops, others = wants.looping(ctx, new), wants.looping(ctx, stable)
    if loops and (not others or len(others) * len(new) < SHARED * len(loops) * len(stable)):
        beside = f"{len(others)} of {len(stable)} stable ones do" if others else "no stable one does"
        return Trouble(Outcome.ROLLED_BACK, f"{len(loops)} of {len(new)} new pods crash-loop ({loops[0]}), {beside}")
    if ctx.status.phase not in LIVE or ctx.release.reached is None:
        return None
    steady = sum(pod.ready for pod in stable)
    if 2 * steady >= len(stable) and _are_unready(ctx, [pod for pod in new if not pod.going]):
        ready = sum(pod.ready for pod in new)
        return Trouble(
            Outcome.ROLLED_BACK, f"only {ready} of {len(new)} new pods are ready, {steady} of {len(stable)} stable ones"
        )
    return None


def _are_unready(ctx: Context, new: list[Pod]) -> bool:
    """Whether more than half of the new pods that were ready have not been so for a while.

    A pod that starts, in place of an evicted one or for the HPA, is no fault of the release: it has the progress
    deadline. Where all traffic is the new pods' and none of them is ready, it is an outage, whatever the reason.
    """
    beside = ctx.status.phase is Phase.STEPPING and ctx.release.weight < 100  # an unready pod has no traffic then
    patience = UNREADY_S if beside else UNREADY_SECONDS
    lost = [ctx.now - since for pod in new if (since := pod.unready_since) is not None]
    ready = sum(pod.ready for pod in new)
    if 2 * sum(unready > patience for unready in lost) > ready + len(lost):
        return True
    return bool(new) and not (beside or ready) and seconds(ctx.release.waiting_since, ctx.now) > patience
