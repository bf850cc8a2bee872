"""`calibrate POLICY WINDOWS`: how many identical releases would this policy have rolled back?"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapter.program import tables
from adapter.program.flags import setting
from adapter.rollout import recording
from adapter.rollout.calibrate import (
    BLOCK,
    NEVER,
    CalibrationError,
    Outcomes,
    Recorded,
    calibrate,
    gates_without_values,
    record,
)
from adapter.rollout.cli import files
from adapter.rollout.cli.settings import Recording, flags, one_stdin
from adapter.rollout.evidence.chance import upper
from adapter.rollout.model.gates import Gates
from adapter.rollout.model.verdict import Stage
from adapter.rollout.model.window import Window

ABOUT = f"""Make identical releases of a recording of stable pods: whole pods are split into two arms, in blocks of
{BLOCK} windows. Says how many of them the policy would roll back or promote, and how many it finds that are worse."""
MOST_RELEASES = 100_000


@dataclass(frozen=True)
class Calibration(Recording):
    """What `calibrate` takes."""

    releases: int = setting("releases", 1000, "how many are made", least=1, most=MOST_RELEASES)
    share: float = setting("share", 0.25, "part of the pods that play the canary, below 1", above=0)
    worse: float = setting("worse", 5.0, "how many times as bad a bad one is, up to a million", above=1, most=1e6)
    seed: int = setting("seed", 1, "of the drawing")


def _check(told: Calibration) -> Iterable[str]:
    if not told.share < 1:
        yield f"--share={told.share:g}: less than 1 is wanted"
    yield from one_stdin(told)


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("calibrate", ABOUT, Calibration, _check).parse(given).settings
    gates, stage = files.read_gates(told.policy)
    complaints = files.Complaints(told.windows)
    try:
        with files.open_windows(told.windows) as file:
            recorded = record(gates.of(stage), _windows(files.lines(file, told.windows), complaints))
    except CalibrationError as error:
        raise files.VerbError(f"{told.windows}: {error}") from None
    complaints.end()
    report = _report(gates, stage, recorded, told)
    tables.lines([json.dumps(report)] if told.output == "json" else [report["sentence"], *report["notes"]])
    return int(bool(complaints.count))


def _windows(lines: Iterator[bytes], complaints: files.Complaints) -> Iterator[Window]:
    for entry in recording.read(lines, pods=True):
        if isinstance(entry, Window):
            yield entry
        else:
            complaints.say(entry)


def _report(gates: Gates, stage: Stage, recorded: Recorded, told: Calibration) -> dict[str, Any]:
    missing = gates_without_values(gates, stage, recorded)
    if len(missing) == len(gates.of(stage)):
        said = f"no gate can be judged: no stable values of {', '.join(missing)}"
        raise files.VerbError(f"{told.windows}: {said}; right would be readings of the stable pods, pod by pod")
    same, bad = (
        calibrate(
            gates,
            stage,
            recorded,
            releases=told.releases,
            share=told.share,
            worse=worse,
            rng=np.random.default_rng((abs(told.seed), int(worse > 1))),
        )
        for worse in (1.0, told.worse)
    )
    lower = not recorded.whole and stage is Stage.CANARY  # where new pods are alone, nothing is split
    back, caught = int((same.rolled_back < NEVER).sum()), int((bad.rolled_back < NEVER).sum())
    good = int(((same.promoted < NEVER) & (same.rolled_back == NEVER)).sum())
    most = upper(back, told.releases)
    notes = [f"gate {name} is left out: the recording has no stable values of it, pod by pod" for name in missing]
    if lower:
        notes.append(
            "the recording names no pods, so every request was split for itself: bursts are lost, "
            "and the figure of false rollbacks is a lower bound"
        )
    sentence = (
        f"this policy would roll back {back:,} of {told.releases:,} identical releases"
        f" ({'a lower bound; ' if lower else ''}at most {most:.1%} with 95 % confidence), and promote {good:,};"
        f" of as many that are {told.worse:g} times as bad it would roll back {caught:,}{_after(bad)}"
    )
    return {
        "releases": told.releases,
        "rolled_back": back,
        "upper_95": round(most, 6),
        "promoted": good,
        "worse": told.worse,
        "worse_rolled_back": caught,
        "lower_bound": lower,
        "windows": recorded.windows,
        "pods": recorded.pods if recorded.whole else 0,
        "sentence": sentence,
        "notes": notes,
    }


def _after(ends: Outcomes) -> str:
    caught = ends.rolled_back[ends.rolled_back < NEVER]
    return f", half of them within {int(np.median(caught)) + 1} windows" if len(caught) else ""
