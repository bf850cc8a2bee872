"""Typed views of autoscaling: HorizontalPodAutoscaler (autoscaling/v2) and the scale subresource (autoscaling/v1)."""

from datetime import datetime
from typing import Any

from adapter.kube.objects import Condition, Model, ObjectMeta


class CrossVersionObjectReference(Model, frozen=True):
    """What is scaled, or what a metric describes."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class MetricTarget(Model, frozen=True):
    """`type` is 'Utilization' (percent of the request), 'Value' or 'AverageValue' (quantities)."""

    type: str = ""
    value: str | None = None
    average_value: str | None = None
    average_utilization: int | None = None


class MetricIdentifier(Model, frozen=True):
    """A metric's name and its selector, a metav1.LabelSelector as JSON, or None."""

    name: str = ""
    selector: dict[str, Any] | None = None


class ResourceMetricSource(Model, frozen=True):
    """A resource of the pods: 'cpu', 'memory'."""

    name: str = ""
    target: MetricTarget = MetricTarget()


class ContainerResourceMetricSource(Model, frozen=True):
    """A resource of one container of each pod."""

    name: str = ""
    container: str = ""
    target: MetricTarget = MetricTarget()


class PodsMetricSource(Model, frozen=True):
    """A custom metric of each pod, averaged."""

    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class ObjectMetricSource(Model, frozen=True):
    """A custom metric of one object."""

    described_object: CrossVersionObjectReference = CrossVersionObjectReference()
    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class ExternalMetricSource(Model, frozen=True):
    """A metric that belongs to no object."""

    metric: MetricIdentifier = MetricIdentifier()
    target: MetricTarget = MetricTarget()


class MetricSpec(Model, frozen=True):
    """`type` names the one field that is set: Resource, ContainerResource, Pods, Object, External."""

    type: str = ""
    resource: ResourceMetricSource | None = None
    container_resource: ContainerResourceMetricSource | None = None
    pods: PodsMetricSource | None = None
    object: ObjectMetricSource | None = None
    external: ExternalMetricSource | None = None


class HPAScalingPolicy(Model, frozen=True):
    """At most `value` ('Pods' or 'Percent') within `period_seconds`."""

    type: str = ""
    value: int = 0
    period_seconds: int = 0


class HPAScalingRules(Model, frozen=True):
    """How fast one direction may go. `tolerance` is a quantity; None means the controller's own (KEP-4951)."""

    stabilization_window_seconds: int | None = None
    select_policy: str | None = None
    policies: tuple[HPAScalingPolicy, ...] = ()
    tolerance: str | None = None


class HPABehavior(Model, frozen=True):
    """Rules per direction; None means the documented defaults."""

    scale_up: HPAScalingRules | None = None
    scale_down: HPAScalingRules | None = None


class HPASpec(Model, frozen=True):
    """autoscaling/v2 HorizontalPodAutoscalerSpec; `min_replicas` None means 1."""

    scale_target_ref: CrossVersionObjectReference = CrossVersionObjectReference()
    min_replicas: int | None = None
    max_replicas: int = 0
    metrics: tuple[MetricSpec, ...] = ()
    behavior: HPABehavior | None = None


class HPAStatus(Model, frozen=True):
    """autoscaling/v2 HorizontalPodAutoscalerStatus."""

    observed_generation: int | None = None
    last_scale_time: datetime | None = None
    current_replicas: int = 0
    desired_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class HorizontalPodAutoscaler(Model, frozen=True):
    """autoscaling/v2 HorizontalPodAutoscaler."""

    metadata: ObjectMeta = ObjectMeta()
    spec: HPASpec = HPASpec()
    status: HPAStatus = HPAStatus()


class ScaleSpec(Model, frozen=True):
    """How many replicas are wanted."""

    replicas: int = 0


class ScaleStatus(Model, frozen=True):
    """How many there are; `selector` is the pods' label selector as text, '' where the target publishes none."""

    replicas: int = 0
    selector: str = ""


class Scale(Model, frozen=True):
    """autoscaling/v1 Scale, the scale subresource of whatever can be scaled."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ScaleSpec = ScaleSpec()
    status: ScaleStatus = ScaleStatus()
