"""`lint FILE`: what is wrong with a policy, before the API server or a release says so."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapter.program import tables
from adapter.program.flags import operand
from adapter.rollout import documents
from adapter.rollout.cli import files
from adapter.rollout.cli.settings import FILE, Output, flags
from adapter.rollout.model import shape
from adapter.rollout.model.gates import Gate, read

ABOUT = "Check a RolloutPolicy without a cluster. Exit code 1 if there is a problem."


@dataclass(frozen=True)
class Lint(Output):
    """What `lint` takes."""

    file: str = operand("FILE", FILE)


def gate_problems(policy: Mapping[str, Any]) -> list[str]:
    """What is wrong with the gates."""
    spec = documents.spec_of(policy)
    if not isinstance(policy.get("spec"), Mapping):
        return []  # `shape` says so
    problems = read(spec)[1]
    if not problems and not spec.get("gates"):
        problems.append("spec.gates: no gate is given, so every release would pass; right would be at least one")
    return problems


CHECKS: Final[tuple[Callable[[Mapping[str, Any]], list[str]], ...]] = (shape.problems, gate_problems)
"""Raw policy -> sentences, each with the field's path."""


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("lint", ABOUT, Lint).parse(given).settings
    gates: tuple[Gate, ...] = ()
    try:
        policy = documents.policy_of(files.read_bytes(told.file), told.file)
    except documents.DocumentError as error:
        problems = [str(error)]
    else:
        gates = read(policy.get("spec"))[0].gates
        problems = [problem for check in CHECKS for problem in check(policy)]
    if told.output == "json":
        tables.lines([json.dumps({"gates": [_gate(gate) for gate in gates], "problems": problems})])
    else:
        tables.lines(problems or [f"{told.file}: {len(gates)} gates, no problem"])
    return int(bool(problems))


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
