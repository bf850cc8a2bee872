"""A run with what it says: written as a folder of HTML and JSON, read back, shown on the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from loadtest.runs.measures import answers, cost, elasticity, jitter, moments
from loadtest.runs.parts import NAMES, Followed, downs, ups
from loadtest.runs.record import Run, read
from loadtest.runs.verdicts import Verdict, verdicts

JSON = "report.json"


class Report(NamedTuple):
    """A run, and the one on a fixed fleet that it is compared with, if there was one."""

    run: Run
    fixed: Run | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """The brief's targets."""
        return verdicts(self.run, self.fixed)


def document(report: Report) -> dict[str, Any]:
    """The report for JSON: what is computed, then the runs themselves."""
    seen = answers(report.run)
    wanted = moments(report.run) if report.run.watched else []
    return {
        "targets": [one._asdict() for one in report.verdicts],
        "scale_up": [_change_fields(one) for one in ups(report.run)],
        "scale_down": [_change_fields(one) for one in downs(report.run)],
        "elasticity": elasticity(wanted, jitter=jitter(report.run))._asdict() if wanted else None,
        "cost_against_peak": cost(wanted, report.run.peak) if wanted else None,
        "clients": {**seen._asdict(), "availability": seen.availability},
        **record(report),
    }


def record(report: Report) -> dict[str, Any]:
    """The runs themselves for JSON, which is all that is read of a report."""
    return {
        "run": msgspec.to_builtins(report.run, str_keys=True),
        "fixed": None if report.fixed is None else msgspec.to_builtins(report.fixed, str_keys=True),
    }


def _change_fields(one: Followed) -> dict[str, Any]:
    need = one.need
    return {
        "at": round(need.time, 3),
        "from": need.before,
        "to": need.replicas,
        "seconds": one.seconds,
        "parts": None if one.parts is None else dict(zip(NAMES, one.parts, strict=True)),
        "in_endpoints_after": one.offered,
        "overshoot": one.overshoot,
    }


def dump(made: dict[str, Any]) -> str:
    """JSON with a line for each of its parts; numbers that are none are null."""
    lines = [
        f"{msgspec.json.encode(name).decode()}: {msgspec.json.encode(part).decode()}" for name, part in made.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load(place: Path) -> Report:
    """From a report's folder or its JSON. Raises RecordError."""
    return Report(*read(place / JSON if place.is_dir() else place))


def show(report: Report, console: Console) -> None:
    """The targets and the parts on the terminal."""
    table = Table("target", "asked for", "measured", "", title=f"{report.run.scenario}: what the brief asks for")
    for one in report.verdicts:
        table.add_row(one.name, one.target, one.measured, {True: "met", False: "NOT MET", None: ""}[one.met])
    console.print(table)
    _show_parts(ups(report.run), console)


def _show_parts(scale_ups: Sequence[Followed], console: Console) -> None:
    table = Table("where the time of a scale-up went", title_justify="left")
    known = [one for one in scale_ups if one.parts is not None]
    for one in known:
        table.add_column(f"{one.need.before} → {one.need.replicas}", justify="right")
    for place, name in enumerate(NAMES):
        table.add_row(name, *(f"{one.parts[place]:.1f} s" for one in known if one.parts))
    table.add_row("all", *(f"{one.seconds:.1f} s" for one in known), style="bold")
    if known:
        console.print(table)
