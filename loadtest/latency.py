"""What a measurement of scaling latency says: steps, their parts, quantiles, a table, a histogram. Pure.

A step is one change of load on one HPA's pods. Its latency is the time from the change of load to the moment from which
on the HPA's desiredReplicas stayed what it was when the watch on it ended.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

BIN_S = 2.0
GOALS: Mapping[float, float] = {5.0: 24.0, 2.0: 19.0}
"""p95 in seconds by scrape interval in seconds."""


class Change(NamedTuple):
    """The HPA's desiredReplicas became `replicas`, as we heard at Unix time `time`."""

    time: float
    replicas: int


class Step(NamedTuple):
    """One step; times in Unix s."""

    hpa: str
    at: float
    """When the load changed."""
    until: float
    """When the watch on it ended."""
    before: int
    """desiredReplicas at `at`."""
    wanted: int
    changes: tuple[Change, ...] = ()
    """In order, after `at` and up to `until`."""
    served: float | None = None
    """When the adapter was first seen to serve values whose sum needs `wanted` replicas; None where never."""
    sampled: float | None = None
    """The time of the newest sample among them."""

    @property
    def final(self) -> int:
        """desiredReplicas at the end."""
        return self.changes[-1].replicas if self.changes else self.before

    @property
    def seconds(self) -> float:
        """The latency; infinite where desiredReplicas never changed."""
        return self.changes[-1].time - self.at if self.changes else math.inf

    @property
    def right(self) -> bool:
        """Whether it ended at the size that was wanted."""
        return self.final == self.wanted

    @property
    def overshot(self) -> bool:
        """Whether it wanted too many at some time."""
        return any(change.replicas > self.wanted for change in self.changes)

    @property
    def parts(self) -> tuple[float, float, float] | None:
        """Seconds to the sample that showed the new load, from there to its being served, from there to the HPA.

        None where the adapter was not seen to serve it before the HPA had decided: then nobody knows.
        """
        if self.served is None or self.sampled is None or not self.changes:
            return None
        return self.sampled - self.at, self.served - self.sampled, max(0.0, self.changes[-1].time - self.served)


def changes(heard: Iterable[Change], since: float, until: float) -> tuple[Change, ...]:
    """The changes of desiredReplicas in (since, until]; what repeats the value before is none."""
    distinct: list[Change] = []
    replicas: int | None = None
    for change in heard:
        if since < change.time <= until and change.replicas != replicas and replicas is not None:
            distinct.append(change)
        if change.time <= until:
            replicas = change.replicas
    return tuple(distinct)


def replicas_for(total: float, target: float) -> int:
    """How many replicas an AverageValue target needs for `total`, the sum over all pods."""
    return math.ceil(total / target)


def spread(count: int, seconds: float, draw: random.Random) -> list[float]:
    """`count` moments in [0, seconds): one at random in each of as many equal parts, in random order."""
    moments = [(number + draw.random()) * seconds / count for number in range(count)]
    draw.shuffle(moments)
    return moments


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed: one that occurred. NaN without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)] if ordered else math.nan


def least(share: float, *, scrape: float, pods: int, period: float = 15.0) -> float:
    """The quantile of a step's latency, s, where nothing takes time but two scrapes of each pod and the HPA's period.

    A change falls anywhere between two scrapes of a pod, and the second one after it shows it whole: after `scrape` to
    twice that. The HPA needs the last of `pods`, whose scrapes have their own phases, and looks up to `period` later.
    To within a hundredth of a second.
    """
    last = [((place + 0.5) / 1000) ** (1 / pods) for place in range(1000)]  # quantiles of the largest phase
    low, high = 0.0, 2 * scrape + period
    while high - low > 0.005:
        middle = (low + high) / 2
        within = sum(min(1.0, max(0.0, (middle - scrape * (1 + phase)) / period)) for phase in last) / len(last)
        low, high = (middle, high) if within < share else (low, middle)
    return high


class Summary(NamedTuple):
    """The line of one scrape interval."""

    scrape: float
    steps: int
    median: float
    p90: float
    p95: float
    longest: float
    wrong: int
    overshot: int
    staged: int
    """Went there by way of a smaller size."""

    @property
    def goal(self) -> float | None:
        """The goal for p95, s; None where there is none for this interval."""
        return GOALS.get(self.scrape)

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.p95 <= self.goal


def summary(scrape: float, steps: Sequence[Step]) -> Summary:
    """Quantiles over all steps, those that ended at a wrong size among them."""
    median, p90, p95, longest = (quantile((step.seconds for step in steps), share) for share in (0.5, 0.9, 0.95, 1.0))
    return Summary(
        scrape=scrape,
        steps=len(steps),
        median=median,
        p90=p90,
        p95=p95,
        longest=longest,
        wrong=sum(not step.right for step in steps),
        overshot=sum(step.overshot for step in steps),
        staged=sum(any(change.replicas < step.wanted for change in step.changes) for step in steps),
    )


HEADINGS = ("scrape", "steps", "median", "p90", "p95", "max", "goal p95", "", "wrong size", "overshot", "by stages")
PART_HEADINGS = ("scrape", "part", "median", "p95", "max")
PARTS = ("load step to the sample that shows it", "sample to served", "served to the HPA's final size")


