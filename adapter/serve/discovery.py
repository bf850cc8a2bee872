"""What is on offer: API groups, versions and resources, in the old form and in the aggregated one.

Everything is sorted, so that the same offers always give the same bytes and the same ETag.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from adapter.collect.answer import Answers, CustomOffer
from adapter.serve import wire, wire_discovery

CUSTOM = "custom.metrics.k8s.io"
EXTERNAL = "external.metrics.k8s.io"
RESOURCE = "metrics.k8s.io"
VERSIONS = {CUSTOM: ("v1beta2", "v1beta1"), EXTERNAL: ("v1beta1",), RESOURCE: ("v1beta1",)}
"""The versions of each group, the preferred one first."""

_T = TypeVar("_T")


def etag(body: bytes) -> str:
    """A strong ETag of a document."""
    return f'"{hashlib.sha256(body).hexdigest().upper()}"'


class Discovery:
    """The discovery documents of the groups that `answers` serves; each is built once per set of offers."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._custom: tuple[CustomOffer, ...] = ()
        self._external: tuple[str, ...] = ()
        self._built: dict[tuple[str, ...], Any] = {}

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups that are served, sorted."""
        served = self._answers
        flags = ((CUSTOM, served.serves_custom), (EXTERNAL, served.serves_external), (RESOURCE, served.serves_resource))
        return tuple(name for name, on in flags if on)

    def group_list(self) -> wire_discovery.APIGroupList:
        """What `/apis` answers."""
        groups = [wire_discovery.Group(name, _versions(name), _versions(name)[0]) for name in self.groups]
        return wire_discovery.APIGroupList("APIGroupList", "v1", groups)

    def group(self, name: str) -> wire_discovery.APIGroup:
        """What `/apis/<group>` answers."""
        versions = _versions(name)
        return wire_discovery.APIGroup("APIGroup", "v1", name, versions, versions[0])

    def resources(self, group: str, version: str) -> wire_discovery.APIResourceList:
        """What `/apis/<group>/<version>` answers."""
        self._refresh()
        return self._once(("resources", group, version), lambda: self._resources(group, version))

    def group_discovery_list(self, version: str) -> wire.ItemList:
        """All groups with versions and resources: an APIGroupDiscoveryList of apidiscovery.k8s.io/`version`."""
        self._refresh()
        return self._once(("aggregated", version), lambda: self._group_discovery_list(version))

    def _refresh(self) -> None:
        """Drop what was built from offers that have changed."""
        custom = tuple(self._answers.custom_offers()) if self._answers.serves_custom else ()
        external = tuple(self._answers.external_offers()) if self._answers.serves_external else ()
        if (custom, external) != (self._custom, self._external):
            self._custom, self._external = custom, external
            self._built.clear()

    def _once(self, key: tuple[str, ...], build: Callable[[], _T]) -> _T:
        if key not in self._built:
            self._built[key] = build()
        result: _T = self._built[key]
        return result

    def _resources(self, group: str, version: str) -> wire_discovery.APIResourceList:
        if group == CUSTOM:
            lines = [
                wire_discovery.APIResource(
                    f"{offer.resource}/{offer.metric}",
                    singular_name="",
                    namespaced=offer.namespaced,
                    kind="MetricValueList",
                    verbs=("get",),
                )
                for offer in self._custom
            ]
        elif group == EXTERNAL:
            lines = [
                wire_discovery.APIResource(
                    name, singular_name="", namespaced=True, kind="ExternalMetricValueList", verbs=("get",)
                )
                for name in self._external
            ]
        else:
            lines = [
                wire_discovery.APIResource(
                    "nodes", singular_name="", namespaced=False, kind="NodeMetrics", verbs=("get", "list")
                ),
                wire_discovery.APIResource(
                    "pods", singular_name="", namespaced=True, kind="PodMetrics", verbs=("get", "list")
                ),
            ]
        return wire_discovery.APIResourceList(
            "APIResourceList", "v1", group_version=f"{group}/{version}", resources=lines
        )

    def _group_discovery_list(self, version: str) -> wire.ItemList:
        items = [
            wire_discovery.GroupDiscovery(
                wire.ObjectMeta(name),
                [wire_discovery.VersionDiscovery(v, self._version(name, v)) for v in VERSIONS[name]],
            )
            for name in self.groups
        ]
        return wire.ItemList("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}", wire.NO_LIST_META, items)

    def _version(self, group: str, version: str) -> Sequence[wire_discovery.ResourceDiscovery]:
        if group == CUSTOM:
            return [
                _parent(resource, list(offers), version)
                for resource, offers in groupby(self._custom, key=lambda offer: str(offer.resource))
            ]
        return [
            wire_discovery.ResourceDiscovery(
                line.name,
                wire_discovery.GroupVersionKind(group, version, line.kind),
                scope=_scope(line.namespaced),
                singular_resource=line.singular_name,
                verbs=line.verbs,
            )
            for line in self.resources(group, version).resources
        ]


def _versions(group: str) -> list[wire_discovery.GroupVersion]:
    return [wire_discovery.GroupVersion(f"{group}/{version}", version) for version in VERSIONS[group]]


def _scope(namespaced: bool) -> str:
    return "Namespaced" if namespaced else "Cluster"


def _parent(resource: str, offers: Sequence[CustomOffer], version: str) -> wire_discovery.ResourceDiscovery:
    """`pods` with its metrics as subresources.

    The parent itself cannot be read, so it has no kind and no verbs: clients then list the metrics alone
    (k8s.io/apiserver, ConvertGroupVersionIntoToDiscovery, does the same for the old form).
    """
    kind = wire_discovery.GroupVersionKind(CUSTOM, version, "MetricValueList")
    metrics = [wire_discovery.SubresourceDiscovery(offer.metric, kind, ("get",)) for offer in offers]
    none = wire_discovery.GroupVersionKind("", "", "")
    return wire_discovery.ResourceDiscovery(
        resource, none, scope=_scope(offers[0].namespaced), singular_resource="", verbs=(), subresources=metrics
    )
