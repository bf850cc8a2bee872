"""What is taken at once, lines and samples, is what would be known had it been taken one by one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.input import usage_file
from recommender.input.usage_file import read_usage
from recommender.model.buckets import Amounts, Floats, Rows
from recommender.model.containers import MISSING, Aggregation, Model
from recommender.model.histogram import Histograms
from recommender.model.runs import observe_runs

Sample: TypeAlias = tuple[int, float, int, int]
"""instance, seconds since its last one, millicores, MB"""
T0 = 1767225600.0
GAPS = st.sampled_from([0.0, 60.0, 3600.0, 30 * 3600.0, 40 * 86400.0])
AMOUNTS = st.one_of(st.just(MISSING), st.integers(0, 10**4))
SAMPLES = st.lists(st.tuples(st.integers(0, 2), GAPS, AMOUNTS, AMOUNTS), max_size=40)


def fresh() -> tuple[Model, Rows]:
    """Three instances, the last two of one workload."""
    model = Model(Aggregation(daily_peaks=True))
    one, two = model.states.take(2)
    return model, model.start(np.array([one, two, two]))


def columns(rows: Sequence[Sample]) -> tuple[Rows, Floats, Amounts, Amounts]:
    """Grouped by instance, each with a clock of its own."""
    grouped = sorted(rows, key=lambda row: row[0])
    clock = [T0, T0 + 5, T0 + 7]
    times = []
    for instance, gap, _, _ in grouped:
        clock[instance] += gap
        times.append(clock[instance])
    memory = [row[3] if row[3] == MISSING else row[3] * 10**6 for row in grouped]
    ints = (np.array(column, dtype=np.int64) for column in ([r[0] for r in grouped], [r[2] for r in grouped], memory))
    instances, cpu, size = ints
    return instances, np.array(times), cpu, size


def one_by_one(model: Model, running: Rows, instances: Rows, times: Floats, cpu: Amounts, memory: Amounts) -> None:
    for k in np.argsort(times, kind="stable"):
        at = running[instances[k : k + 1]]
        if cpu[k] != MISSING:
            model.observe_cpu(at, cpu[k : k + 1], times[k : k + 1])
        if memory[k] != MISSING:
            model.observe_memory(at, memory[k : k + 1], times[k : k + 1])


def log_weights(histograms: Histograms, rows: Rows) -> list[float]:
    """The logarithm of each row's weight, wherever its reference time lies; 0 where it is empty."""
    filled = histograms.total[rows] > 0
    total = np.log2(np.where(filled, histograms.total[rows], 1.0))
    logarithms: list[float] = np.where(
        filled, total + (histograms.reference[rows] - T0) / histograms.half_life, 0.0
    ).tolist()
    return logarithms


@given(SAMPLES, SAMPLES)
def test_a_run_gives_what_single_samples_give(before: list[Sample], after: list[Sample]) -> None:
    """In two runs, so that the second goes on from where the first ended."""
    (at_once, a), (single, b) = fresh(), fresh()
    for samples in (before, after):
        arrays = columns(samples)
        late = observe_runs(at_once, a[arrays[0]], *arrays[1:])
        one_by_one(single, b, *arrays)
        assert late >= 0
    for name in ("samples", "first_sample", "last_sample"):
        assert getattr(at_once.states, name).tolist() == getattr(single.states, name).tolist()
    for name in ("last_cpu", "last_memory", "window_end", "peak", "oom_peak"):
        assert getattr(at_once.instances, name).tolist() == getattr(single.instances, name).tolist()
    assert at_once.instances.cpu_level.tolist() == pytest.approx(single.instances.cpu_level.tolist())
    rows = np.arange(2)
    for kind in ("cpu", "memory"):
        mine, theirs = getattr(at_once.states, kind), getattr(single.states, kind)
        wanted = mine.percentiles((0.5, 0.9, 0.95), rows), theirs.percentiles((0.5, 0.9, 0.95), rows)
        assert wanted[0].tolist() == wanted[1].tolist()
        assert log_weights(mine, rows) == pytest.approx(log_weights(theirs, rows), abs=1e-6)
    assert (at_once.states.peaks.recent(rows, 28) == single.states.peaks.recent(rows, 28)).all()


CELLS = st.sampled_from(["", "0", "7", "1.5", "1e3", " 12 ", "-1", "nan", "inf", "1_0", "x", "1e15", "999999999999"])
LINES = st.lists(st.tuples(st.sampled_from(["a", " b", "", "c\x07"]), CELLS, CELLS, CELLS), max_size=8)


@given(LINES)
def test_lines_read_at_once_are_those_read_singly(lines: list[tuple[str, str, str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "usage.csv")
        text = "".join(f"{','.join(cells)}\n" for cells in [*lines, ("last", "60", "1", "2")])
        path.write_text("container,epoch_s,cpu_millicores,memory_bytes\n" + text)
        at_once = read_usage([path])
        patch.setattr(usage_file._Rows, "extend", lambda *_: False)
        singly = read_usage([path])
    assert at_once.names == singly.names
    assert list(at_once.problems.named) == list(singly.problems.named)
    for column in ("container", "time", "cpu", "memory", "oom"):
        assert getattr(at_once, column).tolist() == getattr(singly, column).tolist()
