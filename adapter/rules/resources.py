"""The API resources of the cluster as the rules need them: `pod`, `pods` or `Deployment` -> the resource meant."""

from collections.abc import Iterable, Sequence

from adapter.kube.resources import ApiResource, GroupResource

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
        candidates = self._by_name.get(resource.lower(), [])
        for fits in (_exact, _matches_sanitised, _beginning):
            for candidate in candidates:
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


def _matches_sanitised(group: str, wanted: str) -> bool:
    return sanitise(group) == wanted


def _beginning(group: str, wanted: str) -> bool:
    return group.startswith(wanted)
