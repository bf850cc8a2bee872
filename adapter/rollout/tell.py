"""Tells people: Events beside the policy, and a line of the decision log for each."""

from collections.abc import Sequence

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.rollout.model.actions import EVENTS, Told
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import POLICIES, RolloutPolicy
from adapter.rollout.model.status import rfc3339_seconds

log = structlog.get_logger(__name__)
MAX_MESSAGE = 1024
"""Characters that an Event may have (core/v1)."""


async def tell(client: Client, policy: RolloutPolicy, told: Sequence[Told], now: float) -> None:
    """An Event for each; one that cannot be written is only logged, as no decision hangs on it."""
    where, name = policy.metadata.namespace, policy.metadata.name
    for number, one in enumerate(told):
        log.info("told", namespace=where, policy=name, reason=one.reason, message=one.message, warning=one.warning)
        try:
            await client.create(EVENTS.path(where), event(policy, one, now, number), dict)
        except KubeError as error:
            log.warning("event not written", namespace=where, policy=name, cause=str(error))


def event(policy: RolloutPolicy, told: Told, now: float, number: int) -> Json:
    """core/v1 Event; its name is unique as that of client-go's is: by the time."""
    meta = policy.metadata
    stamp = rfc3339_seconds(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta.name[:200]}.{int(now * 1e6):x}{number:x}", "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": POLICIES.api_version,
            "kind": "RolloutPolicy",
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
        },
        "reason": told.reason,
        "message": told.message[:MAX_MESSAGE],
        "type": "Warning" if told.warning else "Normal",
        "source": {"component": "streamgate-rollout"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
