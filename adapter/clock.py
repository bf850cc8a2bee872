"""The one clock that ages and schedules are taken by: Unix time that never steps.

The wall clock is set: by NTP, by hand, by a host that wakes up. An age taken by it is then wrong by the step, and a
schedule waits it out. So here Unix time is what the wall clock said at the start, and what the monotonic clock has
counted since. What other machines wrote (an object's times, a certificate's) is compared with the wall clock; what is
told to others is put back into its time by `wall`.
"""

import time
from collections.abc import Callable


def _monotonic() -> float:
    """s; it counts a suspended machine's time too where the system can tell it, as values grow old meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyClock:
    """Call it for Unix time, s, that grows by the monotonic clock."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = _monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._start = wall() - monotonic()

    def __call__(self) -> float:
        return self._start + self._monotonic()

    def wall(self, moment: float) -> float:
        """What the wall clock, as it is set now, would have said at `moment` of this clock."""
        return moment + self._wall() - self()


steady = SteadyClock()
"""The program's."""
