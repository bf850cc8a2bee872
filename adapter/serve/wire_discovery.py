"""The objects of discovery as they go over the wire: groups, versions, resources, paths, our own version."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from adapter.serve.wire import Object, ObjectMeta, Part


class GroupVersion(Part):
    """metav1.GroupVersionForDiscovery."""

    group_version: str
    version: str


class Group(Part):
    """An APIGroup inside a list."""

    name: str
    versions: Sequence[GroupVersion]
    preferred_version: GroupVersion


class APIGroup(Object):
    """metav1.APIGroup."""

    name: str
    versions: Sequence[GroupVersion]
    preferred_version: GroupVersion


class APIGroupList(Object):
    """metav1.APIGroupList."""

    groups: Sequence[Group]


class APIResource(Part):
    """metav1.APIResource."""

    name: str
    singular_name: str
    namespaced: bool
    kind: str
    verbs: Sequence[str]


class APIResourceList(Object):
    """metav1.APIResourceList."""

    group_version: str
    resources: Sequence[APIResource]


class GroupVersionKind(Part):
    """metav1.GroupVersionKind."""

    group: str
    version: str
    kind: str


class SubresourceDiscovery(Part):
    """apidiscovery APISubresourceDiscovery."""

    subresource: str
    response_kind: GroupVersionKind
    verbs: Sequence[str]


class ResourceDiscovery(Part):
    """apidiscovery APIResourceDiscovery."""

    resource: str
    response_kind: GroupVersionKind
    scope: str
    singular_resource: str
    verbs: Sequence[str]
    subresources: Sequence[SubresourceDiscovery] | UnsetType = UNSET


class VersionDiscovery(Part):
    """apidiscovery APIVersionDiscovery."""

    version: str
    resources: Sequence[ResourceDiscovery]
    freshness: str = "Current"


class GroupDiscovery(Part):
    """apidiscovery APIGroupDiscovery."""

    metadata: ObjectMeta
    versions: Sequence[VersionDiscovery]


class VersionInfo(Part):
    """version.Info, as `kubectl version` reads it."""

    major: str
    minor: str
    git_version: str
    git_commit: str = ""
    git_tree_state: str = ""
    build_date: str = ""
    go_version: str = ""
    compiler: str = ""
    platform: str = ""


class RootPaths(Part):
    """metav1.RootPaths: what stands at '/'."""

    paths: Sequence[str]
