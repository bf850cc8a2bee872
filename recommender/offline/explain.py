"""From samples to number, step by step: why one container's recommendation is what it is."""

from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommender.estimate.estimators import confidence, minimums, with_confidence, with_margin
from recommender.estimate.policy import CostPolicy
from recommender.estimate.recommend import Mode, decide
from recommender.model.buckets import Floats
from recommender.model.containers import DAY, Model, truncated
from recommender.model.histogram import NEVER
from recommender.offline.output import cores, size

Ring: TypeAlias = NDArray[np.float32]
"""Daily peaks of one container, newest first: (1, days)."""


def explain(model: Model, row: int, name: str, chosen: Mode, now: float) -> list[str]:
    """Lines for people."""
    rows = np.array([row])
    made = decide(model, rows, np.array([1]), now, chosen)
    lines = [f"{name}", *_history(model, row)]
    lines += ["", f"CPU: {cores(int(made.cpu.target[0]))}", *_percentile(model, row, chosen, "cpu")]
    lines += ["", f"Memory: {size(int(made.memory.target[0]))} ({int(made.memory.target[0])} bytes)"]
    ring = model.states.peaks.recent(rows, 28)
    if chosen.cost is None or not ring.any():
        return lines + _percentile(model, row, chosen, "memory")
    passed = model.states.peaks.elapsed(rows, now)
    lines += _cost(chosen.cost, ring, passed, int(made.memory.target[0]))
    lines += _days(model, row, ring, int(made.memory.target[0]))
    lines += _kill(model, row, now)
    return lines + _what_if(chosen.cost, ring, int(made.memory.target[0]))


def _history(model: Model, row: int) -> list[str]:
    states = model.states
    first, last, count = states.first_sample[row], states.last_sample[row], int(states.samples[row])
    if first == NEVER:
        return ["  no CPU sample has been seen"]
    return [f"  {count} CPU samples from {_day(first)} to {_day(last)} ({(last - first) / DAY:.1f} days)"]


def _percentile(model: Model, row: int, chosen: Mode, resource: str) -> list[str]:
    """VPA's chain: percentile, margin, confidence, minimum."""
    histograms = getattr(model.states, resource)
    settings, shown = chosen.estimation, cores if resource == "cpu" else size
    fractions = getattr(settings, resource)
    rows = np.array([row])
    values = histograms.percentiles(tuple(fractions), rows, settings.inside_buckets)[:, 0] * histograms.buckets.per_unit
    interval = settings.cpu_confidence if resource == "cpu" else settings.memory_confidence
    sure = confidence(model.states, rows, interval)
    least = int(minimums(np.array([1]), settings)[0 if resource == "cpu" else 1][0])
    lines = []
    for bound, fraction, value, factor in zip(
        ("target", "lower", "upper"), fractions, values, (None, (0.001, -2.0), (1.0, 1.0)), strict=True
    ):
        base = truncated(np.array([value]))
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


def _cost(cost: CostPolicy, ring: Ring, passed: Floats, target: int) -> list[str]:
    """The choice: memory paid against the risk, at the target and around it."""
    levels, chance, price = cost.curve(ring[:, : cost.ring], passed)
    lines = [f"  a day above the target is worth {size(int(price[0]))}-days of memory; the cheapest sum is chosen:"]
    for share in (0.6, 0.8, 1.0, 1.25, 1.6):
        amount = target * share
        risk = float(np.interp(amount, levels[0], chance[0]))
        worth = size(int(amount + risk * price[0]))
        mark = " <- target" if share == 1.0 else ""
        lines.append(f"    {size(int(amount)):>10} + risk {risk:6.1%} x price = {worth:>10}{mark}")
    return lines


def _days(model: Model, row: int, ring: Ring, target: int) -> list[str]:
    """Which days made the number."""
    peaks = model.states.peaks
    lines = ["  daily peaks, newest first:"]
    for age, peak in enumerate(ring[0].tolist()):
        if peak:
            start = peaks.anchor[row] + (peaks.day[row] - age) * DAY
            over = "  above the target" if peak > target else ""
            lines.append(f"    {_day(start)}  {size(int(peak)):>10}{over}")
    return lines


def _kill(model: Model, row: int, now: float) -> list[str]:
    peaks = model.states.peaks
    if peaks.oom_time[row] == NEVER:
        return []
    return [f"  killed for want of memory at {_day(peaks.oom_time[row])}: {size(int(peaks.oom[row]))} were needed"]


def _what_if(cost: CostPolicy, ring: Ring, target: int) -> list[str]:
    """What would change it: a new peak tomorrow, or the largest day gone."""
    seen = ring[:, : cost.ring]
    lines = ["  what would change it:"]
    for factor in (1.25, 2.0):
        peak = np.float32(seen.max() * factor)
        after = cost.targets(np.concatenate((np.array([[peak]], dtype=np.float32), seen[:, :-1]), axis=1))
        lines.append(f"    a peak of {size(int(peak))} on the next day: {size(int(after[0]))}")
    without = seen.copy()
    without[0, int(seen[0].argmax())] = 0
    if without.any():
        lines.append(f"    without the day of the largest peak: {size(int(cost.targets(without)[0]))}")
    quiet = np.concatenate((np.full((1, 7), np.median(seen[seen > 0]), dtype=np.float32), seen[:, :-7]), axis=1)
    lines.append(f"    after a week of days like the median: {size(int(cost.targets(quiet)[0]))} (now {size(target)})")
    return lines


def _day(time: float) -> str:
    return datetime.fromtimestamp(float(time), UTC).strftime("%Y-%m-%d %H:%M")
