"""What is wrong with a policy but for its gates, read from the raw object: the API server's checks, for files. Pure.

Bounds and rules are those of manifests/crds/rolloutpolicy.yaml.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from adapter.rollout.model import preview
from adapter.rollout.model.fields import Fields

MOST_SECONDS: Final = 604800
MOST_STEPS: Final = 20
MOST_TRIGGERS: Final = 16
MOST_RECEIVERS: Final = 4
MOST_REASONS: Final = 32
MOST_BY_RATIO: Final = 50
"""Percent that the ratio of pods can give while all stable pods stay."""

SPEC: Final = (
    "targetRef",
    "blueGreen",
    "canary",
    "rolling",
    "gates",
    "alpha",
    "settleSeconds",
    "progressDeadlineSeconds",
    "allowParallel",
    "triggers",
    "notifications",
)
STRATEGIES: Final = ("blueGreen", "canary", "rolling")
BLUE_GREEN: Final = ("previewService", "previewSeconds", "verifySeconds", "manual", "probes", "generate")
RECEIVER: Final = ("format", "url", "urlFrom", "tokenFrom", "reasons")
STEP: Final = ("weight", "pauseSeconds", "manual")
SECONDS: Final = {
    "settleSeconds": (0, 3600),
    "progressDeadlineSeconds": (10, MOST_SECONDS),
    "previewSeconds": (0, MOST_SECONDS),
    "verifySeconds": (0, MOST_SECONDS),
    "pauseSeconds": (0, MOST_SECONDS),
}

_OBJECT: Final = re.compile(r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_LABEL: Final = re.compile(r".{1,63}\Z", re.DOTALL)
_SERVICE: Final = re.compile(r".{0,63}\Z", re.DOTALL)
_FORMAT: Final = re.compile(r"(webhook|slack)\Z")
_URL: Final = re.compile(r"(?=.{1,2048}\Z)https?://[^/?#@\t\n\f\r ]+([/?#][^\t\n\f\r ]*)?\Z", re.DOTALL)
_NAME: Final = re.compile(r".{1,253}\Z", re.DOTALL)


def problems(policy: Mapping[str, Any]) -> list[str]:
    """A sentence, with the field's path, for each thing that is wrong."""
    said: list[str] = []
    top = Fields(policy, "", said)
    if metadata := top.mapping("metadata", "the object's name and namespace", required=True):
        _metadata(metadata)
    spec = top.mapping("spec", "targetRef, a strategy and gates", required=True)
    if spec is None:
        return said
    spec.only(SPEC)
    if target := spec.mapping("targetRef", "{apiVersion: apps/v1, kind: Deployment, name: NAME}", required=True):
        _target(target)
    for field in ("settleSeconds", "progressDeadlineSeconds"):
        spec.whole(field, *SECONDS[field])
    spec.flag("allowParallel")
    if triggers := spec.mapping("triggers", "configMaps and secrets"):
        triggers.only(("configMaps", "secrets"))
        for field in ("configMaps", "secrets"):
            triggers.texts(field, _NAME, "a name of 1 to 253 characters", most=MOST_TRIGGERS)
    if spec.has("notifications"):
        for receiver in spec.each("notifications", 0, MOST_RECEIVERS, "a list of receivers such as {url: https://…}"):
            _receiver(receiver)
    _strategy(spec)
    return said


def _metadata(metadata: Fields) -> None:
    """What the API server wants of every object, and that the name is a label's value."""
    metadata.text("name", _OBJECT, "at most 63 lower-case letters, digits, hyphens and points", required=True)
    metadata.text("namespace", _NAMESPACE, "at most 63 lower-case letters, digits and hyphens")
    for field in ("labels", "annotations"):
        if entries := metadata.mapping(field, "texts by their names"):
            entries.all_texts()


def _receiver(receiver: Fields) -> None:
    receiver.only(RECEIVER)
    receiver.text("format", _FORMAT, "webhook or slack")
    receiver.text("url", _URL, "https://host/path, of at most 2048 characters and without a user")
    for field in ("urlFrom", "tokenFrom"):
        if reference := receiver.mapping(field, "{secret: NAME, key: KEY}"):
            reference.only(("secret", "key"))
            reference.text("secret", _NAME, "the Secret's name", required=True)
            reference.text("key", _NAME, "the key in its data", required=True)
    receiver.texts("reasons", _LABEL, "an Event's reason of 1 to 63 characters", most=MOST_REASONS)
    if receiver.has("url") == receiver.has("urlFrom"):
        receiver.wrong("url", "exactly one of url and urlFrom is wanted")


def _target(target: Fields) -> None:
    target.only(("apiVersion", "kind", "name"))
    target.text("apiVersion", re.compile(r"apps/v1\Z"), "apps/v1")
    target.text("kind", re.compile(r"Deployment\Z"), "Deployment")
    target.text("name", _NAME, "the Deployment's name", required=True)


def _strategy(spec: Fields) -> None:
    blue_green = spec.mapping("blueGreen", "verifySeconds and the like, or {}")
    canary, rolling = spec.mapping("canary", "steps"), spec.mapping("rolling", "steps")
    if sum(map(spec.has, STRATEGIES)) != 1:
        spec.wrong("canary", "exactly one of blueGreen, canary and rolling is wanted")
    if blue_green:
        blue_green.only(BLUE_GREEN)
        blue_green.text("previewService", _SERVICE, "a Service's name")
        for field in ("previewSeconds", "verifySeconds"):
            blue_green.whole(field, *SECONDS[field])
        blue_green.flag("manual")
        preview.problems(blue_green)
    if canary:
        canary.only(("steps", "traffic"))
        _steps(canary, routed=_traffic(canary))
    if rolling:
        rolling.only(("steps",))
        _steps(rolling, routed=False)


def _traffic(canary: Fields) -> bool:
    """Whether a router makes the share."""
    traffic = canary.mapping("traffic", "httpRoute or nginx")
    if traffic is None:
        return False
    traffic.only(("httpRoute", "nginx"))
    for field in ("httpRoute", "nginx"):
        if route := traffic.mapping(field, "{name: ROUTE, service: SERVICE}"):
            route.only(("name", "service"))
            route.text("name", _NAME, "the route's name", required=True)
            route.text("service", _LABEL, "the Service's name", required=True)
    if traffic.has("httpRoute") and traffic.has("nginx"):
        traffic.wrong("nginx", "httpRoute and nginx exclude each other; right would be one of them")
    return traffic.has("httpRoute") or traffic.has("nginx")


def _steps(canary: Fields, *, routed: bool) -> None:
    weights: list[int] = []
    for step in canary.each("steps", 1, MOST_STEPS, "a list of steps such as {weight: 10, pauseSeconds: 60}"):
        step.only(STEP)
        weight = step.whole("weight", 1, 100, required=True)
        step.whole("pauseSeconds", *SECONDS["pauseSeconds"])
        step.flag("manual")
        if weight is None:
            continue
        if weights and weight <= weights[-1]:
            step.wrong("weight", f"{weight} is not above the {weights[-1]} before it; weights rise from step to step")
        if weight > MOST_BY_RATIO and not routed:
            step.wrong(
                "weight",
                f"the ratio of pods gives at most {MOST_BY_RATIO} percent while all stable pods stay;"
                " right would be less, or an httpRoute in spec.canary.traffic",
            )
        weights.append(weight)
