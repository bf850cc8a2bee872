"""promote, pause, resume, abort, retry, undo, restart: an annotation on the policy that the controller hears once."""

import argparse
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec

from adapter.kube.client import MERGE_PATCH, Client
from adapter.rollout.cli import cluster
from adapter.rollout.model.policy import COMMAND, POLICIES, Command

ABOUT: Final = {
    "promote": "end the manual pause of the present step; --full: wait for no soak and no gate any more",
    "pause": "hold the release where it is",
    "resume": "let a held release go on",
    "abort": "send all traffic back to the stable pods and end the release",
    "retry": "release the template again that was rolled back",
    "undo": "put the stable template back, or, where it is written, the one before it",
    "restart": "release the present template with new pods",
}


def run(given: Sequence[str]) -> int:
    """Runs the verb that `given` begins with; returns the exit code."""
    verb = given[0]
    parser = argparse.ArgumentParser(prog=f"streamgate-rollout {verb}", description=ABOUT[verb], allow_abbrev=False)
    cluster.flags(parser)
    if verb == "promote":
        parser.add_argument("--full", action="store_true", help="no more soaks and gates; pods are still waited for")
    told = parser.parse_args(list(given[1:]))
    command = Command(verb=verb, id=uuid.uuid4().hex, full=getattr(told, "full", False))

    async def work(client: Client, namespace: str) -> None:
        await cluster.policy_of(client, namespace, told.policy)
        text = msgspec.json.encode(command).decode()
        body = {"metadata": {"annotations": {COMMAND: text}}}
        await client.patch(POLICIES.path(namespace, told.policy), body, dict, content=MERGE_PATCH)

    cluster.with_client(told, work)
    print(f"{told.policy}: {verb} is asked for; streamgate-rollout status {told.policy} shows what follows")
    return 0
