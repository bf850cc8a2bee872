"""Whose the series of the store are, and how much each may have: in series, in characters of labels, in metric names.

A pod that makes new series, labels or names at every scrape fills its own share, not everybody's; a namespace with many
such pods fills its own. What an owner has is found by the owner, so that forgetting costs what is forgotten.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from adapter.metrics.sample import Series

OWNERS: Final = ("namespace", "pod", "instance")
"""The labels that tell whose a series is."""
OF_ONE, OF_NAMESPACE = 4, 2
"""One owner has at most the 4th part, one namespace half of all."""
SMALL: Final = 10_000
"""Series that anybody may have, however small the store is."""
PER_SERIES: Final = 1920
"""Characters of a series on average, at most; one with ten labels has about 1,880."""
PER_ROW: Final = 512
"""Characters that a series counts beside its labels: what it costs in memory however few it has."""
PER_LABEL: Final = 112
"""Characters that a label counts beside its own: its pair, text and number in memory, however short it is."""
WIDE: Final = 4
"""Characters that one outside ASCII counts: it and its text's others may take so many bytes each."""
WIDE_HEAD: Final = 28
"""Bytes by which the head of such a text is longer than that of one in ASCII."""
PER_NAME: Final = 4
"""Series for each metric name on average, at least."""
MANY_NAMES: Final = 5000
"""Metric names that one owner may bring into the store; a large exporter has 1,000."""
NAMES_OF_NAMESPACE: Final = 5
"""One namespace has at most the 5th part of all names, and at least as many as one owner."""

CROWDED: Final = 0.75
"""Of all; beyond it a namespace may have at most as much as is free, so that whoever comes later finds room: the rule
of Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998, with its factor 1."""

SCOPES: Final = ("all", "namespace", "owner")

Owner: TypeAlias = tuple[str, str, str]
_Account: TypeAlias = tuple[str, ...]
_ALL: Final[_Account] = ()


class Amount(NamedTuple):
    """What is had, or may be had."""

    series: int = 0
    characters: int = 0
    names: int = 0

    def plus(self, other: "Amount", times: int = 1) -> "Amount":
        return Amount(
            self.series + times * other.series,
            self.characters + times * other.characters,
            self.names + times * other.names,
        )


class Refusal(NamedTuple):
    """Why a series is not taken."""

    scope: str
    """'all', 'namespace' or 'owner'."""
    of: str
    """'series', 'characters' or 'names'."""
    limit: int


