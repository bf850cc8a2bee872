"""Flagger's Canary -> a RolloutPolicy. Pure.

Fields are those of flagger.app/v1beta1, pkg/apis/flagger/v1beta1/canary.go; what they do where they are left out is in
its scheduler.
"""

from collections.abc import Mapping
from typing import Any, Final

from adapter.rollout.foreign import checks
from adapter.rollout.foreign.arms import Names
from adapter.rollout.foreign.checks import Templates
from adapter.rollout.foreign.findings import Findings, Origin
from adapter.rollout.foreign.policy import Json, Policy, finish_policy
from adapter.rollout.foreign.raw import Raw, Why
from adapter.rollout.foreign.steps import Steps
from adapter.rollout.foreign.tell import receivers
from adapter.rollout.model.shape import MOST_SECONDS

GROUP: Final = "flagger.app"
EVERY: Final = 60.0
LEAST_EVERY: Final = 10.0
"""s: an analysis that is asked for more often is not made so by Flagger either."""
SPEC: Final[Mapping[str, Why]] = {
    "metricsServer": Why("the address is the controller's", "streamgate-rollout run --prometheus-url=ADDRESS"),
    "skipAnalysis": Why("gates are asked in every release", "delete spec.gates, or streamgate-rollout promote --full"),
    "suspend": Why("a hold is no field", "streamgate-rollout pause"),
    "revertOnDeletion": Why("everything is put back as it was, always", "nothing is to be done"),
    "upstreamRef": Why("Gloo's upstreams are not written", "use an HTTPRoute"),
    "routeRef": Why("Apisix' routes are not written", "use an HTTPRoute"),
}
ANALYSIS: Final[Mapping[str, Why]] = {
    "threshold": Why(
        "evidence ends a release, not a number of failed checks",
        "spec.alpha (0.05) is the chance that a good release is rolled back",
    ),
    "stepWeightPromotion": Why(
        "the promotion is one switch of judged pods, not a second roll", "nothing is to be done"
    ),
    "mirror": Why("requests are not mirrored", "use blueGreen.generate, which sends requests of its own"),
    "mirrorWeight": Why("requests are not mirrored", "use blueGreen.generate, which sends requests of its own"),
    "primaryReadyThreshold": Why("every pod of a step has to be available", "nothing is to be done"),
    "canaryReadyThreshold": Why("every pod of a step has to be available", "nothing is to be done"),
    "sessionAffinity": Why("no cookies are set", "let the gateway do it (HTTPRoute, sessionPersistence)"),
    "match": Why(
        "requests are not chosen by a header",
        "write a rule of your own in the HTTPRoute, or use blueGreen.previewService",
    ),
}
AUTOSCALER: Final = Why(
    "an HPA is found by its target, and is never copied", "nothing is to be done but to delete NAME-primary's"
)
SERVICE: Final = Why(
    "Flagger made the Services NAME, NAME-primary and NAME-canary, and takes them away",
    "write a Service NAME of your own that selects the Deployment's labels",
)
ROUTE: Final = Why(
    "Flagger made the HTTPRoute, and takes it away", "write one of your own of that name, with the Service as backend"
)
NO_PROVIDER: Final = Why(
    "traffic is moved by an HTTPRoute, an Ingress of ingress-nginx, or the ratio of pods",
    "write an HTTPRoute and name it in spec.canary.traffic.httpRoute; without one the most is 50 %",
)
SWITCHED: Final = Why(
    "a blue-green switch is made by the Services alone, no route or Ingress is written",
    "let the route or Ingress have the Service NAME as backend",
)
WEIGHTS: Final = Why("by iterations no weight has an effect, there as here", "nothing is to be done")
AFTER: Final = Why(
    "the checks were made before the switch, on pods without real traffic; here they are gates after it",
    "set stage: pre and blueGreen.generate for checks before it",
)


