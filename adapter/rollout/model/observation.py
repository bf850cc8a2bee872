"""What was seen of a policy's Deployment and of all that belongs to it, at one time.

Objects are kept as the API server's JSON, so that what is written back is what was read; the views here name the fields
that decisions need.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

from adapter.kube.objects import unix
from adapter.rollout.model.template import HASH, fingerprint, labels_of, without_hash

Json: TypeAlias = dict[str, Any]
LOOPS: Final = 3
"""Restarts within a release from which on a pod counts as crash-looping."""
FIRST_STATUS: Final = 2.0
"""Seconds from a pod's startTime within which the kubelet writes that it is not ready yet; times are whole seconds."""


@dataclass(frozen=True)
class Seen:
    """Any object: its JSON, and the parts of its metadata that guard a write."""

    raw: Json

    @property
    def meta(self) -> Json:
        """metadata."""
        return dict(self.raw.get("metadata") or {})

    @property
    def spec(self) -> Json:
        """spec."""
        return dict(self.raw.get("spec") or {})

    @property
    def status(self) -> Json:
        """status."""
        return dict(self.raw.get("status") or {})

    @property
    def name(self) -> str:
        """metadata.name."""
        return str(self.meta.get("name", ""))

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return str(self.meta.get("uid", ""))

    @property
    def version(self) -> str:
        """metadata.resourceVersion."""
        return str(self.meta.get("resourceVersion", ""))

    @property
    def labels(self) -> dict[str, str]:
        """metadata.labels."""
        return dict(self.meta.get("labels") or {})

    @property
    def annotations(self) -> dict[str, str]:
        """metadata.annotations."""
        return dict(self.meta.get("annotations") or {})

    @property
    def going(self) -> bool:
        """Whether it is being deleted."""
        return bool(self.meta.get("deletionTimestamp"))

    @property
    def owner(self) -> str:
        """The uid of the controller that manages it, or ''."""
        owners = self.meta.get("ownerReferences") or ()
        return str(next((reference["uid"] for reference in owners if reference.get("controller")), ""))


@dataclass(frozen=True)
class Sized(Seen):
    """A Deployment or a ReplicaSet."""

    @property
    def replicas(self) -> int:
        """spec.replicas."""
        return int(self.spec.get("replicas", 1))

    @property
    def available(self) -> int:
        """status.availableReplicas."""
        return int(self.status.get("availableReplicas") or 0)

    @property
    def existing(self) -> int:
        """status.replicas."""
        return int(self.status.get("replicas") or 0)

    @property
    def settled(self) -> bool:
        """Whether its controller has seen its spec, and just the wanted pods exist and are available."""
        seen = int(self.status.get("observedGeneration") or 0) >= int(self.meta.get("generation") or 0)
        return seen and self.available == self.existing == self.replicas


@dataclass(frozen=True)
class Deployment(Sized):
    """apps/v1 Deployment."""

    @cached_property
    def template(self) -> Json:
        """spec.template, raw."""
        return dict(self.spec.get("template") or {})

    @cached_property
    def fingerprint(self) -> str:
        """Of the template."""
        return fingerprint(self.template)

    @property
    def paused(self) -> bool:
        """spec.paused."""
        return bool(self.spec.get("paused"))

    @property
    def updated(self) -> int:
        """status.updatedReplicas."""
        return int(self.status.get("updatedReplicas") or 0)


@dataclass(frozen=True)
class ReplicaSet(Sized):
    """apps/v1 ReplicaSet."""

    @property
    def hash(self) -> str:
        """The label that its pods bear."""
        return self.labels.get(HASH, "")

    @cached_property
    def template(self) -> Json:
        """spec.template as its Deployment had it, raw."""
        return without_hash(self.spec.get("template") or {})

    @cached_property
    def fingerprint(self) -> str:
        """Of the template."""
        return fingerprint(self.template)

    @property
    def created(self) -> str:
        """metadata.creationTimestamp; sorts by age."""
        return str(self.meta.get("creationTimestamp", ""))


