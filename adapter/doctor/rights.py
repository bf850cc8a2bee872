"""The rights that each program needs: those of the roles in manifests/ (a test holds both equal). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple


class Right(NamedTuple):
    """To do something with a kind of object."""

    group: str
    resource: str
    """With its subresource: 'pods/exec'; '*/scale' is the scale of anything."""
    verb: str
    name: str = ""
    own: bool = False
    """In the program's own namespace only."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def _rights(group: str, resources: str, verbs: str, *, name: str = "", own: bool = False) -> Iterator[Right]:
    for resource in resources.split():
        for verb in verbs.split():
            yield Right(group, resource, verb, name, own)


def _lease(name: str) -> Iterator[Right]:
    yield from _rights("coordination.k8s.io", "leases", "get update", name=name, own=True)
    yield from _rights("coordination.k8s.io", "leases", "create", own=True)


RIGHTS: Final[Mapping[str, Sequence[Right]]] = {
    "adapter": (
        *_rights("", "pods", "get list watch"),
        *_rights("autoscaling", "horizontalpodautoscalers", "list watch"),
        *_rights("apps", "deployments/scale replicasets/scale statefulsets/scale", "get"),
        *_rights("", "replicationcontrollers/scale", "get"),
        *_rights("", "events", "create"),
        *_rights("authentication.k8s.io", "tokenreviews", "create"),
        *_rights("authorization.k8s.io", "subjectaccessreviews", "create"),
    ),
    "nodes": (
        *_rights("", "nodes", "get list watch"),
        *_rights("", "nodes/metrics", "get"),
    ),
    "recommender": (
        *_rights("autoscaling.k8s.io", "verticalpodautoscalers", "list watch"),
        *_rights("autoscaling.k8s.io", "verticalpodautoscalers/status", "patch"),
        *_rights("autoscaling.k8s.io", "verticalpodautoscalercheckpoints", "list create patch delete"),
        *_rights("", "pods events", "list watch"),
        *_rights("metrics.k8s.io", "pods", "list"),
        *_rights("apps", "deployments statefulsets daemonsets replicasets", "get"),
        *_rights("batch", "jobs cronjobs", "get"),
        *_rights("", "replicationcontrollers", "get"),
        *_rights("*", "*/scale", "get"),
        *_rights("autoscaling", "horizontalpodautoscalers", "list watch"),
        *_lease("streamgate-recommender"),
    ),
    "rollout": (
        *_rights("streamgate.io", "rolloutpolicies", "get list watch patch"),
        *_rights("streamgate.io", "rolloutpolicies/status", "update"),
        *_rights("apps", "deployments", "get list watch create patch delete"),
        *_rights("apps", "replicasets", "list watch delete"),
        *_rights("apps", "controllerrevisions", "list create delete"),
        *_rights("", "services", "list watch patch"),
        *_rights("discovery.k8s.io", "endpointslices", "list watch"),
        *_rights("autoscaling", "horizontalpodautoscalers", "list watch patch"),
        *_rights("", "pods", "list"),
        *_rights("custom.metrics.k8s.io", "*", "get"),
        *_rights("metrics.k8s.io", "pods", "list"),
        *_rights("", "persistentvolumeclaims namespaces", "get"),
        *_rights("", "events", "create"),
        *_lease("streamgate-rollout"),
    ),
}
"""By program; `nodes` is what an adapter needs that serves metrics.k8s.io."""
