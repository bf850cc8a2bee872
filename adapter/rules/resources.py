"""The API resources of the cluster as the rules need them: `pod`, `pods` or `Deployment` -> the resource meant."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class GroupResource(NamedTuple):
    """A resource by its plural name and API group ('' for the core group), as in `deployments.apps`."""

    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


class ApiResource(NamedTuple):
    """One line of the cluster's discovery."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool

    @property
    def group_resource(self) -> GroupResource:
        """Its plural name and group."""
        return GroupResource(self.group, self.plural)

    @property
    def api_version(self) -> str:
        """As in an object's apiVersion: 'v1', 'apps/v1'."""
        return f"{self.group}/{self.version}" if self.group else self.version


NAMESPACES = GroupResource("", "namespaces")
NODES = GroupResource("", "nodes")
PODS = GroupResource("", "pods")
PERSISTENT_VOLUMES = GroupResource("", "persistentvolumes")
ROOT_SCOPED = frozenset({NAMESPACES, NODES, PERSISTENT_VOLUMES})
"""What prometheus-adapter serves without a namespace; everything else it serves inside one."""


class UnknownResource(LookupError):  # noqa: N818 - it says what is the matter
    """The cluster has no such resource, as far as is known now; the text is one sentence."""


class ResourceMapper:
    """Finds resources by plural, singular or kind, in any letter case, with or without the group.

    Immutable: when the cluster learns new resources, make a new one and bind the rules again (`naming.bind`).
    Where several groups have a resource of that name and none is asked for, the earlier in the list wins, which is
    the order of the cluster's discovery (core first).
    """

    def __init__(self, resources: Iterable[ApiResource]) -> None:
        self.resources: Sequence[ApiResource] = tuple(resources)
        self._by_name: dict[str, list[ApiResource]] = {}
        self._by_group_resource: dict[GroupResource, ApiResource] = {}
        for resource in self.resources:
            self._by_group_resource.setdefault(resource.group_resource, resource)
            for name in {resource.plural, resource.singular or resource.kind.lower(), resource.kind.lower()}:
                self._by_name.setdefault(name, []).append(resource)

    def resolve(self, group: str, resource: str) -> GroupResource:
        """The resource called `resource` in `group`; '' means any group.

        A group may be written as a label can hold it, with `_` for `.` and `-` (a template's `.Group`), or shortened
        to its beginning, as Kubernetes' own mapper allows. Raises UnknownResource.
        """
        found = self._by_name.get(resource.lower(), [])
        for fits in (_exact, _sanitised, _beginning):
            for candidate in found:
                if not group or fits(candidate.group, group):
                    return candidate.group_resource
        wanted = str(GroupResource(group, resource))
        raise UnknownResource(f"the cluster has no resource {wanted!r} (yet)")

    def api(self, resource: GroupResource) -> ApiResource:
        """Its version, kind and scope. Raises UnknownResource."""
        try:
            return self._by_group_resource[resource]
        except KeyError:
            raise UnknownResource(f"the cluster has no resource {str(resource)!r} (yet)") from None


def sanitise(group: str) -> str:
    """An API group as a label's name can hold it: 'networking.k8s.io' -> 'networking_k8s_io'."""
    return group.replace(".", "_").replace("-", "_")


def _exact(group: str, wanted: str) -> bool:
    return group == wanted


def _sanitised(group: str, wanted: str) -> bool:
    return sanitise(group) == wanted


def _beginning(group: str, wanted: str) -> bool:
    return group.startswith(wanted)


def _table(text: str) -> Iterable[ApiResource]:
    for line in text.split("\n"):
        if words := line.split():
            group, version, plural, singular, kind, scope = words
            yield ApiResource(group.strip("-"), version, plural, singular, kind, scope == "namespaced")


CORE_RESOURCES: Sequence[ApiResource] = tuple(
    _table("""
- v1 pods                   pod                   Pod                   namespaced
- v1 nodes                  node                  Node                  cluster
- v1 namespaces             namespace             Namespace             cluster
- v1 services               service               Service               namespaced
- v1 endpoints              endpoints             Endpoints             namespaced
- v1 configmaps             configmap             ConfigMap             namespaced
- v1 secrets                secret                Secret                namespaced
- v1 serviceaccounts        serviceaccount        ServiceAccount        namespaced
- v1 persistentvolumes      persistentvolume      PersistentVolume      cluster
- v1 persistentvolumeclaims persistentvolumeclaim PersistentVolumeClaim namespaced
- v1 replicationcontrollers replicationcontroller ReplicationController namespaced
- v1 resourcequotas         resourcequota         ResourceQuota         namespaced
- v1 limitranges            limitrange            LimitRange            namespaced
apps v1 deployments         deployment            Deployment            namespaced
apps v1 statefulsets        statefulset           StatefulSet           namespaced
apps v1 replicasets         replicaset            ReplicaSet            namespaced
apps v1 daemonsets          daemonset             DaemonSet             namespaced
batch v1 jobs               job                   Job                   namespaced
batch v1 cronjobs           cronjob               CronJob               namespaced
autoscaling v2 horizontalpodautoscalers horizontalpodautoscaler HorizontalPodAutoscaler namespaced
networking.k8s.io v1 ingresses       ingress       Ingress       namespaced
networking.k8s.io v1 networkpolicies networkpolicy NetworkPolicy namespaced
policy v1 poddisruptionbudgets poddisruptionbudget PodDisruptionBudget namespaced
discovery.k8s.io v1 endpointslices endpointslice EndpointSlice namespaced
storage.k8s.io v1 storageclasses storageclass StorageClass cluster
""")
)
"""The resources that every supported cluster has, for the time before its discovery could be read."""
