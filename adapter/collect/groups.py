"""Pods whose values are averaged together: those of one HPA, learnt from what it asks. No network, no clock.

When one of them begins or ceases to take traffic, the load of all others changes at that moment. An HPA that sees some
of them before and some after that moment counts the same requests twice, or not at all; so the moment is remembered.

No two HPAs share a pod: their controller refuses it. Anybody else may ask for pods of many HPAs together, and must not
make one wait for another: such a group does not count.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from adapter.collect.presence import Presences
from adapter.kube.objects import Pod
from adapter.units.selector import Selector

KEPT: Final = 600.0
"""s after which a group that nobody asked for is forgotten, as other demand is."""
HPA_USERS: Final = frozenset(
    {"system:serviceaccount:kube-system:horizontal-pod-autoscaler", "system:kube-controller-manager"}
)
"""Who asks for HPAs: kube-controller-manager, with service accounts of its controllers or without."""
TOLERANCE: Final = 0.1
"""Share of the pods that may come or go before it counts as a change of the load of the others: the HPA's tolerance."""
CHAIN: Final = 15.0
"""s within which changes follow each other too quickly for values in between."""
SPAN: Final = 60.0
"""s in which comings and goings add up to a change."""


class GroupKey(NamedTuple):
    """Whose pods: a namespace's, by selector."""

    namespace: str
    selector: Selector


class Share(NamedTuple):
    """How much may be held."""

    groups: int
    weight: int
    """Characters of their selectors and EACH for each of their pods: bytes in memory, about."""

    def part(self, groups: int, weight: int) -> float:
        """Which part of this share that is; above 1 where it is more."""
        return max(groups / self.groups, weight / self.weight)


EACH: Final = 110
"""What a pod of a group weighs: its name in a set."""
OF_USER: Final = Share(5000, 16 * 2**20)
"""What one user may make us follow."""
OF_ALL: Final = Share(10_000, 32 * 2**20)
"""What all may: so many HPAs, with 300,000 pods. Then the user with the most gives way, the HPAs' controller last."""


@dataclass
class Group:
    """What is remembered of one group's pods."""

    asked: float
    """Unix time, s, of the last request."""
    users: dict[str, None] = field(default_factory=dict)
    """Who asked; when each of them has let it go, it is forgotten."""
    weight: int = 0
    """See `Share`."""
    changed: float = 0.0
    """When the pods that take traffic last changed by more than the tolerance, Unix s; 0: never seen."""
    former: frozenset[tuple[str, str]] = frozenset()
    """(namespace, name) of those that took traffic before that, or before the first of a chain of changes."""
    turned: float = 0.0
    """When any of them last began or ceased to take traffic, or was renewed, Unix s."""
    left: float = 0.0
    """When one of them last ceased to take traffic, Unix s; 0: never seen."""
    coming: dict[tuple[str, str], float] = field(default_factory=dict)
    """Pods that began to take traffic, Unix s, and have given no sample since."""
    turns: list[float] = field(default_factory=list)
    """Of each pod that came or went and does not count as a change yet, the time."""
    taking: frozenset[tuple[str, str]] | None = None
    """(namespace, name) of its pods that take traffic; None where that must be looked up."""

    @property
    def scales(self) -> bool:
        """Whether the controller of HPAs asks for it."""
        return not HPA_USERS.isdisjoint(self.users)


