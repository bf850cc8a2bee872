"""What a watch of the Kubernetes API tells: its events, and how one of its lines is read."""

from typing import Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from adapter.kube import errors
from adapter.kube.decoding import decode, skip
from adapter.kube.errors import KubeError, Undecodable
from adapter.kube.objects import HasMetadata, Model, ObjectMeta, PartialObjectMetadata

T = TypeVar("T", bound=HasMetadata)


class Replaced(NamedTuple, Generic[T]):
    """All there is; what is not in it is gone."""

    items: list[T]


class Changed(NamedTuple, Generic[T]):
    """An object that is new or different."""

    object: T


class Removed(NamedTuple, Generic[T]):
    """An object, as it was last, that is gone or no longer selected."""

    object: T


class Heard(NamedTuple):
    """Nothing changed, but the server is there (a bookmark)."""


class Opened(NamedTuple):
    """The server has accepted a watch from the version that we have; it has not told anything yet."""


class Failed(NamedTuple):
    """It did not work; the next try is `pause` seconds away."""

    error: KubeError
    pause: float


Event: TypeAlias = Replaced[T] | Changed[T] | Removed[T] | Heard | Opened | Failed


def parse_event(line: bytes, kind: type[T], path: str) -> tuple[Changed[T] | Removed[T] | Heard, ObjectMeta]:
    """One line of the watch of `path`, whose objects are a `kind`. Raises KubeError for an ERROR event."""
    told = decode(line, _WatchEvent)
    if told.type == "ERROR":
        raise errors.from_status(decode(told.object, errors.Status), f"WATCH {path}")
    if told.type == "BOOKMARK":
        return Heard(), decode(told.object, PartialObjectMetadata).metadata
    try:
        item = decode(told.object, kind)
    except Undecodable as error:  # One strange object must not hide all the others.
        skip(path, told.object, error)
        return Heard(), _version_of(told.object)
    return (Removed(item) if told.type == "DELETED" else Changed(item)), item.metadata


class _WatchEvent(Model, frozen=True):
    type: str
    object: msgspec.Raw


class _Version(Model, frozen=True):
    """What a watch goes on from."""

    resource_version: str = ""


class _Versioned(Model, frozen=True):
    """All that is read of an object that cannot be read."""

    metadata: _Version = _Version()


def _version_of(raw: msgspec.Raw) -> ObjectMeta:
    """The resourceVersion alone of an undecodable object; '' if unreadable: the watch keeps the one before."""
    try:
        return ObjectMeta(resource_version=decode(raw, _Versioned).metadata.resource_version)
    except Undecodable:
        return ObjectMeta()
