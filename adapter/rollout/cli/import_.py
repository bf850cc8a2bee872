"""`import FILE`: Argo Rollouts' and Flagger's objects as RolloutPolicies, and what of them does not map."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from adapter.program import tables
from adapter.program.flags import operand
from adapter.rollout.cli import files
from adapter.rollout.cli.settings import Output, flags
from adapter.rollout.foreign.read import Import, read
from adapter.rollout.foreign.write import documents
from adapter.units.manifest import ManifestError

ABOUT = """Turn Argo Rollouts' Rollouts and AnalysisTemplates, or Flagger's Canaries and MetricTemplates, into
RolloutPolicies: YAML on stdout, and on stderr, line by line, what does not map and what to do instead (with
--output=json both on stdout). Reads the file alone and changes nothing. Exit code 1 if no policy came of it."""


@dataclass(frozen=True)
class Imported(Output):
    """What `import` takes."""

    file: str = operand("FILE", "YAML file with the objects of one or more releases; - for stdin")


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("import", ABOUT, Imported).parse(given).settings
    try:
        result = _read(told.file)
    except files.VerbError as error:
        if told.output == "json":
            tables.lines([json.dumps(_as_json(Import((), (), 0), [str(error)]))])
        raise
    if told.output == "json":
        tables.lines([json.dumps(_as_json(result))])
    else:
        _say(result)
        tables.lines([documents(result.objects).rstrip("\n")] if result.objects else [])
    if not result.policies:
        files.say(f"{told.file}: no policy came of it")
    return int(not result.policies)


def _read(path: str) -> Import:
    try:
        return read(files.read_bytes(path), path)
    except ManifestError as error:
        raise files.VerbError(str(error)) from None


def _say(result: Import) -> None:
    for each in result.findings:
        files.say(str(each))
    if result.more:
        files.say(f"{result.more} more findings are not listed")


def _as_json(result: Import, problems: Sequence[str] = ()) -> dict[str, object]:
    """The import as JSON; `problems` says why the file as a whole cannot be used."""
    return {
        "objects": result.objects,
        "findings": [each._asdict() for each in result.findings],
        "more": result.more,
        "problems": list(problems),
    }
