"""A rolling update whose steps are held by the Deployment controller itself, whether or not we are there.

maxUnavailable 0 lets it end a stable pod only once a new one is available, and with minReadySeconds at HOLD no new pod
ever is. So its own fixed point is: all stable pods, and maxSurge new ones. A step is a larger maxSurge; nothing is
raced, and a controller of ours that is away for a day finds what it left. The hold is lifted in one write, which also
puts back the user's own timing. Pausing between the steps would be a race: an un-paused Deployment goes as far as it
can, and a paused one of two ReplicaSets still scales both up to its surge.
"""

from typing import Any, Final

from adapter.rollout.decide import wants
from adapter.rollout.decide.context import DONE, Context, Todo
from adapter.rollout.decide.roll import gentle, restore_timing
from adapter.rollout.model.actions import DEPLOYMENTS, Operation, patch, put
from adapter.rollout.model.observation import ReplicaSet
from adapter.rollout.model.status import Saved

HOLD: Final = 1_000_000_000
"""minReadySeconds of a step, s: 31 years."""
NEVER: Final = 2_147_483_647
"""progressDeadlineSeconds must be above minReadySeconds; the largest means none (HasProgressDeadline)."""


def hold_step(ctx: Context, pods: int) -> Todo:
    """Beside all stable pods there are `pods` new ones, all ready, and the controller goes no further by itself."""
    stable = sum(replica_set.replicas for replica_set in _sets(ctx, new=False))
    wanted = ctx.deployment.replicas
    # The HPA scales both ReplicaSets in proportion, so that the stable one may be below `wanted` until the roll ends.
    surge = max(1, pods - (wanted - min(stable, wanted)))
    rolling = {"maxUnavailable": 0, "maxSurge": surge}
    todo = _spec(
        ctx,
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}, "minReadySeconds": HOLD}
        | {"progressDeadlineSeconds": NEVER, "paused": False},
        f"{pods} new pods beside the stable ones, held there by minReadySeconds",
    )
    return todo if not todo.done else _ready(ctx, pods)


def let_go(ctx: Context) -> Todo:
    """The controller goes on by itself, losing no pod, until only new pods are left."""
    saved = ctx.status.saved or Saved()
    why = "the gates have passed: the Deployment rolls on, with the timing that it had"
    todo = _spec(
        ctx, {"strategy": gentle(saved.strategy or {}), "paused": False}, why, restore_timing(ctx.deployment, saved)
    )
    if not todo.done:
        return todo
    left = sum(replica_set.replicas or replica_set.existing for replica_set in _sets(ctx, new=False))
    if left or not ctx.deployment.settled:
        return Todo(unmet=f"the last {left} stable pods to be replaced ({ready(ctx)} new ones are ready)")
    return DONE


def ready(ctx: Context) -> int:
    """How many new pods are ready; with the hold none counts as available."""
    return sum(pod.ready for pod in wants.canary_pods(ctx) if not pod.going)


def _ready(ctx: Context, pods: int) -> Todo:
    new = _sets(ctx, new=True)
    if not new:
        return Todo(unmet="the Deployment to start new pods")
    replica_set = new[0]  # the oldest of a template is the one that Kubernetes takes
    if (replica_set.hash, replica_set.uid) != (ctx.release.hash, ctx.release.replica_set):
        return Todo(status=ctx.with_release(hash=replica_set.hash, replica_set=replica_set.uid))
    if replica_set.replicas < min(pods, ctx.deployment.replicas) or ready(ctx) < replica_set.replicas:
        return Todo(unmet=f"{max(pods, replica_set.replicas)} new pods to be ready ({ready(ctx)} are)")
    return DONE


def _spec(ctx: Context, wanted: dict[str, Any], why: str, more: list[Operation] | None = None) -> Todo:
    deployment = ctx.deployment
    operations = [
        put(f"/spec/{key}", value) for key, value in wanted.items() if (deployment.spec.get(key) or False) != value
    ]
    operations += more or []
    return Todo((patch(DEPLOYMENTS, deployment, operations, why),)) if operations else DONE


def _sets(ctx: Context, *, new: bool) -> list[ReplicaSet]:
    own = ctx.seen.replica_sets_of(ctx.deployment.uid)
    return [replica_set for replica_set in own if (replica_set.fingerprint == ctx.release.fingerprint) == new]
