"""What a phase can want of the cluster: for each thing, the writes that are missing and what is waited for.

Every function compares what was seen with what is wanted, so it does not matter who wrote what, or how often: a write
that was lost is made again, and one that was made is not.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from adapter.kube.objects import unix
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.rollout.decide import names
from adapter.rollout.decide.context import DONE, MARK, POLICY_LABEL, Context, Todo
from adapter.rollout.floor import min_replicas_to_hold
from adapter.rollout.model.actions import (
    DEPLOYMENTS,
    REPLICA_SETS,
    SERVICES,
    Action,
    Create,
    Operation,
    delete,
    drop,
    patch,
    pointer,
    put,
)
from adapter.rollout.model.observation import Deployment, Json, Pod, ReplicaSet, Service
from adapter.rollout.model.status import Saved
from adapter.rollout.model.template import HASH

MOST_RESTARTED: Final = 200
"""Pods whose restarts are remembered, for the status' size."""
Want: TypeAlias = Callable[[], Todo]


class Arm(Enum):
    """Whose pods a Service selects."""

    WIDE = "all"
    STABLE = "stable"
    CANARY = "new"


def first(*wants: Want) -> Todo:
    """The first thing that is not as it should be: each is wanted only when those before it are."""
    for want in wants:
        if not (todo := want()).done:
            return todo
    return DONE


# ---- the Deployment itself


def pause(ctx: Context) -> Todo:
    """The Deployment is paused, and forgets no ReplicaSet of size 0 at once."""
    deployment = ctx.deployment
    operations: list[Operation] = []
    if not deployment.paused:
        operations.append(put("/spec/paused", True))
    if deployment.spec.get("revisionHistoryLimit", 10) == 0 and ctx.status.release:
        operations.append(put("/spec/revisionHistoryLimit", 1))
    if not operations:
        return DONE
    return Todo((patch(DEPLOYMENTS, deployment, operations, "a new template waits for its release"),))


def templates(ctx: Context) -> Todo:
    """The stable and the new template are stored."""
    missing: list[Action] = []
    wanted = {ctx.release.fingerprint: ctx.deployment.template}
    if stable := stable_set(ctx):
        wanted[ctx.status.stable.fingerprint] = stable.template
    for fingerprint, template in wanted.items():
        if fingerprint not in ctx.seen.revisions:
            missing.append(names.store_template(ctx.policy, fingerprint, template, ctx.release.number, POLICY_LABEL))
    return Todo(tuple(missing))


def floor(ctx: Context) -> Todo:
    """The HPA scales no lower than when the release began, nor than the stable pods alone ask for."""
    hpa, saved = ctx.seen.hpa, ctx.status.saved
    if hpa is None or saved is None or hpa.name != saved.hpa:
        return DONE
    if hpa.min_replicas != saved.min_replicas and hpa.min_replicas not in saved.held:
        saved = msgspec.structs.replace(saved, min_replicas=hpa.min_replicas)
        return Todo(status=msgspec.structs.replace(ctx.status, saved=saved))
    wanted = min_replicas_to_hold(
        least=saved.min_replicas, before=ctx.release.replicas, wanted=ctx.seen.wanted, most=hpa.max_replicas
    )
    if (hpa.min_replicas or 1) == wanted:
        return DONE
    if saved.held[-1:] != (wanted,):  # the newest last, so that the one in force is never among those forgotten
        known = tuple(one for one in saved.held if one != wanted)
        saved = msgspec.structs.replace(saved, held=(*known[-20:], wanted))
        return Todo(status=msgspec.structs.replace(ctx.status, saved=saved))
    why = f"minReplicas {wanted} while the release lasts: pods of the sibling must not hold the HPA back"
    return Todo((patch(HORIZONTAL_POD_AUTOSCALERS, hpa, [put("/spec/minReplicas", wanted)], why),))


def restore(ctx: Context) -> Todo:
    """What the release changed is as it was, unless somebody else changed it since."""
    saved, deployment, actions = ctx.status.saved or Saved(), ctx.seen.deployment, list[Action]()
    if deployment and saved.revision_history_limit is not None and deployment.spec.get("revisionHistoryLimit") == 1:
        back = [put("/spec/revisionHistoryLimit", saved.revision_history_limit)]
        actions.append(patch(DEPLOYMENTS, deployment, back, "revisionHistoryLimit as before the release"))
    hpa = ctx.seen.hpa
    if hpa and saved.hpa == hpa.name and hpa.min_replicas in saved.held:
        wanted = saved.min_replicas
        if wanted != hpa.min_replicas:
            back = [drop("/spec/minReplicas") if wanted is None else put("/spec/minReplicas", wanted)]
            actions.append(patch(HORIZONTAL_POD_AUTOSCALERS, hpa, back, "minReplicas as before the release"))
    return Todo(tuple(actions))


