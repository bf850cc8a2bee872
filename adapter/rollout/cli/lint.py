"""`lint FILE`: what is wrong with a policy, before the API server or a release says so."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapter.kube.client import Client
from adapter.program import tables
from adapter.program.flags import operand, setting
from adapter.rollout import documents, queries
from adapter.rollout.cli import cluster, files
from adapter.rollout.cli.settings import FILE, Cluster, Output, flags
from adapter.rollout.cli.survey import Author, survey
from adapter.rollout.model import shape
from adapter.rollout.model.gates import Gate, read
from adapter.rollout.neighbours import gather, sentences
from adapter.units.manifest import ManifestError, mappings

ABOUT = """Check a RolloutPolicy and what stands beside it in the file: Deployment, Services, HPAs, VPAs, claims, route.
With --cluster, --namespace or --kubeconfig against those of a cluster, and the author's right to patch the Deployment.
Exit code 1 if there is a problem."""


@dataclass(frozen=True)
class Lint(Cluster, Output):
    """What `lint` takes."""

    file: str = operand("FILE", FILE)
    cluster: bool = setting("cluster", False, "look at the cluster as well; so do --namespace and --kubeconfig")
    user: str = setting("as", "", "whose rights are asked for; empty: yours")
    groups: tuple[str, ...] = setting("as-group", (), "a group of --as; may be given again", each=True)

    @property
    def online(self) -> bool:
        """Whether a cluster is asked."""
        return self.cluster or bool(self.namespace or self.kubeconfig or self.user)


def gate_problems(policy: Mapping[str, Any]) -> list[str]:
    """What is wrong with the gates."""
    spec = documents.spec_of(policy)
    if not isinstance(policy.get("spec"), Mapping):
        return []  # `shape` says so
    gates, problems = read(spec)
    problems = problems or queries.problems(gates.gates)
    if not problems and not spec.get("gates"):
        problems.append("spec.gates: no gate is given, so every release would pass; right would be at least one")
    return problems


CHECKS: Final[tuple[Callable[[Mapping[str, Any]], list[str]], ...]] = (shape.problems, gate_problems)
"""Raw policy -> sentences, each with the field's path."""


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("lint", ABOUT, Lint, _check).parse(given).settings
    gates: tuple[Gate, ...] = ()
    data = files.read_bytes(told.file)
    try:
        policy = documents.policy_of(data, told.file)
    except ManifestError as error:
        problems = [str(error)]
    else:
        gates = read(policy.get("spec"))[0].gates
        problems = [problem for check in CHECKS for problem in check(policy)]
        problems += _beside(told, policy, mappings(data, told.file))
    if told.output == "json":
        tables.lines([json.dumps({"gates": [_gate(gate) for gate in gates], "problems": problems})])
    else:
        tables.lines(problems or [f"{told.file}: {len(gates)} gates, no problem"])
    return int(bool(problems))


def _check(told: Lint) -> Iterable[str]:
    if told.groups and not told.user:
        yield f"--as-group={told.groups[0]}: --as is wanted as well"


def _beside(told: Lint, policy: dict[str, Any], objects: Sequence[dict[str, Any]]) -> list[str]:
    """What the objects of the file say, then what the cluster says and the file did not."""
    metadata = policy.get("metadata")
    own = metadata.get("namespace") if isinstance(metadata, dict) else None
    named = own if isinstance(own, str) else ""
    found = list(sentences(policy, gather(objects, named)))
    if not told.online:
        return found
    if named and told.namespace and named != told.namespace:
        return [*found, f"metadata.namespace: {named[:63]} is not --namespace={told.namespace}: name the same"]

    async def work(client: Client, namespace: str) -> list[str]:
        return await survey(client, policy, named or namespace, Author(told.user, told.groups))

    said = cluster.with_client(told, work)
    return [*found, *(each for each in said if each not in found)]


def _gate(gate: Gate) -> dict[str, Any]:
    return {
        "name": gate.name,
        "metric": gate.metric,
        "kind": gate.kind.value,
        "limit": gate.limit,
        "margin": gate.margin,
        "worse": gate.worse.value,
        "scope": gate.scope.value,
        "stage": gate.stage.value,
    }
