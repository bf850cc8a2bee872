"""Flagger's webhooks and alerts -> who is asked and who is told. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapter.rollout.foreign.findings import ByName
from adapter.rollout.foreign.raw import Raw, Why
from adapter.rollout.model.shape import MOST_RECEIVERS
from adapter.rollout.model.status import Outcome

MANUAL: Final = Why(
    "nobody is asked by a URL: the step waits for a person or a job (manual: true)", "streamgate-rollout promote NAME"
)
HOOKS: Final[Mapping[str, Why]] = {
    "confirm-rollout": Why("nobody is asked before a release", "change the Deployment's template when you want one"),
    "pre-rollout": Why("no hook is called before the traffic", "use blueGreen.probes, or blueGreen.generate"),
    "rollout": Why("no hook is called in a step", "use blueGreen.generate for load; a gate for what it checks"),
    "rollback": Why("nobody is asked for a rollback", "streamgate-rollout abort NAME"),
    "": Why("no hook is called in a step", "use blueGreen.generate for load; a gate for what it checks"),
}
FAILED: Final = (Outcome.ROLLED_BACK.value, Outcome.ABORTED.value)
TELLING: Final[Mapping[str, Sequence[str]]] = {"event": (), "post-rollout": (Outcome.PROMOTED.value, *FAILED)}
"""Type of a webhook -> the reasons that it hears of; none: the usual ones."""
SEVERITIES: Final[Mapping[str, Sequence[str]]] = {
    "": (),
    "info": (),
    "warn": (*FAILED, "Refused", "Interfered"),
    "error": (*FAILED, "Refused", "Interfered"),
}
"""Severity from which on an alert is sent -> the reasons that it hears of."""
BODY: Final = Why(
    "a notification has a body, a time and tries of our own", "see docs/rollouts.md, Notifications, for its fields"
)
WARN: Final = Why(
    "nobody is told that a step waits for a person: it became the reasons of error",
    "streamgate_rollout_phase says which release waits",
)
TOO_MANY: Final = Why(f"a policy tells at most {MOST_RECEIVERS}", "send the others on from one of these")
NO_URL: Final = Why("its url is no URL", "right would be https://host/path")
OF_SLACK: Final = Why("Slack's own setting of the incoming webhook counts", "set it there")
_URL: Final = re.compile(r"(?=.{1,2048}\Z)https?://[^/?#@\s]+([/?#]\S*)?\Z")


class Hooks(NamedTuple):
    """Who has to say yes, and who is told."""

    at_steps: bool
    at_end: bool
    receivers: tuple[Mapping[str, Any], ...]


def receivers(analysis: Raw, providers: ByName) -> Hooks:
    """Reads the webhooks and alerts of an analysis."""
    at_steps = at_end = False
    told: list[Mapping[str, Any]] = []
    for hook in analysis.each("webhooks"):
        kind, url = hook.text("type"), hook.text("url")
        for field in ("name", "timeout", "metadata", "muteAlert", "retries", "disableTLS"):
            hook.take(field)
        if kind in ("confirm-traffic-increase", "confirm-promotion"):
            hook.say("", MANUAL)
            at_steps |= kind == "confirm-traffic-increase"
            at_end = True
        elif kind in TELLING and _URL.match(url):
            _add(told, hook, "", {"format": "webhook", "url": url}, TELLING[kind])
        else:
            hook.say("", NO_URL if kind in TELLING else HOOKS.get(kind, HOOKS[""]))
        hook.rest()
    for alert in analysis.each("alerts"):
        _alert(told, alert, analysis, providers)
    return Hooks(at_steps, at_end, tuple(told))


def _alert(told: list[Mapping[str, Any]], alert: Raw, analysis: Raw, providers: ByName) -> None:
    alert.take("name")
    reasons = SEVERITIES.get(severity := alert.text("severity"))
    if reasons is None:
        alert.say("severity", Why("it is none of info, warn and error", "every usual reason is told"))
    elif severity == "warn":
        alert.say("severity", WARN)
    ref = alert.inside("providerRef")
    name, namespace = ref.text("name"), ref.text("namespace") or analysis.origin.namespace
    for each in (ref, alert):
        each.rest()
    provider = providers.of(name, namespace)
    if provider is None:
        alert.say("", Why("there is no AlertProvider of that name in the file", "put it into the file"))
    elif receiver := _receiver(analysis.of(provider, "spec", provider.raw.get("spec")), analysis.origin.namespace):
        _add(told, alert, "providerRef", receiver, reasons or ())


def _receiver(spec: Raw, namespace: str) -> Mapping[str, Any]:
    """Who is told by an AlertProvider; empty where we cannot. `namespace`: the policy's, whose Secrets can be read."""
    kind, url = spec.text("type"), spec.text("address")
    reference = spec.inside("secretRef")
    secret = reference.text("name")
    spec.leave(dict.fromkeys(("channel", "username", "proxy"), OF_SLACK))
    for each in (reference, spec):
        each.rest()
    if kind != "slack":
        spec.say("", Why("messages are Slack's, or JSON of our own", "set spec.notifications by hand"))
    elif secret:
        if spec.has("address"):
            spec.say("address", Why("that of the Secret counts, as it did", "nothing is to be done"))
        label = "give it the label streamgate.io/notifications: true"
        elsewhere = spec.origin.namespace not in ("", namespace)
        instead = f"put it into namespace {namespace or 'of the policy'}, and {label}" if elsewhere else label
        spec.say("secretRef", Why("its Secret has to allow it", instead))
        return {"format": "slack", "urlFrom": {"secret": secret, "key": "address"}}
    elif _URL.match(url):
        return {"format": "slack", "url": url}
    else:
        spec.say("address", Why("it is no URL", "right would be https://host/path"))
    return {}


def _add(
    told: list[Mapping[str, Any]], raw: Raw, field: str, receiver: Mapping[str, Any], reasons: Sequence[str]
) -> None:
    receiver = {**receiver, **({"reasons": list(reasons)} if reasons else {})}
    if receiver in told:
        return
    if len(told) >= MOST_RECEIVERS:
        raw.say(field, TOO_MANY)
        return
    told.append(receiver)
    if receiver["format"] == "webhook":
        raw.say(field, BODY)
