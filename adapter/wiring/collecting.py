"""Demand, plan, snapshot and answers over a source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from adapter.clock import steady
from adapter.collect.announce import Announcer
from adapter.collect.answers import Collected
from adapter.collect.catalogue import Catalogue
from adapter.collect.collector import Collector
from adapter.collect.concern import is_concerned
from adapter.collect.demand import Demand, Shares
from adapter.collect.directory import Directory
from adapter.collect.follow import follow_hpas, follow_resources
from adapter.collect.forecast import Forecaster
from adapter.collect.groups import Groups
from adapter.collect.plan import Planner
from adapter.collect.schedule import Schedule
from adapter.collect.snapshot import Limits
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.transition import Transitions
from adapter.kube.index import Index
from adapter.kube.resources import ApiResource, GroupResource
from adapter.program.run import Job
from adapter.reflex import Reflex, ReflexTelemetry
from adapter.rules import resources
from adapter.rules.model import RuleFile
from adapter.settings import Settings
from adapter.spans import OFF, Tracer
from adapter.wiring.cluster import Cluster
from adapter.wiring.source import Values

EMBEDDED_REFRESH = 0.5
"""s at most between two evaluations over the embedded store: what was scraped should not wait. One takes about 5 ms for
100 pods and 20 ms for 1,000; the collector spends at most 5 % of the time on a query anyway."""
EMBEDDED_RELIST = 5.0
"""s at most between two looks at the series that it holds: they are in memory."""


@dataclass(frozen=True)
class Collecting:
    """What answers, and what keeps it up to date."""

    answers: Collected
    collector: Collector
    jobs: Sequence[Job]


def collecting(
    settings: Settings,
    registry: CollectorRegistry,
    *,
    cluster: Cluster,
    rules: RuleFile,
    catalogue: Catalogue,
    values: Values,
    tracer: Tracer = OFF,
) -> Collecting:
    """The collector over `values`, and what HPAs declare as its demand."""
    demand, telemetry = Demand(shares=_shares(settings)), CollectTelemetry(registry, tracer)
    transitions = _transitions(settings, cluster)
    if transitions is not None:
        telemetry.follow(transitions.groups)
    directory = _directory(cluster, catalogue)
    limits = Limits(max_age=float(settings.value_max_age), refresh=_refresh(settings))
    planner = Planner(limits, directory.names_of, directory.size)
    collector = Collector(
        values.source,
        catalogue,
        demand,
        planner,
        telemetry,
        transitions=transitions,
        schedule=_schedule(settings),
        places=settings.prometheus_concurrency,
        filling=_filling(cluster, values),
    )
    announcer = Announcer(cluster.client, cluster.hpas, lambda: _hpa_problems(collector, values))
    jobs = [Job("collector", collector.run), Job("events", announcer.run)]
    read_hpas = follow_hpas(cluster.hpas, demand, catalogue, collector.wake)
    if cluster.client is not None:
        client = cluster.client
        jobs.append(Job("API resources", lambda: follow_resources(client, catalogue, read_hpas)))
    forecaster = Forecaster(cluster.hpas, cluster.pods, cluster.client, catalogue)
    answers = Collected(
        collector,
        directory,
        values.usage,
        telemetry,
        serves_custom=rules.custom is not None,
        serves_external=rules.external is not None,
        forecaster=forecaster,
        polled=values.polled,
        wall=steady.wall,
    )
    jobs += _reflex(settings, registry, cluster, forecaster, answers)
    return Collecting(answers, collector, jobs)


def _reflex(
    settings: Settings, registry: CollectorRegistry, cluster: Cluster, forecaster: Forecaster, answers: Collected
) -> list[Job]:
    telemetry = ReflexTelemetry(registry)
    if not settings.reflex or cluster.client is None:
        return []
    every = settings.refresh_interval if settings.prometheus_url else settings.scrape_interval
    settle = float(every) + EMBEDDED_REFRESH  # what the last pod's sample shows is served so much later
    return [Job("reflex", Reflex(cluster.client, cluster.hpas, forecaster, answers, telemetry, settle=settle).run)]


def _filling(cluster: Cluster, values: Values) -> Callable[[], str]:
    """What is waited for before the source holds all that it will: of pods that are not listed nobody scrapes one."""
    pods, ready = cluster.pods_listed, values.ready
    return lambda: (pods.waiting() if pods else "") or (ready.waiting() if ready else "")


def _directory(cluster: Cluster, catalogue: Catalogue) -> Directory:
    def api_of(resource: GroupResource) -> ApiResource:
        return catalogue.mapper.api(resource)  # the mapper is another one after each discovery

    indexes: dict[GroupResource, Index[Any]] = {resources.PODS: cluster.pods, resources.NODES: cluster.nodes}
    return Directory(indexes, cluster.client, api_of, pods=cluster.pods_listed)


def _transitions(settings: Settings, cluster: Cluster) -> Transitions | None:
    if cluster.presences is None:
        return None
    interval = 0.0 if settings.prometheus_url else float(settings.scrape_interval)
    return Transitions(cluster.presences, Groups(cluster.presences, cluster.pods.select), interval)


def _refresh(settings: Settings) -> float:
    wanted = float(settings.refresh_interval)
    return wanted if settings.prometheus_url else min(EMBEDDED_REFRESH, wanted)


def _hpa_problems(collector: Collector, values: Values) -> Mapping[tuple[str, str], str]:
    """HPA -> its problem: why its metric has no value, or who is over his share with series of it."""
    over, names = values.over_share(), values.refused_names()
    told = {
        hpa: over[hpa[0]]
        for hpa, wants in (collector.demand.declarers.items() if over else ())
        if hpa[0] in over and is_concerned(wants, collector.held, names.get(hpa[0], ()))
    }
    return told | collector.starving()


def _shares(settings: Settings) -> Shares:
    return Shares(settings.max_metrics_per_hpa, settings.max_metrics_per_namespace)


def _schedule(settings: Settings) -> Schedule:
    relist = float(settings.metrics_relist_interval)
    if not settings.prometheus_url:
        relist = min(EMBEDDED_RELIST, relist)
    return Schedule(relist=relist, lookback=float(settings.metrics_max_age) or max(300.0, relist))