def row(statistics: Summary) -> tuple[str, ...]:
    """Cells under HEADINGS."""
    times = (f"{value:.1f} s" for value in (statistics.median, statistics.p90, statistics.p95, statistics.longest))
    goal = "–" if statistics.goal is None else f"{statistics.goal:g} s"
    verdict = {True: "met", False: "MISSED", None: ""}[statistics.met]
    counts = (str(number) for number in (statistics.wrong, statistics.overshot, statistics.staged))
    return f"{statistics.scrape:g} s", str(statistics.steps), *times, goal, verdict, *counts


def part_rows(scrape: float, steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Cells under PART_HEADINGS: where the time goes, over the steps of which that is known."""
    known = [parts for step in steps if (parts := step.parts) is not None]
    return [
        (f"{scrape:g} s", name, *(f"{quantile(seconds, share):.1f} s" for share in (0.5, 0.95, 1.0)))
        for name, seconds in zip(PARTS, zip(*known, strict=True), strict=False)
    ]


def histogram(seconds: Sequence[float], width: float = BIN_S) -> list[tuple[float, int]]:
    """Start of each bin from 0 to the last that holds something, and how many fell into it."""
    finite = [value for value in seconds if math.isfinite(value)]
    bins = [0] * (int(max(finite) / width) + 1) if finite else []
    for value in finite:
        bins[int(value / width)] += 1
    return [(number * width, count) for number, count in enumerate(bins)]


def histogram_text(seconds: Sequence[float], width: float = BIN_S) -> str:
    """The histogram as lines of text, a mark per step."""
    lines = [f"{start:4.0f} –{start + width:3.0f} s {'█' * count} {count or ''}" for start, count in histogram(seconds)]
    never = sum(math.isinf(value) for value in seconds)
    return "\n".join(line.rstrip() for line in [*lines, *([f"    never  {'█' * never} {never}"] if never else [])])


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(results: Mapping[float, Sequence[Step]], conditions: Sequence[str]) -> str:
    """The tables, histograms and conditions as Markdown."""
    rows = [row(summary(scrape, steps)) for scrape, steps in results.items()]
    parts = [line for scrape, steps in results.items() for line in part_rows(scrape, steps)]
    blocks = [markdown(HEADINGS, rows), "Where the time goes:", markdown(PART_HEADINGS, parts)]
    for scrape, steps in results.items():
        text = histogram_text([step.seconds for step in steps])
        blocks.append(f"Scrape every {scrape:g} s, steps by latency:\n\n```\n{text}\n```")
    blocks.append("Conditions of this run:\n\n" + "\n".join(f"- {line}" for line in conditions))
    return "\n\n".join(blocks)


def document(results: Mapping[float, Sequence[Step]], conditions: Mapping[str, object]) -> dict[str, Any]:
    """All of it for JSON; an infinite latency is null."""
    return {
        "conditions": dict(conditions),
        "results": [
            {
                "scrape_seconds": scrape,
                **{key: _finite(value) for key, value in summary(scrape, steps)._asdict().items() if key != "scrape"},
                "goal_p95_seconds": GOALS.get(scrape),
                "steps_taken": [_step(step) for step in steps],
            }
            for scrape, steps in results.items()
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    def after(moment: float | None) -> float | None:
        return None if moment is None else round(moment - step.at, 3)

    return {
        "hpa": step.hpa,
        "at": round(step.at, 3),
        "seconds": _finite(step.seconds),
        "final": step.final,
        "changes": [[after(change.time), change.replicas] for change in step.changes],
        "sampled": after(step.sampled),
        "served": after(step.served),
    }


def _finite(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return round(value, 3) if math.isfinite(value) else None


def draw(results: Mapping[float, Sequence[Step]], save: Callable[[Any], None]) -> None:
    """A histogram per scrape interval; `save` gets the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    grid = figure.subplots(1, len(results), sharey=True, squeeze=False)
    most = max((step.seconds for steps in results.values() for step in steps if step.changes), default=BIN_S)
    for axes, (scrape, steps) in zip(grid.flat, results.items(), strict=True):
        statistics = summary(scrape, steps)
        bars = histogram([step.seconds for step in steps])
        axes.bar([start for start, _ in bars], [count for _, count in bars], BIN_S * 0.92, align="edge")
        axes.axvline(statistics.median, color="black", linewidth=1, label=f"median {statistics.median:.1f} s")
        axes.axvline(statistics.p95, color="black", linewidth=1, linestyle="--", label=f"p95 {statistics.p95:.1f} s")
        if statistics.goal is not None:
            axes.axvline(statistics.goal, color="tab:red", linewidth=1, label=f"goal for p95 {statistics.goal:g} s")
        axes.set_xlim(0, most + BIN_S)
        axes.set_title(f"scrape every {scrape:g} s, {statistics.steps} steps", fontsize=9)
        axes.set_xlabel("s from the load step to the HPA's final size", fontsize=8)
        axes.legend(fontsize=7)
    save(figure)
