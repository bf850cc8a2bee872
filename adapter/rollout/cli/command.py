"""promote, pause, resume, abort, retry, undo, restart: an annotation on the policy that the controller hears once."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from adapter.kube.client import MERGE_PATCH, Client
from adapter.program import tables
from adapter.program.flags import setting
from adapter.rollout.cli import cluster, files
from adapter.rollout.cli.settings import OfPolicy, flags
from adapter.rollout.cli.verbs import VERBS
from adapter.rollout.model.policy import COMMAND, POLICIES, Command

OF_A_RELEASE: Final = ("promote", "pause", "resume", "abort")


@dataclass(frozen=True)
class Promotion(OfPolicy):
    """What `promote` takes."""

    full: bool = setting("full", False, "no more soaks and gates; pods are still waited for")


def run(given: Sequence[str]) -> int:
    """Runs the verb that `given` begins with; returns the exit code."""
    verb = given[0]
    told = flags(verb, VERBS[verb], Promotion if verb == "promote" else OfPolicy).parse(given[1:]).settings
    full = isinstance(told, Promotion) and told.full
    command = Command(verb=verb, id=uuid.uuid4().hex, full=full)

    async def work(client: Client, namespace: str) -> None:
        policy, _ = await cluster.policy_of(client, namespace, told.policy)
        if verb in OF_A_RELEASE and policy.status.release is None:
            back = "; undo goes back to the template before" if verb == "abort" else ""
            raise files.VerbError(f"{told.policy}: no release is under way, so that {verb} means nothing{back}")
        if verb == "retry" and policy.status.release is None and not policy.status.refused:
            raise files.VerbError(f"{told.policy}: no template was rolled back, so that retry means nothing")
        text = msgspec.json.encode(command).decode()
        body = {"metadata": {"annotations": {COMMAND: text}}}
        await client.patch(POLICIES.path(namespace, told.policy), body, dict, content=MERGE_PATCH)

    cluster.with_client(told, work)
    tables.lines([f"{told.policy}: {verb} is asked for; streamgate-rollout status {told.policy} shows what follows"])
    return 0
