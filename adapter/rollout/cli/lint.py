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
    return problems or queries.problems(gates.gates)


CHECKS: Final[tuple[Callable[[Mapping[str, Any]], list[str]], ...]] = (shape.problems, gate_problems)
"""Raw policy -> sentences, each with the field's path."""


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("lint", ABOUT, Lint, _check).parse(given).settings
    gates: list[Gate] = []
    problems: list[str] = []
    try:
        _look(told, gates, problems)
    except files.VerbError as error:
        if told.output != "json":
            tables.lines(problems)
            raise
        problems.append(str(error))
    if told.output == "json":
        tables.lines([json.dumps({"gates": [_gate(gate) for gate in gates], "problems": problems})])
    else:
        tables.lines(problems or [f"{told.file}: {len(gates)} gates, no problem"])
    if not problems and not gates:
        files.say(f"{told.file}: spec.gates: no gate is given: time and crashes alone decide")
    return int(bool(problems))


def _look(told: Lint, gates: list[Gate], problems: list[str]) -> None:
    """Adds the gates that can be read, and all that is wrong. Raises VerbError; what was found before it counts."""
    data = files.read_bytes(told.file)
    try:
        policy = documents.policy_of(data, told.file)
    except ManifestError as error:
        problems.append(str(error))
        return
    gates += read(policy.get("spec"))[0].gates
    problems += [problem for check in CHECKS for problem in check(policy)]
    metadata = policy.get("metadata")
    own = metadata.get("namespace") if isinstance(metadata, dict) else None
    named = own if isinstance(own, str) else ""
    beside = list(sentences(policy, gather(mappings(data, told.file), named)))
    problems += beside
    if told.online:
        problems += [each for each in _in_cluster(told, policy, named) if each not in beside]


def _check(told: Lint) -> Iterable[str]:
    if told.groups and not told.user:
        yield f"--as-group={told.groups[0]}: --as is wanted as well"


def _in_cluster(told: Lint, policy: dict[str, Any], named: str) -> list[str]:
    """What the cluster says; `named`: the policy's own namespace, '' where the file names none. Raises VerbError."""
    if named and told.namespace and named != told.namespace:
        return [f"metadata.namespace: {named[:63]} is not --namespace={told.namespace}: name the same"]

    async def work(client: Client, namespace: str) -> list[str]:
        return await survey(client, policy, named or namespace, Author(told.user, told.groups))

    return cluster.with_client(told, work)


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
