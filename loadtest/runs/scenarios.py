"""The scenarios: how much load there is at a time, and what kind. Pure.

Loads are told in pods' worth: 3.5 is what three and a half pods bear at the HPA's target, so that a scenario fits any
HPA. All of them rest at 1.5 or 2.5, which are 2 and 3 replicas whatever is measured within a third or a fifth of it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

REST = 1.5
"""2 replicas."""
MIDDLE = 2.5
"""3 replicas."""
TOP = 3.5
"""4 replicas."""
PEAK = 5.5
"""6 replicas."""
ERROR_SHARE = 0.3
"""Of the requests of an error burst."""
SLOWER = 3.0
"""How many times the work of a request grows in a slow leak."""
FEWEST_USERS, MOST_USERS = 100, 500
"""At the peak of a scenario: with fewer their number, which is whole, would be no scenario's load; more take processor
time."""

Curve = Callable[[float], float]
"""From the place in the scenario, 0 to 1, to a number."""


def _one(_: float) -> float:
    return 1.0


def _none(_: float) -> float:
    return 0.0


class Scenario(NamedTuple):
    """One question put to an autoscaler."""

    name: str
    asks: str
    """What its run answers, a question."""
    seconds: float
    """How long it takes, unless the user says otherwise: it is stretched, not cut."""
    curve: Curve
    """Pods' worth of load."""
    keep_alive: bool = False
    """Whether a client keeps its connection for ever; otherwise each request has one of its own, as a balancer by
    request would give it."""
    work: Curve = _one
    """How many times the usual work a request is; needs the sample service."""
    errors: Curve = _none
    """The share of requests that ask to be answered 500; needs the sample service."""

    def load(self, elapsed: float, *, per_pod: float, seconds: float) -> float:
        """requests/s at `elapsed` s of a run that takes `seconds`; 0 outside of it."""
        return self.curve(elapsed / seconds) * per_pod if 0 <= elapsed < seconds else 0.0

    @property
    def needs_sample(self) -> bool:
        """Whether only the sample service does what it asks for."""
        return self.work is not _one or self.errors is not _none

    @property
    def peak(self) -> float:
        """The most pods' worth that it comes to, as looked at every thousandth of it."""
        return max(self.curve(place / 1000) for place in range(1000))

    def needs(self, elapsed: float, *, seconds: float, low: int, high: int) -> int:
        """The replicas that the load at `elapsed` s needs, within the HPA's bounds."""
        return replicas_needed(self.load(elapsed, per_pod=1.0, seconds=seconds), 1.0, low=low, high=high)


def replicas_needed(load: float, per_pod: float, *, low: int, high: int) -> int:
    """ceil(load / per_pod) within an HPA's bounds: the smallest fleet whose pods are not above the target."""
    return min(high, max(low, math.ceil(load / per_pod - 1e-9)))


def requests_per_user(peak: float) -> float:
    """requests/s of one user, where all come to `peak`: 1 within the bounds of how many users there are."""
    return max(peak / MOST_USERS, min(1.0, peak / FEWEST_USERS))


def asking(path: str, parameters: Sequence[str]) -> str:
    """`path`, which may have a query and a fragment of its own, with more parameters; a fragment is never sent."""
    path = path.partition("#")[0]
    if not parameters:
        return path
    joined = "" if path.endswith(("?", "&")) else "&" if "?" in path else "?"
    return f"{path}{joined}{'&'.join(parameters)}"


def between(start: float, end: float, *, inside: float, outside: float) -> Curve:
    """`inside` from `start` up to `end`, `outside` before and after."""
    return lambda place: inside if start <= place < end else outside


def _ramp(place: float) -> float:
    """Level, up over half the time, level, and down at once."""
    if place < 0.15 or place >= 0.8:
        return REST
    return REST + (PEAK - REST) * min(1.0, (place - 0.15) / 0.5)


def _sawtooth(place: float) -> float:
    """Three teeth: up in three quarters of each, down at once, a rest."""
    within = (place * 3) % 1
    return REST + (PEAK - REST) * (within - 0.15) / 0.6 if 0.15 <= within < 0.75 else REST


def _day(place: float) -> float:
    """From midnight to midnight: a quiet night, a peak before noon, a dip, a higher one in the evening."""
    hour = place * 24
    bumps = ((11.0, 3.0, 3.0), (19.5, 2.5, PEAK - REST))  # hour, width in hours, height
    return REST + max(height * math.exp(-(((hour - at) / width) ** 2)) for at, width, height in bumps)


def _leak(place: float) -> float:
    """No more work at first, then ever more."""
    return 1 + (SLOWER - 1) * min(1.0, max(0.0, place - 0.2) / 0.6)


# A record names its scenario and not its curve: one that changes gets another name, or old reports would not be true.
_ALL = (
    Scenario("step", "how long from more load to enough pods, and back?", 240.0,
             between(45 / 240, 125 / 240, inside=TOP, outside=REST)),
    Scenario("ramp", "how far behind a load that grows steadily does it stay?", 240.0, _ramp),
    Scenario("spike", "what does a burst of 20 s cost that is over before new pods are there?", 210.0,
             between(45 / 210, 65 / 210, inside=PEAK, outside=REST)),
    Scenario("sawtooth", "does it swing with a load that swings?", 360.0, _sawtooth),
    Scenario("day", "how exactly does it follow a day, and what does it save?", 600.0, _day),
    Scenario("leak", "does it hold still while requests grow slower under an even load?", 300.0,
             between(0, 1, inside=MIDDLE, outside=MIDDLE), work=_leak),
    Scenario("errors", "does it hold still while a third of the answers are errors?", 180.0,
             between(0, 1, inside=MIDDLE, outside=MIDDLE),
             errors=between(60 / 180, 105 / 180, inside=ERROR_SHARE, outside=0.0)),
    Scenario("connections", "do new pods get load from clients that keep their connections?", 180.0,
             between(45 / 180, 1, inside=TOP, outside=REST), keep_alive=True),
    Scenario("plateau", "how long does a step take an HPA whose metric looks back over minutes?", 420.0,
             between(80 / 420, 250 / 420, inside=TOP, outside=REST)),
    Scenario("demo", "what do an HPA and two releases do under a load that more than doubles and stays?", 180.0,
             between(20 / 180, 1, inside=TOP, outside=REST)),
)  # fmt: skip

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
