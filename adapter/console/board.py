"""What was last seen of each kind, since when it is old, and why. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

from adapter.console.history import History
from adapter.console.hpas import HpaView
from adapter.console.recommendations import VpaView
from adapter.console.releases import ReleaseView
from adapter.kube.errors import Forbidden, KubeError, NotFound, Skipped, Unauthorized

T = TypeVar("T")


class Kind(StrEnum):
    """What is listed, by its resource and group."""

    HPAS = "horizontalpodautoscalers.autoscaling"
    RELEASES = "rolloutpolicies.streamgate.io"
    VPAS = "verticalpodautoscalers.autoscaling.k8s.io"
    DEPLOYMENTS = "deployments.apps"
    STATEFUL_SETS = "statefulsets.apps"
    DAEMON_SETS = "daemonsets.apps"


WORKLOADS: Final = (Kind.DEPLOYMENTS, Kind.STATEFUL_SETS, Kind.DAEMON_SETS)


class Ails(Enum):
    """Why a list could not be had."""

    FORBIDDEN = "may not"
    ABSENT = "not installed"
    UNKNOWN = "not known"
    """The API server does not know the caller (401)."""
    AWAY = "away"


class Trouble(NamedTuple):
    """What stands in the way of a list."""

    ails: Ails
    words: str
    """The server's own, or the network's."""
    since: float
    """Unix s, of the first failure."""


@dataclass(frozen=True)
class Listed(Generic[T]):
    """One kind in one namespace ('' is all)."""

    items: tuple[T, ...] = ()
    at: float | None = None
    """When it was last read, Unix s."""
    trouble: Trouble | None = None
    skipped: tuple[Skipped, ...] = ()
    """Objects that cannot be read."""

    def after_list(self, items: Sequence[T], now: float, skipped: Sequence[Skipped] = ()) -> "Listed[T]":
        """The new list after a successful read."""
        return Listed(tuple(items), now, skipped=tuple(skipped))

    def after_failure(self, error: KubeError, now: float) -> "Listed[T]":
        """This list after a failed read. Its items are kept, unless they are now forbidden or not installed."""
        ails = ails_of(error)
        goes_on = self.trouble is not None and self.trouble.ails is ails
        since = self.trouble.since if self.trouble is not None and goes_on else now
        before = Listed[T](at=self.at) if ails in (Ails.FORBIDDEN, Ails.ABSENT) else self
        return replace(before, trouble=Trouble(ails, str(error), since))


def ails_of(error: KubeError) -> Ails:
    """What an error means here."""
    known = ((Forbidden, Ails.FORBIDDEN), (NotFound, Ails.ABSENT), (Unauthorized, Ails.UNKNOWN))
    return next((ails for kind, ails in known if isinstance(error, kind)), Ails.AWAY)


@dataclass
class Board:
    """All that the pages show. `namespaces`: which are looked at; '' is all."""

    namespaces: tuple[str, ...]
    history: History
    refresh: float
    """s between two looks."""
    seen: dict[tuple[Kind, str], Listed[Any]] = field(default_factory=dict)

    def last_list(self, kind: Kind, namespace: str) -> Listed[Any]:
        """The last list of this kind in this namespace; an empty one before the first."""
        return self.seen.get((kind, namespace), Listed())

    def hpas(self) -> list[HpaView]:
        """Of all namespaces that are looked at, by namespace and name."""
        return self._all(Kind.HPAS)

    def releases(self) -> list[ReleaseView]:
        """Those under way first."""
        return sorted(self._all(Kind.RELEASES), key=lambda one: one.progress is None)

    def recommendations(self) -> list[VpaView]:
        """By namespace and name."""
        return self._all(Kind.VPAS)

    def requests(self) -> dict[tuple[str, str, str], dict[str, dict[str, str]]]:
        """What workloads ask for, by namespace, kind and name."""
        requests: dict[tuple[str, str, str], dict[str, dict[str, str]]] = {}
        for kind in WORKLOADS:
            for namespace in self.namespaces:
                requests |= dict(self.last_list(kind, namespace).items)
        return requests

    def remember(self, now: float) -> None:
        """The values that were last read, for the lines; what could not be read again is a gap in them."""
        values: dict[str, float | None] = {}
        for namespace in self.namespaces:
            listed = self.last_list(Kind.HPAS, namespace)
            for hpa in listed.items:
                values |= dict.fromkeys(hpa.series()) if listed.trouble else hpa.series()
        if values:
            self.history.add(now, values)

    def troubles(self) -> Iterator[tuple[Kind, str, Listed[Any]]]:
        """What cannot be read, by kind and namespace."""
        for (kind, namespace), listed in self.seen.items():
            if listed.trouble is not None:
                yield kind, namespace, listed

    def unreadable_objects(self) -> Iterator[tuple[Kind, str, tuple[Skipped, ...]]]:
        """Objects that cannot be read, by kind and namespace."""
        for (kind, namespace), listed in self.seen.items():
            if listed.skipped:
                yield kind, namespace, listed.skipped

    def _all(self, kind: Kind) -> list[Any]:
        views = [one for namespace in self.namespaces for one in self.last_list(kind, namespace).items]
        return sorted(views, key=lambda one: (one.namespace, one.name))
