"""core/v1 Events: what people are told beside an object. Pure."""

from datetime import UTC, datetime
from typing import Any

from adapter.kube.objects import ObjectMeta
from adapter.kube.resources import Resource

EVENTS = Resource("", "v1", "events")
MAX_MESSAGE = 1024
"""Characters that an Event may have (core/v1)."""


def event(
    *,
    kind: str,
    api_version: str,
    meta: ObjectMeta,
    reason: str,
    message: str,
    warning: bool,
    component: str,
    at: float,
    number: int = 0,
) -> dict[str, Any]:
    """An Event beside the object of `kind` with `meta`, at Unix time `at`, s.

    Its name is unique as that of client-go's is: by the time, and by `number` among those of one moment.
    """
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta.name[:200]}.{int(at * 1e6):x}{number:x}", "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": api_version,
            "kind": kind,
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
        },
        "reason": reason,
        "message": message[:MAX_MESSAGE],
        "type": "Warning" if warning else "Normal",
        "source": {"component": component},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
