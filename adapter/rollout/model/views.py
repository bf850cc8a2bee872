"""Objects beside a policy as far as they are looked at: what does not fit is nothing that Kubernetes takes. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from adapter.kube.autoscaling import CrossVersionObjectReference
from adapter.kube.objects import Model, ObjectMeta


class Labelled(Model, frozen=True):
    labels: dict[str, str] = {}  # noqa: RUF012 - msgspec makes a fresh one for every object


class Port(Model, frozen=True):
    host_port: int = 0


class Container(Model, frozen=True):
    ports: tuple[Port, ...] = ()


class ClaimName(Model, frozen=True):
    claim_name: str


class Volume(Model, frozen=True):
    persistent_volume_claim: ClaimName | None = None


class PodSpec(Model, frozen=True):
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()


class Template(Model, frozen=True):
    metadata: Labelled = Labelled()
    spec: PodSpec = PodSpec()


class Selector(Model, frozen=True):
    match_labels: dict[str, str] = {}  # noqa: RUF012 - msgspec makes a fresh one for every object


class Strategy(Model, frozen=True):
    type: str = ""


class DeploymentSpec(Model, frozen=True):
    selector: Selector = Selector()
    template: Template = Template()
    strategy: Strategy = Strategy()


class ServiceSpec(Model, frozen=True):
    selector: dict[str, str] = {}  # noqa: RUF012 - msgspec makes a fresh one for every object


class ClaimSpec(Model, frozen=True):
    access_modes: tuple[str, ...] = ()


class Target(Model, frozen=True):
    type: str = ""


class Name(Model, frozen=True):
    name: str = ""


class Source(Model, frozen=True):
    metric: Name = Name()
    target: Target = Target()


class Metric(Model, frozen=True):
    type: str = ""
    object: Source | None = None
    external: Source | None = None


class HpaSpec(Model, frozen=True):
    scale_target_ref: CrossVersionObjectReference = CrossVersionObjectReference()
    metrics: tuple[Metric, ...] = ()


class UpdatePolicy(Model, frozen=True):
    update_mode: str = "Auto"


class VpaSpec(Model, frozen=True):
    target_ref: CrossVersionObjectReference = CrossVersionObjectReference()
    update_policy: UpdatePolicy = UpdatePolicy()


class Backend(Model, frozen=True):
    name: str = ""
    namespace: str = ""
    group: str = ""
    kind: str = "Service"
    weight: int = 1


class Rule(Model, frozen=True):
    backend_refs: tuple[Backend, ...] = ()


class RouteSpec(Model, frozen=True):
    rules: tuple[Rule, ...] = ()


class IngressService(Model, frozen=True):
    name: str = ""


class IngressBackend(Model, frozen=True):
    service: IngressService | None = None


class IngressPath(Model, frozen=True):
    backend: IngressBackend = IngressBackend()


class IngressHttp(Model, frozen=True):
    paths: tuple[IngressPath, ...] = ()


class IngressRule(Model, frozen=True):
    http: IngressHttp | None = None


class IngressSpec(Model, frozen=True):
    rules: tuple[IngressRule, ...] = ()


class Object(Model, frozen=True):
    metadata: ObjectMeta = ObjectMeta()


SPECS: Final[Mapping[str, Any]] = {
    "Deployment": DeploymentSpec,
    "Service": ServiceSpec,
    "PersistentVolumeClaim": ClaimSpec,
    "HorizontalPodAutoscaler": HpaSpec,
    "VerticalPodAutoscaler": VpaSpec,
    "HTTPRoute": RouteSpec,
    "Ingress": IngressSpec,
}
