"""What pods in transition mean for the values of one query: since when samples count, and which values to serve.

The rules are in `presence` (who takes traffic), `groups` (whose values are averaged together) and `unison` (over the
same time). Here they are put to one query's readings. No network, no clock.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adapter.collect.groups import GroupKey, Groups
from adapter.collect.presence import Presences
from adapter.collect.unison import Cohort, Key, Readings, Total, latest_cut, overlay, settled, starts

RECENT = 300.0
"""s after which a change has left every window: as long as the embedded store keeps samples."""


class Settled(NamedTuple):
    """The values of one query as they are served."""

    readings: Readings
    totals: Mapping[GroupKey, Total] = {}
    """What groups whose load was shared anew have in all."""
    waits: Mapping[Key, Key] = {}
    """Pods whose values are those of before -> one of the pods that have no whole interval since."""


class Moments(NamedTuple):
    """Since when the samples of pods count, at one time; sequences are in the order of `keys`."""

    keys: Sequence[GroupKey]
    cohorts: Sequence[Cohort]
    begins: Sequence[Mapping[Key, float]]
    """Per cohort: member -> Unix time, s."""
    cuts: Sequence[float | None]
    """Per cohort: the moment since which the rates of all its members ought to be taken; None where they are."""
    interval: float
    """s between two samples of one pod."""

    def since(self, now: float) -> dict[Key, float]:
        """What to tell the source: of pods in transition alone, the others' samples all count."""
        latest: dict[Key, float] = {}
        for begins, cut in zip(self.begins, self.cuts, strict=True):
            for key, begin in begins.items():
                moment = max(begin, cut or begin)
                if now - moment < RECENT:
                    latest[key] = max(moment, latest.get(key, moment))
        return latest

    def cut(self, readings: Readings) -> "Moments | None":
        """With the changes of load that the rates themselves show; None where they show none that matters."""
        cuts = [latest_cut(readings, begins, self.interval) for begins in self.begins]
        return self._replace(cuts=cuts) if any(cut is not None for cut in cuts) else None

    def settle(self, readings: Readings, before: Settled, now: float) -> Settled:
        """The readings to serve; `before` is what was served last."""
        kept = [
            settled(
                cohort,
                readings,
                before.readings,
                before.totals.get(key),
                moment=max(cohort.changed, cut or 0.0),
                interval=self.interval,
                now=now,
            )
            for key, cohort, cut in zip(self.keys, self.cohorts, self.cuts, strict=True)
        ]
        totals = {key: one.total for key, one in zip(self.keys, kept, strict=True) if one.total is not None}
        waits = {key: min(one.waiting) for one in kept if one.waiting for key in one.readings}
        return Settled(overlay(readings, kept), totals, waits)


def moments(groups: Groups, presences: Presences, interval: float, now: float) -> Moments:
    """What is known at Unix time `now`, before any reading."""
    held = groups.items(now)
    cohorts = [Cohort(groups.taking(key, group), group.changed, group.former) for key, group in held]

    def born(key: Key) -> float:
        found = presences.of(*key)
        return found.since if found is not None else now

    begins = [starts(cohort, born) for cohort in cohorts]
    return Moments([key for key, _ in held], cohorts, begins, [None] * len(cohorts), interval)
