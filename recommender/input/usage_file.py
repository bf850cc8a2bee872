"""Usage files: csv or csv.gz rows of what containers used, read line by line; bad rows are named, not fatal."""

import csv
import gzip
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from adapter.files import size
from adapter.metrics.problems import Problems
from recommender.input.cells import (
    OOM_COLUMN,
    all_amounts,
    all_numbers,
    is_fraction,
    read_amount,
    read_cell,
    read_epoch,
    read_name,
)
from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.containers import MAX_EPOCH, MISSING

COLUMNS: Final = ("container", "epoch_s", "cpu_millicores", "memory_bytes")
MAX_ROWS: Final = 100_000_000
"""Lines of one file and rows of all together: a small csv.gz can unfold to anything."""
MAX_OF_ONE: Final = 2_000_000
"""Rows of one container: four years of a row a minute."""
BATCH: Final = 20_000
"""Lines that are read at once"""
MAX_LINE: Final = 65536
"""bytes"""
MAX_SKIPPED: Final = 64 << 20
"""Bytes of a line that are passed over: what has none so long (a device, a picture) is not read for ever."""
NAMED_PROBLEMS: Final = 20
"""Bad rows that are named; the others are counted."""


class UsageError(Exception):
    """A file cannot be used at all; the text is one sentence with the file, the cause and what would be right."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Rows in file order; amounts are MISSING (-1) where the row has no such sample."""

    names: Sequence[str]
    """Containers, sorted."""
    container: Rows
    """For each row the index into `names`."""
    time: Floats
    """Unix time, s."""
    cpu: Amounts
    """millicores"""
    memory: Amounts
    """bytes"""
    oom: Amounts
    """bytes: the memory request in force at an OOM kill that followed the row's sample (0: no request)."""
    problems: Problems
    fractional: Collection[str] = ()
    """Containers of which an amount of CPU was no whole number, as they are written by whoever counts in cores."""

    def group_by_container(self, by_time: bool) -> "Usage":
        """The rows grouped by container; within a container in file order, or by time.

        Of rows with the same time the one with the most memory is the first, which is the one that counts: so it does
        not matter in which order a file lists the pods of a workload.
        """
        by = (-self.memory, self.time, self.container) if by_time else (self.container,)
        order = np.lexsort(by)
        return self.select(order)

    def select(self, rows: Rows) -> "Usage":
        """Only these rows, in this order, over the same containers."""
        cpu, memory, oom = self.cpu[rows], self.memory[rows], self.oom[rows]
        return replace(self, container=self.container[rows], time=self.time[rows], cpu=cpu, memory=memory, oom=oom)


def read_usage(paths: Iterable[Path]) -> Usage:
    """The rows of all files, one after the other.

    Raises UsageError: a file is unreadable, has wrong columns, or there is no good row at all.
    """
    rows = _Rows()
    problems = Problems(NAMED_PROBLEMS)
    paths = tuple(paths)
    for path in paths:
        _read(path, rows, problems)
    if not rows.time:
        first = f"; the first bad row: {problems.named[0]}" if problems.named else ""
        raise UsageError(f"{', '.join(map(str, paths))}: no usable row (a header and at least one are wanted){first}")
    usage = rows.usage(problems)
    sizes = np.bincount(usage.container)
    if sizes.max() > MAX_OF_ONE:
        name = usage.names[int(sizes.argmax())]
        raise UsageError(f"container {name!r} has {sizes.max()} rows; at most {MAX_OF_ONE} are possible")
    return usage


def read_requests(path: Path) -> tuple[Mapping[str, tuple[int, int]], Problems]:
    """container -> (cpu in millicores, memory in bytes) of a csv with those three columns. Raises UsageError."""
    wanted = ("container", "cpu_millicores", "memory_bytes")
    requests: dict[str, tuple[int, int]] = {}
    problems = Problems(NAMED_PROBLEMS)
    lines = _lines(path)
    places = _header(path, lines, wanted)
    for number, cells in lines:
        try:
            container = read_name(read_cell(cells, places["container"]))
            if container in requests:
                raise ValueError(f"container {container[:40]!r} is there twice; the first row counts")
            requests[container] = tuple(max(read_amount(cells, places, column), 0) for column in wanted[1:])  # type: ignore[assignment]
        except ValueError as error:
            problems.add(f"{path}, line {number}: {error}")
    return requests, problems


