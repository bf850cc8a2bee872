"""A file of another controller's objects -> ours, and what of them does not map. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from adapter.rollout.foreign import analysis, argo, checks, flagger
from adapter.rollout.foreign.findings import Finding, Findings, Origin
from adapter.rollout.foreign.policy import Json
from adapter.rollout.foreign.raw import Why
from adapter.units.manifest import ManifestError, values

MOST_OBJECTS: Final = 1000
"""Rollouts and Canaries of one file that are converted."""
LOOKED_AT: Final[Mapping[str, tuple[str, ...]]] = {
    argo.GROUP: ("Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate"),
    flagger.GROUP: ("Canary", "MetricTemplate", "AlertProvider"),
}
OF_RUNS: Final = Why(
    "it is a run, or its record", "nothing is to be done: releases keep their evidence in the policy's status"
)
UNNAMED: Final = Why("no release of the file names it, or another of its name does", "nothing is to be done")
SCALED: Final = Why("it scales the Rollout, which goes", "right would be {apiVersion: apps/v1, kind: Deployment}")
SCALERS: Final[Mapping[str, str]] = {
    "HorizontalPodAutoscaler": "scaleTargetRef",
    "ScaledObject": "scaleTargetRef",
    "VerticalPodAutoscaler": "targetRef",
}
"""Kind -> the field that names its target."""


class Import(NamedTuple):
    """What came of a file."""

    objects: tuple[Json, ...]
    """Deployments and policies, in the order of the file."""
    findings: tuple[Finding, ...]
    more: int
    """Findings that were not kept."""

    @property
    def policies(self) -> tuple[Json, ...]:
        """The policies alone."""
        return tuple(each for each in self.objects if each["kind"] == "RolloutPolicy")


def read(data: bytes, place: str) -> Import:
    """Converts a file; `place` names it in messages. Raises ManifestError where it is no YAML or holds no release."""
    findings = Findings(place)
    origins = list(_origins(data, place))
    ours, theirs = analysis.Templates(), checks.Templates()
    for origin in origins:
        if origin.kind in ("AnalysisTemplate", "ClusterAnalysisTemplate"):
            ours.add(origin)
        elif origin.kind in ("MetricTemplate", "AlertProvider"):
            theirs.add(origin)
    objects: list[Json] = []
    converted = 0
    for origin in origins:
        group = str(origin.raw.get("apiVersion", "")).partition("/")[0]
        if origin.kind in SCALERS:
            _scaler(origin, findings)
        if group not in LOOKED_AT:
            continue
        if origin.kind in ("Rollout", "Canary"):
            converted += 1
            if converted <= MOST_OBJECTS:
                objects += _convert(origin, findings, ours, theirs)
            else:
                findings.add(origin, "kind", says=f"more than {MOST_OBJECTS} in one file", instead="use several files")
        elif origin.kind not in LOOKED_AT[group]:
            findings.add(origin, "kind", says=OF_RUNS.says, instead=OF_RUNS.instead)
    for origin in (*ours.unnamed, *theirs.unnamed) if converted else ():
        findings.add(origin, "kind", says=UNNAMED.says, instead=UNNAMED.instead)
    if not converted:
        right = "right would be a Rollout of argoproj.io or a Canary of flagger.app"
        raise ManifestError(f"{place}: there is nothing in it to make a policy of; {right}")
    return Import(tuple(objects), tuple(findings.kept), findings.count - len(findings.kept))


def _convert(origin: Origin, findings: Findings, ours: analysis.Templates, theirs: checks.Templates) -> list[Json]:
    if origin.kind == "Rollout":
        return argo.convert(origin, ours, findings)
    return flagger.convert(origin, theirs, findings)


def _origins(data: bytes, place: str) -> Iterator[Origin]:
    """The objects of a file, a List's items one by one, each with the number of its document."""
    for number, value in enumerate(values(data, place), 1):
        items = value.get("items") if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") else None
        for each in items if isinstance(items, list) else [value]:
            if isinstance(each, dict):
                metadata = each.get("metadata")
                meta = metadata if isinstance(metadata, dict) else {}
                texts = (each.get("kind"), meta.get("name"), meta.get("namespace"))
                kind, name, namespace = (text if isinstance(text, str) else "" for text in texts)
                yield Origin(number, kind, name, namespace, each)


def _scaler(origin: Origin, findings: Findings) -> None:
    """An autoscaler of a Rollout has to be told of the Deployment."""
    spec, field = origin.raw.get("spec"), SCALERS[origin.kind]
    target = spec.get(field) if isinstance(spec, Mapping) else None
    if isinstance(target, Mapping) and target.get("kind") == "Rollout":
        findings.add(origin, f"spec.{field}", says=SCALED.says, instead=SCALED.instead)
