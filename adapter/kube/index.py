"""Objects held in memory, found by name and by label.

The pods of one ReplicaSet bear the same labels, so objects are grouped by their whole label set: a selector is tried
once per set instead of once per pod, equality requirements lead straight to the few sets that can match, and all
members of a set share one dictionary of labels. Knows nothing of servers: an informer fills it, or whoever has objects.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec.structs import force_setattr

from adapter.kube.objects import HasMetadata
from adapter.units.selector import Selector

T = TypeVar("T", bound=HasMetadata)
Handler: TypeAlias = Callable[[T | None, T | None], object]
"""Called with an object as it was and as it is: (None, new) for a new one, (old, None) for one that is gone."""


class _Group(Generic[T]):
    """The objects of one namespace with the same labels."""

    __slots__ = ("labels", "members")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.members: dict[str, T] = {}


class _Namespace(Generic[T]):
    """The objects of one namespace by name, by label set, and the label sets by each of their labels."""

    __slots__ = ("_groups", "_postings", "objects")

    def __init__(self) -> None:
        self.objects: dict[str, T] = {}
        self._groups: dict[tuple[tuple[str, str], ...], _Group[T]] = {}
        self._postings: dict[tuple[str, str], set[_Group[T]]] = {}

    def add(self, item: T) -> None:
        """Takes in an object whose name is free."""
        labels = item.metadata.labels
        key = tuple(labels.items())  # the server sorts labels; were they not sorted, sets would only be shared less
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group({sys.intern(name): sys.intern(value) for name, value in key})
            for pair in key:
                self._postings.setdefault(pair, set()).add(group)
        force_setattr(item.metadata, "labels", group.labels)  # an equal value that is shared
        group.members[item.metadata.name] = self.objects[item.metadata.name] = item

    def discard(self, item: T) -> None:
        """Forgets an object that was added."""
        del self.objects[item.metadata.name]
        key = tuple(item.metadata.labels.items())
        group = self._groups[key]
        del group.members[item.metadata.name]
        if group.members:
            return
        del self._groups[key]
        for pair in key:
            self._postings[pair].discard(group)
            if not self._postings[pair]:
                del self._postings[pair]

    def select(self, selector: Selector) -> Iterator[T]:
        """The objects whose labels match, in no order."""
        for group in self._candidates(selector.equals):
            if selector.matches(group.labels):
                yield from group.members.values()

    def _candidates(self, equals: Mapping[str, str]) -> Collection[_Group[T]]:
        """The label sets with the rarest of the wanted labels, else all."""
        if not equals:
            return self._groups.values()
        return min((self._postings.get(pair, ()) for pair in equals.items()), key=len)


class Index(Generic[T]):
    """Objects by namespace ('' for those without) and name, and by label."""

    def __init__(self) -> None:
        self.revision = 0
        """Grows with every change, so that whoever derives something knows when to derive it anew."""
        self._namespaces: dict[str, _Namespace[T]] = {}
        self._handlers: list[Handler[T]] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for space in self._namespaces.values():
            yield from space.objects.values()

    def on_change(self, handler: Handler[T]) -> None:
        """Calls `handler` at every change from now on, in the order of changes; it must be quick and not raise."""
        self._handlers.append(handler)

    def get(self, namespace: str, name: str) -> T | None:
        """The object of that name."""
        space = self._namespaces.get(namespace)
        return space.objects.get(name) if space else None

    def put(self, new: T) -> None:
        """Takes in an object, in place of the one with its name. The same resourceVersion again changes nothing."""
        meta = new.metadata
        old = self.get(meta.namespace, meta.name)
        if old is not None:
            if meta.resource_version and meta.resource_version == old.metadata.resource_version:
                return
            if meta.uid != old.metadata.uid:  # deleted and made anew while nobody looked
                self.remove(meta.namespace, meta.name)
                old = None
            else:
                self._namespaces[meta.namespace].discard(old)
        self._size += old is None
        self._namespaces.setdefault(meta.namespace, _Namespace()).add(new)
        self._tell(old, new)

    def remove(self, namespace: str, name: str) -> T | None:
        """Forgets the object of that name, and returns it."""
        old = self.get(namespace, name)
        if old is None:
            return None
        space = self._namespaces[namespace]
        space.discard(old)
        if not space.objects:
            del self._namespaces[namespace]
        self._size -= 1
        self._tell(old, None)
        return old

    def retain(self, names: Iterable[tuple[str, str]]) -> None:
        """Forgets everything but the objects with these (namespace, name)."""
        kept = set(names)
        held = [(item.metadata.namespace, item.metadata.name) for item in self]
        for namespace, name in held:
            if (namespace, name) not in kept:
                self.remove(namespace, name)

    def namespaces(self) -> Collection[str]:
        """The namespaces that have objects."""
        return self._namespaces.keys()

    def namespace(self, name: str) -> Collection[T]:
        """All objects of a namespace, in no order: a view, good until the next change."""
        space = self._namespaces.get(name)
        return space.objects.values() if space else ()

    def select(self, namespace: str | None, selector: Selector) -> list[T]:
        """The objects whose labels match, in a namespace or (None) in all, sorted by namespace and name."""
        if namespace is not None:
            space = self._namespaces.get(namespace)
            return sorted(space.select(selector), key=_name) if space else []
        return [item for name in sorted(self._namespaces) for item in self.select(name, selector)]

    def _tell(self, old: T | None, new: T | None) -> None:
        self.revision += 1
        for handler in self._handlers:
            handler(old, new)


def _name(item: Any) -> str:
    return str(item.metadata.name)
