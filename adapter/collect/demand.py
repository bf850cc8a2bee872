"""Who asks for what: declared by HorizontalPodAutoscalers, or learnt from requests that nobody declared.

Pure: time is an argument.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from adapter.kube.resources import GroupResource
from adapter.units.selector import EVERYTHING, Selector


class Objects(NamedTuple):
    """Which objects a request names: one by `name`, or with '*' those that `selector` matches."""

    name: str
    selector: Selector


class CustomWant(NamedTuple):
    """A metric of the objects of one resource in one namespace.

    Pod selectors are no part of it: which pods an answer holds is settled when it is given.
    """

    resource: GroupResource
    namespace: str
    """'' for root-scoped objects."""
    metric: str
    metric_selector: Selector = EVERYTHING
    objects: Objects | None = None
    """Set only where the rule's query cannot be merged, so that it must name the very objects of the request."""


class ExternalWant(NamedTuple):
    """An external metric as one namespace sees it."""

    namespace: str
    metric: str
    selector: Selector = EVERYTHING


Want: TypeAlias = CustomWant | ExternalWant


class Remembered:
    """Wants learnt from requests: each kept for `keep` seconds after it was last asked for.

    Bounded by `limit` in all and `limit_per_user` for each user, so that nobody's curiosity becomes a standing load.
    """

    def __init__(self, keep: float = 600.0, limit: int = 2000, limit_per_user: int = 500) -> None:
        self._keep = keep
        self._limit = limit
        self._limit_per_user = limit_per_user
        self._last: dict[Want, tuple[float, str]] = {}

    def note(self, want: Want, user: str, now: float) -> bool:
        """Remember that `user` asked for `want` at `now`; False where a bound forbids it."""
        if want not in self._last and not self._has_room(user, now):
            return False
        first_user = self._last.get(want, (now, user))[1]
        self._last[want] = (now, first_user)
        return True

    def __len__(self) -> int:
        return len(self._last)

    def wants(self, now: float) -> list[Want]:
        """All that is still remembered at `now`; the rest is forgotten."""
        self._last = {want: seen for want, seen in self._last.items() if now - seen[0] <= self._keep}
        return list(self._last)

    def _has_room(self, user: str, now: float) -> bool:
        if len(self._last) >= self._limit:
            self.wants(now)
        per_user = Counter(by for _, by in self._last.values())
        return len(self._last) < self._limit and per_user[user] < self._limit_per_user


class Demand:
    """All wants there are: what each HPA declares, and what is remembered of requests."""

    def __init__(self, remembered: Remembered | None = None) -> None:
        self.remembered = remembered or Remembered()
        self._declared: dict[tuple[str, str], frozenset[Want]] = {}
        self._counts: Counter[Want] = Counter()

    def declare(self, namespace: str, name: str, wants: Iterable[Want]) -> None:
        """The HPA `namespace/name` asks for `wants`, and for nothing else any more."""
        self.withdraw(namespace, name)
        self._declared[namespace, name] = frozenset(wants)
        self._counts.update(self._declared[namespace, name])

    def withdraw(self, namespace: str, name: str) -> None:
        """The HPA is gone."""
        for want in self._declared.pop((namespace, name), ()):
            self._counts[want] -= 1
            if not self._counts[want]:
                del self._counts[want]

    def requested(self, want: Want, user: str, now: float) -> None:
        """`user` asks for `want`: remembered, unless an HPA declares it anyway."""
        if want not in self._counts:
            self.remembered.note(want, user, now)

    @property
    def declarers(self) -> Mapping[tuple[str, str], frozenset[Want]]:
        """The wants of each HPA, by namespace and name."""
        return self._declared

    def wants(self, now: float) -> frozenset[Want]:
        """The union at `now`."""
        return frozenset(self._counts).union(self.remembered.wants(now))
