"""What is found of a release that the status does not know any more: it is taken back, and then begun anew.

The status can be lost: a backup restores objects without it, or another build wrote it in another shape.
"""

from typing import Final

import msgspec

from adapter.rollout.decide import names, wants
from adapter.rollout.decide.common import POLL
from adapter.rollout.decide.context import MARK, Context, Decision, strategy
from adapter.rollout.decide.inplace import HOLD
from adapter.rollout.model.actions import Told
from adapter.rollout.model.observation import Deployment, ReplicaSet
from adapter.rollout.model.status import Outcome, Phase, Release, Revision, Saved, at

SHIFT: Final = 1000
"""Above every shift that the lost release can have made, so that no slice of it passes for a new one."""
WHY: Final = "what the policy remembered of the release is lost"


def remains(ctx: Context) -> Decision | None:
    """Takes back a sibling left by an earlier release, and what was changed for it; None where none is left."""
    if ctx.seen.deployment is None:
        return None
    for each in ctx.seen.siblings:
        if (number := _number(ctx, each)) is not None:
            return _take_back(ctx, each, number)
    if ctx.status.saved is None:
        return None
    if actions := wants.restore(ctx).actions:
        return Decision(ctx.status, actions, again=POLL)
    return Decision(msgspec.structs.replace(ctx.status, saved=None), again=0.0)


def holds(ctx: Context) -> bool:
    """Whether a step of a rolling release holds the Deployment: it is known by the time that no user asks for."""
    return ctx.deployment.spec.get("minReadySeconds") == HOLD


def recover_held_step(ctx: Context) -> Decision | None:
    """Takes the largest ReplicaSet of a Deployment that a step holds as stable; None where no step holds it."""
    if not holds(ctx):
        return None
    known = largest(ctx)
    if known is None or known.fingerprint == ctx.deployment.fingerprint:
        return None
    saved = ctx.status.saved or Saved()
    saved = saved if saved.timing is not None else msgspec.structs.replace(saved, timing={})
    stable = Revision(fingerprint=known.fingerprint, hash=known.hash, deployment=ctx.deployment.uid)
    status = msgspec.structs.replace(ctx.status, phase=Phase.IDLE, stable=stable, saved=saved, message=WHY)
    return Decision(status, (), (Told("TakenOver", f"{WHY}: {known.name} is the stable revision", True),), 0.0)


def largest(ctx: Context) -> ReplicaSet | None:
    """The Deployment's ReplicaSet with most pods: steps of a rolling release leave the stable one the larger."""
    sets = [each for each in ctx.seen.replica_sets_of(ctx.deployment.uid) if each.replicas]
    return max(sets, key=lambda each: each.replicas, default=None)


def _number(ctx: Context, sibling: Deployment) -> int | None:
    """The number of the release that made a Deployment; None where no release of this policy did."""
    mark, fingerprint = sibling.labels.get(MARK, ""), sibling.annotations.get("streamgate.io/fingerprint", "")
    word = mark.split("-")[-2] if mark.count("-") > 1 else ""
    if not (word.isascii() and word.isdigit() and len(word) < 12):
        return None
    number = int(word)
    made = (names.release_id(ctx.policy, number), names.sibling(ctx.deployment, number, fingerprint))
    return number if made == (mark, sibling.name) else None


def _take_back(ctx: Context, sibling: Deployment, number: int) -> Decision:
    sets = ctx.seen.replica_sets_of(sibling.uid)
    release = Release(
        id=names.release_id(ctx.policy, number),
        number=number,
        fingerprint=sibling.annotations.get("streamgate.io/fingerprint", ""),
        sibling=sibling.name,
        hash=sets[-1].hash if sets else "",
        replica_set=sets[-1].uid if sets else "",
        replicas=ctx.deployment.replicas,
        strategy=strategy(ctx),
        started_at=at(ctx.now),
        since=at(ctx.now),
        shift=SHIFT,
        outcome=Outcome.SUPERSEDED,
        reason=WHY,
    )
    status = msgspec.structs.replace(
        ctx.status, phase=Phase.RETURNING, release=release, number=max(number, ctx.status.number), message=WHY
    )
    return Decision(status, (), (Told("Superseded", f"goes back: {WHY}", True),), 0.0)
