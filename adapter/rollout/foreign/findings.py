"""What of somebody else's object has no place in a policy: where, what, and what to do instead. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapter.rollout.model.fields import printable

MOST: Final = 500
"""Findings of one file that are kept; the others are counted."""


class Origin(NamedTuple):
    """An object of the file."""

    number: int
    """Of its document, from 1."""
    kind: str
    name: str
    namespace: str
    raw: Mapping[str, Any]

    @property
    def labels(self) -> Mapping[str, Any]:
        """`metadata.labels`, raw; empty where they are none."""
        return self._of("labels")

    @property
    def annotations(self) -> Mapping[str, Any]:
        """`metadata.annotations`, raw; empty where they are none."""
        return self._of("annotations")

    def _of(self, field: str) -> Mapping[str, Any]:
        metadata = self.raw.get("metadata")
        values = metadata.get(field) if isinstance(metadata, Mapping) else None
        return values if isinstance(values, Mapping) else {}


class ByName:
    """Objects that others name; of two of one name the first counts."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Origin] = {}
        self._unnamed: dict[int, Origin] = {}

    def add(self, origin: Origin) -> None:
        """One more."""
        self._found.setdefault((origin.namespace, origin.name), origin)
        self._unnamed[id(origin)] = origin

    def of(self, name: str, namespace: str) -> Origin | None:
        """The object of that name, or else one of that name without a namespace; None without either."""
        origin = self._found.get((namespace, name)) or self._found.get(("", name))
        self._unnamed.pop(id(origin), None)
        return origin

    @property
    def unnamed(self) -> Sequence[Origin]:
        """Objects that nobody has asked for."""
        return list(self._unnamed.values())


class Finding(NamedTuple):
    """One field that does not map, or not as it was."""

    file: str
    document: int
    kind: str
    name: str
    field: str
    says: str
    instead: str

    def __str__(self) -> str:
        place = f"{self.file}, document {self.document} ({self.kind} {self.name}), {self.field}"
        return f"{place}: {self.says}; {self.instead}"


class Findings:
    """The findings of a file, in the order in which they were made; at most MOST of them."""

    def __init__(self, file: str) -> None:
        self.kept: list[Finding] = []
        self.count = 0
        self._known: set[Finding] = set()
        self._file = file

    def add(self, origin: Origin, field: str, *, says: str, instead: str) -> None:
        """One more."""
        names = (printable(origin.kind), printable(origin.name))
        finding = Finding(self._file, origin.number, *names, field, says, instead)
        if finding in self._known:  # a template that two analyses name
            return
        self.count += 1
        if len(self.kept) < MOST:
            self.kept.append(finding)
            self._known.add(finding)
