"""Values of pods that are averaged together, taken over the same time. Pure.

Each pod's rate finds a change by itself, some seconds before or after the others'. When load moves between pods the
same requests then count twice for a while (75 at the pods that had it, 50 already at the one that has it now), or not
at all. So the rates of one group are taken since one moment: the latest that any of its pods knows of. Until each pod
has a whole interval since then, the values of before are kept. Pods that give no value are not waited for, and where
changes follow each other too quickly for any whole interval, the rates since the first of them are served in the end.
Nor does anybody wait where all have changed the same way: no load has moved from one to another then.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple

from adapter.collect.snapshot import Reading

Key = tuple[str, str]
"""(namespace, pod)"""
Readings = Mapping[Key, Reading]
PATIENCE: Final = 3.0
"""Sample intervals for which a group waits, whatever happens: two are needed after a change, one may be missed.

What is served is therefore never older than 1 + PATIENCE intervals and the time that a scrape and an evaluation take.
"""
WINDOW: Final = 60.0
"""s of requests that tell what a group has in all: the longest window of the built-in rules."""
THRESHOLD: Final = 4.5
"""Standard errors of a Poisson count by which that must differ to have changed, as in `adapter.metrics.store.rate`."""
ALIKE: Final = 3.0
"""Standard errors of a Poisson count by which each pod must have changed for all to have changed the same way."""
EARLIER: Final = 1.25
"""Sample intervals by which windows of one group may begin apart: a pod's phase within the interval, and jitter."""


class Cohort(NamedTuple):
    """One group at one time."""

    members: Collection[Key]
    """Those that take traffic."""
    changed: float
    """Since when these are the ones, Unix s; 0 where no change was seen."""
    former: Collection[Key] = ()
    """Those that took it before."""


class Total(NamedTuple):
    """What all of a group had together before its load was shared anew."""

    moment: float
    """When that was, Unix s."""
    value: float
    window: float
    """s that the value was taken over."""
    now: float
    """The best estimate since: of before and after together …"""
    lasted: float
    """… and the s that it was taken over."""

    def at(self, moment: float) -> "Total":
        """What is known before `moment`, Unix s: a later change goes on from the best estimate."""
        return Total(moment, self.now, self.lasted, self.now, self.lasted) if self.moment < moment else self


class Past(NamedTuple):
    """What the evaluation before remembered of a group."""

    total: Total | None = None
    held: float | None = None
    """As `Kept.held`."""


class Kept(NamedTuple):
    """What becomes of one group's values."""

    readings: Mapping[Key, Reading | None]
    """By member; None: it has no value."""
    waiting: Collection[Key]
    """Members that the others wait for; empty where nobody waits."""
    total: Total | None = None
    """What to remember of it."""
    held: float | None = None
    """Since when some member has had no whole interval after a change, Unix s; None where all have one."""


def began(reading: Reading) -> float:
    """When the window of a rate began, Unix s; for a plain value its own time."""
    return reading.time - reading.window


def starts(cohort: Cohort, born: Callable[[Key], float]) -> dict[Key, float]:
    """Since when each member's samples count: since it takes traffic (`born`), and since the group changed."""
    return {key: max(born(key), cohort.changed) for key in cohort.members}


def suspects(readings: Readings, interval: float) -> set[Key]:
    """Pods whose windows begin so late that they may have been cut; without one `latest_cut` finds none."""
    window_begins = {key: began(reading) for key, reading in readings.items() if reading.window > 0}
    first = min(window_begins.values(), default=0.0)
    return {key for key, begin in window_begins.items() if begin > first + EARLIER * interval}


def latest_cut(readings: Readings, begins: Mapping[Key, float], interval: float) -> float | None:
    """The moment since which all rates of a group ought to be taken, where they are not; else None.

    `begins` says since when each member's samples count. A window that begins later than that, and later than another
    member's, by more than a sample interval was cut by a change of the load.
    """
    window_begins = {key: began(readings[key]) for key in begins if key in readings and readings[key].window > 0}
    cut = max((begin for key, begin in window_begins.items() if begin > begins[key] + EARLIER * interval), default=None)
    if cut is None or cut - min(window_begins.values()) <= EARLIER * interval:
        return None
    return cut


