"""What the objects beside a policy say about it: a sentence for everything that its releases would be refused for, or
that would go wrong in them. Over the objects of a file, or over those of a namespace. Pure.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from adapter.rollout.decide import refuse
from adapter.rollout.decide.context import MARK, POLICY_LABEL, Context
from adapter.rollout.decide.names import is_anothers
from adapter.rollout.model import views
from adapter.rollout.model.fields import without_nulls
from adapter.rollout.model.observation import Deployment, Json, Observation, Seen, Service
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.status import Status
from adapter.rollout.model.template import claims
from adapter.rollout.model.verdict import FREE
from adapter.rollout.rivals import older, overlapping, sharing
from adapter.rollout.traffic.choose import router

ONCE: Final = "ReadWriteOncePod"
ONE_NODE: Final = "ReadWriteOnce"
SHARED: Final = frozenset({"ReadWriteMany", "ReadOnlyMany"})
KINDS: Final = {
    "Deployment": "apps",
    "Service": "",
    "PersistentVolumeClaim": "",
    "HorizontalPodAutoscaler": "autoscaling",
    "VerticalPodAutoscaler": "autoscaling.k8s.io",
    "HTTPRoute": "gateway.networking.k8s.io",
    "Ingress": "networking.k8s.io",
    "RolloutPolicy": "streamgate.io",
}
"""The kinds that are looked at, with their API groups."""

T = TypeVar("T")


class Neighbours(NamedTuple):
    """Objects by kind, those of the policy's namespace."""

    found: Mapping[str, Sequence[Json]]
    whole: Collection[str] = ()
    """Kinds of which these are all that there are: only of those a missing one can be said."""
    problems: tuple[str, ...] = ()
    """Objects that could not be read, a sentence each."""

    def of(self, kind: str) -> Sequence[Json]:
        """The objects of a kind."""
        return self.found.get(kind, ())

    def knows(self, kind: str) -> bool:
        """Whether something can be said of what is missing among them."""
        return kind in self.whole or bool(self.of(kind))


def gather(objects: Sequence[Json], namespace: str, *, whole: Collection[str] = ()) -> Neighbours:
    """The objects of a namespace that matter, raw; one without a namespace is taken for one of it."""
    by_kind: dict[str, list[Json]] = {}
    problems: list[str] = []
    for raw in map(without_nulls, objects):
        kind, group = raw.get("kind"), str(raw.get("apiVersion", "")).rpartition("/")[0]
        if not isinstance(kind, str) or KINDS.get(kind) != group:
            continue
        try:
            metadata = msgspec.convert(raw, views.Object).metadata
            msgspec.convert(raw.get("spec", {}), views.SPECS.get(kind, dict[str, Any]))
        except msgspec.ValidationError as error:
            problems.append(f"{kind} {_name_of(raw)}: {error}; right would be what Kubernetes takes; it is left out")
            continue
        if namespace in ("", metadata.namespace) or not metadata.namespace:
            by_kind.setdefault(kind, []).append(raw)
    return Neighbours(by_kind, whole, tuple(problems))


def _name_of(raw: Json) -> str:
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return str(name)[:60] if name else "without a name"


def sentences(raw: Json, around: Neighbours) -> Iterator[str]:
    """What is wrong, or will be. Nothing of a policy whose own fields cannot be read: its reader says so."""
    try:
        policy = msgspec.convert({**without_nulls(raw), "status": {}}, RolloutPolicy)
    except msgspec.ValidationError:
        return
    yield from around.problems
    name = policy.spec.target_ref.name
    deployment = next((Deployment(each) for each in around.of("Deployment") if Seen(each).name == name), None)
    if deployment is None:
        if "Deployment" in around.whole and name:
            yield f"spec.targetRef.name: there is no Deployment {name} in this namespace"
        return
    ctx = _context(policy, deployment, around)
    yield from ctx.seen.rivals
    if around.knows("Service"):
        yield from refuse.of_services(ctx)
    yield from refuse.of_labels(ctx)
    yield from refuse.parallel(ctx)
    yield from _route_problems(ctx, around)
    yield from _claim_problems(policy, deployment, around)
    yield from _hpas(name, around)
    if not policy.in_place:  # its new pods are the Deployment's own
        yield from _vpas(name, around)


