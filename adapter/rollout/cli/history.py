"""`history POLICY`: the last releases and how they ended."""

from collections.abc import Sequence

import msgspec

from adapter.kube.client import Client
from adapter.rollout.cli import cluster, files

ABOUT = "Show the last releases and how they ended, the newest first."


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    parser = files.arguments("history", ABOUT)
    cluster.flags(parser)
    told = parser.parse_args(list(given))

    async def work(client: Client, namespace: str) -> None:
        policy, _ = await cluster.policy_of(client, namespace, told.policy)
        past = policy.status.history
        if told.output == "json":
            print(msgspec.json.encode(msgspec.to_builtins(past)).decode())
            return
        for one in past:
            took = (one.ended_at - one.started_at).total_seconds() if one.ended_at and one.started_at else 0.0
            print(f"{one.number:4} {one.outcome.value:11} {took:7.0f} s  {one.fingerprint}  {one.reason}")

    cluster.with_client(told, work)
    return 0
