"""`streamgate-adapter check`: what becomes of each rule of a file, and of its series in a Prometheus.

It takes the adapter's own flags, so that a Deployment's arguments can be given as they are. Per rule: how many series
its seriesQuery finds, what drops which of them, which metrics are left, and what the query of one of them gives.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from adapter import __version__
from adapter.collect import refusals
from adapter.collect.follow import mapper_of
from adapter.collect.usage import nobodys
from adapter.kube.discovery import api_resources
from adapter.kube.errors import KubeError
from adapter.kube.resources import GroupResource
from adapter.metrics.prometheus.client import PrometheusSource
from adapter.metrics.sample import Sample
from adapter.metrics.source import Query, Source, SourceError
from adapter.program import tables, verbs
from adapter.program.flags import Flags, setting
from adapter.program.run import StartError
from adapter.rules import merge
from adapter.rules.account import account
from adapter.rules.model import ResourceRule, Rule, RuleFile
from adapter.rules.naming import BoundRule, bind, external_offers, offers
from adapter.rules.queries import QueryError, custom_query, external_query
from adapter.rules.resources import NAMESPACES, NODES, PODS, ROOT_SCOPED, ResourceMapper
from adapter.settings import FLAGS, Settings
from adapter.units.selector import EVERYTHING
from adapter.wiring.cluster import client_of
from adapter.wiring.source import prometheus
from adapter.wiring.whole import read_rules

PROGRAM: Final = "streamgate-adapter check"
SHOWN: Final = 5
"""Names of metrics that a line shows."""
Labels = Mapping[str, str]


@dataclass(frozen=True)
class CheckSettings(Settings):
    """The adapter's settings, and how to show what was found."""

    output: str = setting("output", "table", "for people or for programs", choices=tables.FORMATS)


CHECK_FLAGS: Final = Flags(
    program=PROGRAM,
    about="says of each rule which series and metrics it finds, and whether its query works; exit code 1 if not",
    settings=CheckSettings,
    version=__version__,
    ignored=FLAGS.ignored,
    check=FLAGS.check,
)


class Finding(NamedTuple):
    """Of one rule."""

    record: Mapping[str, Any]
    good: bool


class _Named(NamedTuple):
    """A metric of a rule with the labels of one of its series, to try the rule's query on."""

    shown: str
    promql: str
    label: str
    """That names the object in the result; '' for external metrics."""


def main(arguments: Sequence[str]) -> int:
    """The verb; its exit code: 0 where all is well, 1 where something is not, 2 for wrong flags."""
    return verbs.run(PROGRAM, lambda: _run(CHECK_FLAGS.parse(arguments).settings), failures=(StartError,))


def _run(settings: CheckSettings) -> int:
    rules = read_rules(settings)
    findings = asyncio.run(_findings(settings, rules))
    if settings.output != "table" or findings:
        tables.write([finding.record for finding in findings], settings.output, "rules")
    if settings.output == "table":
        tables.lines(rules.problems)
    return int(bool(rules.problems) or not all(finding.good for finding in findings))


async def _findings(settings: Settings, rules: RuleFile) -> list[Finding]:
    """A finding for each rule; for the queries of `resourceRules` only with a Prometheus. Raises StartError."""
    async with AsyncExitStack() as stack:
        mapper = await _mapper(settings, stack)
        source: PrometheusSource | None = None
        if settings.prometheus_url:
            source = PrometheusSource(await prometheus(settings))
            stack.push_async_callback(source.close)
        lookback = float(settings.metrics_max_age) or max(300.0, float(settings.metrics_relist_interval))
        known = bool(settings.lister_kubeconfig or settings.kubeconfig)
        findings = [
            await finding(bind(rule, mapper), source, external=external, known=known, lookback=lookback)
            for section, external in ((rules.custom, False), (rules.external, True))
            for rule in section or ()
        ]
        if source is None or rules.resource is None:
            return findings
        of_usage = [rule for rule in (rules.resource.cpu, rules.resource.memory) if rule is not None]
        return [*findings, *[one for rule in of_usage for one in await _of_usage(bind(rule, mapper), source)]]


async def _mapper(settings: Settings, stack: AsyncExitStack) -> ResourceMapper:
    """The cluster's resources where a kubeconfig is given, else those that every cluster has. Raises StartError."""
    kubeconfig = settings.lister_kubeconfig or settings.kubeconfig
    if not kubeconfig:
        return mapper_of(())
    try:
        return mapper_of(await api_resources(await client_of(kubeconfig, stack)))
    except KubeError as error:
        raise StartError(f"the cluster's API resources are not known: {error}") from error


