"""A roll by the Deployment itself, without losing a pod: un-paused with maxUnavailable 0, and paused again at its end.

It is the way back where somebody else un-paused the Deployment in mid-release, and the way forward where adoption could
not be had, or where there are no pods to judge. A template that is written meanwhile waits: it is stored, and put back
together with the pause.
"""

from typing import Any, Final

import msgspec

from adapter.rollout.decide import names
from adapter.rollout.decide.common import POLL, take_unjudged
from adapter.rollout.decide.context import POLICY_LABEL, Context, Decision, say
from adapter.rollout.model.actions import DEPLOYMENTS, Operation, Told, drop, patch, put
from adapter.rollout.model.observation import Deployment, Json
from adapter.rollout.model.status import Revision, Roll, Saved, at

HELD: Final = ("minReadySeconds", "progressDeadlineSeconds")
"""What holds the steps of a rolling release beside its strategy."""


def rolling(ctx: Context) -> Decision:
    """Rolls to `status.roll.to`, then pauses with the template `then` and goes to the phase `next`."""
    wanted = ctx.status.roll
    assert wanted is not None
    deployment, saved = ctx.deployment, ctx.status.saved or Saved()
    if deployment.fingerprint not in ctx.seen.revisions:
        number = ctx.status.number
        return Decision(
            ctx.status,
            (names.store_template(ctx.policy, deployment.fingerprint, deployment.template, number, POLICY_LABEL),),
            again=POLL,
        )
    if deployment.paused and _has_arrived(ctx, wanted) and deployment.fingerprint == wanted.then:
        return _leave_roll(ctx, wanted)
    if deployment.fingerprint not in (wanted.to, wanted.then):
        newer = msgspec.structs.replace(wanted, then=deployment.fingerprint)
        return Decision(msgspec.structs.replace(ctx.status, roll=newer), again=0.0)
    target = ctx.seen.revisions.get(wanted.to)
    if target is None:
        return Decision(
            say(ctx.status, f"the stored template {wanted.to} is lost: put it into the Deployment"), again=POLL
        )
    if deployment.fingerprint == wanted.to and _has_arrived(ctx, wanted):
        return Decision(say(ctx.status, "the roll is complete"), (_closing(ctx, wanted, saved),), again=POLL)
    strategy = gentle(saved.strategy or {})
    timing = restore_timing(deployment, saved)
    if (
        timing
        or deployment.paused
        or deployment.fingerprint != wanted.to
        or deployment.spec.get("strategy") != strategy
    ):
        operations = [put("/spec/template", target), put("/spec/strategy", strategy), put("/spec/paused", False)]
        operations += timing
        why = "it rolls by itself, one pod more at a time and none fewer"
        return Decision(say(ctx.status, why), (patch(DEPLOYMENTS, deployment, operations, why),), again=POLL)
    arrived = sum(each.available for each in ctx.seen.replica_sets_of(deployment.uid) if each.fingerprint == wanted.to)
    if wanted.since is None or arrived != wanted.arrived:  # progress: the deadline moves
        newer = msgspec.structs.replace(wanted, arrived=arrived, since=at(ctx.now))
        return Decision(msgspec.structs.replace(ctx.status, roll=newer), again=0.0)
    return Decision(
        say(ctx.status, f"the Deployment rolls: {arrived} of {deployment.replicas} new pods are available"), again=POLL
    )


def restore_timing(deployment: Deployment, saved: Saved) -> list[Operation]:
    """The operations that put back what held the steps of a rolling release; none where nothing was changed."""
    if saved.timing is None:
        return []
    wanted = {key: saved.timing.get(key) for key in HELD}
    changed = {key: value for key, value in wanted.items() if value != deployment.spec.get(key)}
    return [drop(f"/spec/{key}") if value is None else put(f"/spec/{key}", value) for key, value in changed.items()]


def gentle(strategy: Json) -> Json:
    """The strategy that loses no pod: maxUnavailable 0, and the surge that was asked for if that is any."""
    surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": surge if surge not in (0, "0%") else 1},
    }


def _has_arrived(ctx: Context, wanted: Roll) -> bool:
    """Whether only pods of the wanted template are left, all of them available."""
    sets = ctx.seen.replica_sets_of(ctx.deployment.uid)
    right = [replica_set for replica_set in sets if replica_set.fingerprint == wanted.to]
    others = [
        replica_set
        for replica_set in sets
        if replica_set.fingerprint != wanted.to and (replica_set.replicas or replica_set.existing)
    ]
    seen = int(ctx.deployment.status.get("observedGeneration") or 0) >= int(ctx.deployment.meta.get("generation") or 0)
    seen = seen or ctx.deployment.paused  # of a pause nothing follows: to wait would un-pause what was just closed
    full = sum(replica_set.replicas for replica_set in right) == ctx.deployment.replicas
    return seen and bool(right) and full and not others and all(replica_set.settled for replica_set in right)


def _closing(ctx: Context, wanted: Roll, saved: Saved) -> Any:
    operations: list[Operation] = [put("/spec/paused", True)]
    if saved.strategy:
        operations.append(put("/spec/strategy", saved.strategy))
    operations += restore_timing(ctx.deployment, saved)
    if wanted.then != wanted.to and (later := ctx.seen.revisions.get(wanted.then)):
        operations.append(put("/spec/template", later))
    return patch(
        DEPLOYMENTS, ctx.deployment, operations, "the roll is complete: paused again, with the strategy as before"
    )


def _leave_roll(ctx: Context, wanted: Roll) -> Decision:
    """Goes to the next phase; without a release, what serves now is the stable revision."""
    uid = ctx.deployment.uid
    served = next(
        replica_set
        for replica_set in reversed(ctx.seen.replica_sets_of(uid))
        if replica_set.fingerprint == wanted.to and replica_set.replicas == ctx.deployment.replicas
    )
    status, saved = ctx.status, ctx.status.saved
    if saved:
        saved = msgspec.structs.replace(saved, strategy=None, timing=None)
    changes: dict[str, Any] = {"phase": wanted.next, "roll": None, "saved": saved}
    if status.release:
        changes["release"] = msgspec.structs.replace(
            status.release, hash=served.hash, since=at(ctx.now), reached=None, waiting_since=None
        )
    else:
        stable = Revision(fingerprint=wanted.to, hash=served.hash, deployment=uid)
        status = take_unjudged(ctx, stable, "there were no pods to judge")
        changes["saved"] = None
    told = Told("Rolled", f"the Deployment has rolled to template {wanted.to}")
    return Decision(msgspec.structs.replace(status, **changes), (), (told,), 0.0)


def has_begun_rolling(ctx: Context) -> bool:
    """Whether the Deployment has pods of another template than the stable one."""
    sets = ctx.seen.replica_sets_of(ctx.deployment.uid)
    return any(
        replica_set.hash != ctx.status.stable.hash and (replica_set.replicas or replica_set.existing)
        for replica_set in sets
    )
