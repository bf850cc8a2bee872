"""Memories of what was worked out from texts of outside: each bounded in bytes, the one used longest ago giving way.

They are known by name, so that /metrics can show how full each is.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Protocol):
    """A memory that is counted."""

    name: str
    most: int
    """Bytes that it may hold."""

    @property
    def weight(self) -> int:
        """Bytes that it holds, by estimate."""
        ...


class Filled(NamedTuple):
    """How full the memories of one name are together."""

    name: str
    weight: int
    most: int


_known: "WeakSet[Bounded]" = WeakSet()


def count(memory: Bounded) -> None:
    """From now on it is counted, for as long as it is there."""
    _known.add(memory)


def fill_levels() -> Iterator[Filled]:
    """How full the memories are, those of one name added up; sorted by name."""
    by_name: dict[str, tuple[int, int]] = {}
    for memory in list(_known):
        weight, most = by_name.get(memory.name, (0, 0))
        by_name[memory.name] = weight + memory.weight, most + memory.most
    for name, (weight, most) in sorted(by_name.items()):
        yield Filled(name, weight, most)


class Room(Generic[K, V]):
    """Values by key, at most `most` bytes by the weights that they are put with."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = most
        self._held: LRUCache[K, tuple[V, int]] = LRUCache(most, getsizeof=lambda held: held[1])
        count(self)

    def get(self, key: K) -> V | None:
        """What is held for `key`."""
        entry = self._held.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V, weight: int) -> V:
        """Hold `value`, of so many bytes with its key, unless it alone is too large; returns it."""
        if 0 < weight <= self.most:
            self._held[key] = value, weight
        return value

    @property
    def weight(self) -> int:
        """Bytes that are held."""
        return int(self._held.currsize)

    def __len__(self) -> int:
        return len(self._held)