def settle_group(
    cohort: Cohort,
    readings: Readings,
    before: Readings,
    past: Past,
    *,
    silent: Collection[Key] = (),
    moment: float,
    interval: float,
    now: float,
) -> Kept:
    """The readings to serve of a group whose load was shared anew at `moment`, Unix s: the new ones once all have one.

    `readings` are taken since `moment`; `before` is what was served last, and `past` what was remembered then. Nobody
    waits for those who are `silent`. After PATIENCE intervals the new ones hold in any case, and who has none has no
    value; where `moment` itself is younger than that, see `overdue`.
    """
    new = {key: readings.get(key) for key in cohort.members}
    if now - moment > WINDOW:
        return Kept(new, ())
    awaited = [key for key in cohort.members if key not in readings and key not in silent]
    total = _total_before(cohort, before, past.total, moment, silent)
    if awaited and now - moment <= PATIENCE * interval:
        held = moment if past.held is None else min(past.held, moment)
        if now - held <= PATIENCE * interval:
            return Kept({key: before.get(key) for key in cohort.members}, awaited, total, held)
        return Kept(new, awaited, total if now - held <= WINDOW else None, held)
    speaking = {key: reading for key, reading in new.items() if key not in silent}
    lost = any(key in before for key in cohort.members if key in silent and key not in readings)
    if awaited or lost or total is None:  # the total is of more than those who have a value
        return Kept(new, (), total)
    pooled = in_all(speaking, total)
    return pooled._replace(readings=new | dict(pooled.readings))


def alike(kept: Kept, recent: Readings) -> Kept | None:
    """`kept` of a group that waits, with the `recent` readings, where all have changed the same way; else None.

    `recent` begin one sample interval before the change was found to have come, so each is of the newest intervals: of
    some the change fell into them, and theirs is between the old rate and the new. No request counts twice.
    """
    signs = {_sign(before, recent.get(key)) for key, before in kept.readings.items()}
    if signs != {1} and signs != {-1}:
        return None
    return kept._replace(readings={key: recent.get(key) for key in kept.readings}, waiting=())


def _sign(before: Reading | None, after: Reading | None) -> int:
    """Whether a rate has risen (1) or fallen (-1) beyond chance; 0 where that is not known."""
    if before is None or after is None or not before.window or not after.window:
        return 0
    seconds = before.window + after.window
    pooled = (before.value * before.window + after.value * after.window) / seconds
    error = ALIKE**2 * pooled * (1 / before.window + 1 / after.window)
    change = after.value - before.value
    return 0 if change**2 <= error else 1 if change > 0 else -1


def overdue(kept: Kept, interval: float, now: float) -> bool:
    """Whether a group has waited for PATIENCE intervals, though its latest change is younger than that.

    Then its rates since `kept.held` are the best there are: averages over all these changes.
    """
    return kept.held is not None and now - kept.held > PATIENCE * interval


def anyway(kept: Kept, readings: Readings) -> Kept:
    """`kept` of a group that waits no longer, with the `readings` since `kept.held`."""
    new = {key: readings.get(key) for key in kept.readings}
    if kept.total is not None and all(reading is not None for reading in new.values()):
        new = dict(in_all(new, kept.total).readings)
    return kept._replace(readings=new, waiting=())


def _total_before(
    cohort: Cohort, before: Readings, total: Total | None, moment: float, silent: Collection[Key]
) -> Total | None:
    """What the group had before `moment`: as remembered, else as it was served; None where that is not known of all."""
    if total is not None:
        return total.at(moment)
    whose = cohort.former if moment == cohort.changed else cohort.members  # else the rates show that load has moved
    known = [before.get(key) for key in whose if key in before or key not in silent]
    rates = [reading for reading in known if reading is not None and reading.window > 0]
    if not rates or len(rates) < len(known):
        return None
    value, window = sum(reading.value for reading in rates), min(reading.window for reading in rates)
    return Total(moment, value, window, value, window)


def in_all(new: Mapping[Key, Reading | None], total: Total) -> Kept:
    """`new` with their sum taken over the time before, too: sharing a load anew does not change it.

    Seconds after a change each pod's rate is of few requests, and a tenth off by chance. Which pod has which share
    must come from these seconds; what all have together need not, unless it has changed beyond chance as well.
    """
    readings = [reading for reading in new.values() if reading is not None]
    value, lasted = (
        sum(reading.value for reading in readings),
        min((reading.window for reading in readings), default=0.0),
    )
    prior = min(total.window, WINDOW - lasted)
    if not readings or lasted <= 0 or value <= 0 or prior <= 0:
        return Kept(new, (), None)
    pooled = (total.value * prior + value * lasted) / (prior + lasted)
    if (value - total.value) ** 2 > THRESHOLD**2 * pooled * (1 / prior + 1 / lasted):
        return Kept(new, (), Total(total.moment, value, lasted, value, lasted))
    scaled = {key: reading and reading._replace(value=reading.value * pooled / value) for key, reading in new.items()}
    return Kept(scaled, (), total._replace(now=pooled, lasted=prior + lasted))


def overlay(readings: Readings, kept: Iterable[Kept]) -> dict[Key, Reading]:
    """`readings` with the groups' own in their places; of a pod in several groups the one that waits counts."""
    result = dict(readings)
    for one in sorted(kept, key=lambda each: bool(each.waiting)):
        for key, reading in one.readings.items():
            if reading is None:
                result.pop(key, None)
            else:
                result[key] = reading
    return result
