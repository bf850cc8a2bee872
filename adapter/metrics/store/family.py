"""Families: all series of one metric, their labels as columns of numbers, their samples in rings."""

from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from adapter.metrics.matching import Matching
from adapter.metrics.sample import Series
from adapter.metrics.slices import Slices
from adapter.metrics.source import RefusedQuery
from adapter.metrics.store.columns import ABSENT, Columns
from adapter.metrics.store.ring import FINEST_S, MAX_ROWS, Floats, Ints, Put, Ring

KEEP_UNUSED_S = 60.0
"""For so long a text that no series has is remembered: a query under way may still need it."""


class Work:
    """What matching costs: characters that are looked at, for expressions some 50 ns each."""

    SLICE = 2**16
    """Between two turns of the event loop: about 3 ms."""
    EACH = 64
    """What a text counts at least."""
    MOST = 2**26
    """In one query: about 3 s of CPU time."""

    def __init__(self) -> None:
        self._done = self._paused = 0

    def done(self, characters: int) -> bool:
        """Whether others are to have a turn after so much more. Raises RefusedQuery where it is too much."""
        self._done += max(characters, self.EACH)
        if self._done > self.MOST:
            raise RefusedQuery(
                f"its matchers would look at over {self.MOST} characters of labels' values, the most for one query of"
                " the embedded store; fewer or shorter values, or equality, would be right"
            )
        if self._done - self._paused < self.SLICE:
            return False
        self._paused = self._done
        return True


class Strings:
    """Label values as numbers, so that whole columns are compared at once. A number is never given twice."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": ABSENT}
        self._texts: dict[int, str] = {ABSENT: ""}
        self._uses: dict[int, int] = {ABSENT: 1}
        self._unused: dict[int, None] = {}
        """Codes without use since the last purge."""
        self._waiting: deque[tuple[float, list[int]]] = deque()
        """Codes that purges found without use, by the purge's Unix time, the oldest first."""
        self._next = ABSENT + 1

    def __len__(self) -> int:
        return len(self._codes)

    def acquire(self, text: str) -> int:
        code = self._codes.get(text)
        if code is None:
            code, self._next = self._next, self._next + 1
            self._codes[text] = code
            self._texts[code] = text
        self._uses[code] = self._uses.get(code, 0) + 1
        self._unused.pop(code, None)
        return code

    def release(self, text: str) -> None:
        code = self._codes[text]
        self._uses[code] -= 1
        if not self._uses[code]:
            self._unused[code] = None

    def find(self, text: str) -> int | None:
        return self._codes.get(text)

    def text(self, code: int) -> str:
        return self._texts[code]

    def purge(self, now: float) -> None:
        """Forget the texts that have been without use for long; it costs what has come out of use."""
        if self._unused:
            self._waiting.append((now, list(self._unused)))
            self._unused = {}
        while self._waiting and now >= self._waiting[0][0] + KEEP_UNUSED_S:
            for code in self._waiting.popleft()[1]:
                if self._uses.get(code) == 0:
                    del self._uses[code], self._codes[self._texts.pop(code)]


