"""Typed views of Kubernetes objects: only the fields that somebody here reads.

Unknown fields are skipped while decoding, so memory holds nothing that nobody asked for. Names are Kubernetes' own in
snake case (`pod_ip` is `podIP`). A field that the server leaves out, or sends as null, has its empty value, as in Go.
Quantities stay text (`adapter.units.quantity` reads them); times are `datetime`, and `unix` turns them into seconds.
"""

from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """The base of all views. Values form trees, never cycles, so the garbage collector need not follow them."""


# ---------------------------------------------------------------------------------------------------------- metadata


class OwnerReference(Model, frozen=True):
    """Who made the object; `controller` marks the one that manages it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Model, frozen=True):
    """metav1.ObjectMeta."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages the object."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class HasMetadata(Protocol):
    """Any typed view of an object."""

    @property
    def metadata(self) -> ObjectMeta:
        """Its metadata."""
        ...


class ListMeta(Model, frozen=True):
    """metav1.ListMeta; `continue_` is the token of the next page."""

    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class PartialObjectMetadata(Model, frozen=True):
    """Any object when only its metadata was asked for."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()


class Namespace(Model, frozen=True):
    """v1 Namespace."""

    metadata: ObjectMeta = ObjectMeta()


class ConfigMap(Model, frozen=True):
    """v1 ConfigMap."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] = {}


class Condition(Model, frozen=True):
    """A condition of a pod, a node or an HPA; `status` is 'True', 'False' or 'Unknown'."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


def condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of type `kind`, or None where it was never set."""
    return next((candidate for candidate in conditions if candidate.type == kind), None)


# --------------------------------------------------------------------------------------------------------------- pods


class ContainerPort(Model, frozen=True):
    """A port that a container names."""

    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"


class ResourceRequirements(Model, frozen=True):
    """Requests and limits by resource name, as quantities."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class Container(Model, frozen=True):
    """A container of a pod; an init container with `restart_policy` 'Always' is a sidecar."""

    name: str = ""
    ports: tuple[ContainerPort, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str = ""


class PodSpec(Model, frozen=True):
    """v1 PodSpec; `resources` are the pod-level ones."""

    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    resources: ResourceRequirements | None = None


class ContainerStateRunning(Model, frozen=True):
    """Since when the container runs."""

    started_at: datetime | None = None


class ContainerStateTerminated(Model, frozen=True):
    """How the container ended; `reason` is 'OOMKilled' where memory ran out."""

    reason: str = ""
    exit_code: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Model, frozen=True):
    """At most one of the two is set; neither while the container waits."""

    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Model, frozen=True):
    """What a container does now, and how it ended before."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Model, frozen=True):
    """v1 PodStatus."""

    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Model, frozen=True):
    """v1 Pod."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


# -------------------------------------------------------------------------------------------------------------- nodes


class NodeAddress(Model, frozen=True):
    """`type` is 'InternalIP', 'Hostname', …"""

    type: str = ""
    address: str = ""


class DaemonEndpoint(Model, frozen=True):
    """A port of a node's daemon; the API writes it with a capital P."""

    port: int = msgspec.field(name="Port", default=0)


class NodeDaemonEndpoints(Model, frozen=True):
    """Where the kubelet listens."""

    kubelet_endpoint: DaemonEndpoint = DaemonEndpoint()


class NodeStatus(Model, frozen=True):
    """v1 NodeStatus."""

    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()
    capacity: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    daemon_endpoints: NodeDaemonEndpoints = NodeDaemonEndpoints()


class Node(Model, frozen=True):
    """v1 Node."""

    metadata: ObjectMeta = ObjectMeta()
    status: NodeStatus = NodeStatus()


# ------------------------------------------------------------------------------------------------------------- times


def unix(time: datetime | str | None) -> float | None:
    """Unix seconds of a time as objects carry it (RFC 3339, or decoded already); None stays None.

    Raises ValueError for other text.
    """
    if time is None:
        return None
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def rfc3339(now: float) -> str:
    """Unix seconds as metav1.MicroTime writes them: '2026-11-23T02:08:00.250000Z'."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
