"""`uninstall`: lets policies go where the controller is gone, or before it goes."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from adapter.kube.client import Client
from adapter.program import tables
from adapter.program.flags import setting
from adapter.program.kinds import PlainSeconds
from adapter.rollout.cli import cluster
from adapter.rollout.cli.settings import Cluster, flags
from adapter.rollout.uninstall import Uninstaller, policies

ABOUT: Final = """Delete the policies of a namespace and do what the controller would do then: traffic to the stable
pods, siblings away, Services, HPA and template as before, the Deployment not paused. Needs no controller; one that runs
is no danger. Exit code 0: all are gone, 1: not all."""


@dataclass(frozen=True)
class Uninstall(Cluster):
    """What `uninstall` takes."""

    all_namespaces: bool = setting("all-namespaces", False, "the policies of all namespaces", short="A")
    policy: str = setting("policy", "", "only the policy of this name")
    timeout: PlainSeconds = setting("timeout", PlainSeconds(600), "for a policy, such as 10m", above=0)
    force: bool = setting("force", False, "remove the finalizer of one that is not gone in time; says what is left")
    dry_run: bool = setting("dry-run", False, "only say which policies are meant")


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("uninstall", ABOUT, Uninstall, _check).parse(given).settings

    async def work(client: Client, namespace: str) -> int:
        keys = await policies(client, "" if told.all_namespaces else namespace)
        meant = [key for key in keys if told.policy in ("", key[1])]
        if not meant:
            where = "" if told.all_namespaces else f" in namespace {namespace}"
            tables.lines([f"there is no RolloutPolicy {told.policy}".rstrip() + where])
            return 0
        if told.dry_run:
            tables.lines(f"{where}/{name}: would be deleted" for where, name in meant)
            return 0
        one = Uninstaller(client, say=lambda line: tables.lines([line]), patience=told.timeout)
        gone = await asyncio.gather(*(one.let_go(*key, force=told.force) for key in meant))
        return int(not all(gone))

    return cluster.with_client(told, work)


def _check(told: Uninstall) -> Iterable[str]:
    if told.policy and told.all_namespaces:
        yield f"--policy={told.policy} and --all-namespaces exclude each other"
