"""Argo Rollouts' Rollout -> a RolloutPolicy, and a Deployment where it carries the template. Pure.

Fields are those of argoproj.io/v1alpha1, pkg/apis/rollouts/v1alpha1/types.go.
"""

from collections.abc import Mapping
from typing import Any, Final

from adapter.rollout.foreign import analysis, steps
from adapter.rollout.foreign.analysis import Templates
from adapter.rollout.foreign.arms import Names
from adapter.rollout.foreign.findings import Findings, Origin
from adapter.rollout.foreign.policy import Json, Policy, finish_policy, metadata_of
from adapter.rollout.foreign.raw import Raw, Why
from adapter.rollout.model.shape import MOST_SECONDS

GROUP: Final = "argoproj.io"
THEIRS: Final = ("rollout.argoproj.io/", "argo-rollouts.argoproj.io/", "kubectl.kubernetes.io/last-applied")
DEFAULT_DELAY: Final = 30
"""s for which Argo keeps the pods of before."""
GATEWAY: Final = "argoproj-labs/gatewayAPI"
"""The plugin for HTTPRoutes."""

SPEC: Final[Mapping[str, Why]] = {
    "rollbackWindow": Why("a way back to an earlier template is a release too", "streamgate-rollout promote --full"),
    "restartAt": Why("a restart is no field", "streamgate-rollout restart"),
    "paused": Why("a hold is no field", "streamgate-rollout pause"),
    "analysis": Why("runs are not kept as objects", "streamgate-rollout history has the last releases"),
}
BLUE_GREEN: Final[Mapping[str, Why]] = {
    "previewReplicaCount": Why("the new set has its full size before the switch", "nothing is to be done"),
    "maxUnavailable": Why("a restart is a release of its own", "nothing is to be done"),
    "scaleDownDelayRevisionLimit": Why("one set of stable pods is kept", "nothing is to be done"),
    "abortScaleDownDelaySeconds": Why("pods without traffic are kept for settleSeconds", "set spec.settleSeconds"),
    "antiAffinity": Why("nothing is added to the template", "write the affinity into the Deployment's template"),
    "previewMetadata": Why("pods keep their labels", "select them by pod-template-hash or blueGreen.previewService"),
    "activeMetadata": Why("pods keep their labels", "select them by pod-template-hash"),
}
CANARY: Final[Mapping[str, Why]] = {
    "canaryService": Why(
        "new pods need no Service of their own: the stable one is moved",
        "delete it, and its backendRef from the route, once the Rollout is gone",
    ),
    "antiAffinity": BLUE_GREEN["antiAffinity"],
    "canaryMetadata": BLUE_GREEN["previewMetadata"],
    "stableMetadata": BLUE_GREEN["activeMetadata"],
    "scaleDownDelaySeconds": Why("pods without traffic are kept for settleSeconds", "set spec.settleSeconds"),
    "scaleDownDelayRevisionLimit": BLUE_GREEN["scaleDownDelayRevisionLimit"],
    "abortScaleDownDelaySeconds": BLUE_GREEN["abortScaleDownDelaySeconds"],
    "dynamicStableScale": Why("stable pods stay complete until the verdict is final", "nothing is to be done"),
    "pingPong": Why("one Service is moved, by its selector", "name the Service of your route in canary.traffic"),
    "minPodsPerReplicaSet": Why("new pods are at least one", "let the first step be larger"),
    "replicaProgressThreshold": Why("every pod of a step has to be available", "nothing is to be done"),
}
ROUTERS: Final = ("istio", "alb", "smi", "ambassador", "appMesh", "traefik", "apisix")
NO_ROUTER: Final = Why(
    "traffic is moved by an HTTPRoute, an Ingress of ingress-nginx, or the ratio of pods",
    "write an HTTPRoute and name it in spec.canary.traffic.httpRoute; without one the most is 50 %",
)


