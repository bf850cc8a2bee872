"""Patches that put a report's targets into workloads, for kubectl and kustomize."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from adapter.kube.known import CONTROLLERS
from recommender.offline.entry import Entry, Identity, Target

_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?")


def patches(
    entries: Sequence[Entry], kind: str, init: Collection[str] = ()
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """(file name -> strategic merge patch, containers left out and why); `init` are init containers, by name."""
    workloads: dict[tuple[str, str, str], list[tuple[str, Entry]]] = {}
    left_out = []
    for entry in entries:
        identity = Identity.parse(entry.container, kind)
        if not identity.is_workload or not all(_NAME.fullmatch(part) for part in identity):
            left_out.append(f"{entry.container}: namespace/kind/name/container is wanted for a patch")
        elif identity.kind not in CONTROLLERS:
            left_out.append(f"{entry.container}: {identity.kind} is none of {', '.join(CONTROLLERS)}")
        elif entry.is_silent:
            left_out.append(f"{entry.container}: {entry.verdict}")
        elif len(entry.unknown) == len(entry.target):
            left_out.append(f"{entry.container}: nothing was sampled of it")
        elif entry.is_short:
            left_out.append(f"{entry.container}: {entry.history * 24:.1f} h of history, a day is wanted")
        else:
            workloads.setdefault(identity[:3], []).append((identity.container, entry))
    made = {f"{ns}-{k.lower()}-{name}.yaml": _patch(ns, k, name, own, init) for (ns, k, name), own in workloads.items()}
    return made, left_out


def write(directory: Path, made: dict[str, dict[str, Any]]) -> None:
    """One file per workload and a kustomization.yaml that names them all."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, patch in made.items():
        (directory / name).write_text(yaml.safe_dump(patch, sort_keys=False))
    listing = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "patches": [{"path": name} for name in sorted(made)],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(listing, sort_keys=False))


def _requests(target: Target) -> dict[str, str]:
    """Of the resources that have a target."""
    texts = {"cpu": f"{target.cpu}m", "memory": str(target.memory)}
    return {name: texts[name] for name, value in target._asdict().items() if value is not None}


def _patch(
    namespace: str, kind: str, name: str, own: Sequence[tuple[str, Entry]], init: Collection[str]
) -> dict[str, Any]:
    places: dict[str, list[dict[str, Any]]] = {}
    for container, entry in own:
        place = "initContainers" if entry.container in init else "containers"
        places.setdefault(place, []).append({"name": container, "resources": {"requests": _requests(entry.target)}})
    template: dict[str, Any] = {"template": {"spec": places}}
    spec = {"jobTemplate": {"spec": template}} if kind == "CronJob" else template
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": CONTROLLERS[kind].api_version, "kind": kind, "metadata": metadata, "spec": spec}
