"""Cumulative counters per pod -> what each arm's requests grew by, in intervals that do not overlap. Pure.

A window is given out when every pod that still speaks has counted more (after PATIENCE, when each arm has a new
sample), and takes each pod from its last sample to its new one, so that no sample enters twice and the arms have about
the same stretch of time. prometheus-adapter gives the time of the question for a sample's: there, only that something
was counted shows that there is a new one. A pod that counted nothing in its last window has no traffic, as the stable
ones after a switch: a new sample of it is enough. Rules:

* A total that fell was reset: it grew by its new value (Prometheus' rule), and so did its bad ones.
* Bad requests that are not there beside a total of the same pod and scrape are as many as before, 0 at first: a healthy
  service has no such series. Their first appearance counts in full.
* A pod that was born after `since` counts in full from its first sample; an older one only from there on.
* What a pod counted after its last sample is lost when it dies or restarts: bounded by its own rate, and said.
* NaN, infinity, negative values, several values of one pod, and samples older than `MAX_AGE` or more than `MOST_AHEAD`
  ahead of our clock are no evidence. What is less ahead is taken for a sample of now: a mark in the future would hold
  back all windows until then.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from adapter.rollout.model.window import Arm, Counts, Gauge, Health, Reading, Window

MAX_AGE: Final = 60.0
"""s; an older sample is stale."""
MOST_AHEAD: Final = 10.0
"""s before our clock that a sample's may be: clocks that are kept differ by less than one; how old a sample of one that
is not may be, nobody knows."""
MOST_TOTAL: Final = 2.0**53
"""Above it a float counts no single requests any more."""
PATIENCE: Final = 15.0
"""s after the last window from which on no single pod is waited for."""
COARSE: Final = 1.0
"""s: Kubernetes writes a pod's start in whole seconds, rounded down."""
MEMORY: Final = 3600.0
"""s for which the mark of a silent pod is kept, so that nothing of it counts twice if it speaks again."""
MOST_NOTES: Final = 20
NO_COUNT: Final = f"a counter that is no number from 0 to {MOST_TOTAL:.0f}"
NO_VALUE: Final = "a value that is no finite number"


class Sample(NamedTuple):
    """A pod's counters at one scrape. `bad` is None where there is no such series; `born`: the pod's start."""

    arm: Arm
    pod: str
    time: float
    total: float
    bad: float | None = None
    born: float | None = None


class Level(NamedTuple):
    """A pod's gauge at one scrape."""

    arm: Arm
    pod: str
    time: float
    value: float


class Last(NamedTuple):
    """What was counted up to: time, total, bad; `rate`: requests per second of the interval before."""

    arm: Arm
    time: float
    total: float
    bad: float
    rate: float = 0.0
    silent: bool = False
    """It was said that the pod is gone or silent."""
    idle: bool = False
    """It counted nothing in its last window: it has no traffic, as stable pods after a switch."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where counting stands. `since`: pods born later count in full; after a restart, the newest window's end."""

    since: float
    counters: Mapping[str, Mapping[str, Last]] = field(default_factory=dict)
    """Metric -> pod -> last sample that was counted."""
    time: float | None = None
    """End of the last window."""
    pace: float = math.inf
    """s from the window before to the last one."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """All that is known now: metric -> samples of its pods."""

    counters: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    gauges: Mapping[str, Sequence[Level]] = field(default_factory=dict)
    health: Mapping[Arm, Health] = field(default_factory=dict)
    step: int | None = None


class Cut(NamedTuple):
    """What came of it; without a window the cursor is as it was."""

    cursor: Cursor
    window: Window | None
    notes: tuple[str, ...] = ()


def cut(cursor: Cursor, scrape: Scrape, now: float) -> Cut:
    """The window up to `now`, or None while pods that speak have no new sample yet."""
    notes: list[str] = []
    names = {*scrape.counters, *cursor.counters}
    fresh = {name: _usable(scrape.counters.get(name, ()), now, name, notes) for name in sorted(names)}
    hurried = cursor.time is not None and now - cursor.time >= PATIENCE
    if any(_waits(cursor.counters.get(name, {}), samples, hurried=hurried) for name, samples in fresh.items()):
        return Cut(cursor, None)
    counters: dict[str, Mapping[str, Last]] = {}
    grown: dict[str, dict[Arm, dict[str, Counts]]] = {}
    for name, samples in fresh.items():
        counters[name], grown[name] = _grow(cursor, name, samples, now, notes)
    levels = {name: _levels(samples, now, name, notes) for name, samples in scrape.gauges.items()}
    sums: dict[str, Mapping[Arm, Reading]] = {
        name: {arm: _sum(pods.values()) for arm, pods in arms.items()} for name, arms in grown.items()
    }
    sums |= {name: {arm: _mean(pods.values()) for arm, pods in arms.items()} for name, arms in levels.items()}
    window = Window(time=now, metrics=sums, health=scrape.health, step=scrape.step, pods=_by_pod({**grown, **levels}))
    pace = math.inf if cursor.time is None else now - cursor.time
    return Cut(Cursor(cursor.since, counters, now, pace), window, tuple(notes[:MOST_NOTES]))


def _usable(samples: Sequence[Sample], now: float, metric: str, notes: list[str]) -> dict[str, Sample]:
    """The samples that are evidence, by pod."""
    often = Counter(sample.pod for sample in samples)
    usable: dict[str, Sample] = {}
    for sample in samples:
        counted = all(0 <= value <= MOST_TOTAL for value in (sample.total, sample.bad or 0.0))
        why = _unusable(sample.time, now, often[sample.pod]) or ("" if counted else NO_COUNT)
        if why:
            notes.append(f"{metric} of pod {sample.pod}: {why}; taken as no evidence")
        else:
            usable[sample.pod] = sample._replace(time=min(sample.time, now))
    return usable


def _unusable(time: float, now: float, often: int) -> str:
    if often > 1:
        return f"{often} values where one is wanted"
    if not now - time <= MAX_AGE:
        return f"the sample is {now - time:.0f} s old, more than {MAX_AGE:.0f} s"
    if time - now > MOST_AHEAD:
        return f"the sample is {time - now:.0f} s ahead of our clock, more than {MOST_AHEAD:.0f} s"
    return ""


def _waits(counted: Mapping[str, Last], samples: Mapping[str, Sample], *, hurried: bool) -> bool:
    """Whether a pod that still speaks has counted nothing yet; `hurried`: whether an arm has no new sample at all."""
    known = {pod: counted[pod] for pod in samples if pod in counted}
    if not hurried:
        return any(not _has_more(samples[pod], last) for pod, last in known.items())
    old = {pod for pod, last in known.items() if not _is_newer(samples[pod], last)}
    arms = {sample.arm for sample in samples.values()}
    return arms != {sample.arm for pod, sample in samples.items() if pod not in old}


def _has_more(sample: Sample, last: Last) -> bool:
    return _is_newer(sample, last) and (last.idle or sample.total != last.total)


def _is_newer(sample: Sample, last: Last) -> bool:
    """The API writes times in whole seconds: of two samples of one second, the one that counted more is the newer."""
    return sample.time > last.time or (sample.time == last.time and sample.total > last.total)


def _grow(
    cursor: Cursor, metric: str, samples: Mapping[str, Sample], now: float, notes: list[str]
) -> tuple[Mapping[str, Last], dict[Arm, dict[str, Counts]]]:
    """Each pod's new mark and what it grew by."""
    counted = cursor.counters.get(metric, {})
    marks: dict[str, Last] = {}
    grown: dict[Arm, dict[str, Counts]] = {}
    for pod, sample in samples.items():
        last = counted.get(pod)
        if last is not None and not _is_newer(sample, last):
            marks[pod] = last
            continue
        if last is None and (sample.born is None or sample.born + COARSE <= cursor.since):
            marks[pod] = Last(sample.arm, sample.time, sample.total, sample.bad or 0.0)
            continue
        counts, mark = _increase(last, sample)
        if last and sample.total < last.total:
            _lose(notes, metric=metric, pod=pod, what="restarted", most=last.rate * (sample.time - last.time))
        marks[pod] = mark
        grown.setdefault(sample.arm, {})[pod] = counts
    for pod, last in counted.items():
        quiet = now - last.time
        if pod in samples or quiet > MEMORY:
            continue
        if quiet > MAX_AGE and not last.silent:
            _lose(notes, metric=metric, pod=pod, what="is gone or silent", most=last.rate * quiet)
        marks[pod] = last._replace(silent=last.silent or quiet > MAX_AGE)
    return marks, grown


