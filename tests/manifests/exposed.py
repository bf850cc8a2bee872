"""What can be asked for: the metrics of our programs by their own registries, those of others by a list; and what a
query asks for."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import promql_parser as ast
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from adapter.kube.fake.server import FakeCluster
from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import children, matchers, selectors
from adapter.program.run import Failures
from adapter.rollout.telemetry import Telemetry as RolloutTelemetry
from adapter.settings import Settings
from adapter.wiring.whole import build_adapter
from recommender.telemetry import Telemetry as RecommenderTelemetry
from tests.kubeconfig import kubeconfig
from tests.manifests.conftest import MANIFESTS

Exposed: TypeAlias = Mapping[str, frozenset[str]]
"""Metric -> its labels."""

OTHERS = Path(__file__).parents[1] / "golden" / "exposed" / "others.yaml"
SCRAPED = frozenset({"job", "instance", "namespace", "pod"})
"""Labels that the usual scrape of pods adds."""


async def adapter_registry(folder: Path) -> CollectorRegistry:
    """Of a whole adapter, in a cluster and with the embedded source, wired as the program wires it."""
    async with FakeCluster() as cluster, AsyncExitStack() as stack:
        file = str(kubeconfig(folder, cluster.url))
        settings = Settings(
            kubeconfig=file, cert_dir=str(folder), secure_port=0, bind_address="127.0.0.1", otlp_http_port=0
        )
        registry = (await build_adapter(settings, stack)).server.telemetry.registry
        Failures(registry)
        return registry


async def registries(folder: Path) -> list[CollectorRegistry]:
    """The registries of the three programs."""
    return [await adapter_registry(folder), RecommenderTelemetry().registry, RolloutTelemetry().registry]


def metrics_of(registry: CollectorRegistry) -> dict[str, frozenset[str]]:
    """Every name that a scrape of `registry` can hold, also of metrics that have no sample yet."""
    metrics: dict[str, frozenset[str]] = {}
    for collector, names in registry._collector_to_names.items():
        if not isinstance(collector, MetricWrapperBase):
            samples = [sample for family in collector.collect() for sample in family.samples]
            metrics |= {sample.name: SCRAPED | sample.labels.keys() for sample in samples}
            continue
        labels = SCRAPED | set(collector._labelnames)
        metrics |= {name: labels | ({"le"} if name.endswith("_bucket") else set()) for name in names}
    return metrics


def others() -> Exposed:
    """What others expose."""
    return {name: frozenset(labels) for name, labels in yaml.safe_load(OTHERS.read_text()).items()}


def rules() -> list[dict[str, Any]]:
    """All recording and alert rules."""
    written = yaml.safe_load((MANIFESTS / "components" / "alerts" / "rules.yaml").read_text())
    return [rule for group in written["groups"] for rule in group["rules"]]


def add_recorded(known: Exposed) -> Exposed:
    """`known` and what the recording rules add to it: a rule may build on one that stands before it."""
    made = dict(known)
    for rule in rules():
        if "record" in rule:
            made[rule["record"]] = result_labels(parse(rule["expr"]), made)
    return made


def result_labels(node: ast.Expr, known: Exposed) -> frozenset[str]:
    """The labels that the result of a query can have."""
    if isinstance(node, ast.VectorSelector):
        return known[node.name]
    if isinstance(node, ast.AggregateExpr):
        return frozenset(node.modifier.labels if node.modifier else ())
    labels = frozenset(label for child in children(node) for label in result_labels(child, known))
    is_quantile = isinstance(node, ast.Call) and node.func.name == "histogram_quantile"
    return labels - {"le"} if is_quantile else labels


def complaints(query: str, known: Exposed) -> Iterator[str]:
    """A sentence for every name or label in `query` that nobody exposes."""
    tree = parse(query)
    for selector in selectors(tree):
        if selector.name not in known:
            yield f"nobody exposes {selector.name}"
            continue
        wanted = [label for label, _, _ in matchers(selector)]
        yield from (f"{selector.name} has no label {label}" for label in wanted if label not in known[selector.name])
    if all(selector.name in known for selector in selectors(tree)):
        yield from _label_complaints(tree, known)


def _label_complaints(node: ast.Expr, known: Exposed) -> Iterator[str]:
    below = frozenset[str]().union(*(result_labels(child, known) for child in children(node)))
    if isinstance(node, ast.AggregateExpr) and node.modifier:
        yield from (f"grouped by {label}, which nothing below has" for label in set(node.modifier.labels) - below)
    if isinstance(node, ast.BinaryExpr) and node.modifier and node.modifier.matching:
        wanted = set(node.modifier.matching.labels)
        yield from (f"matched on {label}, which neither side has" for label in wanted - below)
    for child in children(node):
        yield from _label_complaints(child, known)


def all_of(sources: Iterable[Exposed]) -> dict[str, frozenset[str]]:
    """The metrics of several sources as one mapping."""
    return {name: labels for one in sources for name, labels in one.items()}
