"""`history POLICY`: the last releases and how they ended."""

from collections.abc import Sequence

import msgspec

from adapter.kube.client import Client
from adapter.program import tables
from adapter.rollout.cli import cluster
from adapter.rollout.cli.settings import ShownPolicy, flags
from adapter.rollout.model.status import Past

ABOUT = "Show the last releases and how they ended, the newest first."


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("history", ABOUT, ShownPolicy).parse(given).settings

    async def work(client: Client, namespace: str) -> None:
        policy, _ = await cluster.policy_of(client, namespace, told.policy)
        past = policy.status.history
        if told.output == "json":
            tables.lines([msgspec.json.encode(msgspec.to_builtins(past)).decode()])
        else:
            tables.lines(map(_line, past) if past else [f"{told.policy}: no release has ended yet"])

    cluster.with_client(told, work)
    return 0


def _line(past: Past) -> str:
    took = (past.ended_at - past.started_at).total_seconds() if past.ended_at and past.started_at else 0.0
    return f"{past.number:4} {past.outcome.value:11} {took:7.0f} s  {past.fingerprint}  {past.reason}"
