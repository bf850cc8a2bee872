"""What the verbs that speak to a cluster have in common: flags, a client, the policy."""

import argparse
import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from adapter.kube.client import Client
from adapter.kube.config import ConfigError, connect
from adapter.kube.errors import KubeError
from adapter.rollout.cli.files import VerbError
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.observe import Reader

T = TypeVar("T")


def flags(parser: argparse.ArgumentParser) -> None:
    """The policy's name, and where the cluster is."""
    parser.add_argument("policy", metavar="POLICY", help="the RolloutPolicy's name")
    parser.add_argument("-n", "--namespace", default="", help="default: that of the kubeconfig")
    parser.add_argument("--kubeconfig", default="", help="default: $KUBECONFIG, the pod's account, ~/.kube/config")


def with_client(told: argparse.Namespace, work: Callable[[Client, str], Awaitable[T]]) -> T:
    """Runs `work` with a client and the namespace. Raises VerbError."""

    async def main() -> T:
        connection = await connect(told.kubeconfig)
        async with Client(connection) as client:
            return await work(client, told.namespace or connection.namespace or "default")

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        return asyncio.run(main())
    except (KubeError, ConfigError, ValueError) as error:
        raise VerbError(str(error)) from None
    finally:
        structlog.reset_defaults()


async def policy_of(client: Client, namespace: str, name: str) -> tuple[RolloutPolicy, Json]:
    """The policy. Raises VerbError where there is none."""
    found = await Reader(client).policy(namespace, name)
    if found is None:
        raise VerbError(f"there is no RolloutPolicy {name} in namespace {namespace}")
    return found
