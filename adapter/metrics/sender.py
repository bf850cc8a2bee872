"""The clock of whoever sends samples with times of their own: a page's timestamps, OTLP's. Pure: time is an argument.

A sender's clock may be wrong, and it is set now and then. How wrong it is nobody tells: a sample of an hour ago may
come from a clock an hour behind, or be an hour old. But a step shows: what it sends goes back in time, or lies ahead of
us, which no sample can. If it then goes on at the pace of our own clock (a backlog comes faster), the difference is
corrected, so that its samples are as late as they were before.
"""

BACK_S = 60.0
"""s by which all times must have gone back to make a step likely; a lesser one is over before it costs more."""
AHEAD_S = 10.0
"""s by which all times must lie ahead of us to make a step likely."""
MOST_AHEAD_S = 30.0
"""s by which a sample may lie ahead, to be seen when its time comes; one further ahead is taken as of now."""
PACE = (0.5, 2.0)
"""How fast times must grow by our clock for a sender that tells of now."""
WATCHED = 8
"""Series of each batch whose times are compared with those of the next: of one alone the time may go astray."""


class SenderClock:
    """Puts one sender's times into ours; `begin` and `end` each batch of samples."""

    def __init__(self) -> None:
        self.correction = 0.0
        """s to be added to its times."""
        self._late = 0.0
        """s by which its newest sample was behind us, while nothing was suspected."""
        self._before: dict[int, float] = {}
        self._times: dict[int, float] = {}
        self._now = 0.0
        self._suspected: tuple[dict[int, float], float] | None = None
        """The times of the first batch after what may be a step, and when it came."""

    def begin(self, now: float, wall: float | None = None) -> None:
        """A batch came at `now`, Unix s of a clock that never steps; `wall` is what the wall clock says (None: `now`).

        Of a sender that was never heard of nothing is known but that other machines' clocks should be as ours.
        """
        if not self._times:
            self.correction = now - (now if wall is None else wall)
        self._before, self._times, self._now = self._times, {}, now

    def ours(self, series: int, time: float) -> float:
        """The time of a sample by our clock; `time` is what its sender says, Unix s.

        `series` is a hash of its series: what is remembered of a sender must be small.
        """
        if series in self._before or len(self._times) < WATCHED:
            self._times[series] = time
        ours = time + self.correction
        return ours if ours <= self._now + MOST_AHEAD_S else self._now

    def end(self) -> None:
        """The batch is over: what it tells of the clock holds from the next one on."""
        if not self._times:
            self._times = self._before
            return
        newest = max(self._times.values())
        if self._is_ahead() or (self._late_by(newest) > self._late + BACK_S if self._suspected else self._went_back()):
            self._suspect(newest)
        else:
            self._suspected, self._late = None, max(self._late_by(newest), 0.0)

    def _suspect(self, newest: float) -> None:
        """A step is likely; where the sender keeps pace since, it was one."""
        first, since = self._suspected or ({}, self._now)
        moved = [time - first[series] for series, time in self._times.items() if series in first]
        if not moved:
            self._suspected = self._times, self._now
            return
        low, high = (pace * (self._now - since) for pace in PACE)
        if 0 < low <= max(moved) <= high:
            self.correction = self._now - self._late - newest
            self._suspected = None

    def _late_by(self, time: float) -> float:
        return self._now - time - self.correction

    def _is_ahead(self) -> bool:
        return all(self._late_by(time) < -AHEAD_S for time in self._times.values())

    def _went_back(self) -> bool:
        both = [(self._before[series], time) for series, time in self._times.items() if series in self._before]
        return bool(both) and all(time < before - BACK_S for before, time in both)
