"""What becomes of the series that a rule's query finds: how many are on offer, how many are dropped, and by what."""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import NamedTuple

from adapter.metrics.slices import Slices, run
from adapter.rules.model import Rule
from adapter.rules.naming import AT_ONCE, BoundRule, api_name


class Dropped(enum.Enum):
    """Why a series is not on offer; the value completes 'dropped by …'."""

    FILTERS = "seriesFilters"
    MATCHES = "name.matches"
    NAME = "name.as, which leaves no name (or one over 1,024 characters)"
    RESOURCE = "resources: no label names an object of the cluster"


class Account(NamedTuple):
    """Of one rule."""

    found: int
    """Series that its seriesQuery found."""
    dropped: Mapping[Dropped, int]
    """How many of them are not on offer, by what; only what is not 0."""
    metrics: int
    """Names of metrics that the rest gives."""
    by_name: bool = False
    """Whether names of series were looked up and counted, as there are too many series."""

    def __str__(self) -> str:
        if not self.found:
            return "its seriesQuery finds no series"
        series = "one series" if self.found == 1 else f"{self.found} series"
        if self.by_name:
            series = f"more series than are listed, of {self.found} names"
        parts = [f"{count} dropped by {why.value}" for why, count in self.dropped.items()]
        metrics = "one metric" if self.metrics == 1 else f"{self.metrics or 'no'} metrics"
        return ", ".join([f"its seriesQuery finds {series}", *parts, f"which leaves {metrics}"])


def account(
    bound: BoundRule[Rule],
    series: Iterable[Mapping[str, str]],
    *,
    external: bool,
    counts: Iterable[int] | None = None,
    by_name: bool = False,
) -> Account:
    """As `account_in_slices`, at once."""
    return run(account_in_slices(bound, series, external=external, counts=counts, by_name=by_name))


def account_in_slices(
    bound: BoundRule[Rule],
    series: Iterable[Mapping[str, str]],
    *,
    external: bool,
    counts: Iterable[int] | None = None,
    by_name: bool = False,
) -> Slices[Account]:
    """Of the label sets (with `__name__`) that a rule's query found; an external metric needs no object's label.

    `counts` says for how many series each of them stands; None: for one. `by_name`: see `Account`.
    """
    names: dict[str, str | Dropped] = {}
    dropped: Counter[Dropped] = Counter()
    metrics: set[str] = set()
    total = 0
    several = zip(series, repeat(1) if counts is None else counts, strict=counts is not None)
    for number, (labels, count) in enumerate(several, 1):
        if number % AT_ONCE == 0:
            yield
        total += count
        name = labels.get("__name__", "")
        if name not in names:
            names[name] = _name_or_dropped(bound.rule, name)
        fate = names[name]
        if not isinstance(fate, Dropped) and not (external or _has_object(bound, labels)):
            fate = Dropped.RESOURCE
        if isinstance(fate, Dropped):
            dropped[fate] += count
        else:
            metrics.add(fate)
    return Account(total, {why: dropped[why] for why in Dropped if dropped[why]}, len(metrics), by_name)


def _name_or_dropped(rule: Rule, series: str) -> str | Dropped:
    """The name of the API's metric for a series, or the reason why the series is dropped."""
    if (name := api_name(rule, series)) is not None:
        return name
    if rule.name_matches.search(series) is None:
        return Dropped.MATCHES
    return Dropped.NAME if all(one.accepts(series) for one in rule.filters) else Dropped.FILTERS


def _has_object(bound: BoundRule[Rule], labels: Mapping[str, str]) -> bool:
    return any(bound.resource(label) is not None for label in labels if label != "__name__")
