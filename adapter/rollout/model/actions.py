"""Writes to the Kubernetes API as values: what to do, guarded by what was seen, and why.

A guard that no longer holds makes the API server refuse (409 or 422): then nothing was done, and everything is read
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from adapter.kube.resources import Resource
from adapter.rollout.model.observation import Json, Seen

DEPLOYMENTS = Resource("apps", "v1", "deployments")
REPLICA_SETS = Resource("apps", "v1", "replicasets")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions")
SERVICES = Resource("", "v1", "services")
CLAIMS = Resource("", "v1", "persistentvolumeclaims")
SECRETS = Resource("", "v1", "secrets")
EVENTS = Resource("", "v1", "events")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses")

Operation: TypeAlias = dict[str, Any]
"""One operation of RFC 6902."""


@dataclass(frozen=True)
class Patch:
    """A JSON patch; its first operations test what was seen."""

    resource: Resource
    name: str
    operations: Sequence[Operation]
    why: str


@dataclass(frozen=True)
class Create:
    """A new object; it is no failure that it is there already."""

    resource: Resource
    body: Json
    why: str

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True)
class Delete:
    """A deletion of just the object that was seen; `propagation` is 'Background' or 'Orphan'."""

    resource: Resource
    name: str
    uid: str
    version: str
    propagation: str
    why: str


Action: TypeAlias = Patch | Create | Delete


class Told(NamedTuple):
    """An Event for people."""

    reason: str
    message: str
    warning: bool = False


def patch(resource: Resource, target: Seen, operations: Sequence[Operation], why: str) -> Patch:
    """A patch that applies only to the object as it was seen."""
    guards = [test("/metadata/uid", target.uid), test("/metadata/resourceVersion", target.version)]
    return Patch(resource, target.name, [*guards, *operations], why)


def delete(resource: Resource, target: Seen, why: str, *, propagation: str = "Background") -> Delete:
    """A deletion of the object as it was seen."""
    return Delete(resource, name=target.name, uid=target.uid, version=target.version, propagation=propagation, why=why)


def test(path: str, value: Any) -> Operation:
    """The operation that refuses the patch where the value is another."""
    return {"op": "test", "path": path, "value": value}


def put(path: str, value: Any) -> Operation:
    """Sets a member, whether or not it was there."""
    return {"op": "add", "path": path, "value": value}


def drop(path: str) -> Operation:
    """Removes a member that was there."""
    return {"op": "remove", "path": path}


def pointer(*parts: str | int) -> str:
    """A JSON pointer to nested members, escaped."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
