"""Records -> a table for people (rich), Markdown, JSON or CSV; progress of long work; for the command line."""

import csv
import json
import math
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final, TextIO

from adapter.metrics.problems import Problems

FORMATS: Final = ("table", "json", "csv")
Record = Mapping[str, Any]


def write(records: Sequence[Record], form: str, title: str, file: TextIO | None = None) -> None:
    """Writes records (nested mappings become columns joined by a point) as one of FORMATS."""
    out = file or sys.stdout
    if form == "json":
        json.dump(list(records), out, indent=1)
        out.write("\n")
    elif form == "csv":
        flat = [flatten(record) for record in records]
        writer = csv.DictWriter(out, _columns(flat), lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(flat)
    elif form == "markdown":
        markdown([readable(record) for record in records], out)
    else:
        table([readable(record) for record in records], title, out)


def table(rows: Sequence[Record], title: str, file: TextIO | None = None) -> None:
    """A table for people; numbers to the right. Without the extra `reports` (rich) it is one in Markdown."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        markdown(rows, file or sys.stdout)
        return

    shown = Table(title=title, title_justify="left")
    widths: list[int] = []
    for column in _columns(rows):
        amounts = column.rpartition(".")[2] in ("cpu", "memory")
        numbers = amounts or all(isinstance(row.get(column, 0), int | float) for row in rows)
        words = re.split(r"[ ._]", column)  # a heading may break between its words, never inside one
        least = max(map(len, words))
        widths.append(least + 3)
        shown.add_column(" ".join(words), justify="right" if numbers else "left", overflow="fold", min_width=least)
    for row in rows:
        shown.add_row(*(text(row.get(column, "")) for column in _columns(rows)))
    out = file or sys.stdout
    wide = out.isatty() if hasattr(out, "isatty") else False
    console = Console(file=out, width=None if wide else 200)
    console.print(shown, width=max(console.width, sum(widths) + 1), crop=False)


def markdown(rows: Sequence[Record], out: TextIO) -> None:
    """A table in Markdown."""
    columns = _columns(rows)
    out.write("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns) + "\n")
    for row in rows:
        cells = (text(row.get(column, "")).replace("|", "\\|") for column in columns)
        out.write("| " + " | ".join(cells) + " |\n")


def lines(said: Iterable[str]) -> None:
    """Lines on stdout."""
    for line in said:
        print(line)  # noqa: T201 - what a command was asked for


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where a person looks at it; yields what to call with each step's size."""
    if not sys.stderr.isatty() or not find_spec("rich"):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda size: bar.advance(task, size)


def price(given: str) -> float:
    """A price as an argument. Raises ArgumentTypeError."""
    value = float(given)
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"{given} is no price")
    return value


def text(value: object) -> str:
    """A cell: floats with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def cores(millicores: int) -> str:
    """Millicores for people."""
    return f"{millicores} m" if abs(millicores) < 1000 else f"{millicores / 1000:.1f} cores"


def size(amount: int) -> str:
    """Bytes for people."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if abs(amount) >= 1024**power:
            return f"{amount / 1024**power:.1f} {unit}"
    return f"{amount} B"


UNITS: Final[Mapping[str, Callable[[int], str]]] = {
    "cpu": cores,
    "cpu_millicores": cores,
    "memory": size,
    "memory_bytes": size,
}


def readable(record: Record) -> dict[str, Any]:
    """A flat record for people: millicores and bytes as texts with their units, which the columns' names then lack."""
    shown = {}
    for column, value in flatten(record).items():
        unit = UNITS.get(column.rpartition(".")[2])
        name = column.removesuffix("_millicores").removesuffix("_bytes")
        shown[name] = unit(value) if unit and isinstance(value, int) else value
    return shown


def flatten(record: Record, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one: {'a': {'b': 1}} -> {'a.b': 1}."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def complain(problems: Problems, what: str = "bad rows were left out") -> None:
    """Names bad rows on stderr."""
    if not problems.count:
        return
    for line in problems.named:
        say(line)
    more = problems.count - len(problems.named)
    say(f"{problems.count} {what}{f'; {more} of them are not named above' if more else ''}")


def say(line: str) -> None:
    """One line on stderr."""
    print(line, file=sys.stderr)  # noqa: T201 - a command line speaks on stderr


def _columns(rows: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))