async def finding(
    bound: BoundRule[Rule], source: Source | None, *, external: bool, known: bool, lookback: float
) -> Finding:
    """What becomes of one rule; `known`: whether the cluster was asked for its resources. `lookback` is in s."""
    rule, now = bound.rule, time.time()
    record: dict[str, Any] = {"rule": rule.place, "seriesQuery": rule.series_query[:200]}
    problems = list(bound.problems) if known else []
    if source is None:
        return Finding(record | {"problem": "; ".join(problems)}, not problems)
    try:
        wanted = (lambda _: False) if external else (lambda label: bound.resource(label) is not None)
        discovery = await source.discover(rule.series_query, now - lookback, now, wanted)
    except SourceError as error:
        return Finding(record | {"problem": "; ".join([*problems, str(error)])}, good=False)
    series = discovery.label_sets
    taken = account(bound, series, external=external, by_name=discovery.by_name)
    if discovery.left_out:
        problems.append(f"left out is {discovery.left_out}")
    metrics = _metrics(bound, series, external=external)
    record |= {
        "found": taken.found,
        "dropped": ", ".join(f"{count} by {why.value}" for why, count in taken.dropped.items()),
        "metrics": ", ".join(metrics[:SHOWN]) + (f" and {len(metrics) - SHOWN} more" if len(metrics) > SHOWN else ""),
    }
    if not metrics:
        problems.append("nothing is on offer")
        return Finding(record | {"problem": "; ".join(problems)}, good=False)
    if discovery.by_name:
        record["query"] = "not tried: with so many series no object is known by name"
        return Finding(record | {"problem": "; ".join(problems)}, not problems)
    try:
        tried = _first(bound, series, external=external)
        result = await source.query(Query(tried.promql), now)
        record["query"] = _describe_result(result, tried)
    except (SourceError, QueryError, LookupError) as error:
        problems.append(f"the query fails: {error.args[0] if error.args else error}")
    else:
        if tried.label and result and not any(sample.labels.get(tried.label) for sample in result):
            problems.append(str(refusals.of_unnamed(len(result), tried.label)))
    return Finding(record | {"problem": "; ".join(problems)}, not problems)


async def _of_usage(bound: BoundRule[ResourceRule], source: Source) -> list[Finding]:
    """What becomes of the two queries of one of `resourceRules`, asked for all objects at once as they are served."""
    return [
        await _of_query(
            bound, source, "containerQuery", partial(merge.merge_containers, bound, None), PODS, NAMESPACES
        ),
        await _of_query(bound, source, "nodeQuery", partial(merge.merge_nodes, bound), NODES),
    ]


async def _of_query(
    bound: BoundRule[ResourceRule], source: Source, field: str, query: Callable[[], str], *resources: GroupResource
) -> Finding:
    record: dict[str, Any] = {"rule": f"{bound.rule.place}: {field}"}
    try:
        samples = await source.query(Query(query()), time.time())
        problem = nobodys(bound.rule, field, samples, [bound.label(resource) for resource in resources])
    except (SourceError, QueryError, LookupError) as error:
        return Finding(record | {"problem": str(error.args[0])}, good=False)
    record |= {"found": len(samples), "query": _values(samples) if samples else "no value now"}
    return Finding(record | {"problem": problem}, not problem)


def _metrics(bound: BoundRule[Rule], series: Sequence[Labels], *, external: bool) -> list[str]:
    if external:
        return [metric for metric, _ in external_offers(bound.rule, _names(series))]
    return [f"{offer.resource}/{offer.metric}" for offer in offers(bound, series)]


def _names(series: Iterable[Labels]) -> Iterable[str]:
    return (labels.get("__name__", "") for labels in series)


def _first(bound: BoundRule[Rule], series: Sequence[Labels], *, external: bool) -> _Named:
    """The query for one object that has the metric, a pod if possible. Raises QueryError, LookupError."""
    namespaced = bound.rule.resources.namespaced
    if external:
        metric, name = external_offers(bound.rule, _names(series))[0]
        labels = _of_name(series, name)
        namespace = labels.get(bound.label(NAMESPACES), "") if namespaced else ""
        return _Named(metric, external_query(bound, name, namespace, EVERYTHING), "")
    candidates = offers(bound, series)
    offer = next((one for one in candidates if one.resource == PODS), candidates[0])
    label = bound.label(offer.resource)
    labels = next(one for one in series if one.get("__name__") == offer.series and one.get(label))
    inside = offer.resource not in ROOT_SCOPED
    namespace = labels.get(bound.label(NAMESPACES), "") if inside else ""
    promql = custom_query(bound, offer.series, resource=offer.resource, namespace=namespace, names=[labels[label]])
    return _Named(f"{offer.metric} of {offer.resource} {labels[label]}", promql, label)


def _of_name(series: Iterable[Labels], name: str) -> Labels:
    return next(labels for labels in series if labels.get("__name__") == name)


def _describe_result(result: Sequence[Sample], tried: _Named) -> str:
    if not result:
        return f"{tried.shown}: no value now"
    return f"{tried.shown}: {_values(result)}"


def _values(result: Sequence[Sample]) -> str:
    more = f" and {len(result) - 1} more" if len(result) > 1 else ""
    return f"{result[0].value:g}{more}"
