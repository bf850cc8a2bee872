"""Between releases: taking the Deployment over, noticing a new template, and letting go of it when the policy goes."""

from dataclasses import replace
from typing import Any

import msgspec

from adapter.rollout.decide import names, wants
from adapter.rollout.decide.common import POLL, roll, take_unjudged
from adapter.rollout.decide.context import POLICY_LABEL, Context, Decision, say, strategy
from adapter.rollout.decide.lost import holds, largest, recover_held_step, remains
from adapter.rollout.decide.refuse import look_again, refusal
from adapter.rollout.decide.roll import HELD, has_begun_rolling
from adapter.rollout.model.actions import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    Operation,
    Told,
    delete,
    drop,
    patch,
    pointer,
    put,
)
from adapter.rollout.model.observation import ReplicaSet, Seen
from adapter.rollout.model.policy import FINALIZER, POLICIES
from adapter.rollout.model.status import Phase, Release, Revision, Roll, Saved, Status, at, with_condition

UNHEARD = "MetricsMissing"
"""The condition that says which gate would hear nothing."""
HINT = "streamgate.io/release-with"
"""An annotation on the Deployment that says what to use instead of kubectl's own undo, restart and resume."""
HINT_TEXT = "released by a RolloutPolicy: use streamgate-rollout undo|restart|promote, not kubectl rollout"


def pending(ctx: Context) -> Decision:
    """The Deployment is taken over once its rollout is complete; not a pod of it is touched."""
    if FINALIZER not in _finalizers(ctx):
        return _finalize(ctx)
    if why := refusal(ctx):
        return refuse_policy(ctx, why)
    status = with_condition(
        ctx.status, "Refused", False, reason="Accepted", message="the policy can be followed", now=ctx.now
    )
    if back := recover_held_step(ctx._replace(status=status)):
        return back
    replica_set = serving(ctx)
    if replica_set is None:
        return Decision(say(status, "waits until the Deployment's own rollout is complete"))
    return _take(ctx._replace(status=status), replica_set)


def _take(ctx: Context, replica_set: ReplicaSet) -> Decision:
    stable = Revision(fingerprint=replica_set.fingerprint, hash=replica_set.hash, deployment=ctx.deployment.uid)
    told = Told("TakenOver", f"{replica_set.name} with {replica_set.replicas} pods is the stable revision")
    status = msgspec.structs.replace(ctx.status, stable=stable, phase=Phase.IDLE, message="nothing to release")
    return Decision(status, (), (told,), 0.0)


def serving(ctx: Context) -> ReplicaSet | None:
    """The one ReplicaSet that serves, with all its pods; None while a rollout is under way."""
    sets = ctx.seen.replica_sets_of(ctx.deployment.uid)
    active = [replica_set for replica_set in sets if replica_set.replicas or replica_set.existing]
    if not active and not ctx.deployment.replicas:
        return next(
            (replica_set for replica_set in reversed(sets) if replica_set.fingerprint == ctx.deployment.fingerprint),
            None,
        )
    if len(active) != 1 or not active[0].settled or active[0].replicas != ctx.deployment.replicas:
        return None
    right = ctx.deployment.paused or active[0].fingerprint == ctx.deployment.fingerprint
    return active[0] if right else None


def idle(ctx: Context) -> Decision:
    """Pauses the Deployment, and begins a release where its template is neither the stable nor the refused one."""
    if ctx.seen.deployment is None or ctx.deployment.uid != ctx.status.stable.deployment:
        fresh = msgspec.structs.replace(ctx.status, phase=Phase.PENDING, stable=Revision(), refused="", edit=None)
        return Decision(say(fresh, "waits for the Deployment"), again=0.0)
    if has_begun_rolling(ctx):
        return _resolve_ungated_roll(ctx)
    if FINALIZER not in _finalizers(ctx):
        return _finalize(ctx)
    if back := remains(ctx):
        return back
    if not (todo := wants.pause(ctx)).done or HINT not in ctx.deployment.annotations:
        return Decision(ctx.status, todo.actions or (_hint(ctx),), again=POLL)
    if not (todo := wants.services(_with_blank_release(ctx), wants.Arm.WIDE)).done and todo.actions:
        return Decision(ctx.status, todo.actions, again=POLL)
    if why := refusal(ctx):
        return refuse_policy(ctx, why)
    status = with_condition(
        ctx.status, "Refused", False, reason="Accepted", message="the policy can be followed", now=ctx.now
    )
    status, told = _note_missing_metrics(ctx, status)
    decision = _compare_templates(ctx._replace(status=status))
    return replace(decision, told=(*told, *decision.told))