class _Rows:
    """Columns as they grow, 40 bytes a row."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.container = array("q")
        self.time = array("d")
        self.cpu, self.memory, self.oom = array("q"), array("q"), array("q")
        self.fractional: set[str] = set()

    def append(self, name: str, time: float, amounts: tuple[int, int, int]) -> None:
        self.container.append(self.index.setdefault(name, len(self.index)))
        self.time.append(time)
        self.cpu.append(amounts[0])
        self.memory.append(amounts[1])
        self.oom.append(amounts[2])

    def extend(self, lines: Sequence[list[str]], places: Mapping[str, int]) -> bool:
        """Appends many lines at once if nothing about any of them is doubtful; else nothing, and returns False."""
        wanted = max(places.values())
        if any(len(cells) <= wanted for cells in lines):
            return False
        columns = {column: [cells[place] for cells in lines] for column, place in places.items()}
        amounts = [all_amounts(columns[column]) for column in (*COLUMNS[2:], OOM_COLUMN) if column in columns]
        times = all_numbers(columns["epoch_s"])
        if times is None or any(amount is None for amount in amounts) or not (times < MAX_EPOCH).all():
            return False
        try:
            names = {text: read_name(text.strip()) for text in set(columns["container"])}
        except ValueError:
            return False
        index = {text: self.index.setdefault(name, len(self.index)) for text, name in names.items()}
        self.container.extend(map(index.__getitem__, columns["container"]))
        self.time.frombytes(times.tobytes())
        cpu = zip(columns["container"], columns["cpu_millicores"], strict=True)
        self.fractional.update({names[text] for text, amount in cpu if is_fraction(amount)})
        missing = np.full(len(lines), MISSING)
        for column, amount in zip((self.cpu, self.memory, self.oom), [*amounts, missing], strict=False):
            assert amount is not None
            column.frombytes(amount.tobytes())
        return True

    def usage(self, problems: Problems) -> Usage:
        names = sorted(self.index)
        place = np.empty(len(names), dtype=np.int64)
        place[[self.index[name] for name in names]] = np.arange(len(names))
        cpu, memory, oom = (np.frombuffer(column, dtype=np.int64) for column in (self.cpu, self.memory, self.oom))
        container = place[np.frombuffer(self.container, dtype=np.int64)]
        time = np.frombuffer(self.time, dtype=np.float64)
        return Usage(
            names=names, container=container, time=time, cpu=cpu, memory=memory, oom=oom, problems=problems,
            fractional=frozenset(self.fractional),
        )  # fmt: skip


def _read(path: Path, rows: _Rows, problems: Problems) -> None:
    lines = _lines(path)
    places = _header(path, lines, COLUMNS, OOM_COLUMN)
    for numbered in _batches(lines):
        if len(rows.time) + len(numbered) > MAX_ROWS:
            raise UsageError(f"{path}, line {numbered[0][0]}: more than {MAX_ROWS} rows; split the file by container")
        if not rows.extend([cells for _, cells in numbered], places):
            _read_singly(path, numbered, places, rows, problems)


def _read_singly(
    path: Path, numbered: Sequence[tuple[int, list[str]]], places: Mapping[str, int], rows: _Rows, problems: Problems
) -> None:
    """Line by line, so that what is wrong can be named."""
    for number, cells in numbered:
        try:
            container = read_name(read_cell(cells, places["container"]))
            time = read_epoch(read_cell(cells, places["epoch_s"]))
            cpu, memory = (read_amount(cells, places, column) for column in COLUMNS[2:])
            oom = read_amount(cells, places, OOM_COLUMN) if OOM_COLUMN in places else MISSING
        except ValueError as error:
            problems.add(f"{path}, line {number}: {error}")
        else:
            rows.append(container, time, (cpu, memory, oom))
            if is_fraction(cells[places["cpu_millicores"]]):
                rows.fractional.add(container)


def _batches(lines: Iterator[tuple[int, list[str]]]) -> Iterator[list[tuple[int, list[str]]]]:
    while batch := list(islice(lines, BATCH)):
        yield batch


def _header(path: Path, lines: Iterator[tuple[int, list[str]]], wanted: Sequence[str], *extra: str) -> dict[str, int]:
    """Where each wanted column stands; the order is free."""
    _, header = next(lines, (0, []))
    if not header:
        raise UsageError(f"{path}: the file is empty; the first line should be {','.join(wanted)}")
    names = [cell.strip() for cell in header]
    twice = [column for column in (*wanted, *extra) if names.count(column) > 1]
    if twice:
        raise UsageError(f"{path}, line 1: column {', '.join(twice)} is there twice; each is wanted once")
    missing = [column for column in wanted if column not in names]
    if missing and any(mark in header[0] for mark in "\0\ufffd"):
        raise UsageError(f"{path}, line 1: this is no text in UTF-8 (UTF-16?); save it as csv in UTF-8")
    if missing:
        shown = ",".join(names)[:200]
        raise UsageError(
            f"{path}, line 1: no column {', '.join(missing)} in {shown!r}; the first line should be {','.join(wanted)}"
        )
    return {column: names.index(column) for column in (*wanted, *extra) if column in names}


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number (from 1) and cells of each line that is not blank; a pipe is as good as a file."""
    try:
        with path.open("rb") as plain:
            packed = plain.peek(2)[:2] == b"\x1f\x8b"
            with gzip.open(plain) if packed else nullcontext(plain) as file:
                for number, line in enumerate(_text(file, path), 1):
                    if number > MAX_ROWS:
                        raise UsageError(f"{path}: more than {MAX_ROWS} lines; split the file by container")
                    if line.strip():
                        yield number, _cells(line)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: cannot be read: {error}; a csv or csv.gz file is wanted") from error


def _text(file: BufferedIOBase, path: Path) -> Iterator[str]:
    while raw := file.readline(MAX_LINE):
        length, rest = len(raw), raw
        while len(rest) == MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE)
            length += len(rest)
            if length > MAX_SKIPPED:
                raise UsageError(f"{path}: a line has more than {size(MAX_SKIPPED)}; a csv or csv.gz file is wanted")
        yield raw.decode("utf-8", errors="replace").strip("\ufeff\r\n")


def _cells(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]))
    except csv.Error:  # a carriage return inside; no name has one, so the row is going to be named as bad
        return line.split(",")
