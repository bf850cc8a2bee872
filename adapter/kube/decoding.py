"""The one decoder of what the Kubernetes API sends."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import structlog

from adapter.kube.errors import Skipped, Undecodable
from adapter.kube.objects import Model
from adapter.once import Few
from adapter.units.nesting import prune

T = TypeVar("T")

SKIPPED = 20
"""Objects of one path in 600 s of which the log says that they cannot be read: who may write one may write it often."""

log = structlog.get_logger(__name__)
_skipped = Few(SKIPPED)

_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


class _Named(Model, frozen=True):
    name: str = ""
    namespace: str = ""


class _WithName(Model, frozen=True):
    """All that is read of an object that cannot be read."""

    metadata: _Named = _Named()


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Built once per type: building costs far more than decoding."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder


def decode(body: bytes | msgspec.Raw, kind: type[T]) -> T:
    """`body`, JSON, as a `kind`. A null counts as absent, as it does in Go. Raises Undecodable.

    What is nested too deeply to be decoded is left out: managedFields, say, which we do not read.
    """
    try:
        return _try_decode(body, kind)
    except RecursionError:
        pass
    try:
        return _try_decode(prune(bytes(body)), kind)
    except RecursionError:
        raise Undecodable(f"the server's answer is no {kind.__name__}: it is nested too deeply") from None


def _try_decode(body: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Raises Undecodable, RecursionError."""
    try:
        try:
            return _decoder(kind).decode(body)
        except msgspec.ValidationError as first:
            try:  # Nulls are rare, so they are looked for only where the fast way failed.
                return msgspec.convert(_without_nulls(msgspec.json.decode(body)), kind)
            except msgspec.ValidationError:
                raise Undecodable(f"the server's answer is no {kind.__name__}: {first}") from first
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(f"the server's answer is not JSON: {error}") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def decode_items(items: Iterable[msgspec.Raw], kind: type[T], path: str) -> tuple[list[T], list[Skipped]]:
    """The objects of `path` that decode as a `kind`, and those that do not, which must not hide the others."""
    objects: list[T] = []
    skipped: list[Skipped] = []
    for item in items:
        try:
            objects.append(decode(item, kind))
        except Undecodable as error:
            skipped.append(skip(path, item, error))
    return objects, skipped


def skip(path: str, item: msgspec.Raw, error: Undecodable) -> Skipped:
    """Leave one object of a path out, and say so in the log."""
    left_out = Skipped(*_name_of(item), str(error))
    if _skipped.may(path):
        log.warning("object skipped", path=path, object=str(left_out), cause=left_out.why)
    return left_out


def _name_of(item: msgspec.Raw) -> tuple[str, str]:
    """Namespace and name."""
    try:
        meta = decode(item, _WithName).metadata
    except Undecodable:
        return "", ""
    return meta.namespace, meta.name