class Family:
    """All series of one metric name."""

    def __init__(self, name: str, retention_s: float, strings: Strings, interval_s: float = FINEST_S) -> None:
        """`interval_s`: between two samples of one series, as expected; see `Ring`."""
        self.name = name
        self.series: list[Series | None] = []
        self.columns = Columns()
        self.serial: Ints = np.zeros(0, dtype=np.int64)
        """A number for each row that changes when the row is given to another series; 0 where it is free."""
        self._retention_s, self._interval_s = retention_s, interval_s
        self._strings = strings
        self._rings: list[Ring] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.series) - len(self._free)

    @property
    def nbytes(self) -> int:
        return sum(ring.nbytes for ring in self._rings) + self.columns.nbytes

    def add(self, series: Series, serial: int) -> int:
        row = self._free.pop() if self._free else self._add_row()
        self.series[row] = series
        self.serial[row] = serial
        for label, value in series.labels:
            self.columns.put(label, row, self._strings.acquire(value))
        return row

    def _add_row(self) -> int:
        if not self._rings or self._rings[-1].rows == MAX_ROWS:
            self._rings.append(Ring(self._retention_s, self._interval_s))
        self._rings[-1].add_row()
        self.series.append(None)
        if len(self.series) > len(self.serial):
            more = np.zeros(max(1, len(self.serial) // 2), dtype=np.int64)
            self.serial = np.concatenate([self.serial, more])
            self.columns.grow(len(self.serial))
        return len(self.series) - 1

    def remove(self, row: int) -> Series:
        """Free a row; returns its series."""
        series = self.series[row]
        assert series is not None
        self.series[row] = None
        self.serial[row] = 0
        for label, value in series.labels:
            self.columns.clear(label, row)
            self._strings.release(value)
        self._rings[row // MAX_ROWS].clear_row(row % MAX_ROWS)
        self._free.append(row)
        return series

    def put(self, row: int, time: float, value: float) -> Put:
        return self._rings[row // MAX_ROWS].put(row % MAX_ROWS, time, value)

    def newest(self) -> Floats:
        """The time of each row's newest sample, Unix s; -inf where a row is empty or free."""
        if len(self._rings) == 1:
            return self._rings[0].newest
        return np.concatenate([ring.newest for ring in self._rings]) if self._rings else np.zeros(0)

    def select(self, matchings: Iterable[Matching], work: Work) -> Slices[Ints]:
        """The rows whose labels satisfy all; one that is freed meanwhile may be among them. Raises RefusedQuery."""
        chosen = self.serial[: len(self.series)] != 0
        for matching in matchings:
            if matching.label not in self.columns:
                if not matching.matches(""):
                    return np.zeros(0, dtype=np.int64)
                continue
            rows = np.flatnonzero(chosen)
            codes = self.columns.codes(matching.label, rows)
            if (literal := matching.equals) is not None:
                chosen[rows] = codes == (-1 if (code := self._strings.find(literal)) is None else code)
            else:
                chosen[rows] = yield from self._test(matching, codes, work)
        return np.flatnonzero(chosen)

    def _test(self, matching: Matching, codes: Ints, work: Work) -> Slices[npt.NDArray[np.bool_]]:
        distinct, inverse = np.unique(codes, return_inverse=True)
        texts = [self._strings.text(code) for code in distinct.tolist()]
        verdicts = np.zeros(len(texts), dtype=bool)
        for place, text in enumerate(texts):
            verdicts[place] = matching.matches(text)
            if work.done(len(text)):
                yield
        return verdicts[inverse]

    def tail(self, rows: Ints, since: float, at: float) -> tuple[Floats, Floats]:
        """Times and values of the samples of `rows` in (since, at], right-aligned; see `Ring.tail`."""
        rings = rows // MAX_ROWS
        numbers: list[int] = np.unique(rings).tolist()
        if len(numbers) == 1:
            return self._rings[numbers[0]].tail(rows % MAX_ROWS, since, at)
        parts = [
            (part, self._rings[number].tail(rows[part] % MAX_ROWS, since, at))
            for number in numbers
            for part in [np.flatnonzero(rings == number)]
        ]
        width = max((times.shape[1] for _, (times, _) in parts), default=1)
        all_times, all_values = np.full((len(rows), width), np.nan), np.full((len(rows), width), np.nan)
        for part, (times, values) in parts:
            all_times[part, width - times.shape[1] :] = times
            all_values[part, width - times.shape[1] :] = values
        return all_times, all_values

    def label_sets(self, rows: Ints, since: float, at: float) -> dict[int, dict[str, str]]:
        """Serial -> labels of those of `rows` that have samples in (since, at]."""
        rows = rows[self.newest()[rows] > since]
        times, _ = self.tail(rows, since, at)
        present = rows[~np.isnan(times[:, -1])].tolist()
        return {int(self.serial[row]): dict(series.labels) for row in present if (series := self.series[row])}
