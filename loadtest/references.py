"""`make references`: docs/reference, every flag and every metric of the programs, from their own tables."""

import argparse
import asyncio
import dataclasses
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from adapter import check
from adapter import settings as of_adapter
from adapter.console import settings as of_console
from adapter.doctor import settings as of_doctor
from adapter.program.flags import Bounds, Flags
from adapter.program.kinds import KINDS, Seconds
from adapter.rollout import settings as of_rollout
from adapter.rollout.__main__ import main as rollout
from adapter.rollout.cli.verbs import VERBS
from recommender import settings as of_recommender
from recommender.__main__ import VERBS as OFFLINE
from tests.manifests.exposed import registries

FOLDER: Final = Path(__file__).parents[1] / "docs" / "reference"
PROGRAMS: Final = ("streamgate-adapter", "streamgate-recommender", "streamgate-rollout")
"""In the order of `registries`."""
MADE: Final = "Written by `make references`; a test fails where it is stale."
FLAGS_HEAD: Final = f"""# Flags

Every flag of every program, with its default and what it means. {MADE}

A flag is given as `--name=value` or `--name value`; a switch needs no value, and `--name=false` turns it off.
Durations are Go's (`90s`, `1h30m`) unless another form is named. The programs say the same by `--help`.
"""
METRICS_HEAD: Final = f"""# Metrics

Every metric that the programs expose at `/metrics`, beside the usual ones of a process (`process_*`). {MADE}
[monitoring.md](../monitoring.md) says where to scrape them, and what alerts and dashboards make of them.

A histogram is three series: `_bucket` with the label `le`, `_sum` and `_count`.
"""


class Entry(NamedTuple):
    """A flag or an argument as a page shows it."""

    name: str
    default: str
    text: str


class Family(NamedTuple):
    """A metric as a page shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def flags_page() -> str:
    """docs/reference/flags.md."""
    own = {entry.name for entry in entries(of_adapter.FLAGS)}
    more = [entry for entry in entries(check.CHECK_FLAGS) if entry.name not in own]
    parts = [FLAGS_HEAD, *_program(of_adapter.FLAGS)]
    parts += [_title(check.CHECK_FLAGS), "All of the adapter's, and:\n", _flags(more)]
    parts += _program(of_recommender.FLAGS)
    for verb, run in OFFLINE.items():
        made: argparse.ArgumentParser = sys.modules[run.__module__].parser()
        taken = "" if verb == "backtest" else "The recommender's own flags on reckoning are understood too.\n"
        parts += [f"## streamgate-recommender {verb}\n", f"{made.description}\n", taken, _flags(arguments(made))]
    parts += _program(of_rollout.FLAGS)
    for verb in sorted(VERBS.keys() - {"run"}):
        parts += [f"## streamgate-rollout {verb}\n", f"```text\n{help_text(verb)}\n```\n"]
    parts += _program(of_doctor.FLAGS)
    parts += _program(of_console.FLAGS)
    return "\n".join(part for part in parts if part)


def entries(flags: Flags[Any]) -> list[Entry]:
    """The flags of a program, in the order of its settings."""
    return [_entry(field) for field in dataclasses.fields(flags.settings) if "flag" in field.metadata]


def arguments(made: argparse.ArgumentParser) -> list[Entry]:
    """The flags and operands of a verb that argparse reads."""
    rows = []
    for action in made._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        name = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.dest.upper()}`"
        default = "" if action.default in (None, "", False, [], 0.0) else str(action.default)
        rows.append(Entry(name, default, _with_choices(action.help or "", [str(one) for one in action.choices or ()])))
    return rows


def help_text(verb: str) -> str:
    """What `streamgate-rollout VERB --help` prints."""
    with redirect_stdout(StringIO()) as printed:
        rollout([verb, "--help"])
    return printed.getvalue().strip()


def metrics_page(registries: Sequence[CollectorRegistry]) -> str:
    """docs/reference/metrics.md, of the registries of `PROGRAMS`."""
    parts = [METRICS_HEAD]
    for program, registry in zip(PROGRAMS, registries, strict=True):
        rows = ((f"`{one.name}`", one.kind, _code(one.labels), one.text) for one in families(registry))
        parts += [f"## {program}\n", _table(("metric", "type", "labels", "what it says"), rows)]
    return "\n".join(parts)


def families(registry: CollectorRegistry) -> list[Family]:
    """The metrics of a registry by name, also those without a sample yet."""
    labels = {one._name: one._labelnames for one in registry._collector_to_names if isinstance(one, MetricWrapperBase)}
    metrics = []
    for family in registry.collect():
        seen = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        known = tuple(labels.get(family.name, sorted(seen)))
        metrics.append(Family(name, family.type, known, family.documentation))
    return sorted(one for one in metrics if not one.name.startswith(("process_", "python_")))


def _program(flags: Flags[Any]) -> Iterator[str]:
    yield _title(flags)
    yield _flags(entries(flags))
    if taken := sorted(flags.ignored.bare | flags.ignored.valued):
        yield "Taken without effect, so that a peer's manifests serve unchanged: " + _code(taken) + ".\n"


def _title(flags: Flags[Any]) -> str:
    return f"## {flags.program}\n\n{flags.about[0].upper()}{flags.about[1:]}.\n"


def _entry(field: "dataclasses.Field[Any]") -> Entry:
    bounds: Bounds = field.metadata["bounds"]
    short = f"`-{field.metadata['short']}`, " if field.metadata["short"] else ""
    text = _with_choices(field.metadata["help"], [choice or "''" for choice in bounds.choices])
    if limits := ", ".join(_limits(bounds, is_time=isinstance(field.default, Seconds))):
        text += f" ({limits})"
    return Entry(f"{short}`--{field.metadata['flag']}`", KINDS[field.type].show(field.default), text)


def _limits(bounds: Bounds, *, is_time: bool) -> Iterator[str]:
    shown = KINDS[Seconds].show if is_time else "{:g}".format
    if bounds.least:
        yield f"at least {shown(bounds.least)}"
    if bounds.above:
        yield f"more than {shown(bounds.above)}"
    if bounds.most is not None and bounds.most < 2**63:
        yield f"at most {shown(bounds.most)}"


def _with_choices(text: str, choices: Sequence[str]) -> str:
    return f"{text} (one of {', '.join(choices)})" if choices else text


def _flags(flags: Iterable[Entry]) -> str:
    rows = ((one.name, f"`{one.default}`" if one.default else "", one.text) for one in flags)
    return _table(("flag", "default", "what it does"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Write both pages."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "flags.md").write_text(flags_page())
    with tempfile.TemporaryDirectory() as folder:
        (FOLDER / "metrics.md").write_text(metrics_page(asyncio.run(registries(Path(folder)))))


if __name__ == "__main__":
    main()