def convert(origin: Origin, templates: Templates, findings: Findings) -> list[Json]:
    """What stands for a Canary: the policy."""
    spec = Raw(origin, findings, "spec", origin.raw.get("spec"))
    target = _target(spec)
    service = spec.inside("service")
    apex = service.text("name") or target
    analysis = spec.inside("analysis" if spec.has("analysis") or not spec.has("canaryAnalysis") else "canaryAnalysis")
    provider = spec.text("provider")
    traffic = _traffic(spec, service, provider, apex)
    blue_green = provider == "kubernetes" or analysis.has("iterations")
    new, old = ([f"{name}-{arm}" for name in (apex, target)] for arm in ("canary", "primary"))
    policy = Policy(Names(target, new, origin.namespace, apex, old), blue_green=blue_green)
    every = max(analysis.seconds("interval") or EVERY, LEAST_EVERY)
    hooks = receivers(analysis, templates.alerts)
    made: Json = {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}}
    if blue_green and traffic:
        spec.say("ingressRef" if spec.has("ingressRef") else "provider", SWITCHED)
    if blue_green:
        made["blueGreen"] = _blue_green(analysis, every, manual=hooks.at_end or hooks.at_steps)
    else:
        steps = _steps(analysis, every, routed=bool(traffic))
        for step in steps if hooks.at_steps else steps[-1:] if hooks.at_end else ():
            step["manual"] = True
        made["canary"] = {"steps": steps} | ({"traffic": traffic} if traffic else {})
    checks.Checks(policy, templates, origin, provider).read(analysis)
    deadline = spec.whole("progressDeadlineSeconds", 10, MOST_SECONDS)
    made |= {"progressDeadlineSeconds": deadline} if deadline else {}
    made |= {"notifications": list(hooks.receivers)} if hooks.receivers else {}
    analysis.leave(ANALYSIS)
    analysis.rest()
    spec.leave(SPEC)
    complete = finish_policy(origin, spec, made, policy.gates)
    spec.rest()
    return [complete] if complete else []


def _target(spec: Raw) -> str:
    ref = spec.inside("targetRef")
    kind, name = ref.text("kind"), ref.text("name")
    ref.expect("apiVersion", "apps/v1")
    if kind not in ("", "Deployment"):
        ref.say(
            "kind", Why("only Deployments are released", "make a Deployment of it, and name that in spec.targetRef")
        )
    ref.rest()
    scaler = spec.inside("autoscalerRef")
    if scaler.text("kind") == "ScaledObject":
        why = Why("an HPA of KEDA is not held at its size in a release", "give the ScaledObject enough minReplicaCount")
        scaler.say("kind", why)
    elif spec.has("autoscalerRef"):
        spec.say("autoscalerRef", AUTOSCALER)
    return name


def _traffic(spec: Raw, service: Raw, provider: str, apex: str) -> dict[str, Any]:
    """What makes the share; the fields of `service`, which said what Flagger had to make, are findings."""
    ingress = spec.inside("ingressRef")
    name = ingress.text("name")
    ingress.expect("apiVersion", "networking.k8s.io/v1", "networking.k8s.io/v1beta1")
    ingress.expect("kind", "Ingress")
    ingress.rest()
    if spec.has("service"):
        service.say("", SERVICE)
    routed = provider.startswith("gatewayapi:") or (not provider and service.has("gatewayRefs"))
    if routed:
        service.say("gatewayRefs", ROUTE)
    for field in ("port", "portName", "targetPort", "portDiscovery", "appProtocol", "hosts", "gateways"):
        service.take(field)  # of the Service and the route that `SERVICE` and `ROUTE` are about
    service.rest()
    if provider == "nginx" and name:
        return {"nginx": {"name": name, "service": apex}}
    if spec.has("ingressRef"):
        spec.say("ingressRef", Why("without provider nginx no Ingress is followed", "name it in spec.canary.traffic"))
    if routed:
        return {"httpRoute": {"name": apex, "service": apex}}
    if provider not in ("", "kubernetes"):
        spec.say("provider", NO_PROVIDER)
    return {}


def _blue_green(analysis: Raw, every: float, *, manual: bool) -> Json:
    """Iterations: so many checks before the switch."""
    count = analysis.whole("iterations", 1, 10_000) or 10
    analysis.leave(dict.fromkeys(("maxWeight", "stepWeight", "stepWeights"), WEIGHTS))
    if analysis.has("metrics"):
        analysis.say("iterations", AFTER)
    made: Json = {"previewSeconds": round(every), "verifySeconds": min(round(count * every), MOST_SECONDS)}
    return made | ({"manual": True} if manual else {})


def _steps(analysis: Raw, every: float, *, routed: bool) -> list[dict[str, Any]]:
    steps = Steps(routed=routed)
    most = analysis.whole("maxWeight", 1, 100) or 100
    weights = analysis.take("stepWeights")
    if isinstance(weights, list):
        place, wanted = "stepWeights", weights
    else:
        if weights is not None:
            analysis.say("stepWeights", Why("it is no list of numbers", "stepWeight was read"))
        by = analysis.whole("stepWeight", 1, 100) or 100
        place, wanted = "stepWeight", list(range(by, most + 1, by)) or [most]
    for weight in wanted:
        if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= 100:
            analysis.say(place, Why("a weight is no number from 1 to 100", "give the steps by hand"))
            continue
        before = len(steps.found)
        steps.weigh(analysis, place, weight)
        if len(steps.found) > before:
            steps.hold(analysis, place, every)
    if not steps.found:
        steps.weigh(analysis, place, 50 if not routed else 100)
        steps.hold(analysis, place, every)
    return steps.as_json(analysis, place)
