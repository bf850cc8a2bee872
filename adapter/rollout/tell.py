"""Tells people: Events beside the policy, and a line of the decision log for each."""

from collections.abc import Sequence

import structlog

from adapter.kube import events
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.rollout.model.actions import EVENTS, Told
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import POLICIES, RolloutPolicy

log = structlog.get_logger(__name__)


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
    """The core/v1 Event for what is told."""
    return events.event(
        kind="RolloutPolicy",
        api_version=POLICIES.api_version,
        meta=policy.metadata,
        reason=told.reason,
        message=told.message,
        warning=told.warning,
        component="streamgate-rollout",
        at=now,
        number=number,
    )
