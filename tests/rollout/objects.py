"""What the simulated controllers ask of objects."""

import math
from typing import Any

import msgspec

Object = dict[str, Any]
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"


def clone(body: Object) -> Object:
    """A copy that shares nothing; faster than copy.deepcopy."""
    return msgspec.json.decode(msgspec.json.encode(body))


def owner(dependent: Object) -> str:
    return next(
        (each["uid"] for each in dependent["metadata"].get("ownerReferences") or () if each.get("controller")), ""
    )


def ref(kind: str, controller: Object) -> Object:
    meta = controller["metadata"]
    return {"apiVersion": "apps/v1", "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True}


def creation_time(body: Object) -> str:
    return str(body["metadata"]["creationTimestamp"])


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def is_saturated(replica_set: Object, wanted: int) -> bool:
    desired = replica_set["metadata"]["annotations"].get(DESIRED)
    return desired == str(wanted) and replica_set["spec"]["replicas"] == wanted == replica_set.get("status", {}).get(
        "availableReplicas"
    )


def ready_of(replica_set: Object) -> int:
    return int(replica_set.get("status", {}).get("availableReplicas", 0))


def surge(deployment: Object) -> int:
    return part(deployment, "maxSurge", up=True)


def unavailable(deployment: Object) -> int:
    return part(deployment, "maxUnavailable", up=False)


def part(deployment: Object, field: str, *, up: bool) -> int:
    text = (deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}).get(field, "25%")
    if isinstance(text, int):
        return text
    exact = deployment["spec"]["replicas"] * int(text.rstrip("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)
