"""What a rules file says, as values: the rules, their policies and the file as a whole."""

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adapter.kube.resources import GroupResource
from adapter.rules.go.regexp import Regexp
from adapter.rules.go.template import Template


class OnOddValue(enum.Enum):
    """What becomes of a value that is no number (NaN) or not finite."""

    OMIT = "omit"
    """The object has no value."""
    ZERO = "zero"
    """It counts as 0, as prometheus-adapter answers for NaN."""


class OnNegative(enum.Enum):
    """What becomes of a value below zero."""

    OMIT = "omit"
    """The object has no value."""
    ZERO = "zero"
    SERVE = "serve"
    """It is served as it is, as prometheus-adapter does."""


class ServedPods(enum.Enum):
    """Of which pods values are served."""

    READY = "ready"
    """Of those that take traffic, from what was sampled since: an HPA does not scale on a rollout."""
    ANY = "any"
    """Of all, as prometheus-adapter does."""


class Policy(NamedTuple):
    """The `x-streamgate` of a rule, our only addition to the format; None: the program's own setting holds."""

    max_age: float | None = None
    """s; an older sample counts as missing."""
    nan: OnOddValue | None = None
    """Also for infinities."""
    negative: OnNegative | None = None
    """None: below zero a rate is left out, all else is served."""
    refresh: float | None = None
    """s between two questions to the source."""
    adaptive: bool | None = None
    """Whether the source may take rates over a window that shrinks after a change (`Query.adaptive`)."""
    pods: ServedPods | None = None
    """Of which pods; None: of those that are ready."""


class SeriesFilter(NamedTuple):
    """`is` or `isNot`: an expression that a series' name must, or must not, contain a match of."""

    regexp: Regexp
    positive: bool

    def accepts(self, series: str) -> bool:
        """Whether the series stays."""
        return (self.regexp.search(series) is not None) == self.positive


class ResourceMapping(NamedTuple):
    """`resources`: which label names which kind of object."""

    template: Template | None = None
    overrides: Mapping[str, GroupResource] = {}
    """Label -> the resource as the file has it: any number, group possibly ''."""
    namespaced: bool = True
    """False: an external query has no matcher for the namespace. It changes nothing else, as in prometheus-adapter."""


class Rule(NamedTuple):
    """One element of `rules` or `externalRules`."""

    place: str
    """Where it stands: 'rules[2], line 31'."""
    generation: str
    """The same for rules of the same text, different once anything in the rule changes."""
    series_query: str
    filters: Sequence[SeriesFilter]
    name_matches: Regexp
    name_as: str
    resources: ResourceMapping
    metrics_query: Template
    policy: Policy


class ResourceRule(NamedTuple):
    """`resourceRules.cpu` or `.memory`."""

    place: str
    generation: str
    container_query: Template
    node_query: Template
    resources: ResourceMapping
    container_label: str
    policy: Policy


class ResourceRules(NamedTuple):
    """`resourceRules`; None where the one could not be read."""

    cpu: ResourceRule | None
    memory: ResourceRule | None
    window: float
    """s, as the answers of metrics.k8s.io state it; 0 where the file does not say."""


class RuleFile(NamedTuple):
    """A rules file. A section that is absent or empty is None: that API is not served."""

    custom: tuple[Rule, ...] | None
    external: tuple[Rule, ...] | None
    resource: ResourceRules | None
    problems: tuple[str, ...]
    """One sentence for each rule that does not work."""
