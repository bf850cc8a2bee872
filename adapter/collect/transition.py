"""What pods in transition mean for the values of one query: since when samples count, and which values to serve.

The rules are in `presence` (who takes traffic), `groups` (whose values are averaged together) and `unison` (over the
same time). Here they are put to one query's readings. No network, no clock.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from adapter.collect.groups import GroupKey, Groups
from adapter.collect.presence import Presence, Presences
from adapter.collect.snapshot import Reading
from adapter.collect.unison import (
    WINDOW,
    Cohort,
    Kept,
    Key,
    Past,
    Readings,
    alike,
    anyway,
    latest_cut,
    overdue,
    overlay,
    settle_group,
    starts,
    suspects,
)
from adapter.units.selector import Selector

RECENT = 300.0
"""s after which a change has left every window: as long as the embedded store keeps samples."""


ROUNDING = 1e-3
"""s by which a window may begin too early: sums of floating-point numbers."""


class Span(NamedTuple):
    """What a rate of the source's own is taken over."""

    window: float = 0.0
    """s; 0 where the value is no rate, or the source says it with each value."""
    interval: float = 0.0
    """s between two samples, where known."""


class Settled(NamedTuple):
    """The values of one query as they are served."""

    readings: Readings
    past: Mapping[GroupKey, Past] = {}
    """What to remember of groups whose load was shared anew."""
    waits: Mapping[Key, Key] = {}
    """Pods whose values are those of before -> one of the pods that have no whole interval since."""


class Moments(NamedTuple):
    """Since when the samples of pods count, at one time; sequences are in the order of `keys`.

    Groups of which nothing has changed for long are `quiet`: they cost nothing unless their rates show a change.
    """

    keys: Sequence[GroupKey]
    cohorts: Sequence[Cohort]
    begins: Sequence[Mapping[Key, float]]
    """Per cohort: member -> Unix time, s."""
    cuts: Sequence[float | None]
    """Per cohort: the moment since which the rates of all its members ought to be taken; None where they are."""
    interval: float
    """s between two samples of one pod."""
    born: Callable[[Key], float]
    """Since when a pod takes traffic, Unix s."""
    quiet: Sequence[tuple[GroupKey, Cohort]] = ()

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
        """These moments, with the changes of load that the rates themselves show; None where none matters."""
        late = suspects(readings, self.interval)
        if not late:
            return None
        woken = self._with([one for one in self.quiet if not late.isdisjoint(one[1].members)])
        cuts = [latest_cut(readings, begins, self.interval) for begins in woken.begins]
        return woken._replace(cuts=cuts) if any(cut is not None for cut in cuts) else None

    def _with(self, more: Sequence[tuple[GroupKey, Cohort]]) -> "Moments":
        """With these groups of the quiet ones."""
        cohorts = [cohort for _, cohort in more]
        return self._replace(
            keys=[*self.keys, *(key for key, _ in more)],
            cohorts=[*self.cohorts, *cohorts],
            begins=[*self.begins, *(starts(cohort, self.born) for cohort in cohorts)],
            cuts=[*self.cuts, *(None for _ in more)],
        )

    def lacking(self, readings: Readings, now: float) -> dict[Key, float]:
        """Members of groups that have just changed, and that have no reading since -> since when they take traffic."""
        lacking: dict[Key, float] = {}
        for begins, cohort, cut in zip(self.begins, self.cohorts, self.cuts, strict=True):
            if now - max(cohort.changed, cut or 0.0) <= WINDOW:
                lacking.update({key: self.born(key) for key in begins if key not in readings})
        return lacking

    def settle(self, readings: Readings, before: Settled, silent: Collection[Key], now: float) -> list[Kept]:
        """What becomes of each group's readings; `before` was served last, see `settle_group` for `silent`."""
        return [
            settle_group(
                cohort,
                readings,
                before.readings,
                before.past.get(key, Past()),
                silent=silent,
                moment=max(cohort.changed, cut or 0.0),
                interval=self.interval,
                now=now,
            )
            for key, cohort, cut in zip(self.keys, self.cohorts, self.cuts, strict=True)
        ]

    def recent(self, kept: Sequence[Kept]) -> "Moments | None":
        """With the samples of groups that wait, for their rates show a change, since an interval before; None without.

        Not where their pods have changed up to two intervals before: that moves load by itself, perhaps a little later.
        """
        cuts = [
            cut - self.interval if cut and one.waiting and cut > cohort.changed + 2 * self.interval else None
            for cut, cohort, one in zip(self.cuts, self.cohorts, kept, strict=True)
        ]
        return self._replace(cuts=cuts) if any(cut is not None for cut in cuts) else None

    def serve_alike(self, readings: Readings, kept: Sequence[Kept]) -> list[Kept]:
        """`kept` with the `readings` of `recent` in the place of those of groups that changed all the same way."""
        pairs = zip(self.cuts, kept, strict=True)
        return [(alike(one, readings) if cut is not None else None) or one for cut, one in pairs]

    def relax(self, kept: Sequence[Kept], now: float) -> "Moments | None":
        """These moments, with samples of groups that waited too long since their wait began; None without."""
        late = [one.held if overdue(one, self.interval, now) else None for one in kept]
        if not any(late):
            return None
        begins = [
            {key: max(self.born(key), held) for key in begins} if held is not None else begins
            for begins, held in zip(self.begins, late, strict=True)
        ]
        cuts = [None if held is not None else cut for cut, held in zip(self.cuts, late, strict=True)]
        return self._replace(begins=begins, cuts=cuts)

    def serve(self, readings: Readings, kept: Sequence[Kept]) -> Settled:
        """The readings to serve, and what to remember."""
        pairs = list(zip(self.keys, kept, strict=True))
        past = {key: Past(one.total, one.held) for key, one in pairs if one.total or one.held is not None}
        waits = {key: min(one.waiting) for one in kept if one.waiting for key in one.readings}
        return Settled(overlay(readings, kept), past, waits)

    def serve_anyway(self, readings: Readings, kept: Sequence[Kept], now: float) -> list[Kept]:
        """`kept` with the `readings` of `relax` in the place of those that waited too long."""
        return [anyway(one, readings) if overdue(one, self.interval, now) else one for one in kept]