@dataclass(frozen=True)
class Pod(Seen):
    """v1 Pod."""

    @property
    def ready(self) -> bool:
        """Whether its Ready condition holds."""
        return self._readiness.get("status") == "True"

    @property
    def started(self) -> float | None:
        """Unix seconds by its node's clock; None where none took it."""
        return unix(self.status.get("startTime"))

    @property
    def ready_since(self) -> float | None:
        """Unix seconds since when it is ready, by the clock of its node; None where it is not ready."""
        return unix(self._readiness.get("lastTransitionTime")) if self.ready else None

    @property
    def unready_since(self) -> float | None:
        """Unix seconds since when it is ready no more, as its Ready condition changed since it started; else None."""
        changed, started = unix(self._readiness.get("lastTransitionTime")), self.started
        was_ready = changed is not None and started is not None and changed > started + FIRST_STATUS
        return changed if was_ready and not self.ready else None

    @property
    def _readiness(self) -> Json:
        conditions = self.status.get("conditions") or ()
        return next((condition for condition in conditions if condition.get("type") == "Ready"), {})

    @property
    def restarts(self) -> int:
        """Restarts since the pod began, of the container that has most."""
        return max((int(container.get("restartCount") or 0) for container in self._containers), default=0)

    def crash_loops(self, before: int = 0) -> bool:
        """Whether a container waits to be started after a crash, or was started LOOPS times more than `before`."""
        waiting = [(container.get("state") or {}).get("waiting") or {} for container in self._containers]
        return self.restarts >= before + LOOPS or any(state.get("reason") == "CrashLoopBackOff" for state in waiting)

    @property
    def _containers(self) -> list[Json]:
        """Statuses of all containers, those that run first included: a pod may loop in one of them for ever."""
        return [*(self.status.get("initContainerStatuses") or ()), *(self.status.get("containerStatuses") or ())]


@dataclass(frozen=True)
class Service(Seen):
    """v1 Service."""

    @property
    def selector(self) -> dict[str, str]:
        """spec.selector."""
        return dict(self.spec.get("selector") or {})

    @property
    def narrowed(self) -> str:
        """The hash that it selects, or ''."""
        return self.selector.get(HASH, "")

    def selects(self, template: Mapping[str, Any]) -> bool:
        """Whether it selects the pods of a template, whatever hash it was narrowed to."""
        wanted = {key: value for key, value in self.selector.items() if key != HASH}
        return bool(wanted) and wanted.items() <= labels_of(template).items()


@dataclass(frozen=True)
class Slice(Seen):
    """discovery.k8s.io/v1 EndpointSlice."""

    @property
    def service(self) -> str:
        """The Service's name."""
        return self.labels.get("kubernetes.io/service-name", "")

    @property
    def ready(self) -> list[str]:
        """The names of the pods that get traffic. An absent `ready` means yes, as the API says."""
        endpoints = self.raw.get("endpoints") or ()
        ready = [endpoint for endpoint in endpoints if (endpoint.get("conditions") or {}).get("ready") is not False]
        return [str((endpoint.get("targetRef") or {}).get("name", "")) for endpoint in ready]


@dataclass(frozen=True)
class Hpa(Seen):
    """autoscaling/v2 HorizontalPodAutoscaler."""

    @property
    def min_replicas(self) -> int | None:
        """spec.minReplicas; None means 1."""
        return self.spec.get("minReplicas")

    @property
    def max_replicas(self) -> int:
        """spec.maxReplicas."""
        return int(self.spec.get("maxReplicas") or 0)


@dataclass(frozen=True)
class Observation:
    """Everything that a decision looks at. What is None or empty was not there."""

    deployment: Deployment | None = None
    siblings: tuple[Deployment, ...] = ()
    """Deployments that bear this policy's label."""
    replica_sets: tuple[ReplicaSet, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    """Services that select the Deployment's pods, and the preview Service."""
    slices: tuple[Slice, ...] = ()
    route: Seen | None = None
    """The HTTPRoute or Ingress that the policy names."""
    extras: tuple[Seen, ...] = ()
    """Services and Ingresses that a release added: they bear this policy's label."""
    hpa: Hpa | None = None
    wanted: int | None = None
    """What the HPA's formula asks for over the stable pods alone."""
    revisions: Mapping[str, Json] = field(default_factory=dict)
    """Stored templates by fingerprint."""
    kept: tuple[Seen, ...] = ()
    """The ControllerRevisions that hold them."""
    finalizers: tuple[str, ...] = ()
    """Of the policy."""
    rivals: tuple[str, ...] = ()
    """What stands in the way: other policies or Deployments on the same pods, as whole sentences."""
    once: tuple[str, ...] = ()
    """Claims of the template that only one pod may mount."""
    watched: Mapping[str, str] = field(default_factory=dict)
    """Kind/name of each ConfigMap and Secret that the policy names -> the fingerprint of its data."""
    unheard: tuple[str, ...] = ()
    """Metrics of gates that no pod has now, as whole sentences."""
    namespace_going: bool = False

    def replica_sets_of(self, uid: str) -> list[ReplicaSet]:
        """The ReplicaSets that a Deployment manages, oldest first."""
        return sorted((one for one in self.replica_sets if one.owner == uid), key=lambda one: one.created)

    def sibling(self, name: str) -> Deployment | None:
        """The sibling of that name."""
        return next((sibling for sibling in self.siblings if sibling.name == name), None)

    def pods_of(self, replica_sets: set[str]) -> list[Pod]:
        """The pods of ReplicaSets, by their uids."""
        return [pod for pod in self.pods if pod.owner in replica_sets]
