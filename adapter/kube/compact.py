"""Objects made small before they are held: tens of thousands of pods repeat each other in almost everything.

A pod as decoded takes about 6 kB; dropping and sharing leaves less than half of that. The result is equal to the
original but for what was dropped. Meant as the `transform` of an informer.
"""

import sys
from typing import Any, TypeVar

import msgspec
from msgspec.structs import force_setattr

from adapter.kube.objects import Condition, HasMetadata, ObjectMeta, PartialObjectMetadata, Pod
from adapter.rooms import Room

T = TypeVar("T", bound=HasMetadata)

KEPT_CONDITIONS = frozenset({"Ready"})
"""The pod conditions that the HPA formula reads."""
SHARED_BYTES = 32 * 2**20
"""Of distinct parts that are remembered, 20,000 usual ones; one that falls out is only shared less."""


class Compactor:
    """Drops all annotations but those that start with one of `annotations`, the conditions that nobody reads and what a
    pod's containers did, and lets equal parts of different objects be one."""

    def __init__(self, annotations: tuple[str, ...] = ()) -> None:
        self._annotations = annotations
        self._parts: Room[tuple[type, bytes], Any] = Room("shared parts of objects", SHARED_BYTES)
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, item: T) -> T:
        """`item` itself, made smaller in place: it has just been decoded, and nobody else holds it."""
        self._compact_meta(item.metadata)
        if isinstance(item, Pod):
            self._compact_pod(item)
        elif isinstance(item, PartialObjectMetadata):
            force_setattr(item, "api_version", sys.intern(item.api_version))
            force_setattr(item, "kind", sys.intern(item.kind))
        return item

    def _compact_meta(self, meta: ObjectMeta) -> None:
        kept = {key: value for key, value in meta.annotations.items() if key.startswith(self._annotations)}
        force_setattr(meta, "annotations", self._first_equal(kept))
        force_setattr(meta, "owner_references", self._first_equal(meta.owner_references))
        force_setattr(meta, "namespace", sys.intern(meta.namespace))

    def _compact_pod(self, pod: Pod) -> None:
        spec, status = pod.spec, pod.status
        for field in ("containers", "init_containers", "resources"):
            force_setattr(spec, field, self._first_equal(getattr(spec, field)))
        force_setattr(spec, "node_name", sys.intern(spec.node_name))
        force_setattr(status, "phase", sys.intern(status.phase))
        force_setattr(status, "conditions", tuple(map(_intern, filter(_is_needed, status.conditions))))
        force_setattr(status, "container_statuses", ())
        force_setattr(status, "init_container_statuses", ())

    def _first_equal(self, part: Any) -> Any:
        """The first of all parts that are equal to this one; parts have no hash, their encoding has."""
        if part is None:
            return None
        key = type(part), self._encode(part) if part else b""
        known = self._parts.get(key)
        return self._parts.put(key, part, 512 + 8 * len(key[1])) if known is None else known


def _is_needed(condition: Condition) -> bool:
    return condition.type in KEPT_CONDITIONS


def _intern(condition: Condition) -> Condition:
    force_setattr(condition, "type", sys.intern(condition.type))
    force_setattr(condition, "status", sys.intern(condition.status))
    return condition
