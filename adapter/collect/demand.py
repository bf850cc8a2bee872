"""Who asks for what: declared by HorizontalPodAutoscalers, or learnt from requests that nobody declared.

Pure: time is an argument.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
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

BYTES_EACH = 1024
"""Characters of a want's names and selectors that count as one; a usual one has less than 100."""


def weight(want: Want) -> int:
    """Characters of its texts: what it costs to keep."""
    objects = want.objects if isinstance(want, CustomWant) else None
    selector = want.metric_selector if isinstance(want, CustomWant) else want.selector
    return len(want.metric) + selector.weight + (objects.selector.weight if objects else 0)


class Remembered:
    """Wants learnt from requests: each kept for `keep` seconds after it was last asked for.

    Bounded in all, for each user and for each namespace of a user, in number and bytes, so that nobody's curiosity
    becomes a standing load.
    """

    def __init__(
        self, keep: float = 600.0, limit: int = 2000, limit_per_user: int = 500, limit_per_namespace: int = 200
    ) -> None:
        self._keep = keep
        self._limit = limit
        self._limit_per_user = limit_per_user
        self._limit_per_namespace = limit_per_namespace
        self._last: dict[Want, tuple[float, str]] = {}
        self._used: Counter[tuple[str, ...]] = Counter()
        """Wants by (), (user,) and (user, namespace)."""
        self._bytes: Counter[tuple[str, ...]] = Counter()

    def note(self, want: Want, user: str, now: float) -> bool:
        """Remember that `user` asked for `want` at `now`; False where a bound forbids it."""
        known = self._last.get(want)
        if known is None:
            if not self._has_room(want, user) and not (self._forget(now) and self._has_room(want, user)):
                return False
            self._count(want, user, 1)
        self._last[want] = (now, known[1] if known else user)
        return True

    def __len__(self) -> int:
        return len(self._last)

    def asker(self, want: Want) -> str:
        """Who asked for `want` first; '' where nobody is remembered to have."""
        return self._last.get(want, (0.0, ""))[1]

    def wants(self, now: float) -> list[Want]:
        """All that is still remembered at `now`; the rest is forgotten."""
        self._forget(now)
        return list(self._last)

    def _forget(self, now: float) -> int:
        """Drop the wants that were not asked for of late; returns how many."""
        old = [(want, user) for want, (last, user) in self._last.items() if now - last > self._keep]
        for want, user in old:
            del self._last[want]
            self._count(want, user, -1)
        return len(old)

    def _has_room(self, want: Want, user: str) -> bool:
        limits = (self._limit, self._limit_per_user, self._limit_per_namespace)
        more = weight(want)
        return all(
            self._used[key] < limit and self._bytes[key] + more <= limit * BYTES_EACH
            for key, limit in zip(_accounts(want, user), limits, strict=True)
        )

    def _count(self, want: Want, user: str, number: int) -> None:
        for key in _accounts(want, user):
            self._used[key] += number
            self._bytes[key] += number * weight(want)
            if not self._used[key]:
                del self._used[key], self._bytes[key]


def _accounts(want: Want, user: str) -> tuple[tuple[str, ...], ...]:
    return (), (user,), (user, want.namespace)


class Shares(NamedTuple):
    """How much of the adapter HPAs may take: metrics, each with BYTES_EACH on average."""

    per_hpa: int = 100
    per_namespace: int = 1000


