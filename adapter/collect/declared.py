"""Which metrics a HorizontalPodAutoscaler asks for (autoscaling/v2). Pure."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from adapter.collect.demand import CustomWant, ExternalWant, Want
from adapter.kube.autoscaling import HorizontalPodAutoscaler, MetricSpec
from adapter.kube.resources import GroupResource
from adapter.rules.resources import PODS, ROOT_SCOPED
from adapter.units.selector import EVERYTHING, Selector, SelectorError

ResourceOf: TypeAlias = Callable[[str, str], GroupResource | None]
"""(apiVersion, kind) -> the resource that holds such objects, None where the cluster has none."""


def wants_of(hpa: HorizontalPodAutoscaler, resource_of: ResourceOf) -> tuple[list[Want], list[str]]:
    """What `hpa` will ask for, and a sentence for each of its metrics that nobody can ask for."""
    wants: list[Want] = []
    problems: list[str] = []
    for number, spec in enumerate(hpa.spec.metrics):
        try:
            want = want_of(spec, hpa.metadata.namespace, resource_of)
        except (SelectorError, LookupError) as error:
            where = f"HPA {hpa.metadata.namespace}/{hpa.metadata.name}, spec.metrics[{number}]"
            problems.append(f"{where}: {error.args[0]}")
            continue
        if want is not None:
            wants.append(want)
    return wants, problems


def want_of(spec: MetricSpec, namespace: str, resource_of: ResourceOf) -> Want | None:
    """What one of its metrics asks of the custom or external metrics API; None for CPU and memory.

    Raises SelectorError, and LookupError for an object of a kind that the cluster has not.
    """
    if spec.pods:
        return CustomWant(PODS, namespace, spec.pods.metric.name, _selector(spec.pods.metric.selector))
    if spec.object:
        described = spec.object.described_object
        resource = resource_of(described.api_version, described.kind)
        if resource is None:
            raise LookupError(
                f"the cluster has no resource for kind {described.kind} of {described.api_version or 'v1'}"
            )
        where = "" if resource in ROOT_SCOPED else namespace
        return CustomWant(resource, where, spec.object.metric.name, _selector(spec.object.metric.selector))
    if spec.external:
        return ExternalWant(namespace, spec.external.metric.name, _selector(spec.external.metric.selector))
    return None


def _selector(selector: Mapping[str, object] | None) -> Selector:
    return Selector.from_object(selector, strict_values=False) if selector else EVERYTHING