def convert(origin: Origin, templates: Templates, findings: Findings) -> list[Json]:
    """What stands for a Rollout: its Deployment, if it carries the template, and the policy."""
    spec = Raw(origin, findings, "spec", origin.raw.get("spec"))
    deployment = _deployment(origin, spec)
    target = deployment["metadata"]["name"] if deployment else _workload_name(spec)
    made: Json = {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}}
    strategy = spec.inside("strategy")
    blue_green = strategy.has("blueGreen")
    policy = Policy(_names(origin, strategy, target), blue_green=blue_green)
    measured = analysis.Analyst(policy, templates, origin)
    if blue_green:
        made["blueGreen"] = _blue_green(strategy.inside("blueGreen"), measured)
        if strategy.has("canary"):
            strategy.say("canary", Why("a Rollout has one strategy: blueGreen was read", "delete one of the two"))
    else:
        made |= _canary(strategy.inside("canary"), measured, deployment)
    strategy.rest()
    deadline = spec.whole("progressDeadlineSeconds", 10, MOST_SECONDS)
    made |= {"progressDeadlineSeconds": deadline} if deadline else {}
    if not spec.flag("progressDeadlineAbort"):
        why = Why("a release that is stuck for progressDeadlineSeconds is always taken back", "give it more seconds")
        spec.say("progressDeadlineAbort", why)
    spec.leave(SPEC)
    rollout_policy = finish_policy(origin, spec, made, policy.gates)
    spec.rest()
    return [each for each in (deployment, rollout_policy) if each]


def _names(origin: Origin, strategy: Raw, target: str) -> Names:
    """What is of one arm alone: the Services that are not needed any more."""
    canary, blue_green = strategy.take("canary"), strategy.take("blueGreen")
    services = [
        inner.get(field)
        for inner in (canary, blue_green)
        if isinstance(inner, Mapping)
        for field in ("canaryService", "previewService")
    ]
    return Names(target, [each for each in services if isinstance(each, str)], origin.namespace)


def _deployment(origin: Origin, spec: Raw) -> Json | None:
    """The Deployment of a Rollout that carries a template."""
    if not spec.has("template"):
        return None
    kept = ("replicas", "selector", "template", "minReadySeconds", "revisionHistoryLimit")
    inner: Json = {field: spec.take(field) for field in kept if spec.has(field)}
    for field in ("selector", "template"):
        if not isinstance(inner.get(field), Mapping):
            spec.say(field, Why("the Deployment needs it as a mapping", "write it as in a Deployment"))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(origin, THEIRS),
        "spec": inner,
    }


def _workload_name(spec: Raw) -> str:
    """The name of the Deployment that a Rollout refers to."""
    ref = spec.inside("workloadRef")
    kind, name = ref.text("kind"), ref.text("name")
    ref.expect("apiVersion", "apps/v1")
    if kind != "Deployment":
        ref.say(
            "kind", Why("only Deployments are released", "make a Deployment of it, and name that in spec.targetRef")
        )
    instead = "give the Deployment its replicas again before the Rollout goes"
    if ref.has("scaleDown"):
        ref.say("scaleDown", Why("the Deployment itself runs the pods, and may be at 0 replicas now", instead))
    if spec.has("replicas"):
        spec.say("replicas", Why("the size is the Deployment's own", instead))
    for field in ("selector", "minReadySeconds", "revisionHistoryLimit"):
        if spec.has(field):
            spec.say(field, Why("it is the Deployment's own", "set it there"))
    ref.rest()
    return name


def _blue_green(raw: Raw, measured: analysis.Analyst) -> Json:
    made: Json = {}
    raw.take("activeService")  # every Service that selects the pods is moved
    if preview := raw.text("previewService"):
        made["previewService"] = preview
    manual = not raw.flag("autoPromotionEnabled", default=True)
    seconds = raw.whole("autoPromotionSeconds", 0, MOST_SECONDS) or 0
    delay = raw.whole("scaleDownDelaySeconds", 0, MOST_SECONDS)
    before, after = (
        min(round(measured.gates(raw.inside(field), stage)), MOST_SECONDS) if raw.has(field) else 0
        for field, stage in (("prePromotionAnalysis", "pre"), ("postPromotionAnalysis", "post"))
    )
    if seconds := min(seconds + before, MOST_SECONDS):  # there, too, they are counted from the analysis' end on
        made["previewSeconds"] = seconds
    made |= {"manual": True} if manual else {}
    made["verifySeconds"] = max(DEFAULT_DELAY if delay is None else delay, after)
    raw.leave(BLUE_GREEN)
    raw.rest()
    return made


