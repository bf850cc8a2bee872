"""`status POLICY`: what a policy does and waits for, its arms, gates and history, as a tree."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from adapter.kube.client import Client
from adapter.program import tables
from adapter.program.flags import setting
from adapter.rollout.cli import cluster, files
from adapter.rollout.cli.settings import ShownPolicy, flags
from adapter.rollout.decide.context import Context
from adapter.rollout.decide.wants import canary_pods, stable_pods
from adapter.rollout.model.observation import Json, Observation, Pod
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.status import seconds
from adapter.rollout.model.verdict import FREE
from adapter.rollout.observe import Reader
from adapter.rollout.standing import sentences

ABOUT = "Show what a policy does and waits for."


@dataclass(frozen=True)
class Status(ShownPolicy):
    """What `status` takes."""

    watch: bool = setting("watch", False, "again every second, until interrupted", short="w")


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("status", ABOUT, Status).parse(given).settings

    async def work(client: Client, namespace: str) -> None:
        policy, raw = await cluster.policy_of(client, namespace, told.policy)
        if told.output == "json":
            tables.lines([msgspec.json.encode(raw.get("status") or {}).decode()])
            return
        seen = await Reader(client).observe(policy, raw)
        tables.lines(tree(policy, raw, seen, time.time()))

    try:
        cluster.with_client(told, work)
        while told.watch:
            time.sleep(1)
            tables.lines([""])
            try:
                cluster.with_client(told, work)
            except cluster.AwayError as error:  # who watches wants to see it come back
                files.say(str(error))
    except KeyboardInterrupt:
        return 0
    return 0


def tree(policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Iterator[str]:
    """The lines for people."""
    status, ctx = policy.status, Context(policy, policy.status, seen, FREE, now)
    yield f"RolloutPolicy {policy.metadata.name}: {policy.strategy} of Deployment {policy.spec.target_ref.name}"
    yield f"  phase     {status.phase}" + (" (held by a person)" if status.held else "")
    yield f"  now       {status.message or 'waits for the controller'}"
    if status.stable.hash and seen.deployment:
        yield f"  stable    {status.stable.hash}, template {status.stable.fingerprint}: {_pods(stable_pods(ctx))}"
    if release := status.release:
        took = seconds(release.started_at, now)
        yield f"  release   {release.number}, template {release.fingerprint}, for {took:.0f} s"
        yield f"  new       {release.hash or release.sibling}: {_pods(canary_pods(ctx))}"
        if policy.steps:
            yield f"  step      {release.step + 1} of {ctx.steps}, weight {release.weight} %"
        yield from (f"  gate      {sentence}" for sentence in sentences(policy, raw))
    if status.refused:
        yield f"  refused   template {status.refused}: retry, undo, or write another one"
    if seen.hpa:
        yield f"  hpa       {seen.hpa.name}, minReplicas {seen.hpa.min_replicas}, maxReplicas {seen.hpa.max_replicas}"
    for past in status.history:
        yield f"  history   {past.number}: {past.outcome}. {past.reason}"


def _pods(pods: Sequence[Pod]) -> str:
    ready = sum(pod.ready for pod in pods)
    return f"{ready} of {len(pods)} pods ready"
