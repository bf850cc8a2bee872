"""What docs/install.md names is there: files, roles, metrics."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from adapter.collect.embedded import Embedded, EmbeddedOptions
from adapter.collect.telemetry import CollectTelemetry
from adapter.kube.index import Index
from adapter.serve.telemetry import Telemetry
from tests.manifests.conftest import OVERLAYS, by_hand


def page(manifests: Path) -> str:
    return (manifests.parent / "docs/install.md").read_text()


def test_the_files_and_folders_that_it_names_are_there(manifests: Path) -> None:
    paths = set(re.findall(r"manifests/[a-z][\w/.-]*", page(manifests)))
    assert len(paths) > 3
    for path in paths:
        assert (manifests.parent / path).exists(), path


def test_every_overlay_and_component_has_its_line(manifests: Path) -> None:
    text = page(manifests)
    for folder in [*(manifests / "overlays").iterdir(), *(manifests / "components").iterdir()]:
        assert f"\n| `{folder.name}` | " in text


def test_every_role_of_ours_has_its_reason(manifests: Path, composed: Callable[..., Any]) -> None:
    text = page(manifests)
    components = composed("resource-metrics", "external-metrics", "reflex").objects
    overlays = [item for name in OVERLAYS for item in by_hand(manifests / "overlays" / name)]
    for role in [*components, *overlays]:
        if role["kind"] in {"ClusterRole", "Role"}:
            assert f"\n| `{role['metadata']['name']}`" in text or f", `{role['metadata']['name']}`" in text


def test_the_metrics_that_it_names_are_exposed(manifests: Path) -> None:
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