def _canary(raw: Raw, measured: analysis.Analyst, deployment: Json | None) -> Json:
    traffic = _traffic(raw)
    canary_steps = steps.Steps(routed=bool(traffic))
    if raw.has("analysis"):
        measured.gates(raw.inside("analysis"), timed=False)
    steps.of_argo(raw, canary_steps, measured.gates)
    _rolling_update(raw, deployment)
    raw.leave(CANARY)
    raw.take("stableService")
    raw.rest()
    if not canary_steps.found:
        why = Why(
            "without a step with a weight it is a rolling update", "choose spec.rolling.steps: one of 25 % is put in"
        )
        raw.say("steps", why)
        return {"rolling": {"steps": [{"weight": 25, "pauseSeconds": 60}]}}
    made: Json = {"steps": canary_steps.as_json(raw, "steps")}
    return {"canary": made | ({"traffic": traffic} if traffic else {})}


def _rolling_update(raw: Raw, deployment: Json | None) -> None:
    """maxSurge and maxUnavailable, which are the Deployment's own."""
    given = {field: raw.take(field) for field in ("maxSurge", "maxUnavailable") if raw.has(field)}
    if deployment and given:
        deployment["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": given}
    for field in () if deployment else given:
        raw.say(field, Why("it is the Deployment's own", "set spec.strategy.rollingUpdate there"))


def _traffic(canary: Raw) -> dict[str, Any]:
    routing = canary.inside("trafficRouting")
    service = canary.text("stableService")
    traffic: dict[str, Any] = {}
    plugins = routing.inside("plugins")
    if plugins.has(GATEWAY):
        traffic = {"httpRoute": {"name": _route(plugins.inside(GATEWAY), canary.origin), "service": service}}
    elif routing.has("nginx"):
        traffic = {"nginx": {"name": _ingress(routing.inside("nginx")), "service": service}}
    plugins.rest()
    routing.leave(dict.fromkeys(ROUTERS, NO_ROUTER))
    routing.leave(
        {
            "managedRoutes": Why("no routes are made", "write them yourself"),
            "maxTrafficWeight": Why("weights are percent", "divide the steps' weights by it"),
        }
    )
    routing.rest()
    if not traffic:
        return {}
    if not service or not next(iter(traffic.values()))["name"]:
        why = Why("the route or spec.strategy.canary.stableService has no name", "name both in spec.canary.traffic")
        canary.say("trafficRouting", why)
        return {}
    return traffic


def _route(raw: Raw, rollout: Origin) -> str:
    name = raw.text("httpRoute")
    for index, each in enumerate(raw.each("httpRoutes")):
        if name or index:
            each.say("name", Why("one HTTPRoute is moved", "put the rules into that one"))
        name = name or each.text("name")
        each.rest()
    if raw.text("namespace") not in ("", rollout.namespace):
        why = Why("a policy moves an HTTPRoute of its own namespace alone", "write one of that name there")
        raw.say("namespace", why)
    raw.rest()
    return name


def _ingress(raw: Raw) -> str:
    name = raw.text("stableIngress")
    raw.leave(
        {
            "stableIngresses": Why("one Ingress is followed", "put the rules into that one"),
            "annotationPrefix": Why("the prefix is nginx.ingress.kubernetes.io", "use that one"),
            "additionalIngressAnnotations": Why("no other annotations are written", "nothing is to be done"),
        }
    )
    raw.rest()
    return name
