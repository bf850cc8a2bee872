"""Reads what exporters write: the Prometheus text format 0.0.4 and OpenMetrics 1.0.

A scrape repeats the series of the one before, so the text up to the closing brace is the key of a cache and is taken
apart only when it is new; what remains of a known line is one look-up and one conversion. Bad lines become problems,
the others are kept. A value may be NaN: that is what the exporter said.
"""

import io
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from adapter.metrics.problems import Problems
from adapter.metrics.sample import Point, Series
from adapter.metrics.scrape.lines import LEFT_OUT, Allowance, Lines
from adapter.metrics.sender import SenderClock
from adapter.metrics.series_text import LabelLimits, LineError, SeriesReader, cut

FUTURE_S = 600.0
"""A timestamp further ahead of our clock than this is refused, as Prometheus does."""
ASK_AGAIN_S = 30.0
"""After so long series that were left out are tried again: there may be room for them by then."""
SLICE_BYTES = 32 * 1024
"""Of lines that are read in one slice, and one line more."""
_HEAD = re.compile(rb'[ \t]*+[a-zA-Z0-9_:]*+[ \t]*+\{(?:[^"}]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
_HASH, _UNDERSCORE = ord("#"), ord("_")
_NOT_WANTED = ""


class Limits(NamedTuple):
    """What one body may hold; what is beyond becomes a problem."""

    body_bytes: int = 64 * 2**20
    lines: int = 500_000
    samples: int = 100_000
    line_bytes: int = 16 * 1024
    kinds: int = 10_000
    label: LabelLimits = LabelLimits()


DEFAULT_LIMITS = Limits()


class Parsed(NamedTuple):
    """What a body, or a slice of it, said."""

    points: list[Point]
    problems: list[str]
    """'line N: …', at most ten, then 'and N more'."""
    kinds: dict[str, str]
    """Metric family -> 'counter', 'gauge', 'histogram', … where a TYPE line says so."""
    left_out: int = 0
    """Lines of series that `Parser.leave_out` was told of."""


class Parser:
    """Reads one target's bodies, remembering its series from one to the next."""

    def __init__(
        self,
        extra: Mapping[str, str] | None = None,
        cache_lines: int = 20_000,
        names: Collection[str] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        allowance: Allowance | None = None,
    ) -> None:
        """`extra` labels are the target's own; a scraped label of that name is kept as `exported_<name>`.

        `names` keeps only these metrics; one that ends in '*' is a prefix. None keeps all. `allowance` bounds what all
        parsers together remember; None: this one alone.
        """
        self._reader = SeriesReader(extra or {}, limits.label)
        self._wanted = None if names is None else _Wanted(names)
        self._limits = limits
        self._cache = Lines(cache_lines, allowance or Allowance(), (extra or {}).get("namespace", ""))
        self._fresh: dict[Series, bytes] = {}
        """The series that came with the last slice, and their lines' texts."""
        self._asked_again = -math.inf
        self._problems = Problems()
        self._sender = SenderClock()

    def close(self) -> None:
        """Nothing is read any more: others may remember as much."""
        self._cache.clear()

    def leave_out(self, refused: Iterable[Series]) -> None:
        """There is no room for these of the slice that was just read: for ASK_AGAIN_S their lines bring no points.

        What a target brings in vain then costs little time and memory, however much it is.
        """
        for series in refused:
            if (head := self._fresh.pop(series, None)) is not None:
                self._cache.leave_out(head)

    def parse(self, body: bytes, now: float, openmetrics: bool = False) -> Parsed:
        """All samples of `body`; their time is their line's, else `now` (Unix s)."""
        whole = Parsed([], [], {})
        for part in self.parse_chunks(body, now, openmetrics=openmetrics):
            whole.points.extend(part.points)
            whole.problems.extend(part.problems)
            whole.kinds.update(part.kinds)
        return whole

    def parse_chunks(
        self,
        body: bytes,
        now: float,
        lines_per_slice: int = 500,
        openmetrics: bool = False,
        wall: float | None = None,
    ) -> Iterator[Parsed]:
        """The same in slices, so that the caller can let others run between them; problems come with the last.

        Timestamps are put into the clock of `now`; `wall`: see `SenderClock.begin`.
        """
        if len(body) > self._limits.body_bytes:
            yield Parsed([], [f"the body has {len(body)} bytes; at most {self._limits.body_bytes} are read"], {})
            return
        self._problems, reading = Problems(), _Reading(now, openmetrics)
        if not 0 <= now - self._asked_again < ASK_AGAIN_S:
            self._cache.forget_left_out()
            self._asked_again = now
        self._cache.begin()
        self._sender.begin(now, wall)
        end = _end(body) if openmetrics else len(body)
        stream = io.BytesIO(body if end < 0 or end == len(body) else body[:end])
        slices = _slices(stream, lines_per_slice)
        while not reading.ended and (lines := next(slices, None)):
            part, before = Parsed([], [], {}), reading.left_out
            self._fresh.clear()
            self._read(lines, reading, part)
            self._count(len(lines), reading, part.points)
            yield part._replace(left_out=reading.left_out - before)
        if end < 0 and not reading.ended:
            self._problems.add(f"line {reading.line}: the body ends without '# EOF': it may be cut short")
        self._fresh.clear()
        self._cache.tidy(reading.samples + reading.left_out)
        self._sender.end()
        yield Parsed([], self._problems.take(), {})

    def _read(self, lines: list[bytes], reading: "_Reading", part: Parsed) -> None:
        """Hot: everything in this loop is done for each line of each scrape."""
        points, known, now, wanted = part.points, self._cache.entries, reading.now, self._wanted
        openmetrics, latest, longest = reading.openmetrics, now + FUTURE_S, self._limits.line_bytes
        for number, line in enumerate(lines, reading.line + 1):
            try:
                if len(line) > longest:
                    raise LineError(f"{cut(line)} has {len(line)} bytes; at most {longest} are read")
                head, brace, tail = line.rpartition(b"}")
                if not brace or (openmetrics and _HASH in line):
                    head, tail = _split(line, openmetrics)
                if wanted is not None and not wanted[head.partition(b"{")[0]]:
                    continue
                series = known.get(head)
                if series.__class__ is not Series and (series := self._miss(head, line, number, reading, part)) is None:
                    continue
                fields = tail.split()
                time = now
                if len(fields) > 1:
                    told = float(fields[1]) if openmetrics else int(fields[1]) / 1000
                    time = self._time(series, told, fields[-1], latest)
                if _UNDERSCORE in tail or len(fields) > 2:  # Python would take 1_000 for a number
                    raise ValueError
                points.append((series, float(fields[0]), time))
            except LineError as error:
                self._problems.add(f"line {number}: {error}")
            except (ValueError, IndexError, OverflowError):
                self._problems.add(f"line {number}: {cut(line)} must end in a number and at most a timestamp")

    def _time(self, series: Series, told: float, text: bytes, latest: float) -> float:
        """A timestamp by our clock. Raises LineError."""
        if 0 <= told < math.inf:
            time = self._sender.ours(hash(series), told)
            if time >= 0 and told + self._sender.correction <= latest:
                return time
        raise LineError(f"the timestamp {cut(text)} lies before 1970 or over {FUTURE_S:.0f} s ahead")

    def _miss(self, head: bytes, line: bytes, number: int, reading: "_Reading", part: Parsed) -> Series | None:
        """The series of a line that the cache does not know as one; None for what is no sample or not wanted."""
        entry = self._cache.entries.get(head)
        if entry is None:
            text = line.strip()
            if not text or text[0] == _HASH:
                self._comment(text, number, reading, part)
                return None
            entry = self._series(head)
            if self._cache.add(head, entry) and isinstance(entry, Series):
                self._fresh[entry] = head
        if isinstance(entry, Series):
            return entry
        if entry is LEFT_OUT:
            reading.left_out += 1
            return None
        if entry == _NOT_WANTED:
            return None
        raise LineError(entry)

    def _series(self, head: bytes) -> Series | str:
        """The series that `head` names; a sentence where there is none, '' where it is not wanted."""
        try:
            series = self._reader.read(head.decode())
        except LineError as error:
            return str(error)
        except UnicodeDecodeError:
            return f"{cut(head)} is not UTF-8"
        return _NOT_WANTED if self._wanted is not None and not self._wanted[series.name.encode()] else series

    def _comment(self, text: bytes, number: int, reading: "_Reading", part: Parsed) -> None:
        fields = text.split(None, 3)
        if fields[:2] == [b"#", b"TYPE"]:
            if len(fields) != 4:
                self._problems.add(f"line {number}: a TYPE line must have a name and a type")
            elif reading.kinds < self._limits.kinds:
                reading.kinds += 1
                part.kinds[fields[2].decode(errors="replace").strip('"')] = fields[3].decode(errors="replace")

    def _count(self, lines: int, reading: "_Reading", points: list[Point]) -> None:
        """Count a slice; at a limit the body ends."""
        reading.line += lines
        reading.samples += len(points)
        if excess := max(reading.samples - self._limits.samples, 0):
            del points[-excess:]
            self._problems.add(f"line {reading.line}: more than {self._limits.samples} samples; the rest is left out")
        elif reading.line >= self._limits.lines:
            self._problems.add(f"line {reading.line}: more than {self._limits.lines} lines; the rest is left out")
        else:
            return
        reading.ended = True


class _Reading:
    """How far a body has been read."""

    def __init__(self, now: float, openmetrics: bool) -> None:
        self.now = now
        self.openmetrics = openmetrics
        self.line = self.samples = self.left_out = self.kinds = 0
        self.ended = False


class _Wanted(dict[bytes, bool]):
    """Whether a metric's name is wanted, remembered.

    So are comments, and '' (a name that stands quoted inside the braces) until it is known.
    """

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        self._names = {name.encode() for name in names if not name.endswith("*")}
        self._prefixes = tuple(name[:-1].encode() for name in names if name.endswith("*"))

    def __missing__(self, text: bytes) -> bool:
        name = text.strip()
        wanted = not name or name[0] == _HASH or name in self._names or name.startswith(self._prefixes)
        if len(self) < 10_000 and len(text) < 256:
            self[text] = wanted
        return wanted


def _slices(stream: io.BytesIO, lines: int) -> Iterator[list[bytes]]:
    """All lines, at most so many at once, and of SLICE_BYTES: a long one may take as much time as hundreds."""
    while some := stream.readlines(SLICE_BYTES):
        for start in range(0, len(some), lines):
            yield some[start : start + lines]


def _end(body: bytes) -> int:
    """Where the '# EOF' of an OpenMetrics body begins; -1 where it is missing."""
    return 0 if body.startswith(b"# EOF") else body.find(b"\n# EOF") + 1 or -1


def _split(line: bytes, openmetrics: bool) -> tuple[bytes, bytes]:
    """Series and value of a line without braces (its series is written as if it had some), or with an exemplar."""
    match = _HEAD.match(line) if openmetrics else None
    if match:
        return match[0][:-1], line[match.end() :].partition(b"#")[0]
    fields = line.split(None, 1)
    if not fields or fields[0][0] == _HASH:
        return b"#", b""
    head, tail = fields[0] + b"{", fields[-1] if len(fields) > 1 else b""
    return head, tail.partition(b"#")[0] if openmetrics else tail