class Groups:
    """All groups; they hear from `presences` of every pod that begins or ceases to take traffic."""

    def __init__(self, presences: Presences, members: Callable[[str, Selector], Iterable[Pod]]) -> None:
        """`members(namespace, selector)` lists the pods there are."""
        self._presences = presences
        self._members = members
        self._groups: OrderedDict[GroupKey, Group] = OrderedDict()
        self._spaces: dict[str, dict[GroupKey, Group]] = {}
        """The same by namespace."""
        self._held: dict[str, OrderedDict[GroupKey, None]] = {}
        """What each user asked for, the longest ago first."""
        self._weights: Counter[str] = Counter()
        self._all = Share(0, 0)
        """What all users hold; a group counts for each of them."""
        self.let_go = 0
        """How often a user's group was forgotten for a share, since the start."""
        presences.on_turn(self.note_turn)

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def weight(self) -> int:
        """Of what all users hold; see `Share`."""
        return self._all.weight

    def note_request(self, namespace: str, selector: Selector, now: float, user: str = "") -> str | None:
        """`user` asks for these pods' values together; returns the user whose group made room, or None."""
        key = GroupKey(namespace, selector)
        group = self._groups.get(key) or self._begin(key, now)
        group.asked = now
        self._groups.move_to_end(key)
        own = self._held.setdefault(user, OrderedDict())
        if key not in own:
            group.users[user] = own[key] = None
            self._book(user, groups=1, weight=group.weight)
        own.move_to_end(key)
        return self._make_room(user)

    def _begin(self, key: GroupKey, now: float) -> Group:
        group = self._groups[key] = Group(now)
        self._spaces.setdefault(key.namespace, {})[key] = group
        known = (self._presences.of(*name) for name in self.taking(key, group))
        group.turned = max((presence.since for presence in known if presence is not None), default=0.0)
        return group

    def _make_room(self, user: str) -> str | None:
        """What `user` asked for last is kept, whatever it weighs."""
        over = None
        mine = OF_ALL if user in HPA_USERS else OF_USER
        while len(self._held[user]) > 1 and mine.part(len(self._held[user]), self._weights[user]) > 1:
            over = user
            self._let_go(user)
        while OF_ALL.part(*self._all) > 1:
            able = [one for one, own in self._held.items() if one != user or len(own) > 1]
            if not able:
                break
            others = [one for one in able if one not in HPA_USERS] or able
            over = max(others, key=lambda one: OF_ALL.part(len(self._held[one]), self._weights[one]))
            self._let_go(over)
        return over

    def _let_go(self, user: str) -> None:
        """What `user` asked for the longest ago is no more his."""
        self._drop(user, next(iter(self._held[user])))
        self.let_go += 1

    def _drop(self, user: str, key: GroupKey) -> None:
        group = self._groups[key]
        del group.users[user], self._held[user][key]
        self._book(user, groups=-1, weight=-group.weight)
        if not self._held[user]:
            del self._held[user], self._weights[user]
        if not group.users:
            del self._groups[key], self._spaces[key.namespace][key]
            if not self._spaces[key.namespace]:
                del self._spaces[key.namespace]

    def _book(self, user: str, *, groups: int, weight: int) -> None:
        self._weights[user] += weight
        self._all = Share(self._all.groups + groups, self._all.weight + weight)

    def _weigh(self, key: GroupKey, group: Group, pods: int) -> None:
        weight = key.selector.weight + EACH * pods
        for user in group.users:
            self._book(user, groups=0, weight=weight - group.weight)
        group.weight = weight

    def note_turn(self, pod: Pod, now: float) -> None:
        """`pod` begins or ceases to take traffic at Unix time `now`.

        One that begins counts as a change once it has given a sample (`note_samples`): a pod that never gives
        one, whether it stays or comes and goes, leaves the others' values as they are. One that gave none and
        ends never came.
        """
        meta = pod.metadata
        name = meta.namespace, meta.name
        for key, group in self._spaces.get(meta.namespace, {}).items():
            if not key.selector.matches(meta.labels):
                continue
            before, group.taking, group.turned = self.members_that_count(key, group), None, now
            if name in self.taking(key, group):
                group.coming[name] = now
                continue
            group.left = now
            if group.coming.pop(name, None) is None:
                self._note(key, group, before, now)

    def note_samples(self, names: Collection[tuple[str, str]], now: float) -> None:
        """These pods have given a sample by Unix time `now`: those of `coming` take traffic since they began to."""
        for key, group in self._groups.items():
            if not group.coming:
                continue
            for name in sorted(group.coming.keys() & names, key=group.coming.__getitem__):
                before, since = self.members_that_count(key, group), group.coming.pop(name)
                if now - since <= SPAN:
                    self._note(key, group, before, since)

    def _note(self, key: GroupKey, group: Group, before: frozenset[tuple[str, str]], now: float) -> None:
        """A pod came or went at Unix time `now`; `before` counted until then."""
        group.turns = [time for time in group.turns if now - time <= SPAN] + [now]
        if len(group.turns) > TOLERANCE * max(len(self.members_that_count(key, group)), 1):
            if now - group.changed > CHAIN:
                group.former = before
            group.changed = max(now, group.changed)
            group.turns.clear()

    def coming(self, namespaces: Collection[str], now: float) -> dict[tuple[str, str], float]:
        """The pods of these namespaces that began to take traffic in the last SPAN, and were not heard of since."""
        return {
            name: since
            for _, group in self._of(namespaces)
            for name, since in group.coming.items()
            if now - since <= SPAN
        }

    def _of(self, namespaces: Collection[str]) -> Iterator[tuple[GroupKey, Group]]:
        for namespace in namespaces:
            yield from self._spaces.get(namespace, {}).items()

    def members_that_count(self, key: GroupKey, group: Group) -> frozenset[tuple[str, str]]:
        """(namespace, name) of those that take traffic, without those that have given no sample since they began."""
        taking = self.taking(key, group)
        return taking - group.coming.keys() if group.coming else taking

    def taking(self, key: GroupKey, group: Group) -> frozenset[tuple[str, str]]:
        """(namespace, name) of the group's pods that take traffic."""
        if group.taking is None:
            names = ((pod.metadata.namespace, pod.metadata.name) for pod in self._members(key.namespace, key.selector))
            known = ((name, self._presences.of(*name)) for name in names)
            group.taking = frozenset(
                name for name, presence in known if presence is not None and presence.takes_traffic
            )
            self._weigh(key, group, len(group.taking))
        return group.taking

    def find(self, namespace: str, selector: Selector) -> Group | None:
        """The group, if it was asked for lately."""
        return self._groups.get(GroupKey(namespace, selector))

    def within(self, namespaces: Collection[str], now: float) -> list[tuple[GroupKey, Group]]:
        """The groups of these namespaces that count; those not asked for lately are forgotten."""
        while self._groups and now - next(iter(self._groups.values())).asked > KEPT:
            key, group = next(iter(self._groups.items()))
            for user in list(group.users):
                self._drop(user, key)
        groups = list(self._of(namespaces))
        others = {key for key, group in groups if not group.scales}
        if not others or len(others) == len(groups):
            return groups
        scaled = frozenset[tuple[str, str]]().union(*(self.taking(*one) for one in groups if one[1].scales))
        return [one for one in groups if one[0] not in others or scaled.isdisjoint(self.taking(*one))]