def _context(policy: RolloutPolicy, deployment: Deployment, around: Neighbours) -> Context:
    services = [Service(each) for each in around.of("Service")]
    services = [each for each in services if each.labels.get(POLICY_LABEL) is None]
    spec = policy.spec
    preview = spec.blue_green.preview_service if spec.blue_green else ""
    if preview and "Service" not in around.whole and all(each.name != preview for each in services):
        assert spec.blue_green is not None
        blue_green = msgspec.structs.replace(spec.blue_green, preview_service="")  # it may be in another file
        policy = msgspec.structs.replace(policy, spec=msgspec.structs.replace(spec, blue_green=blue_green))
    services = [each for each in services if each.selects(deployment.template) or _is_narrowed_by(policy, each)]
    deployments = [Deployment(each) for each in around.of("Deployment")]
    seen = Observation(
        deployment=deployment,
        services=tuple(services),
        route=_route(policy, around),
        rivals=(
            *older(policy, map(Seen, around.of("RolloutPolicy"))),
            *overlapping(deployment, deployments),
            *sharing(policy, services, deployments),
        ),
        once=tuple(each for each in claims(deployment.template) if ONCE in _modes(around).get(each, ())),
    )
    return Context(policy, Status(), seen, FREE, 0.0)


def _is_narrowed_by(policy: RolloutPolicy, service: Service) -> bool:
    return MARK in service.labels and not is_anothers(policy, service)


def route_of(policy: RolloutPolicy) -> tuple[str, str] | None:
    """Kind and name of the route that the policy names, if it names one."""
    traffic = policy.spec.canary.traffic if policy.spec.canary else None
    if traffic and traffic.http_route:
        return "HTTPRoute", traffic.http_route.name
    return ("Ingress", traffic.nginx.name) if traffic and traffic.nginx else None


def _route(policy: RolloutPolicy, around: Neighbours) -> Seen | None:
    kind, name = route_of(policy) or ("", "")
    return next((Seen(each) for each in around.of(kind) if Seen(each).name == name), None)


def _route_problems(ctx: Context, around: Neighbours) -> Iterator[str]:
    """A file says nothing of what gateways make of a route; a cluster does."""
    by, of = route_of(ctx.policy), router(ctx.policy)
    live = by is not None and by[0] in around.whole
    if by and (ctx.seen.route is not None or live) and (why := of.refuses(ctx) or (live and of.objection(ctx))):
        yield why


def _modes(around: Neighbours) -> dict[str, tuple[str, ...]]:
    return {
        Seen(each).name: msgspec.convert(each.get("spec", {}), views.ClaimSpec).access_modes
        for each in around.of("PersistentVolumeClaim")
    }


def _claim_problems(policy: RolloutPolicy, deployment: Deployment, around: Neighbours) -> Iterator[str]:
    """A sentence for each claim of the template that pods of one node alone may mount."""
    if policy.spec.allow_parallel:
        return
    modes = _modes(around)
    for name in claims(deployment.template):
        held = set(modes.get(name, ()))
        if ONE_NODE in held and not held & SHARED:
            yield (
                f"claim {name} is ReadWriteOnce: new pods on another node than the stable ones could not start; "
                "use ReadWriteMany, or set spec.allowParallel: true where all run on one node"
            )


def _hpas(name: str, around: Neighbours) -> Iterator[str]:
    for raw in around.of("HorizontalPodAutoscaler"):
        spec = msgspec.convert(raw.get("spec", {}), views.HpaSpec)
        if (spec.scale_target_ref.kind, spec.scale_target_ref.name) != ("Deployment", name):
            continue
        own = Seen(raw)
        if own.owner:
            yield f"HorizontalPodAutoscaler {own.name} belongs to another controller: its minReplicas is not held"
        for index, metric in enumerate(spec.metrics):
            for kind, source in (("object", metric.object), ("external", metric.external)):
                if source and source.target.type == "Value":
                    place = f"HorizontalPodAutoscaler {own.name}: spec.metrics[{index}].{kind}.target"
                    yield (
                        f"{place}: type Value multiplies by the ready pods, and a release's count as well; "
                        "right would be AverageValue"
                    )


def _vpas(name: str, around: Neighbours) -> Iterator[str]:
    for raw in around.of("VerticalPodAutoscaler"):
        spec = msgspec.convert(raw.get("spec", {}), views.VpaSpec)
        if (spec.target_ref.kind, spec.target_ref.name) != ("Deployment", name):
            continue
        if spec.update_policy.update_mode != "Off":
            yield (
                f"VerticalPodAutoscaler {Seen(raw).name} sets the requests of the Deployment's own pods, but not those "
                "of a release's: they start with the template's; write its target there, or set updateMode: Off"
            )
