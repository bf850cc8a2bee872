"""`plan POLICY`: the exact writes that the controller would make next, and none of them made."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from adapter.kube.client import Client
from adapter.program import tables
from adapter.rollout.act import verb
from adapter.rollout.cli import cluster
from adapter.rollout.cli.settings import ShownPolicy, flags
from adapter.rollout.decide.context import Decision
from adapter.rollout.decide.turn import decide
from adapter.rollout.model.actions import Action, Create, Patch
from adapter.rollout.model.observation import Observation
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.verdict import FREE
from adapter.rollout.observe import Reader

ABOUT = "Show the writes that come next as things are, and why; nothing is written."
MOST_TURNS = 20


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("plan", ABOUT, ShownPolicy).parse(given).settings

    async def work(client: Client, namespace: str) -> None:
        policy, raw = await cluster.policy_of(client, namespace, told.policy)
        last = ahead(policy, await Reader(client).observe(policy, raw), time.time())
        if told.output == "json":
            tables.lines([msgspec.json.encode([shown(action) for action in last.actions]).decode()])
        else:
            tables.lines([f"phase {last.status.phase}: {last.status.message}", *lines(last.actions)])

    cluster.with_client(told, work)
    return 0


def ahead(policy: RolloutPolicy, seen: Observation, now: float) -> Decision:
    """The decision that writes or waits next, through what only the status goes through; gates are taken as passed."""
    decision = decide(policy, policy.status, seen, FREE, now)
    for _ in range(MOST_TURNS):
        if decision.actions or decision.again != 0.0:
            break
        status = decision.status
        decision = decide(msgspec.structs.replace(policy, status=status), status, seen, FREE, now)
    return decision


def lines(actions: Sequence[Action]) -> Iterator[str]:
    """One write and its body after the other."""
    for action in actions:
        yield f"{verb(action)} {action.name}: {action.why}"
        yield f"    {msgspec.json.encode(shown(action)['body']).decode()}"


def shown(action: Action) -> dict[str, Any]:
    """A write as JSON."""
    body: Any = None
    if isinstance(action, Patch):
        body = list(action.operations)
    elif isinstance(action, Create):
        body = action.body
    else:
        body = {"propagationPolicy": action.propagation}
    return {"write": verb(action), "name": action.name, "why": action.why, "body": body}