def _increase(last: Last | None, sample: Sample) -> tuple[Counts, Last]:
    before = last or Last(sample.arm, sample.born or sample.time, 0.0, 0.0)
    reset = sample.total < before.total
    kept = 0.0 if reset else before.bad
    bad_now = kept if sample.bad is None else sample.bad
    total = sample.total if reset else sample.total - before.total
    bad = bad_now if bad_now < kept else bad_now - kept
    bad = min(bad, total)
    seconds = sample.time - before.time
    rate = total / seconds if seconds > 0 else before.rate
    mark = Last(sample.arm, sample.time, sample.total, bad_now, rate, idle=last is not None and total == 0)
    return Counts(total - bad, bad), mark


def _lose(notes: list[str], *, metric: str, pod: str, what: str, most: float) -> None:
    if most > 0:
        notes.append(f"{metric} of pod {pod}: it {what}; about {math.ceil(most)} requests at most were not counted")


def _levels(samples: Sequence[Level], now: float, metric: str, notes: list[str]) -> dict[Arm, dict[str, Gauge]]:
    often = Counter(sample.pod for sample in samples)
    levels: dict[Arm, dict[str, Gauge]] = {}
    for sample in samples:
        finite = math.isfinite(sample.value)
        why = _unusable(sample.time, now, often[sample.pod]) or ("" if finite else NO_VALUE)
        if why:
            notes.append(f"{metric} of pod {sample.pod}: {why}; taken as no evidence")
        else:
            levels.setdefault(sample.arm, {})[sample.pod] = Gauge(sample.value)
    return levels


def _sum(parts: Iterable[Counts]) -> Counts:
    known = list(parts)
    return Counts(math.fsum(each.good for each in known), math.fsum(each.bad for each in known))


def _mean(parts: Iterable[Gauge]) -> Gauge:
    known = [each.value for each in parts]
    part = 2.0 ** -len(known).bit_length()  # no sum of parts leaves the range of floats
    mean = math.fsum(value * part for value in known) / (len(known) * part)
    return Gauge(min(max(mean, min(known)), max(known)))


def _by_pod(
    metrics: Mapping[str, Mapping[Arm, Mapping[str, Reading]]],
) -> Mapping[Arm, Mapping[str, Mapping[str, Reading]]]:
    by_pod: dict[Arm, dict[str, dict[str, Reading]]] = {}
    for name, arms in metrics.items():
        for arm, pods in arms.items():
            for pod, reading in pods.items():
                by_pod.setdefault(arm, {}).setdefault(pod, {})[name] = reading
    return by_pod
