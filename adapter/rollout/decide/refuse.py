"""Why a policy is not followed as things are: one sentence that says what to change."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from adapter.rollout.decide.context import MARK, Context
from adapter.rollout.decide.names import is_anothers
from adapter.rollout.model.gates import read
from adapter.rollout.model.observation import Json, Service
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.template import HASH, host_ports, labels_of
from adapter.rollout.traffic.choose import router

MAX_STEPS = 20
ROUTE_SECONDS: Final = 5.0
"""Until a route that no gateway takes is looked at again: nothing wakes us for its status."""


def refusal(ctx: Context) -> str:
    """The first thing that stands in the way; '' where nothing does."""
    return next(_refusals(ctx), "")


def look_again(ctx: Context) -> float | None:
    """Seconds after which a refusal may have ended though nothing that is watched has changed; None: it cannot."""
    return ROUTE_SECONDS if router(ctx.policy).objection(ctx) else None


def _refusals(ctx: Context) -> Iterator[str]:
    if why := _policy(ctx):
        yield why
        return
    if ctx.seen.deployment is None:
        yield f"there is no Deployment {ctx.policy.spec.target_ref.name} in this namespace"
        return
    yield from ctx.seen.rivals
    yield from of_services(ctx)
    yield from of_labels(ctx)
    yield from parallel(ctx)
    by = router(ctx.policy)
    if ctx.steps and (why := by.refuses(ctx) or by.objection(ctx)):
        yield why


def _policy(ctx: Context) -> str:
    spec = ctx.policy.spec
    if spec.target_ref.kind != "Deployment" or spec.target_ref.api_version != "apps/v1" or not spec.target_ref.name:
        return "spec.targetRef: only a Deployment of apps/v1 can be released; name one"
    if sum(strategy is not None for strategy in (spec.blue_green, spec.canary, spec.rolling)) != 1:
        return "spec: exactly one of blueGreen, canary and rolling is wanted"
    if problems := read(msgspec.to_builtins(spec))[1]:
        return problems[0]
    if spec.blue_green is not None:
        return ""
    if spec.canary and spec.canary.traffic.http_route and spec.canary.traffic.nginx:
        return "spec.canary.traffic: httpRoute and nginx exclude each other"
    return _steps(ctx.policy)


def _steps(policy: RolloutPolicy) -> str:
    weights, path = [step.weight for step in policy.steps], f"spec.{policy.strategy}.steps"
    if not 1 <= len(weights) <= MAX_STEPS:
        return f"{path}: {len(weights)} steps; 1 to {MAX_STEPS} are wanted"
    bad = next((weight for weight in weights if not 1 <= weight <= 100), None)
    if bad is not None:
        return f"{path}: a weight of {bad}; percents from 1 to 100 are wanted"
    if weights != sorted(set(weights)):
        return f"{path}: weights must rise from step to step"
    return ""


def of_services(ctx: Context) -> Iterator[str]:
    """What the Services say: at least one must select the pods, of either template."""
    seen, name = ctx.seen, ctx.policy.spec.target_ref.name
    blue_green = ctx.policy.spec.blue_green
    wanted = blue_green.preview_service if blue_green else ""
    if wanted and not any(service.name == wanted for service in seen.services):
        yield f"spec.blueGreen.previewService: no Service {wanted} selects the pods of Deployment {name}"
    others = [service for service in seen.services if service.name != wanted]
    if not others and not ctx.policy.in_place:
        yield f"no Service selects the pods of Deployment {name}: there is no traffic to move"
    for service in others:
        if service.narrowed and MARK not in service.labels:
            yield f"Service {service.name} selects a pod-template-hash by itself: take it out of the selector"
        if is_anothers(ctx.policy, service):
            yield (
                f"Service {service.name} is narrowed by a release of another policy ({service.labels[MARK]}): where "
                f"that policy is gone, take the label {MARK}, and {HASH} from the selector, off it"
            )
    yield from of_stable_alone(seen.services, ctx.deployment.template)


def of_stable_alone(services: Iterable[Service], new: Json) -> Iterator[str]:
    """A sentence for each of the stable pods' Services that would have no pod once all are of the template `new`."""
    for service in services:
        if not service.selects(new):
            yield (
                f"Service {service.name} selects the stable pods but not those of the new template: "
                "keep its labels in the template"
            )


def of_labels(ctx: Context) -> Iterator[str]:
    """The template's labels must match the Deployment's selector."""
    selector = dict((ctx.deployment.spec.get("selector") or {}).get("matchLabels") or {})
    if not selector.items() <= labels_of(ctx.deployment.template).items():
        yield f"the labels of the template do not match the selector of Deployment {ctx.policy.spec.target_ref.name}"


def parallel(ctx: Context) -> Iterator[str]:
    """Two versions side by side: what says that they must not be."""
    if ctx.policy.spec.allow_parallel:
        return
    end = "two versions must not run side by side; set spec.allowParallel: true if they may"
    if (ctx.deployment.spec.get("strategy") or {}).get("type") == "Recreate":
        yield f"the Deployment's strategy is Recreate: {end}"
    for claim in ctx.seen.once:
        yield f"claim {claim} is ReadWriteOncePod: {end}"
    if ports := host_ports(ctx.deployment.template):
        yield f"the template takes host port {ports[0]}: {end}"