class Demand:
    """All wants there are: what each HPA declares, within its share, and what is remembered of requests."""

    def __init__(
        self,
        remembered: Remembered | None = None,
        shares: Shares = Shares(),  # noqa: B008 - immutable
    ) -> None:
        self.remembered = remembered or Remembered()
        self.refused: dict[tuple[str, str], str] = {}
        """(namespace, name) of each HPA that asks for more than its share -> one sentence."""
        self._shares = shares
        self._asked: dict[str, dict[str, Sequence[Want]]] = {}
        """Namespace -> HPA -> what it asks for."""
        self._declared: dict[tuple[str, str], frozenset[Want]] = {}
        self._beyond: dict[tuple[str, str], frozenset[Want]] = {}
        self._counts: Counter[Want] = Counter()

    def declare(self, namespace: str, name: str, wants: Iterable[Want]) -> None:
        """The HPA `namespace/name` asks for `wants`, and for nothing else any more.

        Of more than its share the first ones are taken, in its order.
        """
        asked = tuple(dict.fromkeys(wants))
        self._asked.setdefault(namespace, {})[name] = asked
        self._drop(namespace, name)
        self._admit(namespace, name, asked)

    def withdraw(self, namespace: str, name: str) -> None:
        """The HPA is gone; those for which there was no room in the namespace have it now."""
        self._drop(namespace, name)
        asked = self._asked.get(namespace, {})
        asked.pop(name, None)
        if not asked:
            self._asked.pop(namespace, None)
        for other, wants in asked.items():
            if not frozenset(wants) <= self._declared[namespace, other]:
                self._drop(namespace, other)
                self._admit(namespace, other, wants)

    def _admit(self, namespace: str, name: str, asked: Sequence[Want]) -> None:
        """As many of what is asked for as the HPA's share and the namespace's have room for."""
        mine = _within(asked, self._shares.per_hpa)
        others = {want for other in self._asked[namespace] for want in self._declared.get((namespace, other), ())}
        new = [want for want in mine if want not in others]
        room = frozenset(_within([*others, *new], self._shares.per_namespace))
        key, taken = (namespace, name), frozenset(mine) & room
        self._declared[key] = taken
        self._counts.update(taken)
        if len(taken) == len(asked):
            return
        self._beyond[key] = frozenset(asked) - taken
        one = len(taken) == len(mine)
        share = f"{self._shares.per_hpa} of one HPA" if one else f"{self._shares.per_namespace} of one namespace"
        self.refused[key] = (
            f"HPA {namespace}/{name} asks for {len(asked)} metrics, and {len(self._beyond[key])} of them are left out:"
            f" the share is {share}, with {BYTES_EACH} characters each on average; fewer metrics or selectors would be"
            " right"
        )

    def _drop(self, namespace: str, name: str) -> None:
        key = namespace, name
        self.refused.pop(key, None)
        self._beyond.pop(key, None)
        for want in self._declared.pop(key, ()):
            self._counts[want] -= 1
            if not self._counts[want]:
                del self._counts[want]

    def refusal(self, want: Want) -> str:
        """Why nobody is to ask for `want`: it is beyond its HPA's share and nobody else's; '' where it is not."""
        if not self._beyond or want in self._counts:
            return ""
        return next((self.refused[hpa] for hpa, wants in self._beyond.items() if want in wants), "")

    def note_request(self, want: Want, user: str, now: float) -> None:
        """`user` asks for `want`: remembered, unless an HPA declares it anyway."""
        if want not in self._counts:
            self.remembered.note(want, user, now)

    def aside(self, wants: Iterable[Want]) -> bool:
        """Whether no HPA asks for any of them, though HPAs are known: else requests are all there is to go by."""
        return bool(self._counts) and not any(want in self._counts for want in wants)

    def asker(self, wants: Iterable[Want]) -> str:
        """The user on whose account these are asked for, where no HPA asks for them; '' where nobody knows."""
        return next(filter(None, map(self.remembered.asker, wants)), "")

    @property
    def declared(self) -> Collection[Want]:
        """What HPAs ask for within their shares."""
        return self._counts.keys()

    @property
    def declarers(self) -> Mapping[tuple[str, str], frozenset[Want]]:
        """The wants of each HPA, by namespace and name."""
        return self._declared

    def wants(self, now: float) -> frozenset[Want]:
        """The union at `now`."""
        return frozenset(self._counts).union(self.remembered.wants(now))


def _within(wants: Sequence[Want], limit: int) -> Sequence[Want]:
    """The first of `wants`, at most `limit`, of BYTES_EACH on average."""
    room = limit * BYTES_EACH
    for number, want in enumerate(wants[:limit]):
        room -= weight(want)
        if room < 0:
            return wants[:number]
    return wants[:limit]