def _note_missing_metrics(ctx: Context, status: Status) -> tuple[Status, tuple[Told, ...]]:
    """The status with the condition on missing metrics, and an event where they are newly missing."""
    missing, message = ctx.seen.unheard, "; ".join(ctx.seen.unheard)[:1024]
    old = next((condition for condition in status.conditions if condition.type == UNHEARD), None)
    if not missing and old is None:
        return status, ()
    reason = "NoSuchMetric" if missing else "Heard"
    after = with_condition(status, UNHEARD, bool(missing), reason=reason, message=message, now=ctx.now)
    new = bool(missing) and (old is None or old.status != "True")
    return after, (Told(UNHEARD, message, warning=True),) if new else ()


def refuse_policy(ctx: Context, why: str) -> Decision:
    """The policy is not followed; the condition says what to change."""
    status = with_condition(ctx.status, "Refused", True, reason="CannotBeFollowed", message=why, now=ctx.now)
    told = (Told("Refused", why, True),) if status != ctx.status else ()
    return Decision(say(status, f"refused: {why}"), (), told, look_again(ctx))


def _compare_templates(ctx: Context) -> Decision:
    status, fingerprint = ctx.status, ctx.deployment.fingerprint
    stable = wants.stable_set(ctx)
    if fingerprint in (status.stable.fingerprint, stable.fingerprint if stable else ""):
        calm = msgspec.structs.replace(status, refused="")
        return Decision(say(calm, "nothing to release"), _superfluous(ctx) if calm == status else ())
    if fingerprint == status.refused:
        return Decision(say(status, "the template was rolled back: waits for another one, or for retry or undo"))
    if not ctx.deployment.replicas:
        return _without_pods(ctx)
    return _begin(ctx)


def _begin(ctx: Context) -> Decision:
    number, deployment, hpa = ctx.status.number + 1, ctx.deployment, ctx.seen.hpa
    release = Release(
        id=names.release_id(ctx.policy, number),
        number=number,
        fingerprint=deployment.fingerprint,
        sibling=names.sibling(deployment, number, deployment.fingerprint),
        replicas=deployment.replicas,
        strategy=strategy(ctx),
        started_at=at(ctx.now),
        since=at(ctx.now),
    )
    saved = Saved(
        hpa=hpa.name if hpa and not hpa.owner else "",
        min_replicas=hpa.min_replicas if hpa and not hpa.owner else None,
        revision_history_limit=0 if deployment.spec.get("revisionHistoryLimit", 10) == 0 else None,
        strategy=dict(deployment.spec.get("strategy") or {}) if ctx.policy.in_place else None,
        timing={key: deployment.spec[key] for key in HELD if key in deployment.spec} if ctx.policy.in_place else None,
    )
    calm = ctx.status
    if any(condition.type == "Interfered" for condition in calm.conditions):  # what was done to the release before
        calm = with_condition(calm, "Interfered", False, reason="Released", message="", now=ctx.now)
    status = msgspec.structs.replace(
        calm, phase=Phase.PREPARING, message="prepares", release=release, saved=saved, number=number, refused=""
    )
    about = f"release {number}: template {deployment.fingerprint} beside {ctx.status.stable.fingerprint}"
    if hpa and hpa.owner:
        about += f"; HPA {hpa.name} belongs to another controller, so its minReplicas is not held"
    return Decision(msgspec.structs.replace(status, evidence=None), (), (Told("Released", about),), 0.0)


def _without_pods(ctx: Context) -> Decision:
    """A Deployment of 0 pods has nothing to judge and nothing to lose: the new template is taken at once."""
    if ctx.deployment.fingerprint not in ctx.seen.revisions:
        deployment = ctx.deployment
        stored = names.store_template(
            ctx.policy, deployment.fingerprint, deployment.template, ctx.status.number, POLICY_LABEL
        )
        return Decision(ctx.status, (stored,), again=POLL)
    judged = ctx.deployment.fingerprint
    return roll(ctx, Roll(to=judged, then=judged), "there are no pods to judge")


def _resolve_ungated_roll(ctx: Context) -> Decision:
    """The Deployment rolls as somebody un-paused it: accepts a roll that is complete, else rolls back."""
    replica_set = serving(ctx)
    status = with_condition(
        ctx.status,
        "Interfered",
        True,
        reason="Unpaused",
        message="somebody else un-paused the Deployment: its roll was not gated",
        now=ctx.now,
    )
    ctx = ctx._replace(status=status)
    if replica_set is not None:
        stable = Revision(fingerprint=replica_set.fingerprint, hash=replica_set.hash, deployment=ctx.deployment.uid)
        told = Told(
            "Interfered", f"an ungated roll to {replica_set.name} is complete: it is the stable revision now", True
        )
        why = "no gate judged it: somebody else un-paused the Deployment, and its own roll was complete"
        return Decision(take_unjudged(ctx, stable, why), (), (told,), 0.0)
    if not (todo := wants.pause(ctx)).done:
        return Decision(status, todo.actions, again=0.0)
    missing = [
        names.store_template(ctx.policy, fingerprint, template, ctx.status.number, POLICY_LABEL)
        for fingerprint, template in _known_templates(ctx).items()
        if fingerprint not in ctx.seen.revisions
    ]
    if missing:
        return Decision(status, tuple(missing), again=0.0)
    back = Roll(to=status.stable.fingerprint, then=ctx.deployment.fingerprint)
    return roll(ctx, back, "somebody else un-paused the Deployment in mid-release")