class Owners:
    """The account of all owners, for at most `max_series` series."""

    def __init__(self, max_series: int, *, counts_names: bool = True) -> None:
        """Without `counts_names` a name costs nothing more than its series."""

        def share(part: int) -> int:
            return max(max_series // part, SMALL)

        names = max(max_series // PER_NAME, SMALL)
        self._limits = {
            "all": Amount(max_series, max(max_series, SMALL) * PER_SERIES, names),
            "namespace": Amount(
                share(OF_NAMESPACE), share(OF_NAMESPACE) * PER_SERIES, max(names // NAMES_OF_NAMESPACE, MANY_NAMES)
            ),
            "owner": Amount(share(OF_ONE), share(OF_ONE**2) * PER_SERIES, min(MANY_NAMES, names // OF_ONE)),
        }
        self._had: dict[_Account, Amount] = {}
        self._members: dict[Owner, dict[Series, None]] = {}
        self._pods: dict[tuple[str, str], dict[Owner, None]] = {}
        self._counts_names = counts_names
        self._bringers: dict[str, Owner] = {}
        """Metric name -> who brought it in, on whose account it is."""
        self._refused: Counter[tuple[str, str]] = Counter()

    @property
    def total(self) -> Amount:
        """What all have."""
        return self._had.get(_ALL, Amount())

    def refusals(self, scope: str, of: str) -> int:
        """How often something was refused for the limit of `scope` on `of`, since the start."""
        return self._refused[scope, of]

    def refusal(self, owner: Owner, series: Series) -> Refusal | None:
        """Why there is no room for a new series of `owner`; None where there is."""
        more = self._more(series)
        for scope, account in _accounts(owner):
            after, limit = self._had.get(account, Amount()).plus(more), self._limits[scope]
            if scope == "namespace":
                limit = self._of_what_is_free(limit)
            for of, value, most, new in zip(Amount._fields, after, limit, more, strict=True):
                if new and value > most:
                    refusal = Refusal(scope, of, most)
                    self._refused[scope, of] += 1
                    return refusal
        return None

    def _of_what_is_free(self, limit: Amount) -> Amount:
        """A namespace's limit as things are; see CROWDED."""
        had, whole = self.total, self._limits["all"]
        crowded = [CROWDED * most <= amount < most for amount, most in zip(had, whole, strict=True)]
        if not any(crowded):
            return limit
        free = whole.plus(had, -1)
        return Amount(
            *(min(most, left) if full else most for most, left, full in zip(limit, free, crowded, strict=True))
        )

    def add(self, owner: Owner, series: Series) -> None:
        """Count one more series for `owner`."""
        more = self._more(series)
        if more.names:
            self._bringers[series.name] = owner
        self._book(owner, more, 1)
        if owner not in self._members:
            self._members[owner] = {}
            self._pods.setdefault(owner[:2], {})[owner] = None
        self._members[owner][series] = None

    def remove(self, owner: Owner, series: Series, *, last: bool) -> None:
        """Count `series` no longer for `owner`; `last`: nobody has a series of that name any more."""
        self._book(owner, Amount(1, characters(series)), -1)
        members = self._members[owner]
        del members[series]
        if not members:
            del self._members[owner]
            pod = self._pods[owner[:2]]
            del pod[owner]
            if not pod:
                del self._pods[owner[:2]]
        if last and self._counts_names:
            self._book(self._bringers.pop(series.name), Amount(names=1), -1)

    def _more(self, series: Series) -> Amount:
        """What a new series adds."""
        return Amount(1, characters(series), self._counts_names and series.name not in self._bringers)

    def _book(self, owner: Owner, amount: Amount, times: int) -> None:
        for _, account in _accounts(owner):
            had = self._had.get(account, Amount()).plus(amount, times)
            if any(had):
                self._had[account] = had
            else:
                self._had.pop(account, None)

    def find(self, labels: Mapping[str, str]) -> Iterator[tuple[Owner, Series]] | None:
        """The series that have all of `labels`, found by their owner; None where `labels` name none."""
        wanted = [(place, labels[name]) for place, name in enumerate(OWNERS) if name in labels]
        if not wanted:
            return None
        others = {name: value for name, value in labels.items() if name not in OWNERS}
        return self._select(wanted, others)

    def _select(self, wanted: list[tuple[int, str]], others: Mapping[str, str]) -> Iterator[tuple[Owner, Series]]:
        known = dict(wanted)
        among = self._pods.get((known[0], known[1]), {}) if 0 in known and 1 in known else self._members
        for owner in [owner for owner in among if all(owner[place] == value for place, value in wanted)]:
            for series in list(self._members[owner]):
                if not others or others.items() <= dict(series.labels).items():
                    yield owner, series


def owner_of(series: Series) -> Owner:
    """Namespace, pod and instance, '' where it has no such label."""
    labels = dict(series.labels)
    namespace, pod, instance = (labels.get(name, "") for name in OWNERS)
    return namespace, pod, instance


def characters(series: Series) -> int:
    """Of its names and values, with PER_LABEL for each label and PER_ROW: bytes in memory within a quarter."""
    return PER_ROW + sum(PER_LABEL + _bytes(name) + _bytes(value) for name, value in series.labels)


def _bytes(text: str) -> int:
    """Always the same for one text, unlike its size in memory."""
    return len(text) if text.isascii() else WIDE * len(text) + WIDE_HEAD


def describe_owner(owner: Owner) -> str:
    """The owner, fit for a sentence."""
    return ("/".join(filter(None, owner[:2])) or owner[2] or "who names neither pod nor instance")[:300]


def _accounts(owner: Owner) -> tuple[tuple[str, _Account], ...]:
    return ("owner", owner), ("namespace", owner[:1]), ("all", _ALL)
