"""The protocol of all routers, the choice of one, and what they add and remove alike."""

from typing import Protocol

from adapter.rollout.decide.context import POLICY_LABEL, Context, Todo
from adapter.rollout.model.actions import INGRESSES, SERVICES, Action, Create, delete
from adapter.rollout.model.observation import Json, Service
from adapter.rollout.model.policy import RouteRef
from adapter.rollout.model.template import HASH


class Router(Protocol):
    """Gives the sibling its share."""

    def shift(self, ctx: Context, weight: int) -> Todo:
        """The sibling gets `weight` percent of the traffic; 0 takes it out."""
        ...

    def refuses(self, ctx: Context) -> str:
        """Why this router cannot be used as things are, one sentence; '' where it can."""
        ...

    def objection(self, ctx: Context) -> str:
        """Why a share would not move as the cluster is, though the route is right; one sentence, '' where it would."""
        ...

    def pods(self, full: int, weight: int) -> int:
        """How many pods the sibling needs for `weight` percent beside `full` stable ones."""
        ...


def canary_service(ctx: Context, ref: RouteRef) -> Todo:
    """The Service over just the sibling's pods that a route can name exists and has a ready pod."""
    name = ctx.release.sibling
    if not any(isinstance(each, Service) and each.name == name for each in ctx.seen.extras):
        stable = next((each for each in ctx.seen.services if each.name == ref.service), None)
        if stable is None:
            return Todo(unmet=f"Service {ref.service} to exist")
        return Todo((Create(SERVICES, _copy(ctx, stable), "a Service over the new pods for the route"),))
    slices = [each for each in ctx.seen.slices if each.service == name]
    if not any(each.ready for each in slices):
        return Todo(unmet=f"Service {name} to have a ready pod")
    return Todo()


def extras_gone(ctx: Context) -> Todo:
    """What the release added beside the sibling is deleted; routes first, so that none points at nothing."""
    extras = [extra for extra in ctx.seen.extras if not extra.going]
    extras.sort(key=lambda extra: isinstance(extra, Service))
    actions: list[Action] = [
        delete(SERVICES if isinstance(extra, Service) else INGRESSES, extra, "the release has ended")
        for extra in extras
    ]
    return Todo(tuple(actions))


def metadata_for_extra(ctx: Context, name: str) -> Json:
    """Metadata of an object that a release adds."""
    return {"name": name, "namespace": ctx.policy.metadata.namespace, "labels": {POLICY_LABEL: ctx.name}}


def _copy(ctx: Context, stable: Service) -> Json:
    """The stable Service's ports over the sibling's pods."""
    ports = [
        {key: port[key] for key in ("name", "port", "targetPort", "protocol", "appProtocol") if key in port}
        for port in stable.spec.get("ports") or ()
    ]
    selector = {key: value for key, value in stable.selector.items() if key != HASH} | {HASH: ctx.release.hash}
    spec = {"type": "ClusterIP", "ports": ports, "selector": selector}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_for_extra(ctx, ctx.release.sibling),
        "spec": spec,
    }