class Transitions:
    """Presences and groups as the evaluation of queries and the answers ask for them."""

    def __init__(self, presences: Presences, groups: Groups, interval: float) -> None:
        """`interval`, s: between two samples of one pod, where the source takes them itself; else 0."""
        self.presences, self.groups = presences, groups
        self._interval = interval

    def moments(self, namespaces: Collection[str], now: float) -> Moments:
        """What is known at Unix time `now` of these namespaces' groups, before any reading."""
        recent, quiet = list[tuple[GroupKey, Cohort]](), list[tuple[GroupKey, Cohort]]()
        for key, group in self.groups.within(namespaces, now):
            cohort = Cohort(self.groups.members_that_count(key, group), group.changed, group.former)
            (recent if now - max(group.turned, group.changed) < RECENT else quiet).append((key, cohort))

        def traffic_since(key: Key) -> float:
            return self.traffic_since(key, now)

        return Moments((), (), (), (), self._interval, traffic_since, quiet)._with(recent)

    def traffic_since(self, key: Key, now: float) -> float:
        """Since when a pod takes traffic, Unix s; `now` where it is not known."""
        presence = self.presences.of(*key)
        return presence.since if presence is not None else now

    def creation_time(self, key: Key) -> float:
        """When a pod was made, Unix s; 0 where it is not known."""
        presence = self.presences.of(*key)
        return presence.created if presence is not None else 0.0

    def why_left_out(
        self,
        pod: Key,
        reading: Reading | None,
        *,
        selector: Selector | None,
        span: Span,
        now: float,
        begin: float | None = None,
    ) -> str:
        """Why the pod's value is not served at `now`, one sentence without a full stop; '' where it is.

        `selector` is that of the request, None where it names the pod alone; the rate was taken since `begin`, Unix s,
        where that is not None.
        """
        presence = self.presences.of(*pod)
        if presence is None or (presence.takes_traffic and reading is None):
            return ""
        if not presence.takes_traffic or reading is None:
            return presence.describe(now)
        if begin is not None and begin >= presence.since:
            return ""
        group = self.groups.find(pod[0], selector) if selector is not None else None
        return too_young(presence, reading, span, group.left if group is not None else 0.0, now)


def too_young(presence: Presence, reading: Reading, span: Span, left: float, now: float) -> str:
    """Why a value of a pod that takes traffic says too little yet; '' where it does not.

    `left`, Unix s, is when a pod of its group last ceased to take traffic. Over windows of fixed length a new pod's
    rate rises as the others fall, and their sum is right all the time; but one that has gone takes its own away.
    """
    begin = reading.time - (reading.window or span.window)
    if begin >= presence.since - ROUNDING:
        return ""
    if reading.window or not span.window:
        return f"{presence.describe(now)}, and no whole interval since"
    if left > reading.time - span.window:
        return (
            f"{presence.describe(now)}; another pod has left, so its rate counts when its {span.window:g} s are whole"
        )
    if reading.time < presence.since + span.interval:
        return f"{presence.describe(now)}, and no sample since"
    return ""
