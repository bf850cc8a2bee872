"""What is on offer: which rule and series answer for which metric, from what the source was found to hold. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from adapter.collect.answer import CustomOffer
from adapter.collect.demand import ExternalWant, Want
from adapter.kube.resources import GroupResource
from adapter.metrics.slices import Slices, run
from adapter.metrics.source import Part
from adapter.rules.account import Account, account_in_slices
from adapter.rules.model import Rule, RuleFile
from adapter.rules.naming import (
    BoundRule,
    NamingError,
    Offer,
    bind,
    combine,
    external_offers_in_slices,
    offers_in_slices,
)
from adapter.rules.resources import NAMESPACES, ResourceMapper

LabelSets = Sequence[Mapping[str, str]]


class Offered(NamedTuple):
    """The rule and the series that answer for one metric."""

    bound: BoundRule[Rule]
    series: str
    namespaced: bool = True


class _Found(NamedTuple):
    """The series of one rule, as far as it matters: values are not held."""

    shapes: Mapping[tuple[str, tuple[str, ...]], int]
    """Name and labels, sorted -> how many series."""
    by_name: bool


class _Made(NamedTuple):
    """What one rule makes of its series."""

    account: Account
    custom: Sequence[Offer]
    external: Sequence[tuple[str, str]]


_NOTHING = _Made(Account(0, {}, 0), (), ())


class Catalogue:
    """The offers of all rules, kept per rule: a rule whose look-up failed keeps what it found before."""

    def __init__(self, rules: RuleFile, mapper: ResourceMapper) -> None:
        self._rules = rules
        self._found: dict[str, _Found] = {}
        self._made: dict[str, _Made] = {}
        self.quotes = False
        """Whether the source is known to read names of labels in quotes."""
        self.revision = 0
        """Grows with every change of what is on offer."""
        self.problems: tuple[str, ...] = ()
        self.custom: Mapping[tuple[GroupResource, str], Offered] = {}
        self.external: Mapping[str, Offered] = {}
        self._sorted: tuple[CustomOffer, ...] | None = None
        self.bind(mapper)

    def bind(self, mapper: ResourceMapper) -> None:
        """Take over what the cluster's API resources are now."""
        self.mapper = mapper
        self._custom = [bind(rule, mapper, quotes=self.quotes) for rule in self._rules.custom or ()]
        self._external = [bind(rule, mapper, quotes=self.quotes) for rule in self._rules.external or ()]
        self._bounds = {_key(bound.rule): bound for bound in (*self._custom, *self._external)}
        self._made = {key: run(self._read(self._bounds[key], discovered)) for key, discovered in self._found.items()}
        self._combine()

    def learn_quoting(self) -> None:
        """The source reads names of labels in quotes."""
        self.quotes = True
        self.bind(self.mapper)

    @property
    def rules(self) -> Sequence[Rule]:
        """All rules that want a look-up of their series."""
        return [*(self._rules.custom or ()), *(self._rules.external or ())]

    def rules_of(self, *, external: bool) -> Sequence[Rule]:
        """The rules of one of the two APIs."""
        return (self._rules.external if external else self._rules.custom) or ()

    def custom_binding(self, rule: Rule) -> BoundRule[Rule] | None:
        """`rule` with the resources that its labels name; None where it is not of the custom metrics API."""
        return next((bound for bound in self._custom if bound.rule is rule), None)

    def parts(self, rule: Rule, wants: Iterable[Want]) -> Iterator[Part]:
        """(label, value) of the rule's series that `wants` may be of: by namespace, else by name."""
        bound = self._bounds[_key(rule)]
        external = any(bound is one for one in self._external)
        for want in wants:
            if isinstance(want, ExternalWant) is not external:
                continue
            if want.namespace and rule.resources.namespaced:
                with suppress(NamingError):
                    yield bound.label(NAMESPACES), want.namespace
            elif isinstance(want, ExternalWant):
                known = self.external.get(want.metric)
                yield "__name__", known.series if known else want.metric
            elif offered := self.custom.get((want.resource, want.metric)):
                yield "__name__", offered.series

    def learn_series(self, rule: Rule, series: LabelSets, *, by_name: bool = False) -> None:
        """As `learn_series_in_slices`, at once."""
        run(self.learn_series_in_slices(rule, series, by_name=by_name))

    def learn_series_in_slices(self, rule: Rule, series: LabelSets, *, by_name: bool = False) -> Slices[None]:
        """The source holds these label sets (with `__name__`) for `rule`'s series query; `by_name`: see `Discovery`.

        Where they cannot be read, for whatever reason, this raises and changes nothing.
        """
        key = _key(rule)
        discovered = _Found(Counter(map(_shape, series)), by_name)
        yield
        if self._found.get(key) != discovered:
            bound = None
            while bound is not self._bounds[key]:  # until it was not bound anew while others ran
                bound = self._bounds[key]
                made = yield from self._read(bound, discovered)
            self._made[key], self._found[key] = made, discovered
            self._combine()

    def accounts(self, rules: Iterable[Rule]) -> list[tuple[Rule, Account]]:
        """What becomes of the series of each of `rules`, but for those that were not looked up yet."""
        return [(rule, known.account) for rule in rules if (known := self._made.get(_key(rule))) is not None]

    def custom_offers(self) -> Sequence[CustomOffer]:
        """Sorted by resource and metric; sorted once for each set of offers, as every discovery asks."""
        if self._sorted is None:
            lines = (CustomOffer(*key, offered.namespaced) for key, offered in self.custom.items())
            self._sorted = tuple(sorted(lines, key=lambda line: (str(line.resource), line.metric)))
        return self._sorted

    def _read(self, bound: BoundRule[Rule], discovered: _Found) -> Slices[_Made]:
        """What the rule makes of its series."""
        external = any(bound is one for one in self._external)
        series = [{"__name__": name} | dict.fromkeys(labels, "") for name, labels in discovered.shapes]
        counts = discovered.shapes.values()
        taken = yield from account_in_slices(
            bound, series, external=external, counts=counts, by_name=discovered.by_name
        )
        if external:
            names = yield from external_offers_in_slices(bound.rule, (labels["__name__"] for labels in series))
            return _Made(taken, (), names)
        return _Made(taken, (yield from offers_in_slices(bound, series)), ())

    def _combine(self) -> None:
        custom, collisions = combine(
            [
                (bound.rule, [((offer.resource, offer.metric), offer) for offer in self._of(bound).custom])
                for bound in self._custom
            ]
        )
        bounds = self._bounds
        self._sorted = None
        self.custom = {
            key: Offered(bounds[_key(rule)], offer.series, offer.namespaced) for key, (rule, offer) in custom.items()
        }
        external, more = combine([(bound.rule, self._of(bound).external) for bound in self._external])
        self.external = {metric: Offered(bounds[_key(rule)], series) for metric, (rule, series) in external.items()}
        unbound = [problem for bound in bounds.values() for problem in bound.problems]
        self.revision += 1
        self.problems = (*self._rules.problems, *unbound, *collisions, *more)

    def _of(self, bound: BoundRule[Rule]) -> _Made:
        return self._made.get(_key(bound.rule), _NOTHING)


def _shape(labels: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    return labels.get("__name__", ""), tuple(sorted(label for label in labels if label != "__name__"))


def _key(rule: Rule) -> str:
    """Rules of the same text in two places are two rules."""
    return f"{rule.place} {rule.generation}"
