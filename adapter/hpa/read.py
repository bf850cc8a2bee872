"""From an autoscaling/v2 HorizontalPodAutoscaler, decoded JSON, to what the formula reads.

Bounds and rules are those of the API server (pkg/apis/autoscaling/validation, Kubernetes 1.37): what it stores can be
read. Which of a target's fields counts is the controller's rule: the one that is set, and for an Object metric, where
both may be, the one that `target.type` names.
"""

from collections.abc import Mapping

from adapter.hpa.fields import Field, HpaError
from adapter.hpa.model import (
    ALLOWED_TARGETS,
    CPU_80,
    Behavior,
    History,
    HpaSpec,
    Metric,
    Policy,
    PolicyType,
    Rules,
    SelectPolicy,
    Source,
    Target,
    TargetType,
    apply_defaults,
)
from adapter.hpa.words import MAX_INT32

MAX_WINDOW = 3600
"""s of stabilizationWindowSeconds."""
MAX_PERIOD = 1800
"""s of a policy's periodSeconds."""

FIELDS: Mapping[Source, str] = {
    Source.RESOURCE: "resource",
    Source.CONTAINER_RESOURCE: "containerResource",
    Source.PODS: "pods",
    Source.OBJECT: "object",
    Source.EXTERNAL: "external",
}
"""The field that holds a metric, in the spec and in the status."""
TARGETS: Mapping[TargetType, str] = {
    TargetType.UTILIZATION: "averageUtilization",
    TargetType.AVERAGE_VALUE: "averageValue",
    TargetType.VALUE: "value",
}
"""The field that holds a target, and the value that is compared with it."""


def read_spec(hpa: Mapping[str, object]) -> HpaSpec:
    """The spec of an HPA, with the API server's defaults. Raises HpaError."""
    spec = Field("", hpa).of("spec").require()
    most = spec.of("maxReplicas").require().whole(1, MAX_INT32)
    low = spec.of("minReplicas")
    least = low.whole(0, MAX_INT32) if low else None
    if least is not None and least > most:
        raise spec.of("maxReplicas").error(f"must be at least minReplicas, {least}, not {most}")
    metrics = tuple(_metric(item) for item in spec.of("metrics").items())
    hpa_spec = apply_defaults(HpaSpec(max=most, min=least, metrics=metrics, behavior=_behavior(spec.of("behavior"))))
    if hpa_spec.min == 0 and not hpa_spec.from_zero:
        raise low.error("can be 0 only with an Object or External metric")
    return hpa_spec


def read_metrics(hpa: Mapping[str, object]) -> tuple[list[Metric], list[HpaError]]:
    """The metrics of an HPA that can be read, and why others cannot, as in a Kubernetes that knows more than we do.

    Raises HpaError where there is no list of them.
    """
    metrics, refused = list[Metric](), list[HpaError]()
    items = list(Field("", hpa).of("spec").of("metrics").items())
    for item in items:
        try:
            metrics.append(_metric(item))
        except HpaError as error:
            refused.append(error)
    return (metrics if items else [CPU_80]), refused


def read_history(hpa: Mapping[str, object]) -> History:
    """What an HPA's status tells of the controller's memory: whether it brought the target to zero. Raises HpaError."""
    conditions = Field("", hpa).of("status").of("conditions").items()
    held = [(item.of("type").value, item.of("status").value) for item in conditions]
    return History(scaled_to_zero=("ScaledToZero", "True") in held)


def _metric(item: Field) -> Metric:
    source = item.of("type").require().choice(Source)
    for other, name in FIELDS.items():
        if other is not source and item.of(name):
            raise item.of(name).error(f"must be absent beside the type {source}")
    own = item.of(FIELDS[source]).require()
    about = own if source in (Source.RESOURCE, Source.CONTAINER_RESOURCE) else own.of("metric")
    return Metric(
        source,
        about.of("name").require().text(),
        _target(source, own.of("target").require()),
        container=own.of("container").require().text() if source is Source.CONTAINER_RESOURCE else "",
        described=_describe_object(own.of("describedObject").require()) if source is Source.OBJECT else "",
    )


def _describe_object(item: Field) -> str:
    return f"{item.of('kind').require().text()} {item.of('name').require().text()}"


def _target(source: Source, target: Field) -> Target:
    written = target.of("type").require().choice(TargetType)
    allowed = ALLOWED_TARGETS[source]
    given = [kind for kind in allowed if target.of(TARGETS[kind])]
    names = " or ".join(TARGETS[kind] for kind in allowed)
    if source is Source.OBJECT:
        if written not in given:
            raise target.error(f"must hold {names}, the one that its type {written} names")
        given = [written]
    if len(given) != 1:
        raise target.error(f"must hold {'either ' * (len(allowed) > 1)}{names}, as the target of a {source} metric")
    field = target.of(TARGETS[given[0]])
    return Target(given[0], field.whole(1, MAX_INT32) if given[0] is TargetType.UTILIZATION else field.milli())


def _behavior(item: Field) -> Behavior | None:
    return Behavior(_rules(item.of("scaleUp")), _rules(item.of("scaleDown"))) if item else None


def _rules(item: Field) -> Rules:
    window, select, tolerance = (item.of(name) for name in ("stabilizationWindowSeconds", "selectPolicy", "tolerance"))
    policies = item.of("policies")
    parsed = tuple(map(_policy, policies.items()))
    if policies and not parsed:
        raise policies.error("must have a policy, or be absent")
    return Rules(
        window.whole(0, MAX_WINDOW) if window else None,
        select.choice(SelectPolicy) if select else None,
        parsed,
        tolerance.fraction() if tolerance else None,
    )


def _policy(item: Field) -> Policy:
    return Policy(
        item.of("type").require().choice(PolicyType),
        item.of("value").require().whole(1, MAX_INT32),
        item.of("periodSeconds").require().whole(1, MAX_PERIOD),
    )
