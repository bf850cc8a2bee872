"""From samples to number, step by step: why one container's recommendation is what it is."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from adapter.program.tables import cores, size
from recommender.estimate.estimators import Recommendation, confidence, minimums, with_confidence, with_margin
from recommender.estimate.policy import RiskPolicy
from recommender.estimate.recommend import Mode, decide
from recommender.model.buckets import Floats
from recommender.model.containers import DAY, Model, truncate
from recommender.model.histogram import NEVER
from recommender.model.peaks import Days, amount

MANY: Final = 2
"""Fewer pods do not differ."""
SHOWN: Final = 10
"""Pods that are listed, the least busy one last."""


def explain(
    model: Model,
    row: int,
    name: str,
    *,
    chosen: Mode,
    now: float,
    containers: int = 1,
    pods: Mapping[str, int] | None = None,
) -> list[str]:
    """Lines for people; `containers` share the pod, `pods` are the rows of its instances by name, where known."""
    rows = np.array([row])
    made = decide(model, rows, np.array([containers]), now, chosen)
    lines = [f"{name}", *_history(model, row), *_pods(model, pods or {})]
    lines += ["", *_cpu(model, row, chosen, made, containers), ""]
    if not made.memory.known[0]:
        return [*lines, "Memory: no sample, so no number"]
    lines += [f"Memory: {size(int(made.memory.target[0]))} ({int(made.memory.target[0])} bytes)"]
    days = model.states.peaks.days(rows, now)
    if chosen.policy is None or not days.highest.any():
        return lines + _percentile(model, row, chosen, "memory", containers)
    target = int(made.memory.target[0])
    lines += _risks(chosen.policy, days, target)
    lines += _days(model, row, days, target)
    lines += _kill(model, row, now)
    return lines + _what_if(chosen.policy, days, target)


def _history(model: Model, row: int) -> list[str]:
    states = model.states
    first, last, count = states.first_sample[row], states.last_sample[row], int(states.samples[row])
    if first == NEVER:
        return ["  no CPU sample has been seen"]
    return [f"  {count} CPU samples from {_day(first)} to {_day(last)} ({(last - first) / DAY:.1f} days)"]


def _cpu(model: Model, row: int, chosen: Mode, made: Recommendation, containers: int) -> list[str]:
    if not made.cpu.known[0]:
        return ["CPU: no sample, so no number"]
    return [f"CPU: {cores(int(made.cpu.target[0]))}", *_percentile(model, row, chosen, "cpu", containers)]


def _pods(model: Model, pods: Mapping[str, int]) -> list[str]:
    """How the pods differ: those that use most first. A target is for all of them, so it must do for the busiest."""
    if len(pods) < MANY:
        return []
    table = model.instances
    used = sorted(
        ((float(table.cpu_level[at]), int(max(table.peak[at], table.oom_peak[at])), pod) for pod, at in pods.items()),
        reverse=True,
    )
    lines = [f"  {len(pods)} pods; CPU about the mean of each one's last hour, memory the peak of its last day:"]
    shown = used if len(used) <= SHOWN else [*used[: SHOWN - 1], used[-1]]
    for level, peak, pod in shown:
        lines.append(f"    {pod}: {cores(round(level))}, {size(peak)}")
    return lines


def _percentile(model: Model, row: int, chosen: Mode, resource: str, containers: int) -> list[str]:
    """VPA's chain: percentile, margin, confidence, minimum."""
    histograms = getattr(model.states, resource)
    settings, shown = chosen.estimation, cores if resource == "cpu" else size
    fractions = getattr(settings, resource)
    rows = np.array([row])
    values = histograms.percentiles(tuple(fractions), rows, settings.inside_buckets)[:, 0] * histograms.buckets.per_unit
    interval = settings.cpu_confidence if resource == "cpu" else settings.memory_confidence
    sure = confidence(model.states, rows, interval)
    least = int(minimums(np.array([containers]), settings)[0 if resource == "cpu" else 1][0])
    lines = []
    for bound, fraction, value, factor in zip(
        ("target", "lower", "upper"), fractions, values, (None, (0.001, -2.0), (1.0, 1.0)), strict=True
    ):
        base = truncate(np.array([value]))
        amount = with_margin(base, settings.margin)
        steps = f"{fraction:.0%} of weight is up to {shown(int(base[0]))}"
        steps += f", +{settings.margin:.0%} is {shown(int(amount[0]))}"
        if factor:
            amount = with_confidence(amount, *factor, sure)
            steps += f", by confidence {sure[0]:.2f} {shown(int(amount[0]))}"
        if amount[0] < least:
            steps += f", raised to the minimum {shown(least)}"
        lines.append(f"  {bound}: {steps}")
    return lines


def _risks(policy: RiskPolicy, days: Days, target: int) -> list[str]:
    """The choice: the chance of a day above the target, and above what is around it."""
    lines = [f"  the least amount that a day passes with a chance of at most {policy.ceiling:.1%}:"]
    for share in (0.6, 0.8, 1.0, 1.25, 1.6):
        risk = float(policy.risk(days, np.array([int(target * share)]))[0])
        mark = " <- target" if share == 1.0 else ""
        lines.append(f"    {size(int(target * share)):>10}  risk {risk:6.1%}{mark}")
    if float(policy.risk(days, np.array([target]))[0]) > policy.ceiling:
        lines.append("  more than that, because a single reading that no other supports raises it to 4 times at most")
    return lines


def _days(model: Model, row: int, days: Days, target: int) -> list[str]:
    """Which days made the number."""
    peaks = model.states.peaks
    lines = ["  daily peaks, newest first:"]
    for age, (peak, repeated) in enumerate(zip(amount(days.highest[0]), amount(days.repeated[0]), strict=True)):
        if not peak:
            continue
        start = float(peaks.day[row] - age) * DAY
        over = "  above the target" if peak > target else ""
        alone = f"  one reading; the others say {size(int(repeated))}" if 0 < repeated * 4 < peak else ""
        lines.append(f"    {_day(start)}  {size(int(peak)):>10}{over}{alone}")
    return lines


def _kill(model: Model, row: int, now: float) -> list[str]:
    peaks = model.states.peaks
    if peaks.oom_time[row] == NEVER:
        return []
    return [f"  killed for want of memory at {_day(peaks.oom_time[row])}: {size(int(peaks.oom[row]))} were needed"]


def _what_if(policy: RiskPolicy, days: Days, target: int) -> list[str]:
    """What would change it: a new peak tomorrow, or the largest day gone."""
    peaks = amount(days.highest).astype(np.float64)
    lines = ["  what would change it:"]

    def after(newer: Floats) -> str:
        return size(int(policy.targets(Days.of(np.concatenate((newer, peaks), axis=1)[:, : peaks.shape[1]]))[0]))

    for factor in (1.25, 2.0):
        peak = peaks.max() * factor
        lines.append(f"    a peak of {size(int(peak))} on the next day: {after(np.array([[peak]]))}")
    quiet = np.full((1, 8), np.median(peaks[peaks > 0]))
    lines.append(f"    after eight days like the median: {after(quiet)} (now {size(target)})")
    return lines


def _day(time: float) -> str:
    return datetime.fromtimestamp(float(time), UTC).strftime("%Y-%m-%d %H:%M")