# ---- Services


def services(ctx: Context, arm: Arm) -> Todo:
    """Every Service but the preview's selects the pods of `arm`, and its EndpointSlices show it."""
    preview = ctx.policy.spec.blue_green.preview_service if ctx.policy.spec.blue_green else ""
    return _select(ctx, [service for service in ctx.seen.services if service.name != preview], arm)


def preview(ctx: Context, arm: Arm) -> Todo:
    """The preview Service, where the policy names one, selects the pods of `arm`."""
    blue_green = ctx.policy.spec.blue_green
    if blue_green is None or not blue_green.preview_service:
        return DONE
    return _select(ctx, [service for service in ctx.seen.services if service.name == blue_green.preview_service], arm)


def _select(ctx: Context, targets: Iterable[Service], arm: Arm) -> Todo:
    wanted = "" if arm is Arm.WIDE else ctx.release.hash if arm is Arm.CANARY else ctx.status.stable.hash
    mark = "" if arm is Arm.WIDE else names.mark(ctx.policy, ctx.release)
    actions, unmet = list[Action](), ""
    for service in targets:
        if names.is_anothers(ctx.policy, service):
            continue  # whoever narrowed it widens it: two that write it in turns would never end
        if operations := _selector(service, wanted, mark):
            why = f"Service {service.name} selects {arm.value} pods"
            actions.append(patch(SERVICES, service, operations, why))
        else:
            unmet = unmet or _unmet_by_slices(ctx, service, arm, mark)
    return Todo(tuple(actions), "" if actions else unmet)


def _selector(service: Service, wanted: str, mark: str) -> list[Operation]:
    """The operations that make the Service select `wanted` and carry `mark`, in one write."""
    operations: list[Operation] = []
    if not wanted and MARK not in service.labels:
        return []  # what we did not narrow is not ours to widen
    if service.narrowed != wanted:
        path = pointer("spec", "selector", HASH)
        operations.append(put(path, wanted) if wanted else drop(path))
    if service.labels.get(MARK, "") != mark:
        if mark and not service.meta.get("labels"):
            operations.append(put("/metadata/labels", {}))
        path = pointer("metadata", "labels", MARK)
        operations.append(put(path, mark) if mark else drop(path))
    return operations


def _unmet_by_slices(ctx: Context, service: Service, arm: Arm, mark: str) -> str:
    """What is waited for until the EndpointSlices of a Service show its selector; '' where they do."""
    slices = [each for each in ctx.seen.slices if each.service == service.name and not each.going]
    if not slices or any(each.labels.get(MARK, "") != mark for each in slices):
        return f"the EndpointSlices of Service {service.name} to show its selector"
    if arm is Arm.WIDE:
        return ""
    pods = {each.name for each in (canary_pods(ctx) if arm is Arm.CANARY else stable_pods(ctx))}
    ready = {name for each in slices for name in each.ready}
    if ready - pods:
        return f"Service {service.name} to leave pods that are not {arm.value}"
    if not ready and ctx.deployment.replicas and _may_have_pods(ctx, service, arm):
        return f"Service {service.name} to have a ready pod"
    return ""


def _may_have_pods(ctx: Context, service: Service, arm: Arm) -> bool:
    """Whether a Service selects the template of an arm: one over a single version never has pods of the other."""
    if arm is Arm.CANARY:
        return service.selects(ctx.deployment.template)
    stable = stable_set(ctx)
    return stable is None or service.selects(stable.template)


# ---- sibling


def sibling(ctx: Context, replicas: int) -> Todo:
    """The sibling exists, has `replicas` pods, and all are available; its ReplicaSet is known."""
    current = ctx.seen.sibling(ctx.release.sibling)
    if current is None:
        return Todo((Create(DEPLOYMENTS, _sibling(ctx, replicas), f"the new template gets {replicas} pods"),))
    if current.replicas != replicas:
        why = f"{replicas} pods, not {current.replicas}"
        return Todo((patch(DEPLOYMENTS, current, [put("/spec/replicas", replicas)], why),))
    known = ctx.seen.replica_sets_of(current.uid)
    if known and (known[-1].hash, known[-1].uid) != (ctx.release.hash, ctx.release.replica_set):
        return Todo(status=ctx.with_release(hash=known[-1].hash, replica_set=known[-1].uid))
    if not known or not current.settled or current.updated != replicas:
        return Todo(unmet=f"{replicas} pods of {current.name} to be available ({current.available} are)")
    return DONE