def _known_templates(ctx: Context) -> dict[str, Any]:
    stable = wants.stable_set(ctx)
    templates = {ctx.deployment.fingerprint: ctx.deployment.template}
    return templates | ({ctx.status.stable.fingerprint: stable.template} if stable else {})


def _superfluous(ctx: Context) -> tuple[Any, ...]:
    """Stored templates that nothing refers to any more."""
    status = ctx.status
    kept = {status.stable.fingerprint, status.previous, status.refused, ctx.deployment.fingerprint}
    old = [revision for revision in ctx.seen.kept if revision.annotations.get("streamgate.io/fingerprint") not in kept]
    return tuple(delete(CONTROLLER_REVISIONS, revision, "nothing refers to this template") for revision in old)


def _with_blank_release(ctx: Context) -> Context:
    """The context with an empty release, to widen Services that a lost release may have left narrowed."""
    return ctx._replace(status=msgspec.structs.replace(ctx.status, release=Release()))


def _hint(ctx: Context) -> Any:
    operations: list[Operation] = [] if ctx.deployment.annotations else [put("/metadata/annotations", {})]
    operations.append(put(pointer("metadata", "annotations", HINT), HINT_TEXT))
    return patch(DEPLOYMENTS, ctx.deployment, operations, "people learn what to use")


# ---- the policy is deleted


def leave(ctx: Context) -> Decision:
    """The Deployment is made ordinary: stable template, un-paused, in one write; then the policy may go."""
    if FINALIZER not in _finalizers(ctx):
        return Decision(ctx.status)
    deployment = ctx.seen.deployment
    taken = deployment is not None and deployment.uid == ctx.status.stable.deployment
    if not ctx.seen.namespace_going and not taken and (lost := _recover_takeover(ctx)):
        return lost
    if ctx.seen.namespace_going or deployment is None or not taken:
        return Decision(ctx.status, (_finalizer(ctx, remove=True),), again=POLL)
    if (deployment.paused or holds(ctx)) and has_begun_rolling(ctx) and serving(ctx) is None:
        return _resolve_ungated_roll(ctx)
    if back := remains(ctx):
        return back
    if actions := wants.services(_with_blank_release(ctx), wants.Arm.WIDE).actions:
        return Decision(ctx.status, actions, again=POLL)
    operations = _ordinary(ctx)
    if operations:
        why = "the policy goes: the stable template, not paused"
        return Decision(ctx.status, (patch(DEPLOYMENTS, deployment, operations, why),), again=POLL)
    return Decision(ctx.status, (_finalizer(ctx, remove=True),), again=POLL)


def _recover_takeover(ctx: Context) -> Decision | None:
    """The policy goes, and its status was lost: what it stored says that it had taken the Deployment over."""
    made = ctx.seen.kept or ctx.seen.siblings
    if ctx.seen.deployment is None or not made or HINT not in ctx.deployment.annotations:
        return None
    if back := recover_held_step(ctx):
        return back
    replica_set = serving(ctx) or largest(ctx)
    return _take(ctx, replica_set) if replica_set else None


def _ordinary(ctx: Context) -> list[Operation]:
    deployment, stable = ctx.deployment, ctx.status.stable.fingerprint
    operations: list[Operation] = []
    kept = wants.stable_set(ctx)
    if deployment.paused:  # else it is ordinary already, and a new template is its own affair
        if deployment.fingerprint not in (stable, kept.fingerprint if kept else ""):
            template = ctx.seen.revisions.get(stable) or (kept.template if kept else None)
            operations += [put("/spec/template", template)] if template is not None else []
        operations.append(drop("/spec/paused"))
    if HINT in deployment.annotations:
        operations.append(drop(pointer("metadata", "annotations", HINT)))
    return operations


def _finalizers(ctx: Context) -> list[str]:
    return list(ctx.seen.finalizers)


def _finalize(ctx: Context) -> Decision:
    return Decision(ctx.status, (_finalizer(ctx, remove=False),), again=POLL)


def _finalizer(ctx: Context, *, remove: bool) -> Any:
    held = _finalizers(ctx)
    wanted = [name for name in held if name != FINALIZER] if remove else [*held, FINALIZER]
    meta = ctx.policy.metadata
    policy = Seen({"metadata": {"name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version}})
    why = (
        "nothing of the policy is left" if remove else "the policy is not gone before the Deployment is ordinary again"
    )
    return patch(POLICIES, policy, [put("/metadata/finalizers", wanted)], why)
