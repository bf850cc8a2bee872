"""Typed views of what the doctor alone reads."""

from datetime import datetime
from typing import Any

import msgspec

from adapter.kube.autoscaling import CrossVersionObjectReference, HorizontalPodAutoscaler, HPAStatus
from adapter.kube.objects import Condition, Model, ObjectMeta
from adapter.kube.resources import Resource

API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "deployments")
SERVICES = Resource("", "v1", "services")
SECRETS = Resource("", "v1", "secrets")
VPAS = Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalers")
POLICIES = Resource("streamgate.io", "v1alpha1", "rolloutpolicies")


class ServiceReference(Model, frozen=True):
    """Who serves an API."""

    namespace: str = ""
    name: str = ""
    port: int = 443


class APIServiceSpec(Model, frozen=True):
    """Without `service` the API server serves it itself. `ca_bundle` is PEM in base64."""

    group: str = ""
    version: str = ""
    service: ServiceReference | None = None
    ca_bundle: str = ""
    insecure: bool = msgspec.field(name="insecureSkipTLSVerify", default=False)


class Conditions(Model, frozen=True):
    """A status of which only the conditions are read."""

    conditions: tuple[Condition, ...] = ()


class APIService(Model, frozen=True):
    """apiregistration.k8s.io/v1 APIService."""

    metadata: ObjectMeta = ObjectMeta()
    spec: APIServiceSpec = APIServiceSpec()
    status: Conditions = Conditions()


class SecretVolume(Model, frozen=True):
    """A Secret that pods mount."""

    secret_name: str = ""


class ConfigMapVolume(Model, frozen=True):
    """A ConfigMap that pods mount."""

    name: str = ""


class Volume(Model, frozen=True):
    """A volume of one of two kinds, or of another that is not read."""

    name: str = ""
    secret: SecretVolume | None = None
    config_map: ConfigMapVolume | None = None


class VolumeMount(Model, frozen=True):
    """Where a container has a volume."""

    name: str = ""
    mount_path: str = ""


class Started(Model, frozen=True):
    """A container: its image and what it is started with."""

    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()


class TemplateSpec(Model, frozen=True):
    """The pods' spec."""

    service_account_name: str = "default"
    volumes: tuple[Volume, ...] = ()
    containers: tuple[Started, ...] = ()


class Template(Model, frozen=True):
    """The pods of a Deployment."""

    metadata: ObjectMeta = ObjectMeta()
    spec: TemplateSpec = TemplateSpec()


class DeploymentSpec(Model, frozen=True):
    """`replicas` None means 1."""

    replicas: int | None = None
    template: Template = Template()


class DeploymentStatus(Model, frozen=True):
    """How many of its pods can serve."""

    available_replicas: int = 0


class Deployment(Model, frozen=True):
    """apps/v1 Deployment."""

    metadata: ObjectMeta = ObjectMeta()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ServiceSpec(Model, frozen=True):
    """Which pods it is for."""

    selector: dict[str, str] = msgspec.field(default_factory=dict)


class Service(Model, frozen=True):
    """v1 Service."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceSpec = ServiceSpec()


class Certificates(Model, frozen=True):
    """Of a Secret with a certificate: the certificate alone, never its key."""

    certificate: str = msgspec.field(name="tls.crt", default="")


class TlsSecret(Model, frozen=True):
    """v1 Secret of type kubernetes.io/tls; base64."""

    data: Certificates = Certificates()


class LeaseSpec(Model, frozen=True):
    """Who holds it, and when he last said so, by his own clock."""

    holder_identity: str = ""
    lease_duration_seconds: int = 0
    renew_time: datetime | None = None


class Lease(Model, frozen=True):
    """coordination.k8s.io/v1 Lease."""

    metadata: ObjectMeta = ObjectMeta()
    spec: LeaseSpec = LeaseSpec()


class HpaStatus(HPAStatus, frozen=True):
    """With the values that the controller last found, as JSON."""

    current_metrics: tuple[dict[str, Any], ...] = ()


class Hpa(HorizontalPodAutoscaler, frozen=True):
    """autoscaling/v2 HorizontalPodAutoscaler, with its metrics' values."""

    status: HpaStatus = HpaStatus()


class UpdatePolicy(Model, frozen=True):
    """Off: nothing but recommended."""

    update_mode: str = ""


class ContainerPolicy(Model, frozen=True):
    """What is controlled of a container; None: CPU and memory."""

    container_name: str = ""
    mode: str = ""
    controlled_resources: tuple[str, ...] | None = None


class ResourcePolicy(Model, frozen=True):
    """By container."""

    container_policies: tuple[ContainerPolicy, ...] = ()


class VpaSpec(Model, frozen=True):
    """What a VPA is for."""

    target_ref: CrossVersionObjectReference = CrossVersionObjectReference()
    update_policy: UpdatePolicy | None = None
    resource_policy: ResourcePolicy | None = None


class Vpa(Model, frozen=True):
    """autoscaling.k8s.io/v1 VerticalPodAutoscaler."""

    metadata: ObjectMeta = ObjectMeta()
    spec: VpaSpec = VpaSpec()


class Release(Model, frozen=True):
    """A release under way."""

    since: datetime | None = None
    waiting_since: datetime | None = None


class PolicyStatus(Model, frozen=True):
    """Where a policy stands."""

    phase: str = ""
    message: str = ""
    held: bool = False
    refused: str = ""
    release: Release | None = None
    conditions: tuple[Condition, ...] = ()


class PolicySpec(Model, frozen=True):
    """What a policy is for."""

    target_ref: CrossVersionObjectReference = CrossVersionObjectReference()
    progress_deadline_seconds: int = 600


class Policy(Model, frozen=True):
    """streamgate.io RolloutPolicy."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PolicySpec = PolicySpec()
    status: PolicyStatus = PolicyStatus()


class Items(Model, frozen=True):
    """A list of which only the length is read."""

    items: tuple[msgspec.Raw, ...] = ()


class ApiResourceName(Model, frozen=True):
    """One entry of discovery."""

    name: str = ""


class ApiResources(Model, frozen=True):
    """What an API offers, as discovery lists it."""

    resources: tuple[ApiResourceName, ...] = ()
