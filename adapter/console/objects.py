"""Typed views of what the console alone reads. Pure."""

# ruff: noqa: RUF012 - msgspec makes a fresh one of an empty default for every object

from typing import Any, Final

from adapter.kube.objects import Container, Model, ObjectMeta
from adapter.kube.resources import Resource

WORKLOADS: Final = {
    "Deployment": Resource("apps", "v1", "deployments"),
    "StatefulSet": Resource("apps", "v1", "statefulsets"),
    "DaemonSet": Resource("apps", "v1", "daemonsets"),
}
"""Whose templates tell the requests beside a recommendation."""


class Hpa(Model, frozen=True):
    """autoscaling/v2 HorizontalPodAutoscaler; spec and status as `adapter.hpa.read` wants them."""

    metadata: ObjectMeta = ObjectMeta()
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}

    @property
    def raw(self) -> dict[str, object]:
        """As decoded JSON, without its metadata."""
        return {"spec": self.spec, "status": self.status}


class PodSpec(Model, frozen=True):
    """The containers that run as long as the pod does, sidecars among the init containers."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class Template(Model, frozen=True):
    """A pod template."""

    spec: PodSpec = PodSpec()


class WorkloadSpec(Model, frozen=True):
    """What makes pods."""

    template: Template = Template()


class Workload(Model, frozen=True):
    """A Deployment, StatefulSet or DaemonSet."""

    metadata: ObjectMeta = ObjectMeta()
    spec: WorkloadSpec = WorkloadSpec()

    @property
    def requests(self) -> dict[str, dict[str, str]]:
        """Container -> resource -> quantity."""
        spec = self.spec.template.spec
        return {one.name: one.resources.requests for one in (*spec.init_containers, *spec.containers)}
