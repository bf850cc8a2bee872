"""What the verbs that speak to a cluster have in common: a client, the policy."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapter.kube.client import Client
from adapter.kube.config import ConfigError, connect
from adapter.kube.errors import KubeError, Unreachable
from adapter.program import logs
from adapter.rollout.cli.files import VerbError, say
from adapter.rollout.cli.settings import Cluster
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.observe import Reader

T = TypeVar("T")


class AwayError(VerbError):
    """The API server did not answer."""


def with_client(told: Cluster, work: Callable[[Client, str], Awaitable[T]]) -> T:
    """Runs `work` with a client and the namespace. Raises VerbError."""

    async def main() -> T:
        connection = await connect(told.kubeconfig)
        async with Client(connection) as client:
            return await work(client, told.namespace or connection.namespace or "default")

    logs.set_up(told.verbosity, least=logging.ERROR)
    try:
        return asyncio.run(main())
    except Unreachable as error:
        raise AwayError(str(error)) from None
    except (KubeError, ConfigError, ValueError) as error:
        raise VerbError(str(error)) from None


async def policy_of(client: Client, namespace: str, name: str) -> tuple[RolloutPolicy, Json]:
    """The policy. Raises VerbError where there is none."""
    stored = await Reader(client).policy(namespace, name)
    if stored is None:
        known = f"kubectl get rolloutpolicies -n {namespace} lists those there are"
        raise VerbError(f"there is no RolloutPolicy {name} in namespace {namespace}; {known}")
    if stored.lost:
        say(f"{name}: {stored.lost}: the controller begins there anew")
    return stored.policy, stored.raw
