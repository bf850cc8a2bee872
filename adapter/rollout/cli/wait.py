"""`wait POLICY`: until the release that is under way, or about to begin, has ended."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapter.kube.client import Client
from adapter.kube.errors import Forbidden, KubeError, Unauthorized, Unreachable
from adapter.program import tables
from adapter.program.flags import setting
from adapter.program.kinds import PlainSeconds
from adapter.rollout.cli import cluster, files
from adapter.rollout.cli.settings import OfPolicy, flags
from adapter.rollout.model.actions import DEPLOYMENTS
from adapter.rollout.model.observation import Deployment
from adapter.rollout.model.policy import RolloutPolicy, command_of
from adapter.rollout.model.status import Outcome, Phase

ABOUT: Final = """Wait for a release's end. Exit code 0: promoted, 1: not promoted, 2: still under way at the timeout,
3: it could not tell, as there is no such policy, no right to read it or a flag is wrong; one sentence says what."""
TIMED_OUT: Final = 2
SAID: Final = {0: "promoted", 1: "not promoted", TIMED_OUT: "no end within the timeout"}


@dataclass(frozen=True)
class Wait(OfPolicy):
    """What `wait` takes."""

    timeout: PlainSeconds = setting("timeout", PlainSeconds(3600), "such as 10m; a bare number is of seconds", least=0)


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("wait", ABOUT, Wait).parse(given).settings

    async def work(client: Client, namespace: str) -> int:
        try:
            await cluster.policy_of(client, namespace, told.policy)
        except Unreachable as error:  # a server that is away for a moment rolls nothing back
            files.say(f"asks again until the timeout: {error}")
        try:
            async with asyncio.timeout(told.timeout):
                return await wait(client, namespace, told.policy)
        except TimeoutError:
            return TIMED_OUT

    code = cluster.with_client(told, work)
    tables.lines([f"{told.policy}: {SAID[code]}; streamgate-rollout status {told.policy} says more"])
    return code


async def wait(client: Client, namespace: str, name: str) -> int:
    """0 where the Deployment's present template is the stable one, 1 where it was not promoted.

    Raises VerbError where there is no such policy (any more), Forbidden and Unauthorized where nothing may be read.
    """
    while True:
        try:
            policy, _ = await cluster.policy_of(client, namespace, name)
            raw = await client.get(DEPLOYMENTS.path(namespace, policy.spec.target_ref.name), dict)
            code = exit_code(policy, Deployment(raw))
        except (Forbidden, Unauthorized):
            raise  # to ask again would not help
        except KubeError:
            code = None  # an API server that is away for a moment is no end of a release
        if code is not None:
            return code
        await asyncio.sleep(1.0)


def exit_code(policy: RolloutPolicy, deployment: Deployment) -> int | None:
    """The exit code, or None while the release goes on or has not begun."""
    status = policy.status
    if command_of(policy) is not None or status.observed_generation < policy.metadata.generation:
        return None  # what was asked for last is not heard yet
    refused = any(condition.type == "Refused" and condition.status == "True" for condition in status.conditions)
    if refused and deployment.fingerprint != status.stable.fingerprint:
        return 1
    if status.phase is not Phase.IDLE or status.edit is not None:
        return None
    if deployment.fingerprint == status.stable.fingerprint:
        last = status.history[0].outcome if status.history else Outcome.PROMOTED
        return 0 if last is Outcome.PROMOTED else 1
    return 1 if deployment.fingerprint == status.refused else None
