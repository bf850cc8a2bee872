"""`explain WORKLOAD`: from samples to number, step by step."""

import argparse
import difflib
from collections.abc import Sequence

from adapter.program import tables
from adapter.program.flags import SettingsError
from recommender.config import mode
from recommender.offline.explain import explain
from recommender.offline.report import workloads
from recommender.offline.report_command import load, sources
from recommender.settings import FLAGS, parse


def run(arguments: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    flags, others = FLAGS.split(arguments)
    given, unknown = parser().parse_known_args(others)
    settings = parse([*flags, *unknown]).settings
    chosen = mode(settings)
    known = load(given, settings)
    wanted = [name for name in known.names if name == given.workload] or [
        name for name in known.names if name.startswith(given.workload.rstrip("/") + "/")
    ]
    if not wanted:
        near = difflib.get_close_matches(given.workload, known.names, 3) or known.names[:3]
        raise SettingsError(f"no container {given.workload!r} in the source; it has {', '.join(near)} …")
    place = {name: int(row) for name, row in zip(known.names, known.rows, strict=True)}
    sharing = {name: len(own) for own in workloads(known.names, "Deployment").values() for name in own}
    for name in wanted:
        own = known.pods.get(name, {})
        shown = explain(
            known.model,
            place[name],
            name,
            chosen=chosen,
            now=known.now,
            containers=sharing[name],
            pods=own,
        )
        tables.lines(shown)
    return 0


def parser() -> argparse.ArgumentParser:
    """The verb's arguments; the recommender's own flags are understood besides."""
    made = argparse.ArgumentParser("streamgate-recommender explain", description=__doc__, allow_abbrev=False)
    made.add_argument("workload", help="a container as the source names it, or the beginning of several names")
    sources(made)
    return made
