"""A plan: queries, whom each serves, and how its result is read. Pure."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from adapter.collect.demand import CustomWant, Want
from adapter.collect.snapshot import Limits
from adapter.metrics.source import Query
from adapter.rules import merge, samples
from adapter.rules.model import Rule, ServedPods
from adapter.rules.queries import QueryError
from adapter.rules.resources import PODS


class Planned(NamedTuple):
    """One query, and how its result is read."""

    wants: tuple[Want, ...]
    """Whom the result serves."""
    rule: Rule
    query: Query
    times: Query | None
    """Asks for the newest sample's time per object; None where the template does not tell which series that is."""
    object_label: str
    """The label that names the object; '' for external metrics."""
    namespace_label: str | None
    """The label that names the namespace of each sample; None where the whole result is one namespace's."""
    limits: Limits
    external: merge.MergedExternal | None = None
    """How the elements of a merged external query are told apart."""
    coverage: samples.Coverage | None = None
    """Tells whose rates are over full windows; None where there are no rates."""
    counts: Query | None = None
    """Asks for the number of samples per object of late; None where `times` is."""
    needs: float = 0.0
    """s: the shortest range in which an object needs two samples to have a value; 0 where it needs none."""
    unread: str = ""
    """Why nobody can ask for sample times and full windows: the query could not be read; '' where it could."""

    @property
    def namespace(self) -> str:
        """The namespace of the whole result, where `namespace_label` is None."""
        return self.wants[0].namespace

    @property
    def reads(self) -> frozenset[str] | None:
        """The labels of the result that are looked at; None: all of them."""
        return frozenset(filter(None, (self.object_label, self.namespace_label))) if self.object_label else None

    @property
    def tenant(self) -> str:
        """On whose account the source is asked: a namespace's, or the rule's where several share the query."""
        namespaces = {want.namespace for want in self.wants}
        return f"namespace {self.namespace}" if len(namespaces) == 1 and self.namespace else self.rule.place

    @property
    def topic(self) -> Hashable:
        """The same for queries of one rule about one metric, whatever namespaces or objects they name."""
        first = self.wants[0]
        if isinstance(first, CustomWant):
            first = first._replace(namespace="", objects=None)
        return self.rule.place, self.rule.generation, first

    @property
    def ready_pods(self) -> bool:
        """Whether values are of pods, and only of those that take traffic."""
        first = self.wants[0]
        of_pods = isinstance(first, CustomWant) and first.resource == PODS
        return of_pods and self.rule.policy.pods is not ServedPods.ANY

    @property
    def merged(self) -> bool:
        """Whether it serves whoever wants the metric, not one request."""
        first = self.wants[0]
        return self.external is not None or (isinstance(first, CustomWant) and first.objects is None)


class UnknownMetric(LookupError):  # noqa: N818 - it is what the client is told
    """No rule offers a metric of this name, as far as the series were looked up."""


class UnplannedError(QueryError):
    """Planning failed as nobody expected."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"no query can be planned: {type(cause).__name__}; the log says more")
        self.cause = cause


class Plan(NamedTuple):
    """All queries, and why none of them serves a want."""

    planned: tuple[Planned, ...]
    unserved: Mapping[Want, LookupError | QueryError]
