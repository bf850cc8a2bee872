"""Families: all series of one metric, their labels as columns of numbers, their samples in rings."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from adapter.metrics.matching import Matching
from adapter.metrics.sample import Series
from adapter.metrics.slices import Slices
from adapter.metrics.source import CostlyQuery
from adapter.metrics.store.columns import Columns
from adapter.metrics.store.ring import FINEST_S, MAX_ROWS, Floats, Ints, Put, Ring
from adapter.metrics.store.strings import Strings


class Work:
    """What matching costs: characters that are looked at, for expressions at most some 50 ns each by their weight."""

    SLICE = 2**16
    """Between two turns of the event loop: about 3 ms."""
    EACH = 64
    """What a text counts at least."""
    MOST = 2**26
    """In one query: about 3 s of CPU time."""

    def __init__(self, count: Callable[[int], None] = lambda _: None) -> None:
        """`count` is told of all that is done."""
        self._count = count
        self._done = self._paused = 0

    def is_turn_over(self, characters: int) -> bool:
        """Count characters looked at; True when others are to have a turn. Raises CostlyQuery if too many."""
        characters = max(characters, self.EACH)
        self._done += characters
        self._count(characters)
        if self._done > self.MOST:
            raise CostlyQuery(
                f"its matchers would look at over {self.MOST} characters of labels' values, those of large expressions"
                " counted more than once, the most for one query of the embedded store; fewer or shorter values, or"
                " equality, would be right"
            )
        if self._done - self._paused < self.SLICE:
            return False
        self._paused = self._done
        return True


class Family:
    """All series of one metric name."""

    __slots__ = (
        "_free",
        "_interval_s",
        "_passing",
        "_retention_s",
        "_rings",
        "_strings",
        "columns",
        "name",
        "serial",
        "series",
    )

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
        self._passing: dict[int, tuple[float, float]] = {}
        """Row -> Unix time, s, and value of a sample that is newer than those in its ring, and in none."""
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
        self._passing.pop(row, None)
        self._free.append(row)
        return series

    def put(self, row: int, time: float, value: float) -> Put:
        outcome = self._rings[row // MAX_ROWS].put(row % MAX_ROWS, time, value)
        if self._passing and outcome is Put.STORED:
            self._passing.pop(row, None)
        return outcome

    def pass_by(self, row: int, time: float, value: float) -> None:
        """Keep a sample only until a newer one of the row comes: no window of time has it."""
        self._passing[row] = time, value

    def newest(self) -> Floats:
        """The time of each row's newest sample, Unix s; -inf where a row is empty or free."""
        if len(self._rings) == 1:
            return self._rings[0].newest
        return np.concatenate([ring.newest for ring in self._rings]) if self._rings else np.zeros(0)

    def select(self, matchings: Iterable[Matching], work: Work) -> Slices[Ints]:
        """The rows whose labels satisfy all; one that is freed meanwhile may be among them. Raises CostlyQuery."""
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
        known, verdicts = self._strings.verdicts.of(matching, distinct)
        unknown = np.flatnonzero(~known)
        texts = [self._strings.text(code) for code in distinct[unknown].tolist()]
        try:
            matches = matching.matches if texts else bool
            for place, text in zip(unknown.tolist(), texts, strict=True):
                verdicts[place] = matches(text)
                known[place] = True
                if work.is_turn_over(len(text) * matching.weight):
                    yield
        finally:
            if len(unknown):  # of a query that is refused, too: it gets further the next time
                self._strings.verdicts.add(matching, distinct[known], verdicts[known], self._strings.holds)
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

    def newest_of(self, rows: Ints, since: float, at: float) -> tuple[Floats, Floats]:
        """As `tail`, but the last column has what passed by since, too."""
        times, values = self.tail(rows, since, at)
        passing = self._passing
        for place, row in enumerate(rows.tolist() if passing else ()):
            time, value = passing.get(row, (-np.inf, np.nan))
            if since < time <= at and not time <= times[place, -1]:
                times[place, -1], values[place, -1] = time, value
        return times, values

    def label_sets(self, rows: Ints, since: float, at: float) -> dict[int, dict[str, str]]:
        """Serial -> labels of those of `rows` that have samples in (since, at]."""
        rows = rows[self.newest()[rows] > since]
        times, _ = self.tail(rows, since, at)
        present = rows[~np.isnan(times[:, -1])].tolist()
        return {int(self.serial[row]): dict(series.labels) for row in present if (series := self.series[row])}
