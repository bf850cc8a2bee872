"""What docs/install.md names is there: files, roles, metrics."""

import re

from prometheus_client import CollectorRegistry

from adapter.collect.embedded import Embedded, EmbeddedOptions
from adapter.collect.telemetry import CollectTelemetry
from adapter.kube.index import Index
from adapter.serve.telemetry import Telemetry


def page(manifests):
    return (manifests.parent / "docs/install.md").read_text()


def test_the_files_and_folders_that_it_names_are_there(manifests):
    paths = set(re.findall(r"manifests/[a-z][\w/.-]*", page(manifests)))
    assert len(paths) > 3
    for path in paths:
        assert (manifests.parent / path).exists(), path


def test_every_overlay_and_component_has_its_line(manifests):
    text = page(manifests)
    for folder in [*(manifests / "overlays").iterdir(), *(manifests / "components").iterdir()]:
        assert f"\n| `{folder.name}` | " in text


def test_every_role_of_ours_has_its_reason(manifests, composed):
    text = page(manifests)
    for role in composed("resource-metrics", "external-metrics").of("ClusterRole"):
        assert f"`{role['metadata']['name']}`" in text


def test_the_metrics_that_it_names_are_exposed(manifests):
    """Those of informers are made where they are wired, one for each resource that is followed."""
    registry = CollectorRegistry()
    Telemetry(registry)
    CollectTelemetry(registry)
    Embedded(EmbeddedOptions(), registry, Index(), Index())
    exposed = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()} | {
        "streamgate_informer_pods_age_seconds"
    }
    named = set(re.findall(r"`((?:streamgate|apiserver|metrics)_\w+)`", page(manifests)))
    assert len(named) > 10
    assert named <= exposed
