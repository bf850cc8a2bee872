"""Typed views of the objects that VPA defines (autoscaling.k8s.io/v1) and of pods' metrics (metrics.k8s.io/v1beta1)."""

# ruff: noqa: RUF012 - msgspec makes a fresh one of an empty default for every object

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from adapter.kube import objects
from adapter.kube.autoscaling import CrossVersionObjectReference
from adapter.kube.objects import Condition, Container, Model, ObjectMeta, ResourceRequirements
from adapter.kube.resources import Resource
from adapter.units.quantity import Quantity, QuantityError

VPAS: Final = Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalers")
CHECKPOINTS: Final = Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalercheckpoints")
POD_METRICS: Final = Resource("metrics.k8s.io", "v1beta1", "pods")
EVENTS: Final = Resource("", "v1", "events")
OOM_KILLED: Final = "OOMKilled"
"""The reason of a container that ended for want of memory."""
RESIZE_PENDING: Final = "PodResizePending"
"""The condition of a pod whose resize the kubelet has not begun."""

Quantities = dict[str, str]


class ContainerPolicy(Model, frozen=True):
    """One containerPolicies entry; `container_name` '*' is for all that have no entry of their own."""

    container_name: str = ""
    mode: str = "Auto"
    min_allowed: Quantities = {}
    max_allowed: Quantities = {}
    controlled_resources: tuple[str, ...] | None = None
    controlled_values: str = "RequestsAndLimits"
    oom_bump_up_ratio: str | int | float | None = None
    oom_min_bump_up: str | int | float | None = None
    memory_aggregation_interval_seconds: int | None = None
    memory_aggregation_interval_count: int | None = None


class ResourcePolicy(Model, frozen=True):
    """PodResourcePolicy."""

    container_policies: tuple[ContainerPolicy, ...] = ()

    def of(self, container: str) -> ContainerPolicy | None:
        """The policy of a container: by its name, else the one for all."""
        by_name = {policy.container_name: policy for policy in self.container_policies}
        return by_name.get(container, by_name.get("*"))

    def keeps_limits(self, container: str) -> bool:
        """Whether the container's limits stay as they are."""
        policy = self.of(container)
        return policy is not None and policy.controlled_values == "RequestsOnly"


class EvictionRequirement(Model, frozen=True):
    """When an eviction is allowed: some of `resources` moves the given way."""

    resources: tuple[str, ...] = ()
    change_requirement: str = ""


class UpdatePolicy(Model, frozen=True):
    """PodUpdatePolicy."""

    update_mode: str = ""
    min_replicas: int | None = None
    eviction_requirements: tuple[EvictionRequirement, ...] = ()


class RecommenderRef(Model, frozen=True):
    """A recommender that a VPA asks for."""

    name: str = ""


class VpaSpec(Model, frozen=True):
    """VerticalPodAutoscalerSpec."""

    target_ref: CrossVersionObjectReference | None = None
    update_policy: UpdatePolicy | None = None
    resource_policy: ResourcePolicy = ResourcePolicy()
    recommenders: tuple[RecommenderRef, ...] = ()

    @property
    def update_mode(self) -> str:
        """The mode in force: Recreate where none is said, and for the deprecated Auto."""
        said = self.update_policy.update_mode if self.update_policy else ""
        return "Recreate" if said in ("", "Auto") else said


class ContainerRecommendation(Model, frozen=True):
    """RecommendedContainerResources; quantities as text."""

    container_name: str = ""
    target: Quantities = {}
    lower_bound: Quantities = {}
    upper_bound: Quantities = {}
    uncapped_target: Quantities = {}


class PodRecommendation(Model, frozen=True):
    """RecommendedPodResources."""

    container_recommendations: tuple[ContainerRecommendation, ...] = ()


class VpaStatus(Model, frozen=True):
    """VerticalPodAutoscalerStatus."""

    recommendation: PodRecommendation | None = None
    conditions: tuple[Condition, ...] = ()
    observed_generation: int | None = None


