"""Why a policy is not followed as things are: one sentence that says what to change."""

import msgspec

from adapter.rollout.decide.context import MARK, Context
from adapter.rollout.model.gates import read
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.template import host_ports, labels_of
from adapter.rollout.traffic.choose import router

MAX_STEPS = 20


def refusal(ctx: Context) -> str:
    """The first thing that stands in the way; '' where nothing does."""
    return _policy(ctx) or _cluster(ctx) or _parallel(ctx) or (router(ctx.policy).refuses(ctx) if ctx.steps else "")


def _policy(ctx: Context) -> str:
    spec = ctx.policy.spec
    if spec.target_ref.kind != "Deployment" or spec.target_ref.api_version != "apps/v1" or not spec.target_ref.name:
        return "spec.targetRef: only a Deployment of apps/v1 can be released; name one"
    if sum(found is not None for found in (spec.blue_green, spec.canary, spec.rolling)) != 1:
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


def _cluster(ctx: Context) -> str:
    seen, name = ctx.seen, ctx.policy.spec.target_ref.name
    if seen.deployment is None:
        return f"there is no Deployment {name} in this namespace"
    if seen.rivals:
        return seen.rivals[0]
    blue_green = ctx.policy.spec.blue_green
    wanted = blue_green.preview_service if blue_green else ""
    if wanted and not any(found.name == wanted for found in seen.services):
        return f"spec.blueGreen.previewService: no Service {wanted} selects the pods of Deployment {name}"
    others = [found for found in seen.services if found.name != wanted]
    if not others and not ctx.policy.in_place:
        return f"no Service selects the pods of Deployment {name}: there is no traffic to move"
    own = next((found.name for found in others if found.narrowed and MARK not in found.labels), "")
    if own:
        return f"Service {own} selects a pod-template-hash by itself: take it out of the selector"
    template = seen.deployment.template
    lost = next((found.name for found in others if not found.selects(template)), "")
    if lost:
        return (
            f"Service {lost} selects the stable pods but not those of the new template: keep its labels in the template"
        )
    selector = dict((seen.deployment.spec.get("selector") or {}).get("matchLabels") or {})
    if not selector.items() <= labels_of(template).items():
        return f"the labels of the template do not match the selector of Deployment {name}"
    return ""


def _parallel(ctx: Context) -> str:
    """Two versions side by side: what says that they must not be."""
    assert ctx.seen.deployment is not None
    if ctx.policy.spec.allow_parallel:
        return ""
    end = "two versions must not run side by side; set spec.allowParallel: true if they may"
    if (ctx.seen.deployment.spec.get("strategy") or {}).get("type") == "Recreate":
        return f"the Deployment's strategy is Recreate: {end}"
    if ctx.seen.once:
        return f"claim {ctx.seen.once[0]} is ReadWriteOncePod: {end}"
    if ports := host_ports(ctx.seen.deployment.template):
        return f"the template takes host port {ports[0]}: {end}"
    return ""
