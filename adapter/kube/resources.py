"""Resources of the API: how they are called, which one is meant, and the path it is reached by. Pure."""

from typing import NamedTuple
from urllib.parse import quote


class Resource(NamedTuple):
    """A resource of the API: group ('' for the core group), version and plural name."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects write it: 'v1', 'apps/v1'."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of one object, or of the collection where `name` is ''; namespace '' means all of them.

        Every part is quoted, so that a name from outside stays one segment. Raises ValueError for a part that no
        quoting makes safe.
        """
        parts = ["apis", self.group] if self.group else ["api"]
        parts.append(self.version)
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(segment(part) for part in parts)


class GroupResource(NamedTuple):
    """A resource by its plural name and API group ('' for the core group), as in `deployments.apps`."""

    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


class ApiResource(NamedTuple):
    """One resource in one version, as discovery tells it."""

    group: str
    version: str
    plural: str
    singular: str
    """'' where the server does not tell (old CRDs)."""
    kind: str
    namespaced: bool

    @property
    def resource(self) -> Resource:
        """What to ask a client for."""
        return Resource(self.group, self.version, self.plural, self.namespaced)

    @property
    def group_resource(self) -> GroupResource:
        """Its plural name and group."""
        return GroupResource(self.group, self.plural)

    @property
    def api_version(self) -> str:
        """As in an object's apiVersion: 'v1', 'apps/v1'."""
        return self.resource.api_version


def segment(text: str) -> str:
    """`text` as one segment of a path. Raises ValueError for '.' and '..', which a server may resolve."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot be a name in a path of the Kubernetes API")
    return quote(text, safe="")


PODS = Resource("", "v1", "pods")
NODES = Resource("", "v1", "nodes", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
HORIZONTAL_POD_AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False)
SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)
