"""`replay`: what a policy recommends at the end of a usage file."""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.program import tables
from recommender.config import idle, mode
from recommender.estimate.estimators import Bounds
from recommender.estimate.postprocess import round_up
from recommender.estimate.recommend import decide
from recommender.input.usage_file import Usage, read_usage
from recommender.model.containers import MISSING, Model
from recommender.offline.contenders import Krr, Largest
from recommender.offline.doubts import largest, of_usage, without_strays
from recommender.offline.replay import Replay
from recommender.offline.report_command import requests_of
from recommender.settings import FLAGS, MODES, Settings, parse

SHOWN = 5
WINDOWED = {"krr": Krr, "max": Largest}


def run(arguments: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    flags, others = FLAGS.split(arguments, but=("mode",))
    given, unknown = parser().parse_known_args(others)
    settings = parse([*flags, *unknown, f"--mode={given.mode if given.mode in MODES else 'default'}"]).settings
    usage = read_usage([given.usage])
    for line in of_usage(usage):
        tables.say(line)
    requests: Mapping[str, tuple[int, int]] | None = None
    if given.requests:
        requests = requests_of(given.requests, usage.names, largest(usage))
    records = _replay_window(usage, given.mode) if given.mode in WINDOWED else _replay_model(usage, settings)
    if requests is not None:
        records = [_add_request(record, requests) for record in records]
    tables.complain(usage.problems)
    tables.write(records, given.output, f"{given.mode}: {given.usage}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The verb's arguments; the recommender's own flags are understood besides."""
    made = argparse.ArgumentParser(
        "streamgate-recommender replay",
        description=__doc__,
        epilog="The recommender's own flags are understood too, e.g. --max-daily-risk=0.02.",
        allow_abbrev=False,
    )
    made.add_argument("usage", type=Path, help="csv or csv.gz: container,epoch_s,cpu_millicores,memory_bytes")
    made.add_argument(
        "--requests", type=Path, help="csv: container,cpu_millicores,memory_bytes; adds columns to compare"
    )
    made.add_argument("--mode", choices=(*MODES, *WINDOWED), default="default")
    made.add_argument("--output", choices=(*tables.FORMATS, "markdown"), default="table")
    return made


def _replay_model(usage: Usage, settings: Settings) -> list[tables.Record]:
    chosen = mode(settings)
    if settings.mode != "vpa":  # which takes every row as it comes
        usage = without_strays(usage, time.time())
    replay = Replay(Model(chosen.aggregation), usage, by_time=settings.mode != "vpa")
    replay.run()
    if replay.late:
        tables.say(f"{replay.late} CPU samples came after a later one of their container (or twice) and were dropped")
    for line in idle(settings):
        tables.say(line)
    alone = np.ones(len(usage.names), dtype=np.int64)
    made = decide(replay.model, replay.rows, alone, float(usage.time.max()), chosen)
    samples = replay.model.states.samples[replay.rows]
    for resource, bounds in (("CPU", made.cpu), ("memory", made.memory)):
        none = [name for name, known in zip(usage.names, bounds.known, strict=True) if not known]
        if none:
            tables.say(f"no sample of {resource}, so no number for it: {_some(none)}")
    return [
        {"container": name, "samples": int(samples[index]), **_bounds(made.cpu, made.memory, index, settings)}
        for index, name in enumerate(usage.names)
    ]


def _bounds(cpu: Bounds, memory: Bounds, index: int, settings: Settings) -> dict[str, Any]:
    """The three bounds; a resource of which nothing is known is left empty."""

    def round_bound(bounds: Bounds, bound: str, scale: int) -> int | str:
        return round_up(int(getattr(bounds, bound)[index]), scale) if bounds.known[index] else ""

    return {
        name: {
            "cpu_millicores": round_bound(cpu, bound, settings.round_cpu),
            "memory_bytes": round_bound(memory, bound, settings.round_memory),
        }
        for name, bound in (("target", "target"), ("lowerBound", "lower"), ("upperBound", "upper"))
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _replay_window(usage: Usage, name: str) -> list[tables.Record]:
    """Records of a policy that has no bounds: its target stands for them."""
    policy = WINDOWED[name](usage)
    end = float(np.nextafter(usage.time.max(), np.inf))
    policy.see(end, None)
    targets = policy.decide(end)
    counts = np.bincount(usage.container[usage.cpu != MISSING], minlength=len(usage.names))
    records: list[tables.Record] = []
    for index, container in enumerate(usage.names):
        bound = {"cpu_millicores": int(targets.cpu[index]) or "", "memory_bytes": int(targets.memory[index]) or ""}
        record = {"container": container, "samples": int(counts[index])}
        records.append(record | {"target": bound, "lowerBound": bound, "upperBound": bound})
    return records


def _add_request(record: tables.Record, requests: Mapping[str, tuple[int, int]]) -> tables.Record:
    """The record with the container's request and the difference; without them where none is given."""
    request = requests.get(record["container"])
    if request is None:
        return record
    asked = dict(zip(("cpu_millicores", "memory_bytes"), request, strict=True))
    target = record["target"]
    change = {name: "" if target[name] == "" else target[name] - amount for name, amount in asked.items()}
    return {**record, "request": asked, "change": change}
