"""Long runs of samples at once: what the model would know had they come one by one, in a few whole-array steps.

A live loop has one sample per instance and minute; a history has a hundred thousand of each. The sums are the same but
for the last bits, since weights of one bucket are added in another order; so VPA's own mode takes them one by one.
"""

import numpy as np
from numpy.typing import NDArray

from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.containers import CPU_WEIGHT, LEVEL, MISSING, PEAK_WEIGHT, Model
from recommender.model.histogram import NEVER

AT_ONCE = 200_000
"""Samples in one step: what bounds the memory that it takes."""


def observe_runs(model: Model, instances: Rows, times: Floats, cpu: Amounts, memory: Amounts) -> int:
    """Adds samples, grouped by instance and in order of time inside one; MISSING is no sample.

    Returns how many CPU samples were not taken, since one of the same time or a later one was known.
    """
    late = 0
    for part in _parts(instances):
        late += _cpu(model, instances[part], times[part], cpu[part])
        _memory(model, instances[part], times[part], memory[part])
    return late


def _parts(instances: Rows) -> list[slice]:
    """Slices of about AT_ONCE samples; a long run is cut, which changes nothing: the next part goes on from it."""
    return [slice(start, start + AT_ONCE) for start in range(0, len(instances), AT_ONCE)]


def _cpu(model: Model, instances: Rows, times: Floats, cpu: Amounts) -> int:
    states, table = model.states, model.instances
    given = cpu != MISSING
    instances, times, cpu = instances[given], times[given], cpu[given]
    before = np.append(-np.inf, times[:-1])
    before[_first(instances)] = -np.inf
    fresh = times > np.maximum(before, table.last_cpu[instances])
    late = int(np.count_nonzero(~fresh))
    instances, times, cpu = instances[fresh], times[fresh], cpu[fresh]
    if not len(instances):
        return late
    rows = table.state[instances]
    states.cpu.begin(rows[first := _first(instances)], times[first])
    states.cpu.add(rows, cpu, CPU_WEIGHT, times)
    np.add.at(states.samples, rows, 1)
    np.maximum.at(states.last_sample, rows, times)
    unset = rows[states.first_sample[rows] == NEVER]
    states.first_sample[unset] = np.inf
    np.minimum.at(states.first_sample, rows, times)
    _level(model, instances, times, cpu)
    return late


def _level(model: Model, instances: Rows, times: Floats, cpu: Amounts) -> None:
    """What each instance is said to use: sum over samples of e^(-age) x (1 - e^(-gap before)) x amount."""
    table, first = model.instances, _first(instances)
    last = np.append(first[1:], len(instances)) - 1
    own, sizes = instances[first], np.diff(np.append(first, len(instances)))
    before = np.append(0.0, times[:-1])
    before[first] = table.last_cpu[own]
    age = np.repeat(times[last], sizes) - times
    weights = np.exp(-age / LEVEL) * -np.expm1((before - times) / LEVEL)
    kept = table.cpu_level[own] * np.exp((table.last_cpu[own] - times[last]) / LEVEL)
    table.cpu_level[own] = kept + np.add.reduceat(weights * cpu, first)
    table.last_cpu[own] = times[last]


def _memory(model: Model, instances: Rows, times: Floats, memory: Amounts) -> None:
    """One peak per window, as `Model` keeps it: the largest sample of each, stamped with the window's end."""
    table = model.instances
    if model.config.daily_peaks:
        _peaks(model, instances[memory != MISSING], times[memory != MISSING], memory[memory != MISSING])
    taken = (memory != MISSING) & (times >= table.last_memory[instances])
    instances, times, memory = instances[taken], times[taken], memory[taken]
    if not len(instances):
        return
    first = _first(instances)
    own, sizes = instances[first], np.diff(np.append(first, len(instances)))
    begun = np.where(table.window_end[own] == NEVER, times[first], table.window_end[own])
    interval = model.states.interval[table.state[own]]
    since, length = np.repeat(begun, sizes), np.repeat(interval, sizes)
    number = np.where(times < since, -1, np.floor((times - since) / length)).astype(np.int64)
    starts = np.flatnonzero(np.append(True, (instances[1:] != instances[:-1]) | (number[1:] != number[:-1])))
    peaks, end = np.maximum.reduceat(memory, starts), (since + (number + 1) * length)[starts]
    _add_windows(model, instances[starts], peaks, end, is_new=number[starts] >= 0)
    table.last_memory[own] = np.maximum.reduceat(times, first)


def _peaks(model: Model, instances: Rows, times: Floats, memory: Amounts) -> None:
    """What the daily peaks take: late ones too, but none twice."""
    if not len(instances):
        return
    table, first = model.instances, _first(instances)
    before = np.append(NEVER, times[:-1])
    before[first] = table.last_read[instances[first]]
    new = model.is_new(instances, times, before)
    model.states.peaks.add(table.state[instances[new]], memory[new], times[new])
    table.last_read[instances[first]] = times[np.append(first[1:], len(instances)) - 1]


def _add_windows(model: Model, instances: Rows, peaks: Amounts, end: Floats, *, is_new: NDArray[np.bool_]) -> None:
    """Windows of instances in order of time, at most the first of each of which had begun before."""
    table, histogram = model.instances, model.states.memory
    old = np.maximum(table.peak[instances], table.oom_peak[instances])
    raised = ~is_new & (peaks > old)
    histogram.subtract(table.state[instances[raised]], old[raised], PEAK_WEIGHT, end[raised])
    added = is_new | raised
    histogram.begin(table.state[instances], end)
    histogram.add(table.state[instances[added]], peaks[added], PEAK_WEIGHT, end[added])
    table.peak[instances[raised]] = peaks[raised]
    last = np.append(instances[1:] != instances[:-1], True)
    closing = last & is_new
    table.window_end[instances[closing]] = end[closing]
    table.peak[instances[closing]], table.oom_peak[instances[closing]] = peaks[closing], 0


def _first(instances: Rows) -> NDArray[np.int64]:
    """Where each instance's samples begin."""
    return np.flatnonzero(np.append(True, instances[1:] != instances[:-1])) if len(instances) else np.zeros(0, np.int64)