class Vpa(Model, frozen=True):
    """VerticalPodAutoscaler."""

    metadata: ObjectMeta
    spec: VpaSpec = VpaSpec()
    status: VpaStatus = VpaStatus()

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)"""
        return self.metadata.namespace, self.metadata.name


class Histogram(Model, frozen=True):
    """HistogramCheckpoint."""

    reference_timestamp: datetime | None = None
    bucket_weights: dict[int, int] = {}
    total_weight: float = 0.0


class CheckpointStatus(Model, frozen=True):
    """VerticalPodAutoscalerCheckpointStatus."""

    last_update_time: datetime | None = None
    version: str = ""
    cpu_histogram: Histogram = Histogram()
    memory_histogram: Histogram = Histogram()
    first_sample_start: datetime | None = None
    last_sample_start: datetime | None = None
    total_samples_count: int = 0


class CheckpointSpec(Model, frozen=True):
    """Which container of which VPA."""

    vpa_object_name: str = msgspec.field(name="vpaObjectName", default="")
    container_name: str = ""


class Checkpoint(Model, frozen=True):
    """VerticalPodAutoscalerCheckpoint."""

    metadata: ObjectMeta
    spec: CheckpointSpec = CheckpointSpec()
    status: CheckpointStatus = CheckpointStatus()


class ContainerMetrics(Model, frozen=True):
    """One container's usage."""

    name: str = ""
    usage: Quantities = {}


class PodMetrics(Model, frozen=True):
    """metrics.k8s.io/v1beta1 PodMetrics."""

    metadata: ObjectMeta
    timestamp: datetime | None = None
    window: str = ""
    containers: tuple[ContainerMetrics, ...] = ()


class InvolvedObject(Model, frozen=True):
    """What an event is about."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Event(Model, frozen=True):
    """core/v1 Event."""

    metadata: ObjectMeta
    involved_object: InvolvedObject = InvolvedObject()
    reason: str = ""
    last_timestamp: datetime | None = None


class ContainerStatus(objects.ContainerStatus, frozen=True):
    """With the resources that the container really has."""

    resources: ResourceRequirements | None = None


class PodStatus(objects.PodStatus, frozen=True):
    """With the class that says which pods are killed first."""

    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    qos_class: str = ""


class ResizePolicy(Model, frozen=True):
    """What a resize of one resource does to the container: NotRequired or RestartContainer."""

    restart_policy: str = ""


class PodContainer(Container, frozen=True):
    """v1 Container, with what a resize does to it."""

    resize_policy: tuple[ResizePolicy, ...] = ()


class PodSpec(objects.PodSpec, frozen=True):
    """With containers that say what a resize does to them."""

    containers: tuple[PodContainer, ...] = ()
    init_containers: tuple[PodContainer, ...] = ()
    active_deadline_seconds: int | None = None
    priority_class_name: str = ""

    @property
    def sidecars(self) -> tuple[PodContainer, ...]:
        """Init containers that run as long as the pod (KEP-753)."""
        return tuple(container for container in self.init_containers if container.restart_policy == "Always")


class Pod(objects.Pod, frozen=True):
    """As the recommender reads it."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def active(self) -> bool:
        """Whether it runs or will run."""
        return self.status.phase not in ("Succeeded", "Failed")

    @property
    def running_containers(self) -> tuple[PodContainer, ...]:
        """Those that run as long as the pod does: containers, and sidecars among the init containers."""
        return (*self.spec.containers, *self.spec.sidecars)

    @property
    def all_statuses(self) -> tuple[ContainerStatus, ...]:
        """Of containers and init containers; a name occurs once in a pod."""
        return (*self.status.container_statuses, *self.status.init_container_statuses)


def quantities(texts: Mapping[str, str]) -> dict[str, Quantity]:
    """The texts as quantities. One that is none is left out; the API server lets no such text in."""
    parsed = {}
    for name, text in texts.items():
        try:
            parsed[name] = Quantity.parse(str(text))
        except QuantityError:
            continue
    return parsed
