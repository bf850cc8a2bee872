"""What the collector tells of itself, for /metrics and in spans."""

from contextlib import AbstractContextManager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from adapter.collect.groups import Groups
from adapter.collect.judge import LeftOut
from adapter.spans import OFF, Tracer

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


GROUPS: Final = ("custom.metrics.k8s.io", "external.metrics.k8s.io")


class CollectTelemetry:
    """The collector's metrics, registered once in `registry`.

    Counters begin at 0, those of a rule's queries with its first one: where one begins at 1, `rate` does not see that
    first event, and until then a panel and an alert have nothing to reckon with.
    """

    def __init__(self, registry: CollectorRegistry, tracer: Tracer = OFF) -> None:
        self._tracer = tracer
        self._begun: set[tuple[str, str]] = set()

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"streamgate_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"streamgate_{name}", text, labels, registry=registry)

        self._queries = counter("source_queries", "Queries sent to the source.", ("rule", "kind"))
        self.query_errors = counter("source_query_errors", "Queries that failed.", ("rule", "kind"))
        self.query_seconds = Histogram(
            "streamgate_source_query_duration_seconds",
            "Time of a query.",
            ("rule",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.waited = Histogram(
            "streamgate_source_wait_seconds",
            "Time that a query waited for its turn at the source.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.planned = gauge("planned_queries", "Queries in the plan.", ("mode",))
        self.held = gauge("snapshot_values", "Values in the snapshot.", ("rule",))
        self.offers = gauge("offers", "Metrics on offer, by API.", ("group",))
        self.hpas = gauge("hpas", "HPAs whose metrics are known.")
        self.over_share = gauge("hpas_over_share", "HPAs that ask for more metrics than their share.")
        self.remembered = gauge("remembered_requests", "Undeclared requests that are kept in the plan.")
        self.groups = gauge("followed_selectors", "Selectors whose pods are followed together.")
        self.groups_weight = gauge(
            "followed_selectors_bytes", "Bytes that they and their pods' names take, by estimate."
        )
        self.groups_let_go = gauge(
            "followed_selectors_forgotten", "Selectors forgotten for a user's share, or for all."
        )
        self.uncovered = counter("uncovered_requests", "Requests that the plan did not cover.", ("group",))
        for group in GROUPS:
            self.uncovered.labels(group)
        self.left_out = counter("values_left_out", "Values left out of answers.", ("rule", "why"))
        self.discovered = gauge("discovered_series", "Series, or names of many, that a rule's query found.", ("rule",))
        self.left_out_series = gauge("discovery_incomplete", "1 where more series match than are looked at.", ("rule",))
        self.relist_errors = counter("relist_errors", "Look-ups of series on offer that failed.", ("rule",))

    def count_query(self, rule: str, kind: str) -> None:
        """Count a query of `rule` for its values ('value'), their times, or what else it is asked for."""
        self._queries.labels(rule, kind).inc()
        if (rule, kind) in self._begun:
            return
        self._begun.add((rule, kind))
        self.query_errors.labels(rule, kind)
        for why in LeftOut:
            self.left_out.labels(rule, why.value)

    def evaluation(self, rule: str) -> AbstractContextManager[None]:
        """A query of `rule` is evaluated inside."""
        return self._tracer.trace("evaluate", {"streamgate.rule": rule})

    def follow(self, groups: Groups) -> None:
        """Tell of these."""
        self.groups.set_function(lambda: len(groups))
        self.groups_weight.set_function(lambda: groups.weight)
        self.groups_let_go.set_function(lambda: groups.let_go)
