"""`lint FILE`: what is wrong with a policy, before the API server or a release says so."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from adapter.kube.client import Client
from adapter.program import tables
from adapter.program.flags import operand, setting
from adapter.rollout import documents, queries
from adapter.rollout.cli import cluster, files
from adapter.rollout.cli.settings import Cluster, Output, flags
from adapter.rollout.cli.survey import Author, survey
from adapter.rollout.model import shape
from adapter.rollout.model.gates import Gate, read
from adapter.rollout.neighbours import Neighbours, gather, sentences
from adapter.units.manifest import ManifestError, mappings

ABOUT = """Check RolloutPolicies and what stands beside them in a file: Deployment, Services, HPAs, VPAs, claims, route.
With --cluster, --namespace or --kubeconfig against those of a cluster, and the author's right to patch the Deployment.
Exit code 1 if there is a problem."""


@dataclass(frozen=True)
class Lint(Cluster, Output):
    """What `lint` takes."""

    file: str = operand("FILE", "YAML file with one or more RolloutPolicies; - for stdin")
    cluster: bool = setting("cluster", False, "look at the cluster as well; so do --namespace and --kubeconfig")
    user: str = setting("as", "", "whose rights are asked for; empty: yours")
    groups: tuple[str, ...] = setting("as-group", (), "a group of --as; may be given again", each=True)

    @property
    def online(self) -> bool:
        """Whether a cluster is asked."""
        return self.cluster or bool(self.namespace or self.kubeconfig or self.user)


class Report(NamedTuple):
    """What was found about one policy."""

    name: str
    """Empty where it is the only one."""
    gates: Sequence[Gate]
    problems: list[str]


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
    reports: list[Report] = []
    try:
        _look(told, reports)
    except files.VerbError as error:
        if told.output != "json":
            tables.lines(problem for report in reports for problem in _problems(report))
            raise
        reports = reports or [Report("", (), [])]
        for report in reports:  # none was looked at to its end
            report.problems.append(str(error))
    if told.output == "json":
        tables.lines([json.dumps(_as_json(reports))])
    else:
        tables.lines(line for report in reports for line in _lines(report, told.file))
    for report in reports:
        if not report.problems and not report.gates:
            files.say(f"{_label(report, told.file)}: spec.gates: no gate is given: time and crashes alone decide")
    return int(any(report.problems for report in reports))


def _look(told: Lint, reports: list[Report]) -> None:
    """Adds a report for each policy to `reports`. Raises VerbError; what was added before it counts."""
    data = files.read_bytes(told.file)
    try:
        policies = documents.policies_of(data, told.file)
    except ManifestError as error:
        reports.append(Report("", (), [str(error)]))
        return
    objects = mappings(data, told.file)
    around: dict[str, Neighbours] = {}  # of each namespace, read once
    for number, policy in enumerate(policies, 1):
        own = _namespace(policy)
        if own not in around:
            around[own] = gather(objects, own)
        problems = [problem for check in CHECKS for problem in check(policy)]
        problems += sentences(policy, around[own])
        name = _name(policy) or f"number {number}"
        reports.append(Report(name if len(policies) > 1 else "", read(policy.get("spec"))[0].gates, problems))
    if told.online:
        for policy, report in zip(policies, reports, strict=True):
            said = _in_cluster(told, policy, _namespace(policy))
            report.problems.extend(each for each in said if each not in report.problems)


def _name(policy: Mapping[str, Any]) -> str:
    """The policy's namespace/name, as far as they can be read; '' where neither can."""
    metadata = policy.get("metadata")
    parts = [metadata.get(field) for field in ("namespace", "name")] if isinstance(metadata, dict) else []
    return "/".join(each[:253] for each in parts if isinstance(each, str) and each)


def _namespace(policy: Mapping[str, Any]) -> str:
    metadata = policy.get("metadata")
    own = metadata.get("namespace") if isinstance(metadata, dict) else None
    return own if isinstance(own, str) else ""


def _label(report: Report, file: str) -> str:
    return f"RolloutPolicy {report.name}" if report.name else file


def _problems(report: Report) -> Iterator[str]:
    before = f"RolloutPolicy {report.name}: " if report.name else ""
    return (f"{before}{problem}" for problem in report.problems)


def _lines(report: Report, file: str) -> Iterator[str]:
    yield from _problems(report)
    if not report.problems:
        yield f"{_label(report, file)}: {len(report.gates)} gates, no problem"


def _as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """Gates and problems of the one policy; of several, a list under `policies` with the name of each."""
    each = [{"gates": [_gate(gate) for gate in report.gates], "problems": report.problems} for report in reports]
    if len(each) == 1:
        return each[0]
    return {"policies": [{"name": report.name, **one} for report, one in zip(reports, each, strict=True)]}


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
