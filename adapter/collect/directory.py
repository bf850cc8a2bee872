"""Which objects there are: pods and nodes from informers, other kinds from a short-lived list of their metadata."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from cachetools import TTLCache

from adapter.collect.answer import Unavailable
from adapter.collect.demand import CustomWant
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.index import Index
from adapter.kube.objects import HasMetadata, ObjectMeta, PartialObjectMetadata
from adapter.kube.resources import ApiResource, GroupResource, Resource
from adapter.rules.resources import PODS
from adapter.units.selector import Selector

LIST_TTL = 10.0
"""s that a list of objects other than pods and nodes holds; asked for only by requests with a selector."""
LISTS = 256

AnyIndex: TypeAlias = Index[HasMetadata] | Index[PartialObjectMetadata]


class Listed(Protocol):
    """What is followed, as far as it matters whether a whole list of it is here; an informer is one."""

    def waiting(self) -> str:
        """What is waited for, one sentence; '' once a whole list is here."""
        ...


class Directory:
    """Names of objects by resource, namespace and labels.

    `indexes` are kept up to date by informers; what is not in them is listed through `client`, None where there is no
    cluster.
    """

    def __init__(
        self,
        indexes: Mapping[GroupResource, "Index[HasMetadata]"],
        client: Client | None,
        api: Callable[[GroupResource], ApiResource],
        *,
        pods: Listed | None = None,
    ) -> None:
        """`pods` tells whether the index of pods is whole; None: it is from the start."""
        self.indexes = indexes
        self._client = client
        self._api = api
        self._pods = pods
        self._lists: TTLCache[tuple[GroupResource, str], Index[PartialObjectMetadata]] = TTLCache(LISTS, LIST_TTL)
        self._listing: dict[tuple[GroupResource, str], asyncio.Task[Index[PartialObjectMetadata]]] = {}

    def known_names(self, resource: GroupResource, namespace: str, selector: Selector) -> Sequence[str]:
        """The names of the matching objects that are in memory, sorted."""
        index = self._find_index(resource, namespace)
        return _names(index, namespace, selector) if index is not None else ()

    async def names(self, resource: GroupResource, namespace: str, selector: Selector) -> Sequence[str]:
        """The names of the objects that match, sorted. Raises Unavailable."""
        if resource == PODS and self._pods is not None and (waiting := self._pods.waiting()):
            raise Unavailable(f"the list of {resource} is not here yet: {waiting}")
        index = self._find_index(resource, namespace)
        if index is None:
            index = await self._list(resource, namespace)
        return _names(index, namespace, selector)

    def names_of(self, want: CustomWant) -> Sequence[str]:
        """The names of the objects that `want.objects` asks for, as far as they are in memory."""
        if want.objects is None or want.objects.name != "*":
            return [want.objects.name] if want.objects else []
        return self.known_names(want.resource, want.namespace, want.objects.selector)

    def size(self, resource: GroupResource, namespace: str) -> int:
        """How many objects there are, as far as is known; 1 where nothing is."""
        index = self.indexes.get(resource)
        return len(index.namespace(namespace)) if index is not None and namespace else 1

    def _find_index(self, resource: GroupResource, namespace: str) -> AnyIndex | None:
        followed = self.indexes.get(resource)
        return self._lists.get((resource, namespace)) if followed is None else followed

    async def _list(self, resource: GroupResource, namespace: str) -> Index[PartialObjectMetadata]:
        key = resource, namespace
        task = self._listing.get(key)
        if task is None:
            task = self._listing[key] = asyncio.create_task(self._fetch(resource, namespace))
            task.add_done_callback(lambda _: self._listing.pop(key, None))
        index = await asyncio.shield(task)
        self._lists[key] = index
        return index

    async def _fetch(self, resource: GroupResource, namespace: str) -> Index[PartialObjectMetadata]:
        if self._client is None:
            raise Unavailable(f"{resource} cannot be listed without a cluster")
        api = self._api(resource)
        path = Resource(api.group, api.version, api.plural, api.namespaced).path(namespace)
        try:
            listing = await self._client.list(path, PartialObjectMetadata)
        except KubeError as error:
            raise Unavailable(f"{resource} cannot be listed: {error}") from error
        index: Index[PartialObjectMetadata] = Index()
        for item in listing.items:
            index.put(_strip(item.metadata))
        return index


def _strip(meta: ObjectMeta) -> PartialObjectMetadata:
    """Name, namespace and labels alone: annotations may be 256 KiB of each object."""
    return PartialObjectMetadata(metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, labels=meta.labels))


def _names(index: AnyIndex, namespace: str, selector: Selector) -> Sequence[str]:
    return sorted(item.metadata.name for item in index.select(namespace, selector))
