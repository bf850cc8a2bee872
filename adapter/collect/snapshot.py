"""One snapshot of values with their age, and what is left out of an answer.

A `Table` is the result of one query, immutable; the snapshot swaps whole tables. Pure: time is an argument.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from adapter.metrics.sample import Sample
from adapter.rules.merge import MergedExternal
from adapter.rules.model import OnNegative, OnOddValue


class Limits(NamedTuple):
    """What a rule's values must satisfy to be served."""

    max_age: float = 60.0
    """s; older values are left out: the HPA itself never looks at a value's age."""
    refresh: float = 5.0
    """s between two evaluations."""
    odd: OnOddValue = OnOddValue.OMIT
    """For NaN and the infinities."""
    negative: OnNegative = OnNegative.OMIT
    """For values below 0, which a gauge may well have."""
    offset: float = 0.0
    """s by which samples are old because the query asks for old ones."""
    span: float = 0.0
    """s by which, beyond that, the newest may be old because the query asks for any sample in a range."""


class Reading(NamedTuple):
    """A value with its time."""

    value: float
    time: float
    """Unix time of the sample, s; of the evaluation where the sample's is unknown."""
    window: float
    """s over which a rate was taken, 0 where unknown."""


class Pace(NamedTuple):
    """How often there is something new of an object."""

    interval: float = 0.0
    """s between two of its samples; 0 where that is not known."""
    every: float = 0.0
    """s between two evaluations, as they are; 0 where there was one."""


class Table(NamedTuple):
    """The result of one planned query."""

    evaluated: float
    """Unix time, s, at which the source evaluated it."""
    readings: Mapping[tuple[str, str], Reading]
    """Custom: by (namespace, object name); ('', name) for root-scoped objects."""
    external: tuple[tuple[Mapping[str, str], Reading], ...] = ()
    """External: each element's labels and value."""
    intervals: Mapping[tuple[str, str], float] = {}
    """s between two samples of an object, where known: a slow scrape is not staleness."""
    every: float = 0.0
    """s from this evaluation to the next: the rule's refresh, more where the source is slow."""
    unnamed: int = 0
    """Custom: elements of the result without the label that would name their object."""
    waits: Mapping[tuple[str, str], tuple[str, str]] = {}
    """Pods whose readings are from before a change of their group's load -> a pod that has none since."""
    begins: Mapping[tuple[str, str], float] = {}
    """Pods whose rates were taken over less than the query's window -> the change that they begin after, Unix s."""

    def pace(self, key: tuple[str, str]) -> Pace:
        """How often there is something new of an object."""
        return Pace(self.intervals.get(key, 0.0), self.every)

    def slowest(self) -> Pace:
        """That of the object that is sampled most rarely."""
        return Pace(max(self.intervals.values(), default=0.0), self.every)


def admit(value: float, limits: Limits) -> float | None:
    """`value` as `limits` let it through, or None where it must be left out."""
    if math.isnan(value) or math.isinf(value):
        return 0.0 if limits.odd is OnOddValue.ZERO else None
    if value < 0 and limits.negative is not OnNegative.SERVE:
        return 0.0 if limits.negative is OnNegative.ZERO else None
    return value


def age_limit(limits: Limits, pace: Pace) -> float:
    """The age, s, beyond which a value is left out.

    It is the rule's maximum, or 4 refreshes if that is longer; or what comes of the pace at which there are new values:
    a sample is an interval old before the next is taken, and an evaluation as old as the time to the next. It is longer
    by what the query itself asks for: an offset moves all samples, a range admits any in it.
    """
    slow = max(2 * pace.interval + pace.every, 2 * pace.every)
    return max(limits.max_age, 4 * limits.refresh, slow, limits.span) + limits.offset


def merge_times(
    readings: Mapping[tuple[str, str], Reading], times: Mapping[tuple[str, str], float]
) -> dict[tuple[str, str], Reading]:
    """`readings` with the samples' own times from `times`, where one is known."""
    return {
        key: reading._replace(time=min(reading.time, times.get(key, reading.time))) for key, reading in readings.items()
    }


def tabulate(
    samples: Iterable[Sample], *, object_label: str, namespace_label: str | None, namespace: str
) -> dict[tuple[str, str], Reading]:
    """The readings of a query's result by namespace and object name.

    With `namespace_label` the namespace is read from the sample (merged queries), else it is `namespace`. Of several
    samples for one object the last wins, as in prometheus-adapter; samples without the object's label are dropped.
    """
    readings = {}
    for labels, value, time, window in samples:
        name = labels.get(object_label, "")
        where = labels.get(namespace_label, "") if namespace_label else namespace
        if name:
            readings[where, name] = Reading(value, time, window)
    return readings


def elements_for(
    external: Iterable[tuple[Mapping[str, str], Reading]],
    namespace: str,
    equals: Mapping[str, str],
    merged: MergedExternal,
) -> tuple[tuple[Mapping[str, str], Reading], ...]:
    """The elements of a merged external result that one request is about, with the labels its own query would give."""
    wanted = dict(equals)
    if merged.namespace_label is not None:
        wanted[merged.namespace_label] = namespace
    return tuple(
        ({name: value for name, value in labels.items() if name not in merged.added}, reading)
        for labels, reading in external
        if all(labels.get(name) == value for name, value in wanted.items())
    )
