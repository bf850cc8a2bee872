"""`replay POLICY WINDOWS`: the judge over recorded windows."""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from adapter.program import tables
from adapter.rollout import recording
from adapter.rollout.cli import files
from adapter.rollout.cli.settings import Recording, flags, one_stdin
from adapter.rollout.explain import as_json
from adapter.rollout.model.fields import printable
from adapter.rollout.model.gates import Gate
from adapter.rollout.model.verdict import Said
from adapter.rollout.model.window import Window
from adapter.rollout.replay import NO_WINDOW, Told, end, replay

ABOUT = """Run the gates of a RolloutPolicy (of blue-green those of stage post) over recorded windows: JSON lines;
- reads stdin. Prints the verdict after each window and, last, what became of the release. Exit code 1 if there is no
such gate, or if a line or value could not be used: it is named on stderr, and the verdict is that of the others."""


def run(given: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    told = flags("replay", ABOUT, Recording, one_stdin).parse(given).settings
    gates, stage = files.read_gates(told.policy)
    complaints = files.Complaints(told.windows)
    last = NO_WINDOW
    absent = {gate.metric for gate in gates.of(stage)}
    with files.open_windows(told.windows) as file:
        windows = _windows(files.lines(file, told.windows), complaints, absent)
        for one in replay(gates, windows, stage):
            last = end(last, one)
            tables.lines([_line(one, told.output)])
    complaints.end()
    if last.said is Said.HOLD and last is not NO_WINDOW:
        _say_absent(told.windows, gates.of(stage), absent)
    said = {"verdict": last.said.value, "at_window": last.at_window, "reason": last.reason}
    text = f"{last.said.value} at {last.at_window}: {last.reason}"
    tables.lines([json.dumps(said) if told.output == "json" else text])
    if last is NO_WINDOW:
        files.say(f"{told.windows}: {last.reason}; right would be a line of JSON per window")
    return int(bool(complaints.count) or last is NO_WINDOW)


def _windows(lines: Iterator[bytes], complaints: files.Complaints, absent: set[str]) -> Iterator[Window]:
    """The windows that can be used; the metrics that they name are taken out of `absent`."""
    for entry in recording.read(lines):
        if isinstance(entry, Window):
            absent.difference_update(entry.metrics)
            yield entry
        else:
            complaints.say(entry)


def _say_absent(place: str, gates: Sequence[Gate], absent: Collection[str]) -> None:
    """One sentence about each gate whose metric no window names: values are read by it, not by the gate's name."""
    for gate in gates:
        if gate.metric in absent:
            right = "right would be metrics of that name in its windows"
            files.say(
                f"{place}: no window has {printable(gate.metric)}, which gate {printable(gate.name)} reads; {right}"
            )


def _line(told: Told, output: str) -> str:
    if output == "json":
        return json.dumps({"window": told.at, "time": told.time, **as_json(told.judgement)})
    said, reason = told.judgement.verdict[:2]
    time = datetime.fromtimestamp(told.time, UTC).strftime("%H:%M:%S")
    return f"{told.at:5}  {time}  {said.value:8}  {reason}"
