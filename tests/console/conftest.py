"""HPAs, policies and VPAs in few words, as the API server's JSON is decoded, and boards made of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapter.console import hpas, recommendations, releases
from adapter.console.board import Board, Kind, Listed
from adapter.console.history import History
from adapter.console.hpas import HpaView
from adapter.console.objects import Hpa
from adapter.console.recommendations import VpaView
from adapter.console.releases import ReleaseView
from adapter.kube.errors import Unreachable
from recommender.objects import Vpa

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
Json = dict[str, Any]


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


ACTIVE = condition("ScalingActive", "True", "ValidMetricFound", "")
ABLE = condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
UNLIMITED = condition("ScalingLimited", "False", "DesiredWithinRange", "")
WELL = (ABLE, ACTIVE, UNLIMITED)


def cpu(target: int, now: int | None) -> tuple[Json, Json]:
    """A Resource metric by utilization: its spec, and its value in the status."""
    spec = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
    current = {"name": "cpu", "current": {"averageUtilization": now, "averageValue": "85m"}}
    value = {"type": "Resource", "resource": current} if now is not None else {"type": ""}
    return {"type": "Resource", "resource": spec}, value


def pods(name: str, target: str, now: str | None) -> tuple[Json, Json]:
    """A Pods metric, likewise."""
    spec = {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": target}}
    current = {"metric": {"name": name}, "current": {"averageValue": now}}
    value = {"type": "Pods", "pods": current} if now is not None else {"type": ""}
    return {"type": "Pods", "pods": spec}, value


def external(name: str, target: str, now: str, *, kind: str = "value", **labels: str) -> tuple[Json, Json]:
    """An External metric with a Value (or averageValue) target."""
    metric = {"name": name, "selector": {"matchLabels": labels}} if labels else {"name": name}
    spec = {"metric": metric, "target": {"type": kind[0].upper() + kind[1:], kind: target}}
    return (
        {"type": "External", "external": spec},
        {"type": "External", "external": {"metric": metric, "current": {kind: now}}},
    )


def hpa_json(
    name: str = "web",
    *metrics: tuple[Json, Json],
    namespace: str = "shop",
    current: int = 4,
    desired: int | None = None,
    least: int = 1,
    most: int = 20,
    conditions: tuple[Json, ...] = WELL,
    **spec: Any,
) -> Json:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [one for one, _ in metrics],
            **spec,
        },
        "status": {
            "currentReplicas": current,
            "desiredReplicas": current if desired is None else desired,
            "currentMetrics": [value for _, value in metrics],
            "conditions": list(conditions),
        },
    }


def hpa(*given: Any, **more: Any) -> HpaView:
    return hpas.view(msgspec.convert(hpa_json(*given, **more), Hpa), NOW)


def policy_json(name: str = "web", *, namespace: str = "shop", status: Json | None = None, **spec: Any) -> Json:
    steps = [{"weight": 5}, {"weight": 25}, {"weight": 100}]
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}"},
        "spec": {"targetRef": {"name": name}, "canary": {"steps": steps}, **spec},
        "status": status or {},
    }


STEPPING: Json = {
    "phase": "Stepping",
    "message": "waits for the gates",
    "release": {
        "number": 7,
        "fingerprint": "abc123",
        "step": 1,
        "weight": 25,
        "startedAt": "2026-11-26T11:50:00Z",
        "strategy": {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 100}]}},
    },
    "history": [
        {"outcome": "Promoted", "number": 5, "reason": "all gates passed", "endedAt": "2026-11-26T10:00:00Z"},
        {"outcome": "RolledBack", "number": 6, "reason": "errors: 12 of 400", "endedAt": "2026-11-26T11:00:00Z"},
    ],
}


def policy(*given: Any, **more: Any) -> ReleaseView:
    view = releases.view(policy_json(*given, **more))
    assert view is not None
    return view


LOWER: Json = {"cpu": "100m", "memory": "64Mi"}
UPPER: Json = {"cpu": "1", "memory": "1Gi"}


def vpa_json(
    name: str = "web",
    *,
    namespace: str = "shop",
    conditions: tuple[Json, ...] = (),
    lower: Mapping[str, str] = LOWER,
    upper: Mapping[str, str] = UPPER,
    uncapped: Mapping[str, str] | None = None,
    **target: str,
) -> Json:
    amounts = target or {"cpu": "200m", "memory": "128Mi"}
    advice = {
        "containerName": "app",
        "target": amounts,
        "lowerBound": dict(lower),
        "upperBound": dict(upper),
        "uncappedTarget": amounts if uncapped is None else dict(uncapped),
    }
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "updatePolicy": {"updateMode": "Off"},
        },
        "status": {"recommendation": {"containerRecommendations": [advice]}, "conditions": list(conditions)},
    }


def vpa(*given: Any, **more: Any) -> VpaView:
    return recommendations.view(msgspec.convert(vpa_json(*given, **more), Vpa))


def workload_json(name: str = "web", *, namespace: str = "shop", **requests: str) -> Json:
    container = {"name": "app", "resources": {"requests": requests or {"cpu": "500m", "memory": "128Mi"}}}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def board(
    *, hpas: tuple[HpaView, ...] = (), policies: tuple[ReleaseView, ...] = (), vpas: tuple[VpaView, ...] = (),
    length: int = 120,
) -> Board:  # fmt: skip
    """One on which all was read at NOW."""
    made = Board(("",), History(length=length), refresh=5.0)
    for kind, items in ((Kind.HPAS, hpas), (Kind.RELEASES, policies), (Kind.VPAS, vpas)):
        made.seen[kind, ""] = Listed[Any]().after_list(items, NOW)
    return made


NASTY = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "a\nb\r\tc",
    "\u202egnp.exe\u2066\u200f",
    "&lt;b&gt;",
    "\x00\x1b[31m",
    "]]><!--",
    "</title></textarea></style>",
    "\ud800",
    "ﷺ" * 900,
    "javascript:alert(1)",
    "{{7*7}}${7}",
)
"""Texts that have done harm elsewhere."""


def hostile(text: str) -> Board:
    """Everything that a cluster can name or say, said by `text`."""
    one = hpa(text, pods(text or "m", "10", "25"), namespace=text, conditions=(
        condition(text, "True", text, text), condition("AbleToScale", "False", text, text)))  # fmt: skip
    status = STEPPING | {
        "message": text,
        "refused": text,
        "release": STEPPING["release"] | {"fingerprint": text},
        "conditions": [condition(text, "True", text, text)],
        "history": [{"outcome": "Aborted", "number": 1, "reason": text}],
    }
    advice = vpa(text, namespace=text, conditions=(condition("LowConfidence", "True", text, text),
                 condition("RecommendationProvided", "True", text, text), condition("MemoryRisk", "True", text, text),
                 ))  # fmt: skip
    named = replace(advice, advice=tuple(each._replace(container=text) for each in advice.advice), mode=text)
    release = policy(text, namespace=text, status=status)
    made = board(hpas=(one,), policies=(release,), vpas=(named,))
    made.remember(NOW)
    for kind in (Kind.HPAS, Kind.RELEASES, Kind.VPAS):
        made.seen[kind, ""] = made.last_list(kind, "").after_failure(Unreachable(text), NOW)
    return made