def sibling_gone(ctx: Context) -> Todo:
    """The sibling is deleted and its pods are gone, or should be."""
    sibling = ctx.seen.sibling(ctx.release.sibling)
    if sibling is not None and not sibling.going:
        return Todo((delete(DEPLOYMENTS, sibling, "the new template gets no pods any more"),))
    left = [pod for pod in canary_pods(ctx) if pod.owner not in _original_sets(ctx) and not _is_overdue(ctx, pod)]
    if sibling is not None or left:
        return Todo(unmet=f"{len(left)} pods of {ctx.release.sibling} to end")
    return DONE


def _is_overdue(ctx: Context, pod: Pod) -> bool:
    """Whether a pod's grace, at whose end its deletionTimestamp is, and `settle` are over: its node is lost.

    No Service sends it anything, as it is being deleted; only its node could say that it has ended.
    """
    over = unix(pod.meta.get("deletionTimestamp"))
    return over is not None and ctx.now > over + ctx.policy.spec.settle_seconds


def _sibling(ctx: Context, replicas: int) -> Json:
    """The Deployment under test: the edited template as it is, under the same selector."""
    deployment = ctx.deployment
    copied = ("selector", "minReadySeconds", "progressDeadlineSeconds")
    spec = {key: deployment.spec[key] for key in copied if key in deployment.spec}
    metadata = {
        "name": ctx.release.sibling,
        "namespace": ctx.policy.metadata.namespace,
        "labels": {POLICY_LABEL: ctx.name, MARK: ctx.release.id},
        "annotations": {"streamgate.io/fingerprint": ctx.release.fingerprint},
    }
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    spec |= {"replicas": replicas, "template": deployment.template, "revisionHistoryLimit": 1, "strategy": strategy}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def stale_sets_gone(ctx: Context) -> Todo:
    """No old ReplicaSet has the judged template: Kubernetes takes the oldest that matches as the new revision."""
    old = [
        replica_set
        for replica_set in ctx.seen.replica_sets_of(ctx.deployment.uid)
        if replica_set.fingerprint == ctx.release.fingerprint and replica_set.uid != ctx.release.replica_set
    ]
    why = "an empty ReplicaSet of the same template would be taken in place of the judged one"
    empty = [replica_set for replica_set in old if not replica_set.replicas and not replica_set.existing]
    if len(empty) < len(old):
        return Todo(unmet=f"ReplicaSet {old[0].name} to have no pods")
    return Todo(tuple(delete(REPLICA_SETS, replica_set, why) for replica_set in empty if not replica_set.going))


# ---- the arms


def stable_set(ctx: Context) -> ReplicaSet | None:
    """The Deployment's ReplicaSet that serves."""
    uid = ctx.status.stable.deployment
    return next(
        (replica_set for replica_set in ctx.seen.replica_sets_of(uid) if replica_set.hash == ctx.status.stable.hash),
        None,
    )


def template_of(ctx: Context, fingerprint: str) -> Json | None:
    """The template by its fingerprint, as it was stored or as a ReplicaSet of the Deployment has it; None where nobody
    has it."""
    own = {each.fingerprint: each.template for each in ctx.seen.replica_sets_of(ctx.deployment.uid)}
    if stable := stable_set(ctx):  # an API server of another version may have defaulted its fields otherwise
        own[ctx.status.stable.fingerprint] = stable.template
    return ctx.seen.revisions.get(fingerprint) or own.get(fingerprint)


def stable_pods(ctx: Context) -> list[Pod]:
    """Pods of the stable ReplicaSet: told apart by their owner."""
    stable = stable_set(ctx)
    return ctx.seen.pods_of({stable.uid}) if stable else []


def canary_pods(ctx: Context) -> list[Pod]:
    """Pods of the release: of the sibling's ReplicaSets, and of the one that was its own (or is, in place)."""
    sibling = ctx.seen.sibling(ctx.release.sibling)
    sets = {known.uid for known in ctx.seen.replica_sets_of(sibling.uid)} if sibling else set()
    return ctx.seen.pods_of(sets | ({ctx.release.replica_set} - {""}))


def looping(ctx: Context, pods: Iterable[Pod]) -> list[str]:
    """The names of those that crash-loop, by what they crashed since the release's first pod could start."""
    before = ctx.status.release.restarts if ctx.status.release else {}
    return [pod.name for pod in pods if pod.crash_loops(before.get(pod.name, 0))]


def restarts(ctx: Context) -> dict[str, int]:
    """Pod -> its restarts until now, of the MOST_RESTARTED stable pods with most."""
    counts = sorted(((pod.name, pod.restarts) for pod in stable_pods(ctx) if pod.restarts), key=lambda each: -each[1])
    return dict(counts[:MOST_RESTARTED])


def _original_sets(ctx: Context) -> set[str]:
    deployment: Deployment | None = ctx.seen.deployment
    return {known.uid for known in ctx.seen.replica_sets_of(deployment.uid)} if deployment else set()
