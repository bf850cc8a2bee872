"""What the fake API server remembers: objects, their versions, and what changed since a compaction. No network."""

import asyncio
import copy
import itertools
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from adapter.units.selector import Selector

Object: TypeAlias = dict[str, Any]
Matcher: TypeAlias = Callable[[Object], bool]


class Change(NamedTuple):
    """One step of history; `before` or `after` is None where the object was made or deleted."""

    version: int
    before: Object | None
    after: Object | None


class Expired(Exception):  # noqa: N818 - the server's word
    """The version is older than what is remembered."""


class Collection:
    """The objects of one resource, and their history."""

    def __init__(self, versions: Iterator[int]) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.changed = asyncio.Condition()
        self._history: list[Change] = []
        self.compacted = 0
        self._versions = versions
        self._keys: list[tuple[str, str]] | None = None

    def keys(self) -> list[tuple[str, str]]:
        """Namespace and name of every object, sorted."""
        if self._keys is None:
            self._keys = sorted(self.objects)
        return self._keys

    def put(self, item: Object) -> Object:
        """Stores `item` under its namespace and name, with a new version."""
        meta = item["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        before = self.objects.get(key)
        version = next(self._versions)
        meta.setdefault("uid", before["metadata"]["uid"] if before else str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        meta["generation"] = _generation(before, item)
        meta["resourceVersion"] = str(version)
        if before is None:
            self._keys = None
        self.objects[key] = item
        self._history.append(Change(version, before, item))
        return item

    def remove(self, namespace: str, name: str) -> Object | None:
        """Deletes an object; what is returned bears the version of its deletion, as in the real server's events."""
        before = self.objects.pop((namespace, name), None)
        if before is None:
            return None
        self._keys = None
        version = next(self._versions)
        last = copy.deepcopy(before)
        last["metadata"]["resourceVersion"] = str(version)
        self._history.append(Change(version, last, None))
        return last

    def since(self, version: int) -> list[Change]:
        """The changes after `version`. Raises Expired."""
        if version < self.compacted:
            raise Expired
        start = len(self._history)
        while start and self._history[start - 1].version > version:
            start -= 1
        return self._history[start:]

    def compact(self, version: int) -> None:
        """Forgets the history up to `version`."""
        self._history = [change for change in self._history if change.version > version]
        self.compacted = version


class FakeStore:
    """All collections, by group and plural name."""

    def __init__(self) -> None:
        self.version = 1
        self._collections: defaultdict[tuple[str, str], Collection] = defaultdict(lambda: Collection(self._versions()))

    def collection(self, group: str, plural: str) -> Collection:
        """The collection of a resource; empty where nothing was ever stored."""
        return self._collections[group, plural]

    def compact(self) -> None:
        """Forgets all history: whoever asks for an older version than now is told 410."""
        self.version += 1
        for collection in self._collections.values():
            collection.compact(self.version)

    def _versions(self) -> Iterator[int]:
        for _ in itertools.count():
            self.version += 1
            yield self.version


def _generation(before: Object | None, after: Object) -> int:
    if before is None:
        return 1
    return int(before["metadata"]["generation"]) + (before.get("spec") != after.get("spec"))


def merge_patch(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), item)
    return result


@lru_cache(maxsize=256)
def label_matcher(selector: str) -> Matcher:
    """What `labelSelector` asks for. Raises SelectorError."""
    wanted = Selector.parse(selector)
    return lambda raw: wanted.matches(raw["metadata"].get("labels") or {})


def field_matcher(selector: str) -> Matcher:
    """`metadata.name=x`, `spec.nodeName!=y`: any dotted path."""
    tests = [re.split(r"(!=|==|=)", part, maxsplit=1) for part in selector.split(",") if part]

    def matches(item: Object) -> bool:
        return all((_field(item, path) == value) == (sign != "!=") for path, sign, value in tests)

    return matches


def _field(value: Any, path: str) -> str:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)
